"""Event streams, written to as seldom as may be and never later than when something is said."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.streams.memory import MemoryObjectSendStream
from starlette.types import Scope

from komorebi_mcp.surface import streams
from komorebi_mcp.surface.bodies import RPC_METHOD
from komorebi_mcp.surface.streams import Answer, EventStream, OpenStreams
from support.asgi import AsgiClient

Put = MemoryObjectSendStream[dict[str, Any]]


@asynccontextmanager
async def streaming(
    method: str = "POST", *, rpc: str = "tools/call"
) -> AsyncIterator[tuple[AsgiClient, Put, OpenStreams]]:
    """A stream under way, and where its events are put."""
    client = AsgiClient()
    put, content = anyio.create_memory_object_stream[dict[str, Any]](0)
    headers = {"Content-Type": "text/event-stream"}
    app = OpenStreams(EventStream(content, data_sender_callable=anyio.sleep_forever, headers=headers))
    scope: Scope = {"type": "http", "method": method, RPC_METHOD: rpc}
    with anyio.fail_after(5):
        async with content, put, anyio.create_task_group() as tasks:
            tasks.start_soon(app, scope, client.receive, client.send)
            yield client, put, app
            tasks.cancel_scope.cancel()


async def test_a_result_with_nothing_ahead_of_it_is_json() -> None:
    async with streaming() as (client, put, _):
        await put.send(Answer(event="message", id="7.1", data="{}"))
        await client.until(lambda received: len(received) == 2)
        put.close()
    assert client.headers[b"content-type"] == b"application/json"
    assert client.received[1] == {"type": "http.response.body", "body": b"{}", "more_body": False}


async def test_answers_to_other_requests_are_events() -> None:
    async with streaming(rpc="tools/list") as (client, put, _):
        await put.send(Answer(data="{}"))
        put.close()
        await client.until(lambda _: client.has_ended)
    assert client.body == b"data: {}\r\n\r\n"


async def test_what_is_said_last_goes_out_with_the_head_and_the_end() -> None:
    async with streaming() as (client, put, _):
        await put.send({"event": "message", "data": "{}"})
        put.close()
        await client.until(lambda received: len(received) == 2)
    assert client.headers[b"content-type"] == b"text/event-stream"
    assert client.body == b"event: message\r\ndata: {}\r\n\r\n"
    assert client.has_ended


async def test_an_answer_behind_something_else_is_an_event() -> None:
    async with streaming() as (client, put, _):
        await put.send({"data": "1"})
        await client.until(lambda _: client.body == b"data: 1\r\n\r\n")
        await put.send(Answer(data="{}"))
        put.close()
        await client.until(lambda _: client.has_ended)
    assert client.body == b"data: 1\r\n\r\ndata: {}\r\n\r\n"


async def test_what_is_said_before_the_result_does_not_wait_for_it() -> None:
    async with streaming() as (client, put, _):
        await put.send({"data": "1"})
        await client.until(lambda _: client.body == b"data: 1\r\n\r\n")
        assert not client.has_ended
        await put.send({"data": "2"})
        await client.until(lambda _: client.body.endswith(b"data: 2\r\n\r\n"))
        put.close()
        await client.until(lambda _: client.has_ended)


async def test_a_silent_stream_begins_all_the_same_and_is_kept_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEAD_WAIT_S", 0.01)
    monkeypatch.setattr(streams, "PING_S", 0.01)
    async with streaming() as (client, put, _):
        await client.until(lambda _: client.body.startswith(b": ping\r\n\r\n: ping\r\n\r\n"))
        await put.send({"data": "late"})
        put.close()
        await client.until(lambda _: client.has_ended)
    assert b"data: late\r\n\r\n" in client.body


async def test_a_client_that_only_listens_is_answered_at_once() -> None:
    async with streaming("GET") as (client, _, _):
        await client.until(bool)
        assert client.status == 200


async def test_a_client_that_has_gone_ends_its_stream() -> None:
    async with streaming() as (client, _, _):
        client.gone.set()
        await client.until(lambda received: bool(received) and client.has_ended)


async def test_a_shutdown_ends_streams_on_which_a_client_only_listens() -> None:
    async with streaming("GET") as (client, _, app):
        await client.until(bool)
        app.end()
        await client.until(lambda _: client.has_ended)


async def test_a_shutdown_leaves_a_call_time_for_its_answer() -> None:
    async with streaming() as (client, put, app):
        await put.send({"data": "1"})
        app.end()
        await put.send({"data": "2"})
        await client.until(lambda _: b"data: 2" in client.body)
