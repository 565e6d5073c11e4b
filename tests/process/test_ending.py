"""Told to end, it is gone within two seconds, whatever it waits for just then."""

import json
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

import anyio
import httpx
import pytest
from anyio.abc import Process

from support.databases import put_sqlite_file
from support.gateway import raw
from support.model_server import Answer, Asked, honest, serve_model
from support.processes import (
    START_S,
    capture_request,
    conversation,
    http_server,
    is_running,
    modern,
    request,
    worker,
)
from support.serving import JSON_AND_SSE, MODERN, initialize

pytestmark = pytest.mark.process

ENDED_S: Final = 3
"""A second more than is promised, for machines that are busy with other tests."""


async def ended(process: Process) -> int:
    """Its exit code, had within the time promised."""
    with anyio.fail_after(ENDED_S):
        return await process.wait()


class Caller:
    """Calls tools over HTTP, in one session where the era has any."""

    def __init__(self, http: httpx.AsyncClient, url: str, headers: dict[str, str]) -> None:
        self._http = http
        self._url = url
        self._headers = headers
        self._ids = count(1)

    async def call(self, tool: str, **arguments: Any) -> httpx.Response:
        headers = {**self._headers, "mcp-method": "tools/call", "mcp-name": tool}
        asked = modern("tools/call", request_id=next(self._ids), name=tool, arguments=arguments)
        return await self._http.post(self._url, headers=headers, json=asked)

    async def structured(self, tool: str, **arguments: Any) -> dict[str, Any]:
        answer = await self.call(tool, **arguments)
        (line,) = [line for line in answer.text.splitlines() if '"result"' in line]
        result: dict[str, Any] = json.loads(line.removeprefix("data: "))["result"]["structuredContent"]
        return result


async def caller(http: httpx.AsyncClient, url: str, era: str) -> Caller:
    if era == "modern":
        return Caller(http, url, MODERN)
    opened = await initialize(http, url)
    headers = {**JSON_AND_SSE, "mcp-session-id": opened.headers["mcp-session-id"]}
    told = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert (await http.post(url, headers=headers, json=told)).status_code == 202
    return Caller(http, url, headers)


@pytest.mark.parametrize("era", ["handshake", "modern"])
async def test_a_call_that_its_upstream_never_answers_is_answered_and_the_upstream_ended(
    tmp_path: Path, era: str
) -> None:
    (tmp_path / "upstreams.json").write_text(json.dumps({"mcpServers": {"up": raw()}}))
    async with http_server(tmp_path) as (process, url), httpx.AsyncClient(timeout=START_S) as http:
        client = await caller(http, url, era)
        pid = (await client.structured("up__look"))["pid"]
        answers: list[httpx.Response] = []

        async def wait_for_it() -> None:
            answers.append(await client.call("up__wait"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait_for_it)
            with anyio.fail_after(START_S):
                while not (await client.structured("up__events"))["events"]:
                    await anyio.lowlevel.checkpoint()
            # Stopped, it heeds neither the end of its stdin nor SIGTERM.
            os.kill(pid, signal.SIGSTOP)
            process.send_signal(signal.SIGTERM)
            assert await ended(process) == 0
        assert "error" in answers[0].text or '"isError":true' in answers[0].text
        assert not is_running(pid)
        assert process.stderr is not None
        with pytest.raises(anyio.EndOfStream):
            # Nothing of it is worth a word, let alone a traceback.
            assert await process.stderr.receive() == b""


async def test_a_call_that_waits_for_a_model_is_told_to_come_again(tmp_path: Path) -> None:
    begun = threading.Event()

    def slow(asked: Asked) -> Answer:
        begun.set()
        model.hanging.wait(20)
        return honest(asked)

    with serve_model(slow) as model:
        named = {
            "KOMOREBI_SUMMARIZER": "openai",
            "KOMOREBI_OPENAI_BASE_URL": model.url,
            "KOMOREBI_MODEL": "slow",
        }
        async with (
            http_server(tmp_path, variables=named) as (process, url),
            httpx.AsyncClient(timeout=START_S) as http,
        ):
            client = await caller(http, url, "modern")
            await client.call("capture", content="The pump at station 4 lost pressure.")
            answers: list[httpx.Response] = []

            async def summarize() -> None:
                answers.append(await client.call("summarize", query="pressure"))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(summarize)
                assert await anyio.to_thread.run_sync(begun.wait, START_S)
                process.send_signal(signal.SIGTERM)
                assert await ended(process) == 0
    assert answers[0].status_code == 503
    assert answers[0].headers["retry-after"] == "1"
    assert "again in a moment" in answers[0].text


@contextmanager
def held_by_another_program(home: Path) -> Iterator[None]:
    """A store that nobody can write to, for up to the 30 seconds that writers wait."""
    with closing(sqlite3.connect(home / "komorebi.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


async def test_a_capture_that_waits_for_the_disk_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async with conversation(tmp_path, "serve") as server:
        await server.shake_hands()
        await server.ask(capture_request("First."))
        with held_by_another_program(tmp_path):
            await server.send(capture_request("It will not be stored.", request_id="late"))
            await server.ask(request("tools/call", request_id=2, name="list_projects", arguments={}))
            server.process.send_signal(signal.SIGTERM)
            assert await ended(server.process) == 0


async def test_nor_does_it_over_http(tmp_path: Path) -> None:
    async with http_server(tmp_path) as (process, url), httpx.AsyncClient(timeout=START_S) as http:
        client = await caller(http, url, "modern")
        await client.call("capture", content="First.")
        with held_by_another_program(tmp_path):
            answers: list[httpx.Response] = []

            async def capture() -> None:
                with suppress(httpx.RemoteProtocolError):
                    answers.append(await client.call("capture", content="It will not be stored."))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(capture)
                await client.call("list_projects")
                process.send_signal(signal.SIGTERM)
                assert await ended(process) == 0
        assert [answer.status_code for answer in answers] in ([], [503])


async def test_a_worker_that_cannot_write_ends_as_soon(tmp_path: Path) -> None:
    put_sqlite_file(tmp_path / "komorebi.db")
    with held_by_another_program(tmp_path):
        url = f"sqlite+aiosqlite:///{tmp_path}/komorebi.db"
        async with worker(tmp_path, database_url=url) as process:
            process.send_signal(signal.SIGTERM)
            assert await ended(process) == 0
