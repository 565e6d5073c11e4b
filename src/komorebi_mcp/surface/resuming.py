"""Streams that a handshake client can take up again where its connection was lost (`Last-Event-ID`).

What goes out on a session's streams is kept for a while: of an open request until it is answered, of an
answered one for as long as a client may take to come back. Each session has a keeper of its own, made with
it, so that nobody can ask for what was sent to another; all of them share one allowance of memory. What is no
longer there whole is not replayed in part: such a stream ends, and the client asks again.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import anyio
from mcp.server.streamable_http import (
    GET_STREAM_KEY,
    EventCallback,
    EventId,
    EventMessage,
    EventStore,
    StreamId,
)
from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCResponse

KEPT_S: Final = 120.0
"""How long a message is kept: a client that lost its connection comes back within seconds."""
CHARS_MAX: Final = 8 * 1024 * 1024
"""Characters of all that is kept in the process; beyond it the oldest messages of whatever session go."""
_OVERHEAD_CHARS: Final = 2_000
"""What the objects around the shortest message take."""


class _Event(NamedTuple):
    number: int
    message: JSONRPCMessage
    chars: int


@dataclass(eq=False, slots=True)
class _Stream:
    """What was sent on one stream, the standing one or that of a request."""

    number: int
    forget: Callable[[], None]
    """To be called once it is answered and nothing of it is kept."""
    events: deque[_Event] = field(default_factory=deque)
    sent: int = 0
    """The number of the newest event."""
    lost: int = 0
    """The number of the newest event that is no longer here."""
    is_answered: bool = False
    changed: anyio.Event = field(default_factory=anyio.Event)
    reader: object = None
    """Whoever replays it now; one at a time, the last that came."""

    @property
    def newest_id(self) -> EventId:
        return f"{self.number}.{self.sent}"

    def hand_over(self, reader: object) -> None:
        """Ends whoever replays it, since the client has come back by another way."""
        self.reader = reader
        self.tell()

    def tell(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()


class Allowance:
    """The memory that the keepers of all sessions share."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.chars = 0
        self._clock = clock
        self._kept: deque[tuple[float, _Stream]] = deque()
        """When a message was sent and on which stream, the oldest first."""

    def keep(self, stream: _Stream, message: JSONRPCMessage) -> None:
        """Adds the message to its stream, and makes room for it."""
        now = self._clock()
        stream.sent += 1
        event = _Event(stream.sent, message, _chars(message))
        stream.events.append(event)
        self._kept.append((now, stream))
        self.chars += event.chars
        while self._kept and (self.chars > CHARS_MAX or self._kept[0][0] <= now - KEPT_S):
            self._lose(self._kept.popleft()[1])

    def _lose(self, stream: _Stream) -> None:
        gone = stream.events.popleft()
        stream.lost = gone.number
        self.chars -= gone.chars
        if stream.is_answered and not stream.events:
            stream.forget()


class SessionEvents(EventStore):
    """What was sent on the streams of one session."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._streams: dict[StreamId, _Stream] = {}
        self._by_number: dict[int, _Stream] = {}
        self._begun = 0

    async def store_event(self, stream_id: StreamId, message: JSONRPCMessage | None) -> EventId:
        stream = self._streams.get(stream_id)
        if message is None:
            # A connection for it begins: that of a new request, whatever id it has, or the standing one.
            if stream is None or stream.is_answered:
                stream = self._begin(stream_id)
            stream.hand_over(None)
            return stream.newest_id
        if stream is None and stream_id == GET_STREAM_KEY:
            stream = self._begin(stream_id)
        if stream is None or stream.is_answered:
            # Of a client from before 2025-11-25, which cannot come back, or too late to be anybody's.
            return ""
        stream.is_answered = (
            isinstance(message, JSONRPCResponse | JSONRPCError) and stream_id != GET_STREAM_KEY
        )
        self._allowance.keep(stream, message)
        stream.tell()
        return stream.newest_id

    async def replay_events_after(self, last_event_id: EventId, send_callback: EventCallback) -> None:
        """Sends what came after that event, and goes on sending until the request is answered.

        The SDK would pass on what comes later, but loses what comes between the last event here and that.
        """
        stream, seen = self._place(last_event_id)
        if stream is None:
            return
        me = object()
        stream.hand_over(me)
        while stream.reader is me and stream.lost <= seen:
            changed = stream.changed
            for event in [each for each in stream.events if each.number > seen]:
                await send_callback(EventMessage(event.message, f"{stream.number}.{event.number}"))
                seen = event.number
            if seen < stream.sent:
                continue
            if stream.is_answered:
                return
            await changed.wait()

    def _place(self, event_id: EventId) -> tuple[_Stream | None, int]:
        number, _, seen = event_id.partition(".")
        if not (number.isascii() and number.isdecimal() and seen.isascii() and seen.isdecimal()):
            return None, 0
        return self._by_number.get(int(number[:18])), int(seen[:18])

    def _begin(self, stream_id: StreamId) -> _Stream:
        self._begun += 1
        number = self._begun

        def forget() -> None:
            del self._by_number[number]
            if self._streams.get(stream_id) is stream:
                del self._streams[stream_id]

        stream = self._streams[stream_id] = self._by_number[number] = _Stream(number, forget)
        return stream


def _chars(message: JSONRPCMessage) -> int:
    """About how long the message is; counting costs far less than writing it out would."""
    match message:
        case JSONRPCResponse():
            body: Any = message.result
        case JSONRPCError():
            body = message.error.message
        case _:
            body = message.params
    return _OVERHEAD_CHARS + sum(_lengths(body))


def _lengths(value: Any) -> Iterator[int]:
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            yield len(part)
        elif isinstance(part, dict):
            yield sum(map(len, part))
            waiting.extend(part.values())
        elif isinstance(part, list | tuple):
            waiting.extend(part)
        yield 4
