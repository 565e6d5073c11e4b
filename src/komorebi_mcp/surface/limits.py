"""Server middleware that holds owners to their limits, and says when to come again."""

from typing import Any, Final

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

from komorebi_mcp.domain.access import LOCAL
from komorebi_mcp.errors import LimitReached, StorageError
from komorebi_mcp.services.limits import Limits
from komorebi_mcp.surface.principal import principal_of
from komorebi_mcp.surface.replies import protocol_error, tool_error
from komorebi_mcp.surface.scopes import TOOLS

_UNCOUNTED: Final = frozenset({"initialize", "server/discover", "ping", "subscriptions/listen"})
"""They cost nothing, or wait for others to do something."""


class Limited:
    """The middleware."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        principal = principal_of(ctx)
        if principal is LOCAL or ctx.request_id is None or ctx.method in _UNCOUNTED:
            return await call_next(ctx)
        try:
            with self._limits.request(principal.owner):
                if ctx.method == "tools/call":
                    await self._count(principal.owner, (ctx.params or {}).get("name"))
                return await call_next(ctx)
        except LimitReached as error:
            if ctx.method == "tools/call":
                return tool_error(error)
            raise MCPError(
                code=INTERNAL_ERROR, message=str(error), data={"retryAfter": error.retry_s}
            ) from None
        except StorageError as error:
            raise protocol_error(error) from error

    async def _count(self, owner: str, tool: object) -> None:
        if tool == "capture":
            await self._limits.capture(owner)
        elif tool not in TOOLS or tool == "call_tool":
            self._limits.upstream_call(owner)
