"""One HTTP/1.1 connection to an upstream: a request goes out and its response comes in, one at a time.

A client for every purpose makes a dozen objects for each request and wakes up twice for its response, which
was a quarter of what a call through the gateway took.
"""

import asyncio
import select
import sys
import zlib
from collections.abc import Callable
from types import TracebackType
from typing import Self, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from komorebi_mcp.errors import UpstreamUnavailable
from komorebi_mcp.upstream.wire import Ended

HEAD_BYTES_MAX = 64 * 1024
"""How long the head of a response may be, and whatever else there is of it that is no body."""
PIECE_BYTES = 64 * 1024
"""How much of a body is waited for."""
UNPACKED_BYTES = 1024 * 1024
"""How much is unpacked at a time."""
WAITING_BYTES_MAX = 4 * PIECE_BYTES
"""No more is read ahead of whoever the body is for."""

_PACKED = frozenset({"gzip", "x-gzip"})
_FINAL, _NO_CONTENT, _NOT_MODIFIED = 200, 204, 304


class Response:
    """What has come in of a response; to be left once no more of it is wanted."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._parts: list[bytes] = []
        self._waiting_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._unpacking: zlib._Decompress | None = None
        self._failure: UpstreamUnavailable | None = None
        self._is_begun = False
        """Whether the head has been read."""
        self._goes_together = False
        """Whether nobody can do anything with a part of the body."""
        self._ends_with_connection = False
        self.is_complete = False
        self.bare_bytes = 0
        """How many have come in since the last one of the body."""
        self.status = 0
        self.headers: dict[str, str] = {}
        """By names in lower case; of several with one name the first."""
        self.cookies: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Gives the connection free for another request, or ends it where more is still to come."""
        self._connection.give_back(self)

    @property
    def content_type(self) -> str:
        """Without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def read(self) -> bytes:
        """What has come in of the body since, at least a byte of it; nothing once there is no more.

        Raises:
            Ended: The connection broke off, or was silent for too long.
        """
        if self._unpacking is None:
            if (encoding := self.headers.get("content-encoding", "identity").lower()) != "identity":
                raise UpstreamUnavailable(f"It answered in the encoding {encoding[:40]!a}, unasked.")
            return await self._take()
        if self._unpacking.unconsumed_tail:
            # A little of it may unpack to very much, in which the others have their turns.
            await asyncio.sleep(0)
        while packed := self._unpacking.unconsumed_tail or await self._take():
            try:
                unpacked = self._unpacking.decompress(packed, UNPACKED_BYTES)
            except zlib.error as error:
                raise UpstreamUnavailable("It sent something that cannot be unpacked.") from error
            if unpacked:
                return unpacked
        if not self._unpacking.eof:
            raise Ended("It ended in the middle of something packed.")
        return b""

    async def begun(self) -> None:
        """Returns once the head has come in, with all of a body that is of no use in parts.

        Raises:
            Ended: The connection broke off, or was silent for too long.
        """
        while not self._is_due:
            await self._news()

    async def _take(self) -> bytes:
        while not (self._parts and self._is_due):
            if self.is_complete:
                return b""
            await self._news()
        taken = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._waiting_bytes = 0
        self._connection.read_on()
        return taken

    @property
    def _is_due(self) -> bool:
        """Whether there is enough to do something with."""
        enough = self.is_complete or not self._goes_together or self._waiting_bytes >= PIECE_BYTES
        return self._is_begun and enough

    async def _news(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # What follows is called by the connection.

    def tell(self) -> None:
        """Wakes whoever waits, if there is anything for them."""
        waiter = self._waiter
        if waiter is not None and not waiter.done() and (self._is_due or self._failure is not None):
            waiter.set_result(None)

    def take_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("utf-8", "surrogateescape").strip()
        if key == "set-cookie":
            self.cookies.append(text)
        self.headers.setdefault(key, text)

    def begin(self, status: int) -> None:
        self._is_begun, self.status = True, status
        has_length = "content-length" in self.headers or "transfer-encoding" in self.headers
        self._ends_with_connection = not has_length and status not in (_NO_CONTENT, _NOT_MODIFIED)
        self._goes_together = status == _FINAL and self.content_type == "application/json"
        if self.headers.get("content-encoding", "").lower() in _PACKED:
            self._unpacking = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def take_body(self, part: bytes) -> None:
        self.bare_bytes = 0
        self._parts.append(part)
        self._waiting_bytes += len(part)
        if self._waiting_bytes > WAITING_BYTES_MAX:
            self._connection.read_no_further()

    def fail(self, failure: UpstreamUnavailable) -> None:
        if self._ends_with_connection and isinstance(failure, Gone):
            self.is_complete = True
        elif not self.is_complete:
            # Whatever went wrong first is why; the rest follows from it.
            self._failure = self._failure or failure
        self.tell()


class Gone(Ended):
    """The other side has closed the connection."""


class Connection(asyncio.Protocol):
    """An open connection; made by the event loop, and used by one request at a time."""

    def __init__(self, *, silence_s: float, on_free: Callable[["Connection"], None]) -> None:
        """`silence_s` is how long nothing may come of a response.

        `on_free` is called whenever another request may be made.
        """
        self._loop = asyncio.get_running_loop()
        self._silence_s = silence_s
        self._on_free = on_free
        self._parser = HttpResponseParser(self)
        # What servers are known to get wrong and no other client minds.
        self._parser.set_dangerous_leniencies(
            lenient_data_after_close=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._response: Response | None = None
        self._head: Response | None = None
        """The response of which the head is coming in."""
        self._heard_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._is_kept = False
        self._free_since = 0.0
        self.transport: asyncio.Transport | None = None
        """None once it is closed."""

    async def request(self, request: bytes) -> Response:
        """The response to this request, as soon as `Response.begun` returns.

        Raises:
            Ended: The connection broke off, or was silent for too long.
        """
        response = self._response = Response(self)
        self._is_kept = False
        self._heard_at = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._silence_s, self._look)
        if self.transport is None:
            response.fail(Gone("It ended the connection."))
        else:
            self.transport.write(request)
        try:
            await response.begun()
        except BaseException:
            self.close()
            raise
        return response

    @property
    def idle_s(self) -> float:
        """How long it has not been used."""
        return self._loop.time() - self._free_since

    def is_quiet(self) -> bool:
        """Whether nothing has come in unasked, its end included, of which the event loop may not know yet."""
        if self.transport is None:
            return False
        number: int = self.transport.get_extra_info("socket").fileno()
        if sys.platform == "win32":
            return not select.select([number], [], [], 0)[0]
        look = select.poll()
        look.register(number, select.POLLIN)
        return not look.poll(0)

    def give_back(self, response: Response) -> None:
        """Ends what is to be had of this response."""
        if self._response is not response:
            return
        if response.is_complete and self._is_kept and self.transport is not None:
            self._response = None
            self._free_since = self._loop.time()
            self.transport.resume_reading()
            self._on_free(self)
        else:
            self.close()

    def close(self) -> None:
        if self.transport is not None:
            # Without waiting for what is still to be written: nobody wants the answer to it.
            self.transport.abort()
            self.transport = None

    def read_on(self) -> None:
        if self.transport is not None:
            self.transport.resume_reading()

    def read_no_further(self) -> None:
        if self.transport is not None:
            self.transport.pause_reading()

    # The event loop calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        response = self._response
        if response is None:
            # It was asked nothing. Whatever comes is not the answer to the next request.
            self.close()
            return
        self._heard_at = self._loop.time()
        response.bare_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._fail(UpstreamUnavailable("It sent something that is not HTTP."))
        if response.bare_bytes > HEAD_BYTES_MAX and not response.is_complete:
            self._fail(UpstreamUnavailable("It sent a head that does not end."))
        response.tell()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._response is not None:
            why = f" ({type(exc).__name__})" if exc is not None else ""
            self._response.fail(Gone(f"The connection broke before it answered{why}."))

    # The parser calls these, and for responses that come ahead of the final one too.

    def on_message_begin(self) -> None:
        if self._response is None or self._response.is_complete:
            # More than was asked for: what comes next would be taken for the answer to the next request.
            self._is_kept = False
        else:
            self._head = self._response
            self._head.headers.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head is not None:
            self._head.take_header(name, value)

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._head is not None and status >= _FINAL:
            self._head.begin(status)

    def on_body(self, part: bytes) -> None:
        if self._head is not None:
            self._head.take_body(part)

    def on_message_complete(self) -> None:
        if self._head is not None and self._parser.get_status_code() >= _FINAL:
            self._head.is_complete = True
            self._is_kept = self._parser.should_keep_alive()
            self._head = None

    def _look(self) -> None:
        """Fails a response of which nothing has come for too long; one timer serves many requests."""
        self._timer = None
        if self._response is None or self.transport is None:
            return
        left_s = self._heard_at + self._silence_s - self._loop.time()
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._look)
        else:
            self._fail(Ended("It was silent for too long."))

    def _fail(self, failure: UpstreamUnavailable) -> None:
        if self._response is not None:
            self._response.fail(failure)
        self.close()
