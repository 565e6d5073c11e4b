"""A response of an upstream over HTTP/1.1, as it comes in."""

import asyncio
import zlib
from types import TracebackType
from typing import TYPE_CHECKING, Self

from komorebi_mcp.errors import UpstreamUnavailable
from komorebi_mcp.upstream.wire import Ended

if TYPE_CHECKING:
    from komorebi_mcp.upstream.connection import Connection

PIECE_BYTES = 64 * 1024
"""How much of a body is waited for."""
UNPACKED_BYTES = 1024 * 1024
"""How much is unpacked at a time."""
WAITING_BYTES_MAX = 4 * PIECE_BYTES
"""No more is read ahead of whoever the body is for."""

FINAL = 200
"""The least status of a response behind which no other comes."""
_NO_CONTENT, _NOT_MODIFIED = 204, 304
_PACKED = frozenset({"gzip", "x-gzip"})


class Gone(Ended):
    """The other side has closed the connection."""


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
        self._goes_together = status == FINAL and self.content_type == "application/json"
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
