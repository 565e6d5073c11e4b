"""Whatever is sent over HTTP is refused or answered, and stuck clients hold up nobody else."""

import json
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from anyio.abc import SocketStream

from support.processes import http_server, modern, request

pytestmark = pytest.mark.process

SEED = 20251125
MUTANTS = 300
HANDSHAKE = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
MODERN = {**HANDSHAKE, "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/list"}
INITIALIZE = request(
    "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "t", "version": "1"}
)
LEAKS = ("pydantic", "Traceback", "input_value", "validation error", "site-packages")


NONE: list[tuple[dict[str, str], bytes, set[int]]] = [
    ({"content-type": "text/plain"}, b"{}", {400, 415}),
    ({"content-type": "application/json; charset=latin-1"}, b"{}", {400}),
    ({"accept": "text/html"}, json.dumps(INITIALIZE).encode(), {406}),
    ({"mcp-protocol-version": "1999-01-01"}, json.dumps(request("ping")).encode(), {400}),
    ({"mcp-protocol-version": "\u00e9".encode().decode("latin-1")}, b"{}", {400}),
    ({"mcp-session-id": "made-up"}, json.dumps(request("ping")).encode(), {404}),
    ({"mcp-session-id": "x" * 5_000}, json.dumps(request("ping")).encode(), {400, 404}),
    ({}, json.dumps([INITIALIZE]).encode(), {400}),
    ({}, b"", {400}),
    ({}, b"null", {400}),
    ({}, b"\xff\xfe", {400}),
    ({}, b"[" * 100_000, {400}),
    ({}, b'{"a":' * 50_000, {400}),
    ({"content-encoding": "gzip"}, b"\x1f\x8b", {400, 415}),
]
"""Headers and a body that are no request, and the statuses that may say so."""

NOT_THERE = ("PUT", "PATCH", "HEAD", "TRACE", "OPTIONS", "DELETE", "BREW")


@asynccontextmanager
async def server(home: Path) -> AsyncIterator[tuple[str, Path]]:
    """The endpoint's URL, and the folder that lists the server's open files, if the system has one."""
    async with http_server(home) as (process, url):
        yield url, Path(f"/proc/{process.pid}/fd")


async def opened(url: str, http: httpx.AsyncClient) -> dict[str, str]:
    """The headers of a handshake session."""
    answer = await http.post(url, json=INITIALIZE, headers=HANDSHAKE)
    headers = {
        **HANDSHAKE,
        "mcp-session-id": answer.headers["mcp-session-id"],
        "mcp-protocol-version": "2025-11-25",
    }
    await http.post(url, json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=headers)
    return headers


async def check_serving(url: str, http: httpx.AsyncClient) -> None:
    """Fails unless a well-behaved client of each era is served within moments."""
    with anyio.fail_after(5):
        headers = await opened(url, http)
        answer = await http.post(url, json=request("tools/list"), headers=headers)
        assert answer.status_code == 200
        answer = await http.post(url, json=modern("tools/list"), headers=MODERN)
        assert answer.status_code == 200


def count(folder: Path) -> int:
    return len(list(folder.iterdir())) if folder.exists() else 0


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[SocketStream]:
    place = urlsplit(url)
    assert place.hostname is not None
    assert place.port is not None
    async with await anyio.connect_tcp(place.hostname, place.port) as stream:
        yield stream


@pytest.mark.parametrize("era", ["handshake", "modern"])
async def test_bodies_changed_at_random_are_answered_without_insides(tmp_path: Path, era: str) -> None:
    chance = random.Random(SEED)  # noqa: S311 - not for secrets.
    asked: list[dict[str, Any]] = [
        request("tools/call", name="list_captures", arguments={}),
        request("completion/complete", ref={"type": "ref/prompt", "name": "resume"}, argument={}),
        request("tools/call", name="capture", arguments={"content": "fuzz €\u0000"}),
        request("tasks/list"),
    ]
    async with server(tmp_path) as (url, files), httpx.AsyncClient(timeout=5) as http:
        headers = MODERN if era == "modern" else await opened(url, http)
        before = 0
        for number in range(MUTANTS):
            message = modern("tools/list") if era == "modern" else chance.choice(asked)
            body = bytearray(json.dumps(message).encode())
            for _ in range(chance.choice((1, 2, 5))):
                place = chance.randrange(len(body))
                body[place : place + chance.randrange(3)] = bytes(chance.randrange(256) for _ in range(2))
            answer = await http.post(url, content=bytes(body), headers=headers)
            assert answer.status_code in {200, 202, 400, 404}, (bytes(body), answer.text)
            assert not any(leak in answer.text for leak in LEAKS), answer.text
            if number == MUTANTS // 3:
                before = count(files)
        await check_serving(url, http)
        assert count(files) <= before + 8


async def test_a_request_that_is_none_is_refused(tmp_path: Path) -> None:
    async with server(tmp_path) as (url, _), httpx.AsyncClient(timeout=5) as http:
        for headers, body, status in NONE:
            raw: list[tuple[bytes, bytes]] = [
                (name.encode(), value.encode("latin-1")) for name, value in {**HANDSHAKE, **headers}.items()
            ]
            answer = await http.post(url, content=body, headers=raw)
            assert answer.status_code in status, (headers, body[:80], answer.text)
            assert not any(leak in answer.text for leak in LEAKS)
        for method in NOT_THERE:
            answer = await http.request(method, url)
            assert 400 <= answer.status_code < 500, method
        await check_serving(url, http)


async def test_ten_megabytes_are_too_many_and_said_to_be(tmp_path: Path) -> None:
    async with server(tmp_path) as (url, _), httpx.AsyncClient(timeout=5) as http:
        answer = await http.post(url, content=b"x" * 10_000_000, headers=HANDSHAKE)
        assert answer.status_code == 413
        await check_serving(url, http)


async def test_clients_that_stop_in_the_middle_hold_up_nobody_and_leave_nothing(tmp_path: Path) -> None:
    head = (
        b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Accept: application/json, text/event-stream\r\n"
    )
    unfinished = [
        b"P",
        b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        head + b'Content-Length: 1000\r\n\r\n{"jsonrpc"',
        head + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"jso\r\n',
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        head + b"Content-Length: -1\r\n\r\n",
        head + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
        head + b"X: " + b"y" * 200_000,
    ]
    async with server(tmp_path) as (url, files), httpx.AsyncClient(timeout=5) as http:
        await check_serving(url, http)
        before = count(files)
        async with AsyncExitStack() as held:
            for start in unfinished * 12:
                stream = await held.enter_async_context(connected(url))
                await stream.send(start)
            # They stay as they are while others are served.
            await check_serving(url, http)
        await check_serving(url, http)
        with anyio.fail_after(10):
            while count(files) > before + 12:
                await http.get(url.replace("/mcp", "/health"))


async def test_a_session_whose_client_vanished_is_of_no_harm_to_the_next(tmp_path: Path) -> None:
    async with server(tmp_path) as (url, _), httpx.AsyncClient(timeout=5) as http:
        headers = await opened(url, http)
        for _ in range(20):
            async with http.stream("GET", url, headers=headers) as listening:
                assert listening.status_code in {200, 409}
        answer = await http.post(url, json=request("tools/list"), headers=headers)
        assert answer.status_code == 200
        await check_serving(url, http)
