"""The stdio transport: one JSON-RPC message a line, stdout the protocol's alone.

It keeps the SDK's contract (a stream of messages in, a stream of messages out) and differs from its transport
in three ways: a line that is not a message is answered, a signal ends it although the client keeps stdin
open, and what is under way when stdin closes gets a moment to finish. It needs no threads, so nothing can
hold up the exit.
"""

import os
import select
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import anyio
import anyio.to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import (
    INVALID_REQUEST,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
)

from komorebi_mcp.surface.server import KomorebiServer
from komorebi_mcp.surface.wire import Malformed, encode_message, parse_message, refusal

LINE_BYTES_MAX = 64 * 1024 * 1024
"""A longer line is thrown away as it comes in, and answered without its id."""
GRACE_S = 1.0
"""How long requests under way may take to finish once stdin has closed."""
SIGNAL_GRACE_S = 0.5
"""The same once a signal has come; the SDK adds up to a second if the client does not read."""

_READ_BYTES = 64 * 1024
_WRITE_BYTES = 4096
"""A pipe that says it can be written to takes this much at once (PIPE_BUF), so that writing never blocks."""

_FromClient = MemoryObjectSendStream[SessionMessage | Exception]
_ToClient = MemoryObjectSendStream[SessionMessage]


async def serve_stdio(server: KomorebiServer, *, on_stop: Callable[[], None] = lambda: None) -> None:
    """Serves the client at the other end of stdin and stdout until it goes or a signal comes.

    `on_stop` is called when a signal has come.
    """
    with _wire() as (in_fd, out_fd):
        async with _Session(in_fd, out_fd, on_stop, server.close_streams).streams() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())


@contextmanager
def _wire() -> Iterator[tuple[int, int]]:
    """Descriptors of the client's pipes; meanwhile stdin is empty and whatever is printed goes to stderr."""
    in_fd, out_fd = os.dup(0), os.dup(1)
    null_fd = os.open(os.devnull, os.O_RDWR)
    os.dup2(null_fd, 0)
    try:
        os.dup2(2, 1)
    except OSError:
        # Started with stderr closed.
        os.dup2(null_fd, 1)
    os.close(null_fd)
    try:
        yield in_fd, out_fd
    finally:
        os.dup2(in_fd, 0)
        os.dup2(out_fd, 1)
        os.close(in_fd)
        os.close(out_fd)


