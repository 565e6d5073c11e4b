"""The streamable HTTP transport: what stands in front of the endpoint, and what stands beside it."""

import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from logging import INFO
from socket import AF_INET6
from typing import Final

import anyio
import structlog
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp
from mcp_types.methods import CLIENT_REQUESTS
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from komorebi_mcp.app import App
from komorebi_mcp.domain.access import ALL_SCOPES
from komorebi_mcp.errors import StorageError
from komorebi_mcp.settings import Settings
from komorebi_mcp.surface.auth import Authentication, Place, forbidden, metadata
from komorebi_mcp.surface.bodies import BODY_BYTES_MAX, RPC_METHOD, Bodies
from komorebi_mcp.surface.http_sessions import ResumableSessions
from komorebi_mcp.surface.listener import bind, listen
from komorebi_mcp.surface.metrics import metrics
from komorebi_mcp.surface.principal import whoever_is_in
from komorebi_mcp.surface.scopes import METHODS, UPSTREAM, Scopes
from komorebi_mcp.surface.sdk import install_streams
from komorebi_mcp.surface.senders import TrustedSender, for_web_pages, trusted_senders
from komorebi_mcp.surface.server import KomorebiServer
from komorebi_mcp.surface.streams import OpenStreams

PATH: Final = "/mcp"
PUBLIC: Final = frozenset({"/health", "/ready"})
"""What anyone may ask, beside the endpoint's metadata: nothing there is anybody's."""

LAST_WORDS_S: Final = 0.2
"""How long the answers to what is given up at the end may take to go out."""

_STOPPING: Final = JSONResponse(
    {
        "error": "temporarily_unavailable",
        "error_description": "The server is being stopped. Send the request again in a moment.",
    },
    status_code=503,
    headers={"retry-after": "1"},
)

_METHODS: Final = METHODS.keys() | {method for method, _ in CLIENT_REQUESTS}

_log = structlog.get_logger(__name__)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def place_of(settings: Settings) -> Place:
    """Where clients find the endpoint; an audience that is a URL is its name, and so has to be it."""
    if settings.auth_audience.startswith(("https://", "http://")):
        return Place(path=PATH, url=settings.auth_audience)
    return Place(path=PATH, url=f"{settings.public_url}{PATH}" if settings.public_url else "")


@dataclass(frozen=True, slots=True)
class Front:
    """The ASGI application, and the part of it that works beside the requests."""

    asgi: ASGIApp
    authentication: Authentication
    streams: OpenStreams
    sessions: ResumableSessions

    async def end(self) -> None:
        """Ends whatever is still under way, and tells each of its clients so."""
        self.sessions.end()
        # Their calls are answered with an error, which is on its way out.
        await anyio.sleep(LAST_WORDS_S)
        for request in self.authentication.requests:
            request.end(_STOPPING)


def build_front(server: KomorebiServer, app: App, *, host: str) -> Front:
    """The endpoint, the routes beside it, and everything that stands in front of them."""
    install_streams()
    place = place_of(app.settings)
    senders = trusted_senders(host, app.settings.public_url, place.url, pages=app.settings.web_pages)
    sessions = ResumableSessions(server, security_settings=senders, max_request_body_size=BODY_BYTES_MAX)
    endpoint = Route(PATH, endpoint=StreamableHTTPASGIApp(sessions))
    inner = Starlette(routes=[endpoint, *_routes(app, place)], lifespan=lambda _: sessions.run())
    inner.router.redirect_slashes = False
    streams = OpenStreams(inner)
    checked = Bodies(streams, path=PATH, endpoint=sessions.handle_request, forbid=partial(forbidden, place))

    def useful() -> Scopes:
        return ALL_SCOPES if app.aggregate.enabled else ALL_SCOPES - UPSTREAM

    authentication = Authentication(
        checked,
        authenticator=app.authenticator,
        place=place,
        public=PUBLIC | place.metadata_paths,
        useful=useful,
    )
    answered = for_web_pages(_slash_or_not(authentication), app.settings.web_pages)
    return Front(AccessLog(TrustedSender(answered, senders)), authentication, streams, sessions)


async def serve_http(
    server: KomorebiServer,
    app: App,
    *,
    host: str,
    port: int,
    on_listening: Callable[[str], None],
    on_stop: Callable[[], None] = lambda: None,
) -> None:
    """Serves until a signal comes; streams that are open then are ended, and calls after a moment.

    `on_listening` is handed the endpoint's URL once clients can connect, and `on_stop` is called when the
    signal comes. Port 0 takes a free one.

    Raises:
        ConfigError: Others could reach the host and nobody would ask who they are, or the port is taken.
    """
    if not is_loopback(host):
        await app.authenticator.expose(host)
    front = build_front(server, app, host=host)

    def stop() -> None:
        server.close_streams()
        front.streams.end()
        on_stop()

    async def hurry() -> None:
        # Upstreams have the rest of the time to go, and what was asked of them is answered.
        app.aggregate.upstreams.stop()
        await front.end()

    with bind(host, port) as listening:
        name = f"[{host}]" if listening.family == AF_INET6 else host
        url = f"http://{name}:{listening.getsockname()[1]}{PATH}"
        async with anyio.create_task_group() as beside:
            beside.start_soon(front.authentication.watch)
            await listen(
                front.asgi, listening, on_ready=lambda: on_listening(url), on_stop=stop, on_overdue=hurry
            )
            beside.cancel_scope.cancel()


def _routes(app: App, place: Place) -> list[Route]:
    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok", "version": app.version})

    async def ready(_: Request) -> Response:
        try:
            await app.store.check()
        except StorageError as error:
            # What is wrong with the database is for the log, not for whoever asks.
            _log.warning("http.not_ready", error=str(error))
            return JSONResponse({"status": "unavailable", "database": "unavailable"}, status_code=503)
        return JSONResponse({"status": "ready", "database": "ok"})

    async def figures(request: Request) -> Response:
        return await metrics(request, app)

    async def about(request: Request) -> Response:
        return metadata(request, app.authenticator, place)

    return [
        Route("/health", health, methods=["GET"]),
        Route("/ready", ready, methods=["GET"]),
        Route("/metrics", figures, methods=["GET"]),
        *(Route(path, about, methods=["GET"]) for path in place.metadata_paths),
    ]


def _slash_or_not(app: ASGIApp) -> ASGIApp:
    """The application, which is called at the endpoint as well where a slash was written behind its path.

    A redirect would name http where a proxy took the request by https, and have the client send it, token
    and all, in the clear.
    """

    async def called(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") == f"{PATH}/":
            scope["path"] = PATH
        await app(scope, receive, send)

    return called


class AccessLog:
    """A line for each request: who, what and how long, and nothing of what was said."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._is_wanted = _log.is_enabled_for(INFO)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._is_wanted:
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                # Some are members of an enumeration, which a line for people would spell out.
                status = int(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            principal = whoever_is_in(scope)
            _log.info(
                "http.request",
                method=scope["method"],
                # As it was sent, so that it stays on its line, and without the query, where some clients
                # put what they should not.
                path=scope.get("raw_path", b"").decode("latin-1")[:200],
                status=status,
                ms=round((time.monotonic() - began) * 1000, 1),
                rpc=_named(scope.get(RPC_METHOD)),
                owner=principal.owner if principal else None,
            )


def _named(method: str | None) -> str | None:
    """The JSON-RPC method, where it is one of the protocol's; any other is a text of the client's."""
    return method if method is None or method in _METHODS else "another"
