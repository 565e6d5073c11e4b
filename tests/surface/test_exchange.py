"""Modern requests over HTTP are answered with JSON, or by a stream, for as long as the client is there."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest
from mcp.server import Server
from mcp.server.context import ServerRequestContext
from mcp_types import CallToolRequestParams, JSONRPCRequest
from starlette.types import Scope

from komorebi_mcp.surface import exchange
from komorebi_mcp.surface.exchange import answer_alone
from komorebi_mcp.surface.sdk import outbound_of
from komorebi_mcp.surface.underway import UnderWay
from support.asgi import AsgiClient
from support.processes import modern

Context = ServerRequestContext[Any, Any]
Handler = Callable[[Context, CallToolRequestParams], Awaitable[dict[str, Any]]]

HEADERS = (
    (b"accept", b"application/json, text/event-stream"),
    (b"content-type", b"application/json"),
    (b"mcp-protocol-version", b"2026-07-28"),
    (b"mcp-method", b"tools/call"),
    (b"mcp-name", b"t"),
)


@asynccontextmanager
async def calling(
    handler: Handler, headers: Sequence[tuple[bytes, bytes]] = HEADERS
) -> AsyncIterator[AsgiClient]:
    """A call of a tool that does as `handler` does, under way."""
    server: Server[Any] = Server("test")
    server.add_request_handler("tools/call", CallToolRequestParams, handler)
    client = AsgiClient()
    scope: Scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": list(headers)}

    message = JSONRPCRequest.model_validate(modern("tools/call", request_id=7, name="t"))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            answer = partial(
                answer_alone, server=server, lifespan_state=None, message=message, start=tasks.start_soon
            )
            tasks.start_soon(UnderWay().answer, answer, scope, client.receive, client.send)
            yield client


def result(text: str) -> dict[str, Any]:
    return {"resultType": "complete", "content": [{"type": "text", "text": text}]}


def events_in(body: bytes) -> list[dict[str, Any]]:
    lines = body.decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


async def test_an_answer_with_nothing_ahead_of_it_is_json() -> None:
    async def handler(ctx: Context, params: CallToolRequestParams) -> dict[str, Any]:
        return result("done")

    async with calling(handler) as client:
        await client.until(lambda received: len(received) == 2)
    assert client.status == 200
    assert client.headers[b"content-type"] == b"application/json"
    assert client.headers[b"content-length"] == str(len(client.body)).encode()
    answer = json.loads(client.body)
    assert (answer["jsonrpc"], answer["id"]) == ("2.0", 7)
    assert answer["result"]["content"] == result("done")["content"]


async def test_what_is_said_before_the_answer_comes_before_it() -> None:
    said = anyio.Event()

    async def handler(ctx: Context, params: CallToolRequestParams) -> dict[str, Any]:
        await outbound_of(ctx).notify("notifications/message", {"level": "info", "data": "half"})
        await said.wait()
        return result("done")

    async with calling(handler) as client:
        await client.until(lambda _: len(events_in(client.body)) == 1)
        assert client.headers[b"content-type"] == b"text/event-stream"
        assert not client.has_ended
        said.set()
        await client.until(lambda _: client.has_ended)
    first, last = events_in(client.body)
    assert first == {
        "jsonrpc": "2.0",
        "method": "notifications/message",
        "params": {"level": "info", "data": "half"},
    }
    assert last["result"]["content"] == result("done")["content"]


async def test_what_is_said_behind_the_answer_goes_nowhere() -> None:
    kept: list[Context] = []

    async def handler(ctx: Context, params: CallToolRequestParams) -> dict[str, Any]:
        kept.append(ctx)
        return result("done")

    async with calling(handler) as client:
        await client.until(lambda _: client.has_ended)
        await outbound_of(kept[0]).notify("notifications/message", {"data": "late"})
    assert b"late" not in client.body


async def test_a_silent_response_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "WATCH_AFTER_S", 0)
    monkeypatch.setattr(exchange, "PING_S", 0.01)
    waited = anyio.Event()

    async def handler(ctx: Context, params: CallToolRequestParams) -> dict[str, Any]:
        await waited.wait()
        return result("done")

    async with calling(handler) as client:
        await client.until(lambda _: client.body.startswith(b": ping\r\n\r\n: ping\r\n\r\n"))
        waited.set()
        await client.until(lambda _: client.has_ended)
    assert events_in(client.body)[-1]["id"] == 7


async def test_a_call_whose_client_goes_is_cancelled() -> None:
    ended: list[str] = []

    async def handler(ctx: Context, params: CallToolRequestParams) -> dict[str, Any]:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("cancelled")
        return result("done")

    async with calling(handler) as client:
        await anyio.lowlevel.checkpoint()
        # Earlier than anybody looks.
        client.gone.set()
    assert ended == ["cancelled"]
    assert client.received == []


async def test_a_failure_inside_tells_nothing_of_it(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(ctx: Context, params: CallToolRequestParams) -> dict[str, Any]:
        raise RuntimeError("s3cret")

    async with calling(handler) as client:
        await client.until(lambda _: client.has_ended)
    assert json.loads(client.body)["error"]["message"] == "Internal server error"
    assert "s3cret" in caplog.text


async def test_headers_that_say_something_else_than_the_body_are_refused() -> None:
    async def handler(ctx: Context, params: CallToolRequestParams) -> dict[str, Any]:
        return result("done")

    elsewhere = [(name, b"nowhere" if name == b"mcp-method" else value) for name, value in HEADERS]
    async with calling(handler, elsewhere) as client:
        await client.until(lambda _: client.has_ended)
    assert client.status == 400
    assert json.loads(client.body)["id"] == 7


@pytest.mark.parametrize("header", [b"mcp-method", b"mcp-name", b"mcp-protocol-version"])
async def test_a_routing_header_that_comes_twice_is_refused(header: bytes) -> None:
    async def handler(ctx: Context, params: CallToolRequestParams) -> dict[str, Any]:
        return result("done")

    async with calling(handler, [*HEADERS, (header, dict(HEADERS)[header])]) as client:
        await client.until(lambda _: client.has_ended)
    assert client.status == 400
    assert header.decode() in json.loads(client.body)["error"]["message"].lower()


@pytest.mark.parametrize("accepted", [b"application/json", b"text/event-stream", b"text/html"])
async def test_a_client_that_takes_only_one_kind_of_answer_is_refused(accepted: bytes) -> None:
    async def handler(ctx: Context, params: CallToolRequestParams) -> dict[str, Any]:
        return result("done")

    picky = [(name, accepted if name == b"accept" else value) for name, value in HEADERS]
    async with calling(handler, picky) as client:
        await client.until(lambda _: client.has_ended)
    assert client.status == 406


async def test_text_that_is_no_unicode_travels_as_the_escape_it_came_as() -> None:
    async def handler(ctx: Context, params: CallToolRequestParams) -> dict[str, Any]:
        return result("\ud800")

    async with calling(handler) as client:
        await client.until(lambda _: client.has_ended)
    assert rb"\ud800" in client.body


async def test_a_number_too_large_for_one_is_told_as_none() -> None:
    async def handler(ctx: Context, params: CallToolRequestParams) -> dict[str, Any]:
        await outbound_of(ctx).notify("notifications/message", {"data": float("inf")})
        return result("done")

    async with calling(handler) as client:
        await client.until(lambda _: client.has_ended)
    assert events_in(client.body)[0]["params"] == {"data": None}