@dataclass(eq=False)
class _Session:
    """One client, from its first line to its last."""

    in_fd: int
    out_fd: int
    on_stop: Callable[[], None]
    close_streams: Callable[[], None]
    """Has the requests on which a client only listens answered."""
    ended: anyio.Event = field(default_factory=anyio.Event)
    """A signal has come or the client reads no more."""
    written: anyio.Event = field(default_factory=anyio.Event)
    """The last answer is out."""
    under_way: set[str | int] = field(default_factory=set)
    """Ids of the requests that are not answered yet, but for those below."""
    listening: set[str | int] = field(default_factory=set)
    """Ids of those that are answered at the end."""
    settled: anyio.Event = field(default_factory=anyio.Event)

    @asynccontextmanager
    async def streams(
        self,
    ) -> AsyncIterator[tuple[MemoryObjectReceiveStream[SessionMessage | Exception], _ToClient]]:
        """The two streams that `Server.run` works on, which ends when the first of them does."""
        to_server, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        outgoing, from_server = anyio.create_memory_object_stream[SessionMessage](0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._await_signal)
            tasks.start_soon(self._write, from_server)
            tasks.start_soon(self._read, to_server, outgoing.clone())
            yield incoming, outgoing
            with anyio.move_on_after(SIGNAL_GRACE_S):
                await self.written.wait()
            tasks.cancel_scope.cancel()

    async def _await_signal(self) -> None:
        if sys.platform == "win32":
            # It has no signals to wait for; Ctrl-C raises KeyboardInterrupt.
            return
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                self.on_stop()
                self.ended.set()
                return

    async def _read(self, to_server: _FromClient, answers: _ToClient) -> None:
        async with to_server, answers:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._cancel_when_ended, tasks.cancel_scope)
                try:
                    await self._take_lines(to_server, answers)
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    # The server or the writer has stopped, so that nothing more will be answered.
                    self._forget()
                tasks.cancel_scope.cancel()
            self.under_way |= self.listening
            self.close_streams()
            # Once its stream is closed, the server gives up whatever is under way.
            with anyio.move_on_after(SIGNAL_GRACE_S if self.ended.is_set() else GRACE_S):
                while self.under_way:
                    self.settled = anyio.Event()
                    await self.settled.wait()

    async def _cancel_when_ended(self, scope: anyio.CancelScope) -> None:
        await self.ended.wait()
        scope.cancel()

    async def _take_lines(self, to_server: _FromClient, answers: _ToClient) -> None:
        parts: list[bytes] = []
        size_bytes = 0
        while chunk := await _read_chunk(self.in_fd):
            *ends, rest = chunk.split(b"\n")
            for end in ends:
                await self._take(parts, end, size_bytes + len(end), to_server, answers)
                parts, size_bytes = [], 0
            size_bytes += len(rest)
            parts.append(rest)
            if size_bytes > LINE_BYTES_MAX:
                # Of an overlong line only the size is kept, until its end.
                parts.clear()
        await self._take(parts, b"", size_bytes, to_server, answers)

    async def _take(
        self, parts: list[bytes], end: bytes, size_bytes: int, to_server: _FromClient, answers: _ToClient
    ) -> None:
        if size_bytes > LINE_BYTES_MAX:
            await answers.send(SessionMessage(refusal(INVALID_REQUEST, _TOO_LONG)))
            return
        line = b"".join((*parts, end))
        if not line.strip():
            return
        try:
            message = parse_message(line)
        except Malformed as malformed:
            if malformed.answer is not None:
                await answers.send(SessionMessage(malformed.answer))
            return
        if isinstance(message, JSONRPCRequest):
            listens = message.method == "subscriptions/listen"
            (self.listening if listens else self.under_way).add(message.id)
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            self._settle((message.params or {}).get("requestId"))
        await to_server.send(SessionMessage(message))

    async def _write(self, from_server: MemoryObjectReceiveStream[SessionMessage]) -> None:
        async with from_server:
            async for first in from_server:
                messages = [first.message, *(more.message for more in _at_hand(from_server))]
                try:
                    await _write_all(self.out_fd, b"".join(encode_message(message) for message in messages))
                except OSError:
                    # The client reads no more, so there is nobody to answer.
                    self._forget()
                    self.settled.set()
                    self.ended.set()
                    break
                for message in messages:
                    if isinstance(message, JSONRPCResponse | JSONRPCError):
                        self._settle(message.id)
        self.written.set()

    def _forget(self) -> None:
        self.under_way.clear()
        self.listening.clear()

    def _settle(self, request_id: object) -> None:
        if isinstance(request_id, str | int):
            self.under_way.discard(request_id)
            self.listening.discard(request_id)
        if not self.under_way:
            self.settled.set()


_TOO_LONG = f"The line has more than {LINE_BYTES_MAX:,} bytes. Pipe large texts to `komorebi-mcp capture -`."


def _at_hand(stream: MemoryObjectReceiveStream[SessionMessage]) -> Iterator[SessionMessage]:
    """What the server has ready beside the first message, so that a burst is written at once."""
    try:
        while True:
            yield stream.receive_nowait()
    except (anyio.WouldBlock, anyio.EndOfStream):
        return


async def _read_chunk(fd: int) -> bytes:
    """The next bytes of the client, as many as there are; none at the end."""
    if sys.platform == "win32":
        return await anyio.to_thread.run_sync(os.read, fd, _READ_BYTES, abandon_on_cancel=True)
    while True:
        # Files are always ready here and cannot be waited for.
        if not select.select([fd], [], [], 0)[0]:
            await anyio.wait_readable(fd)
        try:
            return os.read(fd, _READ_BYTES)
        except BlockingIOError:
            continue
        except OSError:
            # A terminal that has gone away is the end, too.
            return b""


async def _write_all(fd: int, data: bytes) -> None:
    if sys.platform == "win32":
        await anyio.to_thread.run_sync(os.write, fd, data)
        return
    rest = memoryview(data)
    while rest:
        if not select.select([], [fd], [], 0)[1]:
            await anyio.wait_writable(fd)
        try:
            rest = rest[os.write(fd, rest[:_WRITE_BYTES]) :]
        except BlockingIOError:
            continue
