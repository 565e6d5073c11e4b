"""Responses that are written piece by piece, as events; and streams on which a client only listens."""

from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PING_S = 15.0
"""A silent stream is written to so often, or proxies would close it."""
PING: Final = b": ping\r\n\r\n"
STREAM_HEADERS: Final = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"connection", b"keep-alive"),
    (b"x-accel-buffering", b"no"),
)

_KEY: Final = "komorebi.open_streams"
_OF_STREAMS: Final = frozenset({b"content-type", b"connection", b"x-accel-buffering"})
"""Headers that a response has as a stream only."""


class OpenStreams:
    """The streams on which clients only listen: as an ASGI application it notes them, to end them all."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._open: set[anyio.CancelScope] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_KEY] = self._open
        await self._app(scope, receive, send)

    def end(self) -> None:
        """Ends them; a shutdown would otherwise wait for them in vain."""
        for stream in tuple(self._open):
            stream.cancel()


class EventStream:
    """An ASGI response on which a client only listens: events as they come, until it goes.

    `install_streams` puts it where the SDK has sse-starlette's, which ends with a process's first server.
    """

    def __init__(
        self,
        content: MemoryObjectReceiveStream[dict[str, Any]],
        *,
        data_sender_callable: Callable[[], Coroutine[Any, Any, None]],
        headers: Mapping[str, str],
    ) -> None:
        """`data_sender_callable` puts the events into `content`, then closes it; the SDK names them so."""
        self._events = content
        self._put_events = data_sender_callable
        self._headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in {**headers, "X-Accel-Buffering": "no"}.items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        writer = Writer(send, {"type": "http.response.start", "status": 200, "headers": self._headers})
        async with anyio.create_task_group() as tasks:
            with _noted(scope, tasks.cancel_scope), suppress(anyio.EndOfStream):
                tasks.start_soon(_until_gone, receive, tasks.cancel_scope)
                tasks.start_soon(self._put_events)
                await writer.begin()
                await self._write_all(writer)
            tasks.cancel_scope.cancel()
        await writer.end()

    async def _write_all(self, writer: "Writer") -> None:
        while True:
            event: dict[str, Any] | None = None
            with anyio.move_on_after(PING_S):
                event = await self._events.receive()
            await writer.write(PING if event is None else event_with(event["data"].encode(), event.get("id")))


class Writer:
    """A response that is written piece by piece."""

    def __init__(self, send: Send, head: Message) -> None:
        self._send = send
        self._head = head
        self._has_ended = False
        self.has_begun = False

    async def begin(self) -> None:
        if not self.has_begun:
            self.has_begun = True
            await self._send(self._head)

    async def write(self, data: bytes) -> None:
        await self.begin()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        if not self._has_ended:
            self._has_ended = True
            await self.begin()
            await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def answer(self, data: bytes, *, status: int = 200) -> None:
        """Makes it a JSON document in place of a stream."""
        self.has_begun = self._has_ended = True
        kept = [header for header in self._head["headers"] if header[0] not in _OF_STREAMS]
        headers = [*kept, (b"content-type", b"application/json"), (b"content-length", b"%d" % len(data))]
        await self._send({**self._head, "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": data, "more_body": False})


@contextmanager
def _noted(scope: Scope, stream: anyio.CancelScope) -> Iterator[None]:
    listening: set[anyio.CancelScope] = scope.get(_KEY, set())
    listening.add(stream)
    try:
        yield
    finally:
        listening.discard(stream)


async def _until_gone(receive: Receive, stream: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.cancel()


def event_with(data: bytes, event_id: str | None = None) -> bytes:
    """The event with this message; one without is only a place to come back to."""
    place = b"id: %s\r\n" % event_id.encode() if event_id else b""
    return place + (b"event: message\r\n" if data else b"") + b"data: " + data + b"\r\n\r\n"
