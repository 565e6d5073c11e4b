"""One HTTP/1.1 connection to an upstream: a request goes out and its response comes in, one at a time.

A client for every purpose makes a dozen objects for each request and wakes up twice for its response, which
was a quarter of what a call through the gateway took.
"""

import asyncio
import select
import sys
from collections.abc import Callable
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from komorebi_mcp.errors import UpstreamUnavailable
from komorebi_mcp.upstream.response import FINAL, Gone, Response
from komorebi_mcp.upstream.wire import Ended

HEAD_BYTES_MAX = 64 * 1024
"""How long the head of a response may be, and whatever else there is of it that is no body."""


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
        if self._head is not None and status >= FINAL:
            self._head.begin(status)

    def on_body(self, part: bytes) -> None:
        if self._head is not None:
            self._head.take_body(part)

    def on_message_complete(self) -> None:
        if self._head is not None and self._parser.get_status_code() >= FINAL:
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
