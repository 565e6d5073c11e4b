"""The methods by which clients of each era follow their tasks, stop them and answer them."""

from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    PaginatedRequestParams,
    RequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import Field

from komorebi_mcp.app import App
from komorebi_mcp.surface.pages import PAGE_ITEMS
from komorebi_mcp.surface.principal import owner_of
from komorebi_mcp.surface.task_shapes import (
    handshake_result,
    handshake_task,
    modern_detailed_task,
    must_declare,
)
from komorebi_mcp.surface.tasks import HANDSHAKE_VERSION, follows_tasks

_Context = ServerRequestContext[App, Any]


class TaskParams(RequestParams):
    task_id: str


class AnswerParams(TaskParams):
    input_responses: dict[str, Any] = Field(default_factory=dict)


def serve_tasks(server: Server[App]) -> None:
    """Has the server answer them; each where its client's revision has it."""
    server.add_request_handler("tasks/get", TaskParams, _get)
    server.add_request_handler("tasks/cancel", TaskParams, _cancel)
    server.add_request_handler("tasks/result", TaskParams, _result)
    server.add_request_handler("tasks/list", PaginatedRequestParams, _list)
    server.add_request_handler("tasks/update", AnswerParams, _update)


async def _get(ctx: _Context, params: TaskParams) -> dict[str, Any]:
    modern = _is_modern(ctx, params.task_id)
    task = await ctx.lifespan_context.tasks.get(owner_of(ctx), params.task_id)
    return modern_detailed_task(task) if modern else handshake_task(task)


async def _cancel(ctx: _Context, params: TaskParams) -> dict[str, Any]:
    tasks, owner = ctx.lifespan_context.tasks, owner_of(ctx)
    if _is_modern(ctx, params.task_id):
        await tasks.cancel(owner, params.task_id)
        return {}
    before = await tasks.get(owner, params.task_id)
    if not before.is_open:
        message = "The task has ended already, so it cannot be cancelled. tasks/result has what it came to."
        raise MCPError(code=INVALID_PARAMS, message=message)
    return handshake_task(await tasks.cancel(owner, params.task_id))


async def _result(ctx: _Context, params: TaskParams) -> dict[str, Any]:
    _handshake_only(ctx)
    return handshake_result(await ctx.lifespan_context.tasks.ended(owner_of(ctx), params.task_id))


async def _list(ctx: _Context, params: PaginatedRequestParams) -> dict[str, Any]:
    _handshake_only(ctx)
    page = await ctx.lifespan_context.tasks.page(owner_of(ctx), limit=PAGE_ITEMS, cursor=params.cursor)
    listed: dict[str, Any] = {"tasks": [handshake_task(task) for task in page.items]}
    if page.next_cursor is not None:
        listed["nextCursor"] = page.next_cursor
    return listed


async def _update(ctx: _Context, params: AnswerParams) -> dict[str, Any]:
    if not _is_modern(ctx, params.task_id):
        raise _no_such_method(ctx)
    await ctx.lifespan_context.tasks.answer(owner_of(ctx), params.task_id, params.input_responses)
    return {}


def _is_modern(ctx: _Context, task_id: str) -> bool:
    """Whether the client is of the modern era and may ask; False where it is of 2025-11-25.

    Raises:
        MCPError: Its revision has no tasks, it did not say that it follows them, or its header names another.
    """
    if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        _handshake_only(ctx)
        return False
    if not follows_tasks(ctx):
        raise must_declare()
    # Proxies route by this header; the SDK checks it for the core methods alone.
    named = ctx.request.headers.get("mcp-name") if ctx.request is not None else None
    if named is not None and named != task_id:
        message = "The Mcp-Name header names another task than the request. Send the same id in both."
        raise MCPError(code=HEADER_MISMATCH, message=message)
    return True


def _handshake_only(ctx: _Context) -> None:
    if ctx.protocol_version != HANDSHAKE_VERSION:
        raise _no_such_method(ctx)


def _no_such_method(ctx: _Context) -> MCPError:
    return MCPError(code=METHOD_NOT_FOUND, message="Method not found", data=ctx.method)
