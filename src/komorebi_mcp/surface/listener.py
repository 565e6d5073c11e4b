"""The socket and the server on it: how long connections may take, and how they end."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import anyio
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from komorebi_mcp.errors import ConfigError

CALLS_S = 0.5
"""How long calls under way may take to be answered after a signal; then they are ended."""
GRACE_S = 1
"""How long open connections may take to finish after a signal, whatever becomes of that."""
KEEP_ALIVE_S = 120
"""How long an idle connection stays open. After 5 s, uvicorn's own, the next call can meet its closing."""
HEADERS_S = 20.0
"""How long the head of a request may take to come in; uvicorn itself waits for ever."""
HEAD_BYTES_MAX = 64 * 1024
"""How long the head of a request may be; its parser itself would take any."""
CONNECTIONS_MAX = 2_000
"""Beyond it requests are answered with 503 at once: a stream for each of many clients, and room to spare."""

_HEAD_START = b"HTTP/1.1 "
_HEAD_TOO_LONG = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)

_FILES_BESIDE: Final = 500
"""Files that are open beside the connections: the database's, and pipes and sockets of upstreams."""


class _Joining:
    """A transport that sends the head of a response together with what follows it at once.

    uvicorn writes them apart, and uvloop writes at once: two system calls, and a client that is woken twice.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def write(self, data: bytes) -> None:
        if self._head:
            head, self._head = self._head, b""
            # An empty part would never leave the buffer of asyncio's own transport (Python 3.12 and newer).
            self._transport.writelines((head, data) if data else (head,))
        elif data.startswith(_HEAD_START):
            self._head = data
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head and not self._transport.is_closing():
            self._transport.write(self._head)
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Protocol(HttpToolsProtocol):
    """A connection that is closed if the head of a request does not come to its end."""

    _head_due: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = _Joining(transport, self.loop)  # type: ignore[assignment]
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._forget_head()
            return
        # A body that is still coming in after its answer is read and thrown away, but not for ever either.
        if cycle is None or not cycle.more_body:
            self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES_MAX:
            self.transport.write(_HEAD_TOO_LONG)
            self.transport.close()
        else:
            self._expect_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        # White space around a value is not part of it (RFC 9110 section 5.5); the parser leaves some.
        super().on_header(name, value.strip(b" \t"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_head()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        if self._head_due is None:
            self._head_due = self.loop.call_later(HEADERS_S, self.transport.close)

    def _forget_head(self) -> None:
        self._head_bytes = 0
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None


class _Listener(uvicorn.Server):
    """uvicorn without its signal handling, which ends the process by the signal instead of by exit code 0."""

    def __init__(self, config: uvicorn.Config, *, on_overdue: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._on_overdue = on_overdue
        self.ready = anyio.Event()
        """Set once it serves; it takes no request to stop before that."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        async with anyio.create_task_group() as beside:
            beside.start_soon(self._end_what_is_overdue)
            await super().shutdown(sockets=sockets)
            beside.cancel_scope.cancel()

    async def _end_what_is_overdue(self) -> None:
        await anyio.sleep(CALLS_S)
        await self._on_overdue()


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one.

    Raises:
        ConfigError: The address is not this machine's, or is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), port), family=family, backlog=128)
    except OSError as error:
        raise ConfigError(
            f"Cannot listen on {host}:{port}: {error.strerror}. Choose another port with --port."
        ) from error


async def listen(
    app: ASGIApp,
    listening: socket.socket,
    *,
    on_ready: Callable[[], None],
    on_stop: Callable[[], None],
    on_overdue: Callable[[], Awaitable[None]],
) -> None:
    """Serves the application until a signal comes.

    `on_ready` is called once clients can connect, `on_stop` before open connections are given their time, and
    `on_overdue` `CALLS_S` later, to end what is still under way.
    """
    _make_room()
    config = uvicorn.Config(
        app,
        http=_Protocol,
        log_config=None,
        access_log=False,
        ws="none",
        lifespan="on",
        server_header=False,
        # What a proxy says of the client is believed of none.
        proxy_headers=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    listener = _Listener(config, on_overdue=on_overdue)
    # Whoever hears that we listen may send a signal at once.
    with _signals() as signals:
        on_ready()
        async with anyio.create_task_group() as tasks:
            if signals is not None:
                tasks.start_soon(_stop_on_signal, signals, listener, on_stop)
            await listener.serve(sockets=[listening])
            tasks.cancel_scope.cancel()


def _make_room() -> None:
    """Lets the process have as many open files as it may have connections, where the system allows it.

    Many systems begin with 256 or 1,024, after which a connection is accepted and never answered.
    """
    try:
        import resource  # noqa: PLC0415 - Not on Windows.
    except ModuleNotFoundError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_MAX + _FILES_BESIDE
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # The system may have a limit below the one that it names.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def _signals() -> Iterator[AsyncIterable[signal.Signals] | None]:
    """Those that mean stop, from here on; None on Windows, where Ctrl-C raises KeyboardInterrupt."""
    if sys.platform == "win32":
        yield None
    else:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            yield signals


async def _stop_on_signal(
    signals: AsyncIterable[signal.Signals], listener: _Listener, on_stop: Callable[[], None]
) -> None:
    async for _ in signals:
        await listener.ready.wait()
        on_stop()
        listener.handle_exit(signal.SIGTERM, None)
        return
