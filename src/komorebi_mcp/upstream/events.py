"""Server-sent events out of the bytes of a response.

As the HTML standard reads them: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

import re
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field

RETRY_MS_MAX = 30_000
"""Nobody is made to wait longer, whatever a server says."""
_DIGITS_MAX = 9
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventTooLong(Exception):
    """An event has more bytes than were allowed."""


@dataclass(slots=True)
class Event:
    """One event, or the part of it that has been read."""

    name: bytes = b"message"
    lines: list[bytes] = field(default_factory=list)
    id: str | None = None
    """None where the event names none."""
    retry_ms: int | None = None

    @property
    def data(self) -> bytes:
        """Empty where the event only carries an id or a time to wait."""
        return b"\n".join(self.lines)

    def take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"data":
                self.lines.append(value)
            case b"event":
                self.name = value or b"message"
            case b"id" if b"\0" not in value:
                self.id = value.decode(errors="replace")
            case b"retry" if value.isdigit():
                self.retry_ms = min(int(value[:_DIGITS_MAX]), RETRY_MS_MAX)
            case _:
                # A comment, or a field of the future.
                pass


async def events_in(chunks: AsyncIterable[bytes], *, bytes_max: int) -> AsyncIterator[Event]:
    """The events in order, each as soon as it is complete; one that breaks off is left out.

    Raises:
        EventTooLong: One has more than `bytes_max` bytes.
    """
    waiting = bytearray()
    event, event_bytes = Event(), 0
    is_first, ended_in_cr = True, False
    async for chunk in chunks:
        fresh = chunk[1:] if ended_in_cr and chunk.startswith(b"\n") else chunk
        ended_in_cr = chunk.endswith(b"\r")
        event_bytes += len(fresh)
        waiting += fresh
        # What was there before holds no end of a line.
        if b"\n" in fresh or b"\r" in fresh:
            *lines, rest = _LINE_END.split(waiting)
            waiting = bytearray(rest)
            for line in lines:
                if line:
                    event.take(bytes(line.removeprefix(_BYTE_ORDER_MARK) if is_first else line))
                else:
                    yield event
                    event, event_bytes = Event(), len(waiting)
                is_first = False
        if event_bytes > bytes_max:
            raise EventTooLong
