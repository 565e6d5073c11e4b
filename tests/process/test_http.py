"""The HTTP server as people start it: both eras, who may talk to it, bad bodies, and its end."""

import json
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client

from support.connections import MODES, call
from support.processes import (
    COMMAND,
    MODERN_META,
    START_S,
    capture_request,
    environment,
    http_server,
    modern,
    request,
)

pytestmark = pytest.mark.process

JSON_AND_SSE = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
MODERN = {**JSON_AND_SSE, "mcp-protocol-version": "2026-07-28"}


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_of_either_era_captures_and_finds(tmp_path: Path, mode: str) -> None:
    async with http_server(tmp_path) as (_, url), Client(url, mode=mode, cache=None) as client:
        content = "The owl counts ü\x00 twice. " * 40_000
        receipt = await call(client, "capture", content=content)
        found = await call(client, "search_captures", query="owl")
        assert [hit["id"] for hit in found["hits"]] == [receipt["id"]]
        assert client.instructions is not None
        assert len(client.instructions) < 600


async def test_two_clients_at_once_see_the_same_captures(tmp_path: Path) -> None:
    async with (
        http_server(tmp_path) as (_, url),
        Client(url, mode="legacy", cache=None) as one,
        Client(url, cache=None) as other,
    ):
        receipt = await call(one, "capture", content="Shared.")
        (row,) = (await call(other, "list_captures"))["captures"]
        assert row["id"] == receipt["id"]


async def test_health_tells_the_version(tmp_path: Path) -> None:
    async with http_server(tmp_path) as (_, url), httpx.AsyncClient() as http:
        answer = await http.get(url.replace("/mcp", "/health"))
        assert answer.status_code == 200
        assert answer.json() == {"status": "ok", "version": "0.1.0"}


