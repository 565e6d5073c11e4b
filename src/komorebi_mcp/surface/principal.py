"""Whose data a request is about."""

from typing import Any, Final

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.context import ServerRequestContext
from starlette.types import Scope as HttpScope

from komorebi_mcp.domain.access import LOCAL, LOCAL_OWNER, Principal

__all__ = ["LOCAL_OWNER", "let_in", "owner_of", "principal_in", "principal_of", "whoever_is_in"]

_KEY: Final = "komorebi.principal"


def let_in(scope: HttpScope, principal: Principal) -> None:
    """Notes on an HTTP request who makes it.

    The SDK is told too, in its own terms: a session may only be used by whoever opened it.
    """
    scope[_KEY] = principal
    if principal is not LOCAL:
        # The token itself ends here: nothing behind this line has it to pass on.
        known = AccessToken(token="", client_id=principal.owner, scopes=[], subject=principal.owner)
        scope["user"] = AuthenticatedUser(known)


def whoever_is_in(scope: HttpScope) -> Principal | None:
    """Who makes the HTTP request; None where it was not let in."""
    return scope.get(_KEY)


def principal_in(scope: HttpScope) -> Principal:
    """Who makes the HTTP request; a request that `let_in` never saw is a bug of ours, and fails."""
    principal: Principal = scope[_KEY]
    return principal


def principal_of(ctx: ServerRequestContext[Any, Any]) -> Principal:
    """Who makes the request: over HTTP whoever was let in, over stdio the one who started the server."""
    return LOCAL if ctx.request is None else principal_in(ctx.request.scope)


def owner_of(ctx: ServerRequestContext[Any, Any]) -> str:
    """The owner whose data the request may see and change."""
    return principal_of(ctx).owner
