"""The stdio server as clients start it: both eras, bad bytes, signals, and a stdout of messages alone."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import stdio_client

from support.connections import MODES, call
from support.processes import (
    COMMAND,
    START_S,
    Conversation,
    capture_request,
    conversation,
    environment,
    modern,
    request,
    stdio_parameters,
)

pytestmark = pytest.mark.process


@pytest.mark.parametrize("mode", MODES)
async def test_a_mebibyte_of_any_text_reads_back_exactly(tmp_path: Path, mode: str) -> None:
    content = ("ä\x00\u2028 ``` \x1b[0m" * 80_000)[:700_000]
    with anyio.fail_after(START_S):
        async with Client(stdio_client(stdio_parameters(tmp_path)), mode=mode, cache=None) as client:
            receipt = await call(client, "capture", content=content)
            parts: list[str] = []
            offset: int | None = 0
            while offset is not None:
                read = await call(
                    client, "read_captures", ids=receipt["id"], max_tokens=25_000, offset=offset
                )
                parts.append(read["captures"][0]["content"])
                offset = read.get("next_offset")
            assert "".join(parts) == content


async def test_a_ten_megabyte_line_is_refused_by_its_id_and_the_server_goes_on(tmp_path: Path) -> None:
    async with conversation(tmp_path) as server:
        await server.shake_hands()
        answer = await server.ask(capture_request("x" * 10_000_000, request_id="big"))
        assert answer["id"] == "big"
        assert answer["result"]["isError"] is True
        assert "komorebi-mcp capture -" in answer["result"]["content"][0]["text"]
        assert "result" in await server.ask(request("ping"))


BAD_LINES: list[tuple[bytes, Any, int]] = [
    (b"hello", None, -32700),
    (b'{"jsonrpc": "2.0", "id": 3, "method": "ping"', None, -32700),
    (b"[" * 100_000, None, -32700),
    (b"\xff\xfe\x00", None, -32700),
    (b"[]", None, -32600),
    (b'[{"jsonrpc": "2.0", "id": 3, "method": "ping"}]', None, -32600),
    (b"7", None, -32600),
    (b"{}", None, -32600),
    (b'{"id": 3, "method": "ping"}', 3, -32600),
    (b'{"jsonrpc": "1.0", "id": 3, "method": "ping"}', 3, -32600),
    (b'{"jsonrpc": "2.0", "id": 3, "method": 5}', 3, -32600),
    (b'{"jsonrpc": "2.0", "id": "x", "method": "ping", "params": [1]}', "x", -32600),
    (b'{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}', None, -32600),
    (b'{"jsonrpc": "2.0", "id": true, "method": "ping"}', None, -32600),
    (b'{"jsonrpc": "2.0", "id": {"a": 1}, "method": "ping"}', None, -32600),
    (b'{"jsonrpc": "2.0", "id": "\\ud800", "method": "ping"}', None, -32602),
    (json.dumps(capture_request("\ud800")).encode(), 1, -32602),
    (
        json.dumps(capture_request("PLACE", request_id="s")).encode().replace(b"PLACE", b"caf\xe9"),
        "s",
        -32602,
    ),
    (b'{"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"\xff": 1}}', 9, -32602),
]


@pytest.mark.parametrize("era", ["handshake", "modern"])
async def test_every_bad_line_is_answered_and_the_server_goes_on(tmp_path: Path, era: str) -> None:
    async with conversation(tmp_path) as server:
        await open_in(server, era)
        for line, request_id, code in BAD_LINES:
            answer = await server.ask(line)
            assert (answer["id"], answer["error"]["code"]) == (request_id, code), line[:60]
            assert answer["error"]["message"].endswith("."), line[:60]
        listed = await server.ask(request("tools/list") if era == "handshake" else modern("tools/list"))
        assert len(listed["result"]["tools"]) >= 9
        assert await server.hang_up() == 0


async def test_a_request_ahead_of_initialize_is_told_what_to_send(tmp_path: Path) -> None:
    async with conversation(tmp_path) as server:
        answer = await server.ask(request("tools/list"))
        assert "Send initialize first" in answer["error"]["message"]
        await server.shake_hands()
        assert "result" in await server.ask(request("tools/list"))


async def test_a_bad_first_line_does_not_cost_the_connection(tmp_path: Path) -> None:
    async with conversation(tmp_path) as server:
        assert (await server.ask(b"\xff"))["error"]["code"] == -32700
        await server.shake_hands()
        assert "result" in await server.ask(request("tools/list"))


async def test_blank_lines_and_stray_answers_are_passed_over(tmp_path: Path) -> None:
    async with conversation(tmp_path) as server:
        await server.shake_hands()
        await server.send(b"")
        await server.send(b"  \r")
        await server.send({"jsonrpc": "2.0", "id": 99, "result": {}})
        await server.send(b'{"id": 99, "result": 5}')
        assert (await server.ask(request("ping", request_id="next")))["id"] == "next"


@pytest.mark.parametrize("era", ["handshake", "modern"])
async def test_requests_under_way_are_answered_when_stdin_closes(tmp_path: Path, era: str) -> None:
    async with conversation(tmp_path, "serve") as server:
        await open_in(server, era)
        for number in range(1, 21):
            asked = capture_request(f"Last words {number}", request_id=number)
            await server.send(
                asked if era == "handshake" else modern("tools/call", request_id=number, **asked["params"])
            )
        assert server.process.stdin is not None
        await server.process.stdin.aclose()
        answers = [await server.receive() for _ in range(20)]
        assert {answer["id"] for answer in answers} == set(range(1, 21))
        assert all(answer["result"]["structuredContent"]["created"] for answer in answers)
        assert await server.wait() == 0


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_with_code_0_while_stdin_is_open(
    tmp_path: Path, signum: signal.Signals
) -> None:
    async with conversation(tmp_path) as server:
        await server.shake_hands()
        server.process.send_signal(signum)
        with anyio.fail_after(2):
            assert await server.process.wait() == 0


async def test_a_signal_ends_it_although_the_client_does_not_read(tmp_path: Path) -> None:
    async with conversation(tmp_path) as server:
        await server.shake_hands()
        for number in range(60):
            await server.send(request("tools/list", request_id=number))
        assert (await server.receive())["id"] == 0
        server.process.send_signal(signal.SIGTERM)
        with anyio.fail_after(2):
            assert await server.process.wait() == 0


@pytest.mark.parametrize("by_signal", [False, True])
async def test_an_open_listen_stream_is_answered_at_the_end_and_does_not_hold_it_up(
    tmp_path: Path, by_signal: bool
) -> None:
    async with conversation(tmp_path) as server:
        await open_in(server, "modern")
        told = {"toolsListChanged": True}
        await server.ask(modern("subscriptions/listen", request_id="ear", notifications=told))
        await server.ask(modern("subscriptions/listen", request_id="over", notifications=told))
        await server.send(
            {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "over"}}
        )
        with anyio.fail_after(2):
            if by_signal:
                server.process.send_signal(signal.SIGTERM)
                assert await server.wait() == 0
            else:
                assert await server.hang_up() == 0
        # So that the client knows that this end was meant (basic/patterns/subscriptions, "Graceful Closure").
        answer = await server.receive()
        assert (answer["id"], answer["result"]["resultType"]) == ("ear", "complete")


async def test_a_client_that_reads_no_more_ends_it_quietly(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    process = await anyio.open_process(COMMAND, env=environment(tmp_path), stdout=writing)
    async with process:
        os.close(writing)
        os.close(reading)
        assert process.stdin is not None
        assert process.stderr is not None
        await process.stdin.send(json.dumps(modern("server/discover")).encode() + b"\n")
        with anyio.fail_after(START_S):
            assert await process.wait() == 0
        assert b"".join([chunk async for chunk in process.stderr]) == b""


async def test_stdin_that_closes_at_once_is_a_clean_end(tmp_path: Path) -> None:
    async with conversation(tmp_path) as server:
        assert await server.hang_up() == 0


async def test_stdout_holds_nothing_but_messages(tmp_path: Path) -> None:
    async with conversation(tmp_path) as server:
        await server.shake_hands()
        for number in range(5):
            await server.ask(capture_request(f"Line {number}\nand another", request_id=number))
        await server.ask(b"junk")
        assert await server.hang_up() == 0
        assert all(json.loads(line)["jsonrpc"] == "2.0" for line in server.said)


async def open_in(server: Conversation, era: str) -> None:
    if era == "handshake":
        await server.shake_hands()
    else:
        answer = await server.ask(modern("server/discover"))
        assert answer["result"]["supportedVersions"] == ["2026-07-28"]
