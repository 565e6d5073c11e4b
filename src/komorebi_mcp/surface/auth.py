"""Who may use the HTTP server: bearer tokens (RFC 6750), and what is said to those without (RFC 9728)."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import anyio
import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from komorebi_mcp.domain.access import Scope as Right
from komorebi_mcp.errors import StorageError
from komorebi_mcp.services.authentication import Authenticator
from komorebi_mcp.surface.principal import let_in, principal_in
from komorebi_mcp.surface.underway import Requests

METADATA_PATH: Final = "/.well-known/oauth-protected-resource"
RECHECK_S: Final = 2.0
"""A request that stays open, as streams do, has its token checked again so often."""
RETRY_S: Final = 5
"""When to come again if the database did not answer."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where clients find the endpoint."""

    path: str
    url: str = ""
    """All of it as clients write it; else it is what the request says."""

    def resource(self, scope: Scope) -> str:
        """The endpoint's URL, which is also its name to an authorization server."""
        return self.url or f"{_origin(scope)}{self.path}"

    @property
    def metadata_paths(self) -> frozenset[str]:
        """Where the endpoint's metadata may be asked for: by its own path, by what clients write, by none."""
        paths = (self.path, urlsplit(self.url).path.rstrip("/"), "")
        return frozenset(f"{METADATA_PATH}{path}" for path in paths)

    def metadata(self, scope: Scope) -> str:
        """Where the endpoint's metadata is (RFC 9728 section 3.1)."""
        parts = urlsplit(self.resource(scope))
        return f"{parts.scheme}://{parts.netloc}{METADATA_PATH}{parts.path.rstrip('/')}"


def _origin(scope: Scope) -> str:
    return f"{scope['scheme']}://{Headers(scope=scope).get('host', 'localhost')}"


class Authentication:
    """Lets a request through with its principal noted on it, or answers it with 401."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        authenticator: Authenticator,
        place: Place,
        public: Collection[str],
        useful: Callable[[], Iterable[Right]],
    ) -> None:
        """`public` has the paths that anyone may ask, `useful` tells the scopes to ask an issuer for."""
        self._app = app
        self._useful = useful
        self._authenticator = authenticator
        self._place = place
        self._public = frozenset(public)
        self.requests = Requests()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._public:
            await self._app(scope, receive, send)
            return
        credential = _credential(Headers(scope=scope).getlist("authorization"))
        try:
            principal = await self._authenticator.principal_of(credential)
        except StorageError as error:
            answer = JSONResponse(
                {"error": "temporarily_unavailable", "error_description": str(error)},
                status_code=503,
                headers={"retry-after": str(RETRY_S)},
            )
            await answer(scope, receive, send)
            return
        if principal is None:
            await self._refuse(credential, scope, receive, send)
            return
        let_in(scope, principal)
        await self.requests.answer(self._app, scope, receive, send, credential=credential)

    async def watch(self) -> None:
        """Ends requests whose token has been revoked or has run out meanwhile, until cancelled."""
        while True:
            await anyio.sleep(RECHECK_S)
            verdicts: dict[str | None, bool] = {}
            for request in self.requests:
                credential = request.credential
                try:
                    if credential not in verdicts:
                        verdicts[credential] = await self._authenticator.principal_of(credential) is not None
                except StorageError as error:
                    _log.warning("auth.not_checked_again", error=str(error))
                    break
                if not verdicts[credential]:
                    request.end(partial(self._refuse, credential))

    async def _refuse(self, credential: str | None, scope: Scope, receive: Receive, send: Send) -> None:
        answer = unauthorized(scope, self._place, tried=credential is not None, useful=self._useful())
        await answer(scope, receive, send)


def _credential(headers: list[str]) -> str | None:
    """The bearer token; None without any. Anything else that claims to authorise is no token of anybody."""
    if not headers:
        return None
    scheme, _, token = headers[0].partition(" ")
    return token.strip() if len(headers) == 1 and scheme.lower() == "bearer" else ""


def unauthorized(scope: Scope, place: Place, *, tried: bool, useful: Iterable[Right]) -> Response:
    """The answer to who has shown no token, or one that does not hold."""
    error = "invalid_token" if tried else None
    said = (
        "The token is unknown, revoked or expired. Use another one."
        if tried
        else "This server asks for a bearer token. Send one in the Authorization header."
    )
    # RFC 6750 section 3.1: who has shown nothing is told of no error.
    return _challenge(scope, place, status=401, error=error, said=said, rights=useful)


def forbidden(place: Place, scope: Scope, missing: Iterable[Right]) -> Response:
    """The answer to who has shown a token that lacks these scopes.

    Named are those that it has, too: a client gets a new token with just the scopes named here, and would go
    back and forth between two tokens that each lack what the other has.
    """
    lacking = " and ".join(_ordered(missing))
    said = f"The token lacks the scope {lacking}. Use one that has it."
    rights = {*missing, *principal_in(scope).scopes}
    return _challenge(scope, place, status=403, error="insufficient_scope", said=said, rights=rights)


def _challenge(
    scope: Scope, place: Place, *, status: int, error: str | None, said: str, rights: Iterable[Right]
) -> Response:
    named = " ".join(_ordered(rights))
    parts = {"error": error, "error_description": said if error else None, "scope": named}
    parts["resource_metadata"] = place.metadata(scope)
    header = "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parts.items() if value)
    body = {"error": error or "unauthorized", "error_description": said, "scope": named}
    return JSONResponse(body, status_code=status, headers={"www-authenticate": header})


def _ordered(rights: Iterable[Right]) -> list[Right]:
    wanted = set(rights)
    return [right for right in Right if right in wanted]


def metadata(request: Request, authenticator: Authenticator, place: Place) -> Response:
    """What an OAuth client needs to know of the endpoint (RFC 9728 section 2); the same for everybody."""
    document: dict[str, object] = {
        "resource": place.resource(request.scope),
        "scopes_supported": list(Right),
        "bearer_methods_supported": ["header"],
        "resource_name": "Komorebi",
    }
    if authenticator.issuer_url:
        document["authorization_servers"] = [authenticator.issuer_url]
    # Clients in web pages read it too.
    headers = {"access-control-allow-origin": "*", "cache-control": "max-age=300"}
    return JSONResponse(document, headers=headers)
