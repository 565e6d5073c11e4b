"""The streamable HTTP transport, for clients on this machine."""

import ipaddress
import json
import signal
import socket
import sys
from collections.abc import AsyncIterable, Callable, Iterator
from contextlib import contextmanager

import anyio
import uvicorn
from mcp.server.transport_security import (
    DEFAULT_MAX_REQUEST_BODY_SIZE,
    RequestBodyLimitMiddleware,
    TransportSecurityMiddleware,
    TransportSecuritySettings,
)
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from komorebi_mcp.errors import ConfigError
from komorebi_mcp.surface.server import KomorebiServer
from komorebi_mcp.surface.wire import Malformed, parse_message

PATH = "/mcp"
GRACE_S = 1
"""How long open connections may take to finish after a signal."""

KEEP_ALIVE_S = 120
"""How long an idle connection stays open. After 5 s, uvicorn's own, the next call can meet its closing."""

_NAMES = ("127.0.0.1", "localhost", "[::1]")


def check_loopback(host: str) -> None:
    """Refuses an address that others can reach, since nothing asks here who they are.

    Raises:
        ConfigError: The host is not this machine alone.
    """
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ConfigError(
            f"Refusing to listen on {host}: there is no authentication, so anyone who reaches it could read "
            "every capture. Use --host 127.0.0.1 and a tunnel or an authenticating proxy in front of it."
        )


def build_http_app(server: KomorebiServer, *, host: str, version: str) -> ASGIApp:
    """The ASGI application of the endpoint and its health check."""

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok", "version": version})

    security = TransportSecuritySettings(
        allowed_hosts=[form for name in (*_NAMES, host) for form in (name, f"{name}:*")],
        allowed_origins=[form for name in (*_NAMES, host) for form in (f"http://{name}", f"http://{name}:*")],
    )
    application = server.streamable_http_app(
        streamable_http_path=PATH,
        transport_security=security,
        custom_starlette_routes=[Route("/health", health, methods=["GET"])],
    )
    # The one added last stands in front.
    application.add_middleware(_WellFormed)
    application.add_middleware(_TrustedSender, security=security)
    return application


async def serve_http(
    server: KomorebiServer, *, host: str, port: int, version: str, on_listening: Callable[[str], None]
) -> None:
    """Serves until a signal comes; streams that are open then are ended.

    `on_listening` is handed the endpoint's URL once clients can connect. Port 0 takes a free one.

    Raises:
        ConfigError: The host is not this machine alone, or the port is taken.
    """
    check_loopback(host)
    listening = _bind(host, port)
    config = uvicorn.Config(
        build_http_app(server, host=host, version=version),
        log_config=None,
        access_log=False,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    listener = _Listener(config)
    name = f"[{host}]" if listening.family == socket.AF_INET6 else host
    # Whoever hears that we listen may send a signal at once.
    with _signals() as signals:
        on_listening(f"http://{name}:{listening.getsockname()[1]}{PATH}")
        async with anyio.create_task_group() as tasks:
            if signals is not None:
                tasks.start_soon(_stop_on_signal, signals, listener, server)
            await listener.serve(sockets=[listening])
            tasks.cancel_scope.cancel()


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), port), family=family, backlog=128)
    except OSError as error:
        raise ConfigError(
            f"Cannot listen on {host}:{port}: {error.strerror}. Choose another port with --port."
        ) from error


class _Listener(uvicorn.Server):
    """uvicorn without its signal handling, which ends the process by the signal instead of by exit code 0."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = anyio.Event()
        """Set once it serves; it takes no request to stop before that."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.ready.set()


@contextmanager
def _signals() -> Iterator[AsyncIterable[signal.Signals] | None]:
    """Those that mean stop, from here on; None on Windows, where Ctrl-C raises KeyboardInterrupt."""
    if sys.platform == "win32":
        yield None
    else:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            yield signals


async def _stop_on_signal(
    signals: AsyncIterable[signal.Signals], listener: _Listener, server: KomorebiServer
) -> None:
    async for _ in signals:
        await listener.ready.wait()
        server.close_streams()
        listener.handle_exit(signal.SIGTERM, None)
        return


class _TrustedSender:
    """Lets requests pass whose Host and Origin are this machine's, on every route.

    A web page elsewhere could otherwise have the visitor's browser call this server (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, *, security: TransportSecuritySettings) -> None:
        self._app = app
        self._check = TransportSecurityMiddleware(security)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = await self._check.validate_request(Request(scope)) if scope["type"] == "http" else None
        await (refused or self._app)(scope, receive, send)


class _WellFormed:
    """Answers a body that is not a JSON-RPC message, for its id where it has one.

    The SDK's own answers repeat what was sent, and name no id.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._limited = RequestBodyLimitMiddleware(self._checked, DEFAULT_MAX_REQUEST_BODY_SIZE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        posted = scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == PATH
        if posted and Headers(scope=scope).get("content-type", "").startswith("application/json"):
            await self._limited(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The limit in front of this has the whole body in its first message.
        first = await receive()
        try:
            parse_message(first.get("body", b""))
        except Malformed as malformed:
            answer = malformed.answer
            refused = (
                Response(status_code=400)
                if answer is None
                else JSONResponse(json.loads(answer.model_dump_json(by_alias=True)), status_code=400)
            )
            await refused(scope, receive, send)
            return
        waiting: list[Message] = [first]

        async def replay() -> Message:
            return waiting.pop() if waiting else await receive()

        await self._app(scope, replay, send)
