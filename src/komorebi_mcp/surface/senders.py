"""Who may call over HTTP as far as names go: by which hosts, and from which web pages.

A web page elsewhere could otherwise have the visitor's browser call this server (DNS rebinding).
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")
_ANSWERED: Final = ("mcp-session-id", "mcp-protocol-version", "www-authenticate", "retry-after")
"""Headers of answers that clients need, and browsers keep from a page unless told otherwise."""
_OF_SENDERS: Final = frozenset({b"host", b"origin"})
_TRUSTED_MAX: Final = 1_000


def trusted_senders(host: str, *urls: str, pages: Sequence[str] = ()) -> TransportSecuritySettings:
    """Names by which a server that listens on the host, and is known by these URLs, may be called.

    Beside its own pages and those on this machine, `pages` may call it.
    """
    names = {*_NAMES, f"[{host}]" if ":" in host and not host.startswith("[") else host}
    hosts = [form for name in names for form in (name, f"{name}:*")]
    origins = [form for name in names for form in (f"http://{name}", f"http://{name}:*")]
    for url in filter(None, urls):
        parts = urlsplit(url)
        hosts += [parts.netloc, *([f"{parts.netloc}:*"] if parts.port is None else [])]
        origins.append(f"{parts.scheme}://{parts.netloc}")
    return TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=[*origins, *pages])


class TrustedSender:
    """Lets requests pass whose Host and Origin are trusted, on every route."""

    def __init__(self, app: ASGIApp, security: TransportSecuritySettings) -> None:
        self._app = app
        self._check = TransportSecurityMiddleware(security)
        self._trusted: set[tuple[tuple[bytes, bytes], ...]] = set()
        """Headers that were looked at, most often the same ones again and again."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            told = tuple([header for header in scope["headers"] if header[0] in _OF_SENDERS])
            if told not in self._trusted:
                refused = await self._check.validate_request(Request(scope))
                if refused is not None:
                    await refused(scope, receive, send)
                    return
                if len(self._trusted) < _TRUSTED_MAX:
                    self._trusted.add(told)
        await self._app(scope, receive, send)


def for_web_pages(app: ASGIApp, pages: Sequence[str]) -> ASGIApp:
    """The application, whose answers browsers hand to these pages (https://fetch.spec.whatwg.org, CORS).

    A browser asks first whether it may send a request, without the token that the request will have.
    """
    if not pages:
        return app
    return CORSMiddleware(
        app,
        allow_origins=pages,
        allow_methods=("GET", "POST", "DELETE"),
        # Mcp-Param-* has a name of its own for each argument.
        allow_headers=("*",),
        expose_headers=_ANSWERED,
    )
