"""What the SDK holds but does not hand out: every use of its private names, for which it is pinned."""

from dataclasses import replace
from typing import Any

from mcp.server import Server, streamable_http
from mcp.server._streamable_http_modern import _mcp_param_rejection
from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.shared.dispatcher import DispatchContext
from mcp.shared.inbound import InboundLadderRejection, InboundModernRoute
from mcp_types import JSONRPCRequest
from starlette.requests import Request

from komorebi_mcp.surface.streams import EventStream


def connection_of(ctx: ServerRequestContext[Any, Any]) -> Connection:
    """The connection of a message: one per client in the handshake era, one per request in the modern."""
    return ctx.session._connection  # noqa: SLF001


def outbound_of(ctx: ServerRequestContext[Any, Any]) -> DispatchContext[Any]:
    """The raw way back to the client, tied to its request.

    The typed ways drop unknown fields and turn whole numbers into fractions.
    """
    return ctx.session._request_outbound  # noqa: SLF001


def over_channel(
    ctx: ServerRequestContext[Any, Any], channel: DispatchContext[Any]
) -> ServerRequestContext[Any, Any]:
    """The same request, with another way back to its client."""
    session = ServerSession(channel, connection_of(ctx), request_meta=ctx.meta)
    return replace(ctx, session=session)


async def param_headers_rejection(
    server: Server[Any],
    request: Request,
    message: JSONRPCRequest,
    route: InboundModernRoute,
    lifespan_state: Any,
) -> InboundLadderRejection | None:
    """Why the `Mcp-Param-*` headers of a tool call do not go with its arguments; None where they do."""
    return await _mcp_param_rejection(server, request, message, route, lifespan_state)


def install_streams() -> None:
    """Has the SDK's transport for handshake clients answer with our event streams; see `EventStream`."""
    streamable_http.EventSourceResponse = EventStream  # type: ignore[attr-defined, assignment]
