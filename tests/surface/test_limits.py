"""Limits of one owner, the figures for who runs the server, and slow senders."""

from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from komorebi_mcp.domain.access import ALL_SCOPES
from komorebi_mcp.domain.clock import utc_now
from komorebi_mcp.errors import LimitReached
from komorebi_mcp.services.access import Access
from komorebi_mcp.services.limits import Amounts, Limits
from komorebi_mcp.surface import bodies, listener
from support.connections import call, open_application, refused
from support.serving import JSON_AND_SSE, ask, bearer, client_of, serving


async def test_too_many_captures_are_refused_with_when_to_try_again_and_others_are_not(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, auth="required", limit_captures=2) as (url, app):
        access = Access(app.store, clock=utc_now)
        alice, bob = [(await access.new(name, ALL_SCOPES))[0] for name in ("alice", "bob")]
        async with client_of(url, alice) as client:
            for number in range(2):
                await call(client, "capture", content=f"{number}")
            told = await refused(client, "capture", content="One more")
            assert "at most 2 a minute" in told
            assert "try again in 30 seconds" in told
            assert len((await call(client, "list_captures"))["captures"]) == 2
        async with client_of(url, bob, mode="legacy") as client:
            await call(client, "capture", content="Bob's")


async def test_a_full_store_takes_nothing_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("komorebi_mcp.services.limits._MB", 1_000)
    monkeypatch.setattr("komorebi_mcp.services.limits.MEASURE_S", 0.0)
    monkeypatch.setattr("komorebi_mcp.services.limits.FULL_S", 0.0)
    async with serving(tmp_path, auth="required", limit_store_mb=1) as (url, app):
        secret, _ = await Access(app.store, clock=utc_now).new("alice", ALL_SCOPES)
        async with client_of(url, secret) as client:
            ids = [(await call(client, "capture", content="x" * 400 + str(n)))["id"] for n in range(3)]
            assert "forget_captures" in await refused(client, "capture", content="One more")
            await call(client, "forget_captures", ids=ids[:1], confirm=True)
            await call(client, "capture", content="One more")


async def test_only_so_many_requests_of_an_owner_are_under_way(tmp_path: Path) -> None:
    async with open_application(tmp_path) as app:
        limits = Limits(app.store, Amounts(requests=2, upstream_calls=1))
        with limits.request("alice"), limits.request("alice"):
            with pytest.raises(LimitReached, match="try again in 1 seconds"), limits.request("alice"):
                pass
            with limits.request("bob"):
                pass
        with limits.request("alice"):
            limits.upstream_call("alice")
            with pytest.raises(LimitReached) as refused_call:
                limits.upstream_call("alice")
        assert refused_call.value.retry_s == 60
        unlimited = Limits(app.store, Amounts())
        for _ in range(10_000):
            unlimited.upstream_call("alice")
        await unlimited.capture("alice")


async def test_who_needs_no_token_meets_no_limit(tmp_path: Path) -> None:
    async with serving(tmp_path, limit_captures=1) as (url, _), client_of(url, "ignored") as client:
        for number in range(3):
            await call(client, "capture", content=f"{number}")


async def test_figures_are_for_the_owner_local_alone(tmp_path: Path) -> None:
    async with serving(tmp_path) as (url, app), httpx.AsyncClient() as http:
        place = url.replace("/mcp", "/metrics")
        told = (await http.get(place)).text
        for name in ("queue_captures", "queue_oldest_seconds", "set_aside_captures", "rejected_sentences"):
            assert f"\nkomorebi_{name} 0\n" in told
        assert all(line.startswith(("# HELP ", "# TYPE ", "komorebi_")) for line in told.splitlines())
        access = Access(app.store, clock=utc_now)
        tokens = {name: (await access.new(name, ALL_SCOPES))[0] for name in ("local", "alice")}
        assert (await http.get(place)).status_code == 401
        assert (await http.get(place, headers=bearer(tokens["alice"]))).status_code == 403
        assert (await http.get(place, headers=bearer(tokens["local"]))).status_code == 200


async def test_a_head_or_body_that_comes_too_slowly_ends_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "HEADERS_S", 0.2)
    monkeypatch.setattr(bodies, "BODY_S", 0.2)
    async with serving(tmp_path) as (url, _), AsyncExitStack() as connections:
        port = httpx.URL(url).port
        assert port is not None
        host = f"host: 127.0.0.1:{port}\r\n"
        types = "".join(f"{name}: {value}\r\n" for name, value in JSON_AND_SSE.items())
        beginnings = [
            "",
            "POST /mcp HTTP/1.1\r\nhost:",
            f"POST /mcp HTTP/1.1\r\n{host}{types}content-length: 9\r\n\r\n{{",
        ]
        answers = []
        for beginning in beginnings:
            stream = await connections.enter_async_context(await anyio.connect_tcp("127.0.0.1", port))
            if beginning:
                await stream.send(beginning.encode())
            answers.append(stream)
        with anyio.fail_after(5):
            assert [await _all_of(stream) for stream in answers[:2]] == [b"", b""]
            assert (await _all_of(answers[2])).startswith(b"HTTP/1.1 408 ")
        async with httpx.AsyncClient() as http:
            assert (await ask(http, url, "tools/list")).status_code == 200


async def test_a_head_without_end_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as (url, _):
        port = httpx.URL(url).port
        assert port is not None
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            with anyio.fail_after(5), suppress(anyio.BrokenResourceError):
                await stream.send(b"POST /mcp HTTP/1.1\r\nx-long: ")
                for _ in range(listener.HEAD_BYTES_MAX // 1024 + 1):
                    await stream.send(b"x" * 1024)
            with anyio.fail_after(5):
                assert (await _all_of(stream)).startswith(b"HTTP/1.1 431 ")


async def _all_of(stream: Any) -> bytes:
    received = b""
    try:
        while True:
            received += await stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return received
