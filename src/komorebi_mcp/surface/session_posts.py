"""A handshake client's session over HTTP: how its requests come in, and how what is said in it goes out.

The SDK carries whatever is said in a session through three queues, and answers each request by an event
stream with a queue and three tasks of its own. Here a message goes straight to the stream that it belongs to,
and the task that a request came in with writes it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any, Final, Self

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream
from mcp.server.streamable_http import (
    GET_STREAM_KEY,
    MCP_SESSION_ID_HEADER,
    EventMessage,
    StreamableHTTPServerTransport,
)
from mcp.shared._stream_protocols import WriteStream
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp_types import DEFAULT_NEGOTIATED_VERSION, JSONRPCError, JSONRPCRequest, JSONRPCResponse
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from komorebi_mcp.surface.bodies import MESSAGE
from komorebi_mcp.surface.streams import PING, PING_S, STREAM_HEADERS, Writer, event_with
from komorebi_mcp.surface.wire import encode_message

PATIENCE_S: Final = 0.25
"""After so long without a message a client is given an id to come back by; most answers come before."""
HEAD_WAIT_S: Final = 1.0
"""So long the head of a response waits for what goes out with it, for clients that cannot come back."""
_WAITING_MAX: Final = 16
"""Messages for one request that are not written yet; whoever says more waits."""


class SessionTransport(StreamableHTTPServerTransport):
    """The SDK's transport of one session, but for requests and for what is said."""

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Any]:
        async with super().connect() as (incoming, queue):
            outgoing: Any = _WayOut(self, queue)
            self._write_stream = outgoing
            yield incoming, outgoing

    async def send_out(self, sent: SessionMessage) -> None:
        """Keeps the message for a client that has to come back, and hands it to whoever writes its stream.

        Raises:
            anyio.ClosedResourceError: The session is over.
        """
        if self.is_terminated:
            raise anyio.ClosedResourceError
        stream_id = _stream_of(sent)
        event_id = None
        if self._event_store is not None:
            event_id = await self._event_store.store_event(stream_id, sent.message)
        stream = self._request_streams.get(stream_id)
        if stream is None:
            return
        event = EventMessage(sent.message, event_id)
        # Its client has gone; what it comes back for is kept.
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            try:
                stream[0].send_nowait(event)
            except anyio.WouldBlock:
                await stream[0].send(event)

    async def _handle_post_request(
        self, scope: Scope, request: Request, receive: Receive, send: Send
    ) -> None:
        message = scope.get(MESSAGE)
        if not isinstance(message, JSONRPCRequest):
            await super()._handle_post_request(scope, request, receive, send)
            return
        opens = message.method == "initialize"
        if not await self._validate_accept_header(request, scope, send):
            return
        if not (opens or await self._validate_request_headers(request, send)):
            return
        version = (
            str((message.params or {}).get("protocolVersion", DEFAULT_NEGOTIATED_VERSION))
            if opens
            else request.headers.get(MCP_PROTOCOL_VERSION_HEADER, DEFAULT_NEGOTIATED_VERSION)
        )
        request_id = str(message.id)
        beginning = await self._mint_priming_event(request_id, version)
        streams = anyio.create_memory_object_stream[EventMessage](_WAITING_MAX)
        self._request_streams[request_id] = streams
        writer = Writer(send, self._head())
        try:
            assert self._read_stream_writer is not None  # noqa: S101 - a session without has ended.
            await self._read_stream_writer.send(
                self._create_session_message(message, request, request_id, version)
            )
            await _write(
                streams[1],
                writer,
                beginning=event_with(b"", beginning["id"]) if beginning is not None else b"",
                # What clients wait for most. Others stay streams: several at once may be expected.
                may_be_json=message.method == "tools/call",
            )
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            if not writer.has_begun:
                ended = self._create_error_response(
                    "Not Found: Session has been terminated", HTTPStatus.NOT_FOUND
                )
                await ended(scope, receive, send)
        finally:
            # Another request may have come with the same id.
            if self._request_streams.get(request_id) is streams:
                del self._request_streams[request_id]
            for end in streams:
                end.close()

    def _head(self) -> dict[str, Any]:
        session = (MCP_SESSION_ID_HEADER.encode(), str(self.mcp_session_id).encode())
        return {"type": "http.response.start", "status": 200, "headers": [*STREAM_HEADERS, session]}


class _WayOut:
    """What the SDK takes for its queue of what is said."""

    def __init__(self, transport: SessionTransport, queue: WriteStream[SessionMessage]) -> None:
        self.send = transport.send_out
        self._queue = queue

    async def aclose(self) -> None:
        # Somebody waits for what never comes in it.
        await self._queue.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _stream_of(sent: SessionMessage) -> str:
    """The stream that it goes out on: that of the request it answers or belongs to, or the standing one."""
    message, metadata = sent.message, sent.metadata
    if isinstance(message, JSONRPCResponse | JSONRPCError) and message.id is not None:
        return str(message.id)
    if isinstance(metadata, ServerMessageMetadata) and metadata.related_request_id is not None:
        return str(metadata.related_request_id)
    return GET_STREAM_KEY


async def _write(
    arriving: MemoryObjectReceiveStream[EventMessage],
    writer: Writer,
    *,
    beginning: bytes,
    may_be_json: bool,
) -> None:
    """Writes what arrives until the answer has; with `beginning` ahead of it if nothing comes soon."""
    wait_s = PATIENCE_S if beginning else HEAD_WAIT_S
    with suppress(anyio.EndOfStream):
        while True:
            arrived: EventMessage | None = None
            with anyio.move_on_after(PING_S if writer.has_begun else wait_s):
                arrived = await arriving.receive()
            if arrived is None:
                await writer.write(PING if writer.has_begun else beginning)
                continue
            parts: list[bytes] = []
            while arrived is not None and not _answers(arrived) and len(parts) < _WAITING_MAX:
                parts.append(_event_of(arrived))
                # Whoever said it may have more to say, which then goes out in one piece with it.
                await anyio.lowlevel.checkpoint()
                arrived = _next(arriving)
            if arrived is None or not _answers(arrived):
                more = [] if arrived is None else [_event_of(arrived)]
                await writer.write(b"".join([*parts, *more]))
            elif may_be_json and not parts and not writer.has_begun:
                await writer.answer(_data_of(arrived))
                return
            else:
                await writer.end(b"".join([*parts, _event_of(arrived)]))
                return
    # It was closed from outside: the client is to come back, or the session is over.
    await writer.end()


def _next(arriving: MemoryObjectReceiveStream[EventMessage]) -> EventMessage | None:
    """What has arrived as well and goes out in one piece with what is there."""
    try:
        return arriving.receive_nowait()
    except (anyio.WouldBlock, anyio.EndOfStream):
        return None


def _answers(event: EventMessage) -> bool:
    return isinstance(event.message, JSONRPCResponse | JSONRPCError)


def _data_of(event: EventMessage) -> bytes:
    return encode_message(event.message).rstrip(b"\n")


def _event_of(event: EventMessage) -> bytes:
    return event_with(_data_of(event), event.event_id)
