"""Whatever bytes come in on stdin, every request that has an id is answered and the server goes on."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest

from komorebi_mcp.storage.sqlite import READERS_MAX
from support.processes import Conversation, conversation, modern, request

pytestmark = pytest.mark.process

SEED = 20251125
MUTANTS = 1_500
LIST = request("tools/call", name="list_captures", arguments={})
VALID = [
    LIST,
    request("ping"),
    request("tools/list"),
    request("tools/call", name="search_captures", arguments={"query": 'ship OR ("x"*'}),
    request("tools/call", name="capture", arguments={"content": "fuzz €\u0000", "tags": ["a"]}),
    request("tools/call", name="summarize", arguments={}, task={"ttl": 50}),
    request("resources/read", uri="komorebi://inbox"),
    request("resources/subscribe", uri="komorebi://inbox"),
    request("prompts/get", name="resume", arguments={"project": "p"}),
    request(
        "completion/complete",
        ref={"type": "ref/prompt", "name": "resume"},
        argument={"name": "project", "value": "p"},
    ),
    request("tasks/list"),
    request("logging/setLevel", level="error"),
    {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}},
    {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}},
    modern("tools/list"),
]
"""Whose bytes are changed at random."""

ODD: list[tuple[bytes, Any]] = [
    (b"", None),
    (b"   \t", None),
    (b"\xef\xbb\xbf{}", ...),
    (b"null", ...),
    (b"[]", ...),
    (b'[{"jsonrpc":"2.0","id":"in a batch","method":"ping"}]', ...),
    (b'"text"', ...),
    (b"{", ...),
    (b"\x00\x01\x02", ...),
    (b"[" * 100_000, ...),
    (b'{"a":' * 50_000, ...),
    (b"{}", ...),
    (b'{"jsonrpc":"2.0","id":"no method"}', "no method"),
    (b'{"jsonrpc":"1.0","id":"old","method":"ping"}', "old"),
    (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', ...),
    (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', ...),
    (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', ...),
    (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', ...),
    (b'{"jsonrpc":"2.0","id":[1],"method":"ping"}', ...),
    (b'{"jsonrpc":"2.0","id":"params","method":"ping","params":[]}', "params"),
    (b'{"jsonrpc":"2.0","id":"number","method":7}', "number"),
    (b'{"jsonrpc":"2.0","id":"unknown","method":"no/such"}', "unknown"),
    (b'{"jsonrpc":"2.0","id":"again","method":"initialize","params":{}}', "again"),
    (b'{"jsonrpc":"2.0","id":"discover","method":"server/discover","params":{}}', "discover"),
    (b'{"jsonrpc":"2.0","id":"twice","id":"second","method":"ping"}', "second"),
    (b'{"jsonrpc":"2.0","id":"nan","method":"ping","params":{"x":NaN}}', "nan"),
    (b'{"jsonrpc":"2.0","id":"caf\xe9","method":"ping"}', ...),
    (b'{"jsonrpc":"2.0","id":"latin","method":"tools/call","params":{"name":"caf\xe9"}}', "latin"),
    (b'{"jsonrpc":"2.0","id":"half","method":"ping","params":{"x":"\\ud800"}}', "half"),
    (
        b'{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"ping"}',
        123456789012345678901234567890,
    ),
    (b'{"jsonrpc":"2.0","id":' + b"9" * 5_000 + b',"method":"ping"}', ...),
    (b'{"jsonrpc":"2.0","id":"' + b"i" * 100_000 + b'","method":"ping"}', "i" * 100_000),
    (b'{"jsonrpc":"2.0","id":-1,"method":"ping"}', -1),
    (b'{"jsonrpc":"2.0","id":"","method":"ping"}', ""),
    (b'{"jsonrpc":"2.0","id":"nobody asked","result":{}}', None),
    (b'{"jsonrpc":"2.0","id":"nobody asked","error":{"code":1,"message":"m"}}', None),
    (b'{"jsonrpc":"2.0","method":"notifications/no/such","params":{"a":1}}', None),
    (b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{}}}', None),
]
"""Lines, and the id under which each is answered: ... for an answer without one, None for silence."""


class Talk:
    """A conversation of which every line is kept, in any order."""

    def __init__(self, client: Conversation) -> None:
        self.client = client
        self.answers: Counter[Any] = Counter()
        self.nameless = 0
        self.errors: list[dict[str, Any]] = []

    async def listen(self, until: Any) -> None:
        """Takes lines in up to the answer to the request `until`."""
        with anyio.fail_after(30):
            while not self.answers[until]:
                await self.take()

    async def take(self) -> None:
        message = await self.client.receive()
        assert message["jsonrpc"] == "2.0"
        if "method" in message:
            return
        if message.get("id") is None:
            self.nameless += 1
        else:
            self.answers[message["id"]] += 1
        if "error" in message:
            self.errors.append(message["error"])

    async def say(self, lines: list[bytes], last: Any) -> None:
        """Sends the lines at once, and listens until a last request is answered."""
        final = json.dumps({**LIST, "id": last}).encode()

        async def send() -> None:
            for line in (*lines, final):
                await self.client.send(line)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            await self.listen(last)


def open_files(client: Conversation) -> int:
    """How many it has open; always the same where the system does not say."""
    folder = Path(f"/proc/{client.process.pid}/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def fit_to_show(error: dict[str, Any]) -> bool:
    told = json.dumps(error)
    return isinstance(error["code"], int) and not any(
        leak in told for leak in ("pydantic", "Traceback", "input_value", "validation error", 'File \\"')
    )


async def test_every_odd_line_has_its_answer_and_none_ends_the_server(tmp_path: Path) -> None:
    async with conversation(tmp_path) as client:
        await client.shake_hands()
        talk = Talk(client)
        await talk.say([], "warm")
        before = open_files(client)
        for number, (line, expected) in enumerate(ODD):
            nameless, last = talk.nameless, f"after {number}"
            await talk.say([line], last)
            if expected is ...:
                assert talk.nameless == nameless + 1, line[:80]
            elif expected is not None:
                assert talk.answers[expected] == 1, line[:80]
            else:
                assert talk.nameless == nameless, line[:80]
        assert all(map(fit_to_show, talk.errors)), [each for each in talk.errors if not fit_to_show(each)]
        # Readers are opened as they are needed, each with the database and its log.
        assert open_files(client) <= before + 2 + 2 * READERS_MAX < before + len(ODD)
        assert await client.hang_up() == 0


async def test_two_requests_under_one_id_are_both_answered(tmp_path: Path) -> None:
    async with conversation(tmp_path) as client:
        await client.shake_hands()
        talk = Talk(client)
        await talk.say([json.dumps({**LIST, "id": "same"}).encode()] * 5, "last")
        while talk.answers["same"] < 5:
            await talk.take()
        assert await client.hang_up() == 0


async def test_a_line_of_ten_megabytes_is_answered(tmp_path: Path) -> None:
    async with conversation(tmp_path) as client:
        await client.shake_hands()
        talk = Talk(client)
        long = request(
            "tools/call", request_id="long", name="capture", arguments={"content": "x" * 10_000_000}
        )
        await talk.say([json.dumps(long).encode(), b"y" * 10_000_000], "last")
        assert talk.answers["long"] == 1
        assert talk.nameless == 1
        assert await client.hang_up() == 0


async def test_bytes_changed_at_random_leave_no_request_without_its_answer(tmp_path: Path) -> None:
    chance = random.Random(SEED)  # noqa: S311 - not for secrets.
    lines = [mutant(chance, number) for number in range(MUTANTS)]
    async with conversation(tmp_path) as client:
        await client.shake_hands()
        talk = Talk(client)
        before = 0
        for start in range(0, len(lines), 50):
            await talk.say(lines[start : start + 50], f"after {start}")
            if start == MUTANTS // 3:
                # By now it has opened what it needs to serve many at once.
                before = open_files(client)
        waiting = Counter(asked for line in lines if (asked := id_asked(line)) is not None)
        # The last ones may be answered after the request behind them.
        with anyio.fail_after(10):
            while waiting - talk.answers:
                await talk.take()
        assert all(map(fit_to_show, talk.errors)), [each for each in talk.errors if not fit_to_show(each)]
        # Readers are opened as they are needed, each with the database and its log.
        assert open_files(client) <= before + 2 + 2 * READERS_MAX < before + len(ODD)
        assert await client.hang_up() == 0


def mutant(chance: random.Random, number: int) -> bytes:
    """One line whose bytes differ from those of a valid message in a few places."""
    message = {**chance.choice(VALID)}
    if "id" in message:
        message["id"] = f"m{number}"
    line = bytearray(json.dumps(message, ensure_ascii=chance.random() < 0.5).encode())
    for _ in range(chance.choice((0, 1, 1, 2, 5, 20))):
        place = chance.randrange(len(line))
        match chance.randrange(5):
            case 0:
                line[place] = chance.randrange(256)
            case 1:
                del line[place : place + chance.randrange(1, 12)]
            case 2:
                line[place:place] = bytes(chance.randrange(256) for _ in range(3))
            case 3:
                line[place:place] = chance.choice((b"null", b"{}", b"[]", b"-1", b"1e999", b'"', b"\\u0000"))
            case _:
                line[place:place] = line[chance.randrange(len(line)) :][:40]
        if not line:
            break
    return bytes(line).replace(b"\n", b" ")


def id_asked(line: bytes) -> str | int | None:
    """The id under which the line asks for something, where it is a well-formed request."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        return None
    asked = message.get("id")
    is_request = isinstance(message.get("method"), str) and isinstance(message.get("params", {}), dict)
    return asked if is_request and isinstance(asked, str | int) and not isinstance(asked, bool) else None
