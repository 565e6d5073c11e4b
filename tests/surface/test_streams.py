"""Streams on which a client only listens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.streams.memory import MemoryObjectSendStream
from starlette.types import Scope

from komorebi_mcp.surface import streams
from komorebi_mcp.surface.streams import EventStream, OpenStreams
from support.asgi import AsgiClient

Put = MemoryObjectSendStream[dict[str, Any]]


@asynccontextmanager
async def streaming() -> AsyncIterator[tuple[AsgiClient, Put, OpenStreams]]:
    """A stream under way, and where its events are put."""
    client = AsgiClient()
    put, content = anyio.create_memory_object_stream[dict[str, Any]](0)
    headers = {"Content-Type": "text/event-stream"}
    app = OpenStreams(EventStream(content, data_sender_callable=anyio.sleep_forever, headers=headers))
    scope: Scope = {"type": "http", "method": "GET"}
    with anyio.fail_after(5):
        async with content, put, anyio.create_task_group() as tasks:
            tasks.start_soon(app, scope, client.receive, client.send)
            yield client, put, app
            tasks.cancel_scope.cancel()


async def test_a_client_that_listens_is_answered_at_once_and_hears_what_comes() -> None:
    async with streaming() as (client, put, _):
        await client.until(bool)
        assert client.status == 200
        await put.send({"event": "message", "data": "{}", "id": "7.1"})
        await client.until(lambda received: len(received) == 2)
        assert client.body == b"id: 7.1\r\nevent: message\r\ndata: {}\r\n\r\n"
        put.close()
        await client.until(lambda _: client.has_ended)


async def test_a_silent_stream_is_kept_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PING_S", 0.01)
    async with streaming() as (client, _, _):
        await client.until(lambda _: client.body.startswith(b": ping\r\n\r\n: ping\r\n\r\n"))


async def test_a_client_that_has_gone_ends_its_stream() -> None:
    async with streaming() as (client, _, _):
        client.gone.set()
        await client.until(lambda received: bool(received) and client.has_ended)


async def test_a_shutdown_ends_streams_on_which_a_client_only_listens() -> None:
    async with streaming() as (client, _, app):
        await client.until(bool)
        app.end()
        await client.until(lambda _: client.has_ended)