@pytest.mark.parametrize("path", ["/mcp", "/health", "/nowhere"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_other_hosts_and_origins_are_refused_on_every_route(
    tmp_path: Path, path: str, method: str
) -> None:
    async with http_server(tmp_path) as (_, url), httpx.AsyncClient() as http:
        place = url.replace("/mcp", path)
        answer = await http.request(method, place, headers={**JSON_AND_SSE, "host": "evil.example"})
        assert answer.status_code == 421
        answer = await http.request(method, place, headers={**JSON_AND_SSE, "origin": "https://evil.example"})
        assert answer.status_code == 403
        for host in ("localhost.evil.example", "127.0.0.1.evil.example:80", "127.0.0.1@evil.example"):
            answer = await http.request(method, place, headers={**JSON_AND_SSE, "host": host})
            assert answer.status_code == 421, host


BAD_BODIES: list[tuple[bytes, Any, int]] = [
    (b"hello", None, -32700),
    (b"", None, -32700),
    (b"[]", None, -32600),
    (b'{"jsonrpc": "2.0", "id": 3, "method": 5}', 3, -32600),
    (b'{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}', None, -32600),
    (json.dumps(capture_request("\ud800", request_id="s")).encode(), "s", -32602),
    (json.dumps(capture_request("PLACE")).encode().replace(b"PLACE", b"caf\xe9"), 1, -32602),
]


@pytest.mark.parametrize("headers", [JSON_AND_SSE, MODERN], ids=["handshake", "modern"])
async def test_every_bad_body_is_answered_in_our_own_words(tmp_path: Path, headers: dict[str, str]) -> None:
    async with http_server(tmp_path) as (_, url), httpx.AsyncClient(headers=headers) as http:
        for body, request_id, code in BAD_BODIES:
            answer = await http.post(url, content=body)
            assert answer.status_code == 400
            told = answer.json()
            assert (told["id"], told["error"]["code"]) == (request_id, code), body[:60]
            assert "pydantic" not in answer.text


async def test_an_oversized_body_is_413_and_the_server_goes_on(tmp_path: Path) -> None:
    async with http_server(tmp_path) as (_, url), httpx.AsyncClient(headers=JSON_AND_SSE) as http:
        answer = await http.post(url, content=b"x" * (5 * 1024 * 1024))
        assert answer.status_code == 413
        assert (await http.get(url.replace("/mcp", "/health"))).status_code == 200


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_with_code_0_although_streams_are_open(
    tmp_path: Path, signum: signal.Signals
) -> None:
    async with http_server(tmp_path) as (process, url), httpx.AsyncClient(timeout=START_S) as http:
        opened = await http.post(url, headers=JSON_AND_SSE, json=initialize())
        session = {**JSON_AND_SSE, "mcp-session-id": opened.headers["mcp-session-id"]}
        listen = modern("subscriptions/listen", notifications={"toolsListChanged": True})
        modern_headers = {**MODERN, "mcp-method": "subscriptions/listen"}
        async with (
            http.stream("GET", url, headers=session) as standing,
            http.stream("POST", url, headers=modern_headers, json=listen) as listening,
        ):
            assert standing.status_code == 200
            assert listening.status_code == 200
            lines = listening.aiter_lines()
            with anyio.fail_after(5):
                assert "event" in await anext(lines)
            process.send_signal(signum)
            with anyio.fail_after(2):
                # The stream is ended by its result, so that the client knows it was meant.
                assert [line for line in [line async for line in lines] if '"result":{' in line]
                assert await process.wait() == 0


async def test_a_signal_that_comes_as_soon_as_it_listens_ends_it_with_code_0(tmp_path: Path) -> None:
    for _ in range(4):
        async with http_server(tmp_path) as (process, _):
            process.send_signal(signal.SIGTERM)
            with anyio.fail_after(5):
                assert await process.wait() == 0


async def test_a_request_under_way_is_answered_before_the_end(tmp_path: Path) -> None:
    async with http_server(tmp_path) as (process, url), httpx.AsyncClient(timeout=START_S) as http:
        headers = {**MODERN, "mcp-method": "tools/call", "mcp-name": "capture"}
        answers: list[httpx.Response] = []

        async def one(number: int) -> None:
            asked = modern("tools/call", name="capture", arguments={"content": f"Late {number}"})
            answers.append(await http.post(url, headers=headers, json=asked))
            if len(answers) == 1:
                process.send_signal(signal.SIGTERM)

        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(one, number)
        assert [answer.status_code for answer in answers] == [200] * 8
        with anyio.fail_after(2):
            assert await process.wait() == 0


async def test_white_space_around_a_headers_value_is_not_part_of_it(tmp_path: Path) -> None:
    async with http_server(tmp_path) as (_, url):
        port = httpx.URL(url).port
        assert port is not None
        body = json.dumps(modern("tools/call", name="capture", arguments={"content": "x"})).encode()
        head = {**MODERN, "host": f"127.0.0.1:{port}", "mcp-method": "tools/call", "mcp-name": " capture \t"}
        lines = [f"{name}: {value}" for name, value in {**head, "content-length": str(len(body))}.items()]
        # Clients of HTTP libraries would trim it themselves.
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send("\r\n".join(["POST /mcp HTTP/1.1", *lines, "", ""]).encode() + body)
            with anyio.fail_after(5):
                assert (await stream.receive()).startswith(b"HTTP/1.1 200 ")


async def test_more_idle_connections_than_a_process_may_have_files_keep_nobody_out(tmp_path: Path) -> None:
    few_files = ("sh", "-c", 'ulimit -Sn 200; exec "$@"', "sh")
    async with (
        http_server(tmp_path, through=few_files) as (_, url),
        AsyncExitStack() as idle,
        httpx.AsyncClient(timeout=START_S) as http,
    ):
        port = httpx.URL(url).port
        assert port is not None
        for _ in range(300):
            await idle.enter_async_context(await anyio.connect_tcp("127.0.0.1", port))
        assert (await http.get(url.replace("/mcp", "/health"))).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])  # noqa: S104 - refused below.
async def test_it_refuses_an_address_that_others_can_reach(tmp_path: Path, host: str) -> None:
    command = [*COMMAND, "serve", "--transport", "http", "--host", host]
    with anyio.fail_after(START_S):
        done = await anyio.run_process(command, env=environment(tmp_path), check=False)
    assert done.returncode == 1
    assert done.stderr.decode().count("\n") == 1
    assert "Refusing to listen" in done.stderr.decode()


async def test_a_taken_port_is_told_in_one_line(tmp_path: Path) -> None:
    async with http_server(tmp_path) as (_, url):
        port = str(httpx.URL(url).port)
        command = [*COMMAND, "serve", "--transport", "http", "--port", port]
        with anyio.fail_after(START_S):
            done = await anyio.run_process(command, env=environment(tmp_path), check=False)
        assert done.returncode == 1
        assert done.stderr.decode().count("\n") == 1
        assert "--port" in done.stderr.decode()


def initialize() -> dict[str, Any]:
    return request(
        "initialize",
        protocolVersion="2025-11-25",
        capabilities={},
        clientInfo=MODERN_META["io.modelcontextprotocol/clientInfo"],
    )
