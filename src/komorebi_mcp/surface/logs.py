"""Log messages for clients that ask for them: how each request went, never what was in it.

A handshake client asks once, with logging/setLevel, for its connection. A modern one asks in the request
itself, and hears of that request alone. Who has not asked hears nothing.
"""

import time
from typing import Any, Final, get_args
from weakref import WeakKeyDictionary

from mcp.server.connection import Connection, allowed_log_levels
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, EmptyResult, LoggingLevel, SetLevelRequestParams
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from komorebi_mcp.surface.sdk import connection_of, outbound_of

LOGGER: Final = "komorebi"
_SEVERITY: Final[dict[LoggingLevel, int]] = {level: n for n, level in enumerate(get_args(LoggingLevel))}
_UNTOLD: Final = frozenset({"initialize", "logging/setLevel", "ping", "subscriptions/listen"})

_Context = ServerRequestContext[Any, Any]


class ClientLogs:
    """Who wants to hear what. As a middleware it tells of every request that it lets through."""

    def __init__(self) -> None:
        self._levels: WeakKeyDictionary[Connection, LoggingLevel] = WeakKeyDictionary()

    async def set_level(self, ctx: _Context, params: SetLevelRequestParams) -> EmptyResult:
        self._levels[connection_of(ctx)] = params.level
        return EmptyResult()

    async def __call__(self, ctx: _Context, call_next: CallNext) -> HandlerResult:
        if ctx.request_id is None or ctx.method in _UNTOLD:
            return await call_next(ctx)
        began_at = time.perf_counter()
        try:
            result = await call_next(ctx)
        except MCPError as error:
            severe = error.error.code == INTERNAL_ERROR
            await self._tell(ctx, "error" if severe else "warning", "was refused", began_at)
            raise
        failed = isinstance(result, dict) and result.get("isError") is True
        level: LoggingLevel = "warning" if failed else "debug"
        await self._tell(ctx, level, "failed" if failed else "was answered", began_at)
        return result

    async def _tell(self, ctx: _Context, level: LoggingLevel, outcome: str, began_at: float) -> None:
        if not self._wants(ctx, level):
            return
        named = (ctx.params or {}).get("name")
        subject = f"{ctx.method} {named}" if isinstance(named, str) else ctx.method
        data = {
            "message": f"{subject} {outcome}",
            "duration_ms": round((time.perf_counter() - began_at) * 1000, 1),
        }
        message = {"level": level, "logger": LOGGER, "data": data}
        await outbound_of(ctx).notify("notifications/message", message)

    def _wants(self, ctx: _Context, level: LoggingLevel) -> bool:
        if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return level in allowed_log_levels(ctx.protocol_version, ctx.meta)
        least = self._levels.get(connection_of(ctx))
        return least is not None and _SEVERITY[level] >= _SEVERITY[least]
