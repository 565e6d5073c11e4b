"""Event streams, written to as seldom as may be and never later than when something is said."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.streams.memory import MemoryObjectSendStream
from starlette.types import Message, Scope

from komorebi_mcp.surface import streams
from komorebi_mcp.surface.streams import EventStream, OpenStreams

Put = MemoryObjectSendStream[dict[str, Any]]


class Client:
    """What a client has received, and whether it is still there."""

    def __init__(self) -> None:
        self.received: list[Message] = []
        self.news = anyio.Event()
        self.gone = anyio.Event()
        self.shut_down: Callable[[], None] = lambda: None

    async def send(self, message: Message) -> None:
        self.received.append(message)
        self.news.set()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def until(self, arrived: Callable[[list[Message]], bool]) -> None:
        while not arrived(self.received):
            self.news = anyio.Event()
            await self.news.wait()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.received)

    @property
    def has_ended(self) -> bool:
        return self.received[-1]["type"] == "http.response.body" and not self.received[-1]["more_body"]


@asynccontextmanager
async def streaming(method: str = "POST") -> AsyncIterator[tuple[Client, Put]]:
    """A stream under way, and where its events are put."""
    client = Client()
    put, content = anyio.create_memory_object_stream[dict[str, Any]](0)
    headers = {"Content-Type": "text/event-stream"}
    app = OpenStreams(EventStream(content, data_sender_callable=anyio.sleep_forever, headers=headers))
    client.shut_down = app.end
    scope: Scope = {"type": "http", "method": method}
    with anyio.fail_after(5):
        async with content, put, anyio.create_task_group() as tasks:
            tasks.start_soon(app, scope, client.receive, client.send)
            yield client, put
            tasks.cancel_scope.cancel()


async def test_a_result_goes_out_with_the_head_and_the_end() -> None:
    async with streaming() as (client, put):
        await put.send({"event": "message", "data": "{}"})
        put.close()
        await client.until(lambda received: len(received) == 2)
    assert [message["type"] for message in client.received] == ["http.response.start", "http.response.body"]
    assert client.body == b"event: message\r\ndata: {}\r\n\r\n"
    assert client.has_ended


async def test_what_is_said_before_the_result_does_not_wait_for_it() -> None:
    async with streaming() as (client, put):
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
    async with streaming() as (client, put):
        await client.until(lambda _: client.body.startswith(b": ping\r\n\r\n: ping\r\n\r\n"))
        await put.send({"data": "late"})
        put.close()
        await client.until(lambda _: client.has_ended)
    assert b"data: late\r\n\r\n" in client.body


async def test_a_client_that_only_listens_is_answered_at_once() -> None:
    async with streaming("GET") as (client, _):
        await client.until(bool)
        assert client.received[0]["status"] == 200


async def test_a_client_that_has_gone_ends_its_stream() -> None:
    async with streaming() as (client, _):
        client.gone.set()
        await client.until(lambda received: bool(received) and client.has_ended)


async def test_a_shutdown_ends_streams_on_which_a_client_only_listens() -> None:
    async with streaming("GET") as (client, _):
        await client.until(bool)
        client.shut_down()
        await client.until(lambda _: client.has_ended)


async def test_a_shutdown_leaves_a_call_time_for_its_answer() -> None:
    async with streaming() as (client, put):
        await put.send({"data": "1"})
        client.shut_down()
        await put.send({"data": "2"})
        await client.until(lambda _: b"data: 2" in client.body)
