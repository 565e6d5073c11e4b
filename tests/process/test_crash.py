"""Servers are killed mid-way, again and again, and every acknowledged capture is accounted for."""

import os
import random
import signal
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from support.processes import START_S, Conversation, conversation, request

pytestmark = [pytest.mark.process, pytest.mark.slow]

IN_FLIGHT: Final = 32
KILLS: Final = 3
AT_RISK: Final = 110
"""Acknowledged before each kill, at least. Were one in a hundred lost, 330 would miss it in 1 run of 28."""
ENRICHED_S: Final = 30
PAGE: Final = 20


@dataclass
class Account:
    """What was sent under which key, and what came back."""

    texts: dict[str, str] = field(default_factory=dict)
    ids: dict[str, set[str]] = field(default_factory=dict)
    """By key; two ids of one key are a capture stored twice."""
    errors: list[dict[str, Any]] = field(default_factory=list)

    def unanswered(self) -> list[str]:
        return [key for key in self.texts if key not in self.ids]

    def acknowledge(self, answer: dict[str, Any]) -> None:
        result = answer.get("result")
        if result is None or result.get("isError"):
            self.errors.append(answer)
        else:
            self.ids.setdefault(answer["id"].split("/")[0], set()).add(result["structuredContent"]["id"])


def texts(seed: int) -> Iterator[str]:
    rng = random.Random(seed)  # noqa: S311 - The same load each time.
    for number in count():
        odd = rng.choice(["plain", "naïve café", "予算の会議", "\x00\x1b[31m", "line\r\nline", "🌒 "])
        yield f"{number}: {odd} " + "".join(chr(rng.randrange(32, 1_000)) for _ in range(rng.randrange(900)))


class Round:
    """Servers on one file, kept busy with captures until they are killed or nothing is left to send."""

    def __init__(self, servers: Sequence[Conversation], account: Account, sending: Iterator[str]) -> None:
        self._servers = servers
        self._account = account
        self._sending = sending
        self._answers = 0
        self._kill_at: int | None = None
        self._numbers = count()

    async def run(self, *, kill_at: int | None) -> None:
        self._kill_at = kill_at
        async with anyio.create_task_group() as talks:
            for server in self._servers:
                talks.start_soon(self._talk, server)

    async def _talk(self, server: Conversation) -> None:
        waiting = 0
        for _ in range(IN_FLIGHT // len(self._servers)):
            waiting += await self._send_next(server)
        while waiting:
            try:
                answer = await next_answer(server)
            except anyio.IncompleteRead:
                # Killed. What it had written by then has been read.
                return
            self._account.acknowledge(answer)
            waiting += await self._send_next(server) - 1
            self._answers += 1
            if self._answers == self._kill_at:
                for each in self._servers:
                    os.kill(each.process.pid, signal.SIGKILL)

    async def _send_next(self, server: Conversation) -> int:
        """1 where there was something to send."""
        key = next(self._sending, None)
        if key is None:
            return 0
        arguments = {"content": self._account.texts[key], "key": key, "project": "crash"}
        try:
            await server.send(
                request(
                    "tools/call",
                    request_id=f"{key}/{next(self._numbers)}",
                    name="capture",
                    arguments=arguments,
                )
            )
        except anyio.BrokenResourceError:
            # Killed. Its last answers may still be there to read.
            return 1
        return 1


async def next_answer(server: Conversation) -> dict[str, Any]:
    """What it says next that is no notification."""
    while "id" not in (message := await server.receive()):
        pass
    return message


async def called(server: Conversation, tool: str, **arguments: Any) -> Any:
    await server.send(request("tools/call", name=tool, arguments=arguments))
    return (await next_answer(server))["result"]["structuredContent"]


def load(account: Account, fresh: Iterator[str], *, again: int) -> Iterator[str]:
    """Keys to send: those never answered, some that were, and new ones without end."""
    yield from account.unanswered()
    yield from list(account.ids)[-again:]
    for text in fresh:
        key = f"k{len(account.texts)}"
        account.texts[key] = text
        yield key


@pytest.mark.parametrize("processes", [1, 2, 4])
async def test_whatever_was_acknowledged_before_a_kill_is_there_once_unaltered_and_enriched(
    tmp_path: Path, processes: int
) -> None:
    account = Account()
    fresh = texts(processes)
    read: dict[str, tuple[str, str]] = {}
    for kill in range(KILLS + 1):
        async with AsyncExitStack() as stack:
            servers = [await stack.enter_async_context(conversation(tmp_path)) for _ in range(processes)]
            for server in servers:
                await server.shake_hands()
            with anyio.fail_after(START_S + ENRICHED_S):
                if kill < KILLS:
                    sending = load(account, fresh, again=5)
                    # Not always at the same point of a batch.
                    await Round(servers, account, sending).run(kill_at=AT_RISK + IN_FLIGHT + 5 + kill * 7)
                else:
                    await Round(servers, account, iter(account.unanswered())).run(kill_at=None)
                    await all_enriched(servers[-1])
                    read = await read_all(servers[0], account)
    assert account.errors == []
    assert len(account.texts) >= KILLS * AT_RISK
    assert {key: len(ids) for key, ids in account.ids.items()} == dict.fromkeys(account.texts, 1)
    assert {key: text for key, (text, _) in read.items()} == account.texts
    assert {status for _, status in read.values()} <= {"processed", "compacted"}
    with closing(sqlite3.connect(tmp_path / "komorebi.db")) as connection:
        assert connection.execute("SELECT count(*) FROM captures").fetchone() == (len(account.texts),)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def all_enriched(server: Conversation) -> None:
    while (await called(server, "list_captures", status="inbox", limit=1))["captures"]:
        await anyio.lowlevel.checkpoint()


async def read_all(server: Conversation, account: Account) -> dict[str, tuple[str, str]]:
    """Content and status by key."""
    key_of = {capture_id: key for key, ids in account.ids.items() for capture_id in ids}
    found: dict[str, tuple[str, str]] = {}
    wanted = list(key_of)
    for start in range(0, len(wanted), PAGE):
        page = await called(server, "read_captures", ids=wanted[start : start + PAGE], max_tokens=25_000)
        for capture in page["captures"]:
            found[key_of[capture["id"]]] = (capture["content"], capture["status"])
    return found
