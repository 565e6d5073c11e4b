"""Calls of our own tools: arguments checked once, errors told, results in both forms."""

from typing import Any

from mcp.server.context import ServerRequestContext
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
)
from pydantic import ValidationError

from komorebi_mcp.app import App
from komorebi_mcp.errors import KomorebiError
from komorebi_mcp.surface.arguments import checked
from komorebi_mcp.surface.pages import page_of
from komorebi_mcp.surface.principal import owner_of
from komorebi_mcp.surface.rendering import takes_links
from komorebi_mcp.surface.replies import internal_tool_error, invalid_arguments, tool_error, unknown_name
from komorebi_mcp.surface.tools.own import OWN_TOOLS
from komorebi_mcp.surface.tools.record import Call, Reply

_DEFINITIONS = {
    enabled: [tool.definition for tool in OWN_TOOLS.values() if enabled or not tool.with_upstreams]
    for enabled in (True, False)
}
"""By whether upstreams are configured."""


async def list_tools(
    ctx: ServerRequestContext[App, Any], params: PaginatedRequestParams | None
) -> ListToolsResult:
    definitions = _DEFINITIONS[ctx.lifespan_context.aggregate.enabled]
    tools, next_cursor = page_of(definitions, params.cursor if params else None)
    return ListToolsResult(tools=tools, next_cursor=next_cursor)


async def call_tool(
    ctx: ServerRequestContext[App, Any], params: CallToolRequestParams
) -> CallToolResult | InputRequiredResult:
    reply = await _reply(ctx, params)
    if not isinstance(reply, Reply):
        return reply
    links = reply.links if takes_links(ctx.protocol_version) else ()
    return CallToolResult(
        content=[TextContent(type="text", text=reply.text), *links],
        structured_content=reply.structured.model_dump(mode="json"),
    )


async def _reply(
    ctx: ServerRequestContext[App, Any], params: CallToolRequestParams
) -> Reply | CallToolResult | InputRequiredResult:
    """What the tool gives, or what is wrong with the call."""
    tool = OWN_TOOLS.get(params.name)
    if tool is None:
        raise unknown_name("tool", params.name, list(OWN_TOOLS), listing="tools/list")
    try:
        arguments = await checked(tool.arguments, params.arguments or {}, ctx.lifespan_context)
    except ValidationError as error:
        return tool_error(invalid_arguments(tool.name, error, tool.demands))
    try:
        return await tool.run(Call(ctx.lifespan_context, owner_of(ctx), ctx, params), arguments)
    except KomorebiError as error:
        return tool_error(error)
    except Exception:  # noqa: BLE001 - the surface's boundary; it is logged with its traceback.
        return internal_tool_error(tool.name)
