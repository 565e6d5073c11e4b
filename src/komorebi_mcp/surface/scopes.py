"""Which scopes a request needs.

What is not named here needs all of them, until somebody has thought about it.
"""

from collections.abc import Mapping
from typing import Any, Final

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_REQUEST

from komorebi_mcp.domain.access import ALL_SCOPES, Scope
from komorebi_mcp.surface.principal import principal_of
from komorebi_mcp.surface.resource_uris import ROOT, UPSTREAMS_URI

Scopes = frozenset[Scope]

NONE: Final[Scopes] = frozenset()
READ: Final[Scopes] = frozenset({Scope.READ})
WRITE: Final[Scopes] = frozenset({Scope.WRITE})
UPSTREAM: Final[Scopes] = frozenset({Scope.UPSTREAM})

TOOLS: Final[dict[str, Scopes]] = {
    "capture": WRITE,
    "list_captures": READ,
    "search_captures": READ,
    "read_captures": READ,
    "update_captures": WRITE,
    "forget_captures": WRITE,
    "summarize": READ,
    "resume": READ,
    "list_projects": READ,
    "update_project": WRITE,
    "timeline": READ,
    "list_upstreams": UPSTREAM,
    "find_tools": UPSTREAM,
    "call_tool": UPSTREAM,
}
"""Our own tools. Any other one is an upstream's."""

PROMPTS: Final = frozenset(
    {"resume", "standup", "weekly_review", "triage_inbox", "distill_session", "decision_log"}
)
"""Our own prompts, which need `read`. Any other one is an upstream's."""

METHODS: Final[dict[str, Scopes]] = {
    "initialize": NONE,
    "server/discover": NONE,
    "ping": NONE,
    "logging/setLevel": NONE,
    "notifications/cancelled": NONE,
    "notifications/initialized": NONE,
    "notifications/progress": NONE,
    "notifications/roots/list_changed": NONE,
    # What the tools are is in the documentation; the upstreams' are left out, see `restrict`.
    "tools/list": NONE,
    "resources/list": READ,
    "resources/templates/list": READ,
    "resources/unsubscribe": READ,
    "prompts/list": READ,
    # A task's result is what its tool gave.
    "tasks/get": READ,
    "tasks/result": READ,
    "tasks/list": READ,
    "tasks/update": READ,
    "tasks/cancel": READ,
}
"""Requests and notifications that need the same whatever they are about."""

_OWN_URIS: Final = (ROOT, "ui://komorebi/")
_CAPTURES: Final = frozenset({"capture", "komorebi/capture"})
"""Arguments, and fields of `_meta`, by which an upstream's result is captured."""


def needed(method: str, params: Mapping[str, Any] | None) -> Scopes:
    """The scopes a token must carry, all of them, for this request."""
    given = params or {}
    if method in METHODS:
        return METHODS[method]
    scopes = ALL_SCOPES
    match method:
        case "tools/call":
            scopes = _for_tool(given)
        case "resources/read" | "resources/subscribe":
            scopes = _for_uri(given.get("uri"))
        case "prompts/get":
            scopes = _for_name(given.get("name"))
        case "completion/complete":
            reference = given.get("ref")
            named = reference if isinstance(reference, dict) else {}
            scopes = _for_uri(named["uri"]) if "uri" in named else _for_name(named.get("name"))
        case "subscriptions/listen":
            scopes = _for_listening(given.get("notifications"))
    return scopes


def lacking(method: str, params: Mapping[str, Any] | None, held: Scopes) -> Scopes:
    """What of the scopes that a request needs is not among those held."""
    return NONE if held == ALL_SCOPES else needed(method, params) - held


async def restrict(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Middleware that carries out nothing for which a scope is missing.

    Over HTTP such a request has been answered with 403 before; this holds however a request came in.
    """
    held = principal_of(ctx).scopes
    if missing := lacking(ctx.method, ctx.params, held):
        raise MCPError(code=INVALID_REQUEST, message=refusal(missing))
    result = await call_next(ctx)
    if ctx.method == "tools/list" and Scope.UPSTREAM not in held and isinstance(result, dict):
        return {**result, "tools": [tool for tool in result["tools"] if tool["name"] in TOOLS]}
    return result


def refusal(missing: Scopes) -> str:
    names = " and ".join(sorted(missing))
    return f"The token lacks the scope {names}. Use one made with it: `komorebi-mcp token new --scopes ...`."


def _for_tool(params: Mapping[str, Any]) -> Scopes:
    name = params.get("name")
    if isinstance(name, str) and name in TOOLS and name != "call_tool":
        return TOOLS[name]
    # Its result becomes a capture where the caller says so.
    said = [params.get("_meta"), params.get("arguments") if name == "call_tool" else None]
    captures = any(each.get(key) for each in said if isinstance(each, dict) for key in _CAPTURES)
    return UPSTREAM | WRITE if captures else UPSTREAM


def _for_uri(uri: object) -> Scopes:
    return READ if isinstance(uri, str) and uri.startswith(_OWN_URIS) and uri != UPSTREAMS_URI else UPSTREAM


def _for_name(name: object) -> Scopes:
    return READ if name in PROMPTS else UPSTREAM


def _for_listening(notifications: object) -> Scopes:
    asked = notifications if isinstance(notifications, dict) else {}
    uris = asked.get("resourceSubscriptions")
    scopes = READ if asked.get("resourcesListChanged") or asked.get("promptsListChanged") else NONE
    for uri in uris if isinstance(uris, list) else ():
        scopes |= _for_uri(uri)
    return scopes
