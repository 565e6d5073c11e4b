"""Responses to handshake clients: event streams, and JSON for a tool's result with nothing ahead of it.

The SDK answers each of their requests by an event stream, whose head, result and end go out apart: three
system calls here and three awakenings of the client, beside four tasks. Its client then leaves a stream that
has given its answer, and connects anew for the next call. `install_streams` puts this class where the SDK has
sse-starlette's.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream
from sse_starlette.event import ensure_bytes
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from komorebi_mcp.surface.bodies import RPC_METHOD

HEAD_WAIT_S = 1.0
"""The head waits so long for the first event, so that they go out together; clients wait for it no longer."""
PING_S = 15.0
"""A silent stream is written to so often, or proxies would close it."""

_KEY: Final = "komorebi.open_streams"
_SEPARATOR: Final = "\r\n"
PING: Final = b": ping\r\n\r\n"
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


class Answer(dict[str, Any]):
    """The event that answers the request, behind which its stream ends."""


class EventStream:
    """An ASGI response that sends events as they come; a tool's result with none ahead of it goes as JSON."""

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
        self._may_be_json = False
        self._headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in {**headers, "X-Accel-Buffering": "no"}.items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # What clients wait for most. Lists and the like stay streams: several at once may be expected.
        self._may_be_json = scope.get(RPC_METHOD) == "tools/call"
        writer = Writer(send, {"type": "http.response.start", "status": 200, "headers": self._headers})
        async with anyio.create_task_group() as tasks, _noted(scope, tasks.cancel_scope):
            tasks.start_soon(_until_gone, receive, tasks.cancel_scope)
            tasks.start_soon(self._put_events)
            if scope["method"] != "POST":
                await writer.begin()
            await self._write_all(writer)
            tasks.cancel_scope.cancel()
        await writer.end()

    async def _write_all(self, writer: "Writer") -> None:
        while True:
            event: dict[str, Any] | None = None
            with anyio.move_on_after(PING_S if writer.has_begun else HEAD_WAIT_S):
                try:
                    event = await self._events.receive()
                except anyio.EndOfStream:
                    return
            if event is not None:
                await self._write_burst(writer, event)
            elif writer.has_begun:
                await writer.write(PING)
            else:
                await writer.begin()

    async def _write_burst(self, writer: "Writer", event: dict[str, Any]) -> None:
        """Writes the event with those at hand behind it, and with the end of the stream likewise."""
        if isinstance(event, Answer) and self._may_be_json and not writer.has_begun:
            await writer.answer(event["data"].encode())
            return
        parts = [_encoded(event)]
        # Whoever puts the events has its turn: behind a result it closes the stream.
        await anyio.lowlevel.checkpoint()
        try:
            while True:
                parts.append(_encoded(self._events.receive_nowait()))
        except anyio.WouldBlock:
            await writer.write(b"".join(parts))
        except anyio.EndOfStream:
            await writer.end(b"".join(parts))


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


@asynccontextmanager
async def _noted(scope: Scope, stream: anyio.CancelScope) -> AsyncIterator[None]:
    listening: set[anyio.CancelScope] = scope.get(_KEY, set()) if scope["method"] == "GET" else set()
    listening.add(stream)
    try:
        yield
    finally:
        listening.discard(stream)


async def _until_gone(receive: Receive, stream: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.cancel()


def _encoded(event: dict[str, Any]) -> bytes:
    encoded: bytes = ensure_bytes(event, _SEPARATOR)
    return encoded
