"""Server middleware that puts the upstreams' tools beside ours: it merges lists and forwards calls.

It works on raw messages, ahead of the handlers, since typed ones would drop every field they do not know.
What concerns our own tools goes on to them untouched.
"""

import base64
import binascii
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.shared.jsonrpc_dispatcher import progress_token_from_params
from mcp_types import CORE_RESULT_TYPES, SERVER_INFO_META_KEY
from mcp_types.methods import validate_client_request
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from komorebi_mcp.errors import NotFound, UpstreamRefused, UpstreamUnavailable
from komorebi_mcp.services.aggregate import Aggregate
from komorebi_mcp.surface.replies import tool_error
from komorebi_mcp.surface.sdk import connection_of, outbound_of
from komorebi_mcp.upstream.session import OnProgress
from komorebi_mcp.upstream.status import Era

PAGE_TOOLS_MAX = 250
"""Large, since some clients read only the first page."""

_CURSOR = "upstreams:"
_Context = ServerRequestContext[Any, Any]


class Gateway:
    """The middleware; see `gateway_middleware`."""

    def __init__(
        self, aggregate: Aggregate, own_tool_names: Collection[str], server_info: Mapping[str, Any] | None
    ) -> None:
        self._aggregate = aggregate
        self._own = frozenset(own_tool_names)
        self._server_info = dict(server_info) if server_info else None

    async def __call__(self, ctx: _Context, call_next: CallNext) -> HandlerResult:
        match ctx.method:
            case "initialize" | "server/discover":
                # The client will want the tools next, so the upstreams may as well connect meanwhile.
                self._aggregate.wake()
            case "tools/list" if self._is_for_us(ctx):
                return await self._list(ctx, call_next)
            case "tools/call" if self._is_for_us(ctx) and self._may_forward(ctx.params):
                return await self._call(ctx, call_next)
        return await call_next(ctx)

    def _is_for_us(self, ctx: _Context) -> bool:
        """Whether it is a request that our own server would accept at this point; if not, it says why."""
        if not self._aggregate.enabled or not connection_of(ctx).initialize_accepted:
            return False
        try:
            validate_client_request(ctx.method, ctx.protocol_version, ctx.params)
        except (KeyError, ValidationError):
            return False
        return True

    def _may_forward(self, params: Mapping[str, Any] | None) -> bool:
        name = (params or {}).get("name")
        return isinstance(name, str) and name not in self._own and self._aggregate.may_have(name)

    async def _list(self, ctx: _Context, call_next: CallNext) -> HandlerResult:
        """Our own tools first, page by page, then the upstreams'."""
        params = dict(ctx.params or {})
        after = _name_in(params.get("cursor"))
        if after is not None:
            # Asked for our first page, whose envelope then carries theirs.
            del params["cursor"]
        page = await call_next(replace(ctx, params=params))
        if not isinstance(page, dict) or (after is None and page.get("nextCursor") is not None):
            return page
        theirs = [
            definition
            for definition in await self._aggregate.tools(era=_era(ctx))
            if definition["name"] not in self._own and definition["name"] > (after or "")
        ]
        shown = theirs[:PAGE_TOOLS_MAX]
        merged = {**page, "tools": [*(page["tools"] if after is None else ()), *shown]}
        merged.pop("nextCursor", None)
        if len(theirs) > len(shown):
            merged["nextCursor"] = _cursor_after(shown[-1]["name"])
        if "ttlMs" in merged and not self._aggregate.is_complete:
            merged["ttlMs"] = 0
        return merged

    async def _call(self, ctx: _Context, call_next: CallNext) -> HandlerResult:
        params = ctx.params or {}
        try:
            result = await self._aggregate.call(params["name"], params, on_progress=_progress_to(ctx))
        except NotFound:
            return await call_next(ctx)
        except UpstreamRefused as error:
            raise MCPError(code=error.code, message=str(error), data=error.data) from error
        except UpstreamUnavailable as error:
            result = _failed(error)
        if _era(ctx) is Era.MODERN:
            return self._for_modern(result)
        return _for_handshake(result)

    def _for_modern(self, result: dict[str, Any]) -> dict[str, Any]:
        shaped = {"resultType": "complete", **result}
        meta = result.get("_meta")
        if self._server_info is not None and SERVER_INFO_META_KEY not in (meta or {}):
            shaped["_meta"] = {**(meta or {}), SERVER_INFO_META_KEY: self._server_info}
        return shaped


def gateway_middleware(
    aggregate: Aggregate, own_tool_names: Collection[str], *, server_info: Mapping[str, Any] | None = None
) -> Gateway:
    """Middleware for a low-level server whose own tools have these names, which no upstream may take.

    `server_info` is stamped on results for modern clients that come without a stamp.
    """
    return Gateway(aggregate, own_tool_names, server_info)


def _for_handshake(result: dict[str, Any]) -> dict[str, Any]:
    """`result` without what only the modern era knows."""
    if result.get("resultType") == "input_required":
        return _failed(
            UpstreamUnavailable(
                "The upstream asks for input, which this client has no way to give. "
                "Call the tool with all it needs."
            )
        )
    shaped = dict(result)
    if shaped.get("resultType") in CORE_RESULT_TYPES:
        del shaped["resultType"]
    meta = shaped.get("_meta")
    if isinstance(meta, dict) and SERVER_INFO_META_KEY in meta:
        shaped["_meta"] = {key: value for key, value in meta.items() if key != SERVER_INFO_META_KEY}
        if not shaped["_meta"]:
            del shaped["_meta"]
    return shaped


def _failed(error: UpstreamUnavailable) -> dict[str, Any]:
    return tool_error(error).model_dump(by_alias=True, mode="json", exclude_none=True)


def _progress_to(ctx: _Context) -> OnProgress | None:
    """Sends progress on under the client's own token; None when the client asked for none."""
    token = progress_token_from_params(ctx.params)
    if token is None:
        return None
    outbound = outbound_of(ctx)

    async def forward(params: dict[str, Any]) -> None:
        await outbound.notify("notifications/progress", {**params, "progressToken": token})

    return forward


def _era(ctx: _Context) -> Era:
    return Era.MODERN if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS else Era.HANDSHAKE


def _cursor_after(name: str) -> str:
    return base64.urlsafe_b64encode(f"{_CURSOR}{name}".encode()).decode()


def _name_in(cursor: object) -> str | None:
    """The name after which a list goes on, or None when the cursor is not one of ours."""
    if not isinstance(cursor, str):
        return None
    try:
        text = base64.urlsafe_b64decode(cursor.encode()).decode()
    except (binascii.Error, ValueError):
        return None
    return text.removeprefix(_CURSOR) if text.startswith(_CURSOR) else None
