"""Calls carried out as tasks: a client is answered at once, and asks later what has become of its call.

A handshake client asks for it call by call. A modern one says that it can follow tasks, and the server
chooses: what may take a model's time is a task from the start, a call of an upstream once it takes long.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import anyio
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, EmptyResult
from mcp_types.methods import validate_client_request
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from komorebi_mcp.domain.tasks import Outcome, Task, TaskStatus
from komorebi_mcp.errors import UpstreamUnavailable
from komorebi_mcp.services.running import Running
from komorebi_mcp.services.tasks import TTL_MS_DEFAULT, Tasks
from komorebi_mcp.surface.principal import owner_of, principal_of
from komorebi_mcp.surface.replies import boundary, protocol_error
from komorebi_mcp.surface.scopes import needed, refusal
from komorebi_mcp.surface.sdk import connection_of, over_channel
from komorebi_mcp.surface.task_channel import ListenChannel, TaskChannel
from komorebi_mcp.surface.task_shapes import (
    EXTENSION,
    error_of,
    failed,
    handshake_task,
    modern_task,
    must_declare,
    tool_error_in,
)
from komorebi_mcp.upstream.bridge import questions_in

HANDSHAKE_VERSION: Final = "2025-11-25"
"""The one handshake revision that has tasks."""
PATIENCE_S = 1.0
"""An upstream's call that takes longer goes on as a task, where a modern client can follow one."""
_QUESTION_S = 0.2
"""How long a call of ours is given to ask its first question, which is better asked before it is a task."""
_TELL_TIMEOUT_S = 1.0
_ROUNDS_MAX = 20
"""Questions of one call; one that asks for more does not end by itself."""

_Context = ServerRequestContext[Any, Any]


class TaskCalls:
    """The middleware: runs calls as tasks where the client wishes or can follow them."""

    def __init__(self, tasks: Tasks, own: Mapping[str, bool], may_forward: Callable[[str], bool]) -> None:
        """`own` says which tools of ours may be tasks; `may_forward`, whether a call is for an upstream."""
        self._tasks = tasks
        self._own = own
        self._may_forward = may_forward

    async def __call__(self, ctx: _Context, call_next: CallNext) -> HandlerResult:
        match ctx.method:
            case "tools/call" if self._may_concern(ctx) and self._is_acceptable(ctx):
                return await self._call(ctx, call_next)
            case "subscriptions/listen" if wanted := _watched(ctx.params):
                return await self._listen(ctx, call_next, wanted)
            case "initialize":
                return _introduced(await call_next(ctx))
            case "tools/list" if ctx.protocol_version == HANDSHAKE_VERSION:
                return self._listed(ctx, await call_next(ctx))
        return await call_next(ctx)

    def _may_concern(self, ctx: _Context) -> bool:
        """Whether the call could become a task, or asks for it; most calls need no second look."""
        params = ctx.params or {}
        could_be = self._own.get(str(params.get("name")), True)
        return "task" in params or (could_be and follows_tasks(ctx))

    def _is_acceptable(self, ctx: _Context) -> bool:
        if not connection_of(ctx).initialize_accepted:
            return False
        try:
            validate_client_request(ctx.method, ctx.protocol_version, ctx.params)
        except (KeyError, ValidationError):
            return False
        return True

    async def _call(self, ctx: _Context, call_next: CallNext) -> HandlerResult:
        params = dict(ctx.params or {})
        asked = params.pop("task", None)
        name = params["name"]
        is_own = name in self._own
        can_be = self._own[name] if is_own else self._may_forward(name)
        plain = replace(ctx, params=params)
        if ctx.protocol_version == HANDSHAKE_VERSION and asked is not None:
            if is_own and not can_be:
                message = f"{name} cannot be run as a task. Repeat the call without task."
                raise MCPError(code=METHOD_NOT_FOUND, message=message)
            if can_be:
                if not _may_read_tasks(ctx):
                    raise MCPError(code=INVALID_REQUEST, message=refusal(needed("tasks/get", None)))
                return {"task": handshake_task(await self._start(plain, call_next, ttl_ms=asked.get("ttl")))}
        if can_be and follows_tasks(ctx) and _may_read_tasks(ctx):
            return await self._offer(plain, call_next, is_own=is_own)
        return await call_next(plain)

    async def _start(self, ctx: _Context, call_next: CallNext, *, ttl_ms: int | None) -> Task:
        started = await self._tasks.start(
            owner_of(ctx),
            _work(ctx, call_next),
            tell=_teller(ctx),
            ttl_ms=TTL_MS_DEFAULT if ttl_ms is None else ttl_ms,
        )
        assert isinstance(started, Task)  # noqa: S101 - told at once only where that was allowed.
        return started

    async def _offer(self, ctx: _Context, call_next: CallNext, *, is_own: bool) -> HandlerResult:
        started = await self._tasks.start(
            owner_of(ctx),
            _work(ctx, call_next),
            tell=_teller(ctx),
            patience_s=_QUESTION_S if is_own else PATIENCE_S,
            at_once=_is_question if is_own else lambda _: True,
        )
        if isinstance(started, Task):
            return {"resultType": "task", **modern_task(started)}
        if started.result is None:
            raise error_of(started)
        return started.result

    async def _listen(self, ctx: _Context, call_next: CallNext, wanted: list[str]) -> HandlerResult:
        """Tells of tasks on the stream of a listen request, beside whatever else it asked for."""
        if not follows_tasks(ctx):
            raise must_declare()
        channel = ListenChannel(ctx)
        watching = await self._tasks.watch(owner_of(ctx), wanted, channel.tell)
        channel.task_ids = watching.task_ids
        try:
            return await call_next(over_channel(ctx, channel))
        finally:
            watching.stop()

    def _listed(self, ctx: _Context, result: HandlerResult) -> HandlerResult:
        """The list in which upstreams' tools may be tasks too, for clients that know what tasks are.

        No tool has to be one: what an upstream runs as tasks only, it runs so for us.
        """
        if not isinstance(result, dict):
            return result
        capabilities = ctx.session.client_capabilities
        knows_tasks = capabilities is not None and capabilities.tasks is not None
        optional = {"execution": {"taskSupport": "optional"}}
        tools = [
            {**tool, **optional}
            if tool["name"] not in self._own and (knows_tasks or _must_be_task(tool))
            else tool
            for tool in result["tools"]
        ]
        return {**result, "tools": tools}


def _introduced(result: HandlerResult) -> HandlerResult:
    """The answer to `initialize`, which promises tasks in the one revision that has them."""
    if not isinstance(result, dict) or result["protocolVersion"] == HANDSHAKE_VERSION:
        return result
    capabilities = {name: told for name, told in result["capabilities"].items() if name != "tasks"}
    return {**result, "capabilities": capabilities}


def _must_be_task(tool: Mapping[str, Any]) -> bool:
    execution = tool.get("execution")
    return isinstance(execution, Mapping) and execution.get("taskSupport") == "required"


def follows_tasks(ctx: _Context) -> bool:
    """Whether the client is of the modern era, and said with this request that it can follow tasks."""
    capabilities = ctx.session.client_capabilities
    is_modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
    return is_modern and capabilities is not None and EXTENSION in (capabilities.extensions or {})


def _may_read_tasks(ctx: _Context) -> bool:
    """Whether whoever calls may ask for the result later: a token can be good for the call alone."""
    return needed("tasks/get", None) <= principal_of(ctx).scopes


def _watched(params: Mapping[str, Any] | None) -> list[str]:
    notifications = (params or {}).get("notifications")
    asked = notifications.get("taskIds") if isinstance(notifications, dict) else None
    return [each for each in asked if isinstance(each, str)] if isinstance(asked, list) else []


def _is_question(outcome: Outcome) -> bool:
    return outcome.status is TaskStatus.INPUT_REQUIRED


def _work(
    ctx: _Context, call_next: CallNext
) -> Callable[[Running, dict[str, Any] | None], Awaitable[Outcome]]:
    """The call as a piece of work, which can be asked again with the client's answers."""
    state: Any = None
    rounds = 0

    async def work(running: Running, answers: dict[str, Any] | None) -> Outcome:
        nonlocal state, rounds
        params = dict(ctx.params or {})
        if answers is not None:
            params["inputResponses"] = {key.partition(":")[2]: answer for key, answer in answers.items()}
            params.pop("requestState", None)
            if state is not None:
                params["requestState"] = state
        here = over_channel(replace(ctx, params=params), TaskChannel(ctx, running))
        try:
            result = await boundary(here, call_next)
        except MCPError as error:
            return failed(error)
        except ValidationError:
            # Only a call repeated with answers can fail so: the call itself was checked before.
            return failed(MCPError(code=INVALID_PARAMS, message="The answers have not the form asked for."))
        told = result if isinstance(result, dict) else _dumped(result)
        if told.get("resultType") != "input_required":
            return Outcome(status=TaskStatus.COMPLETED, result=told, message=tool_error_in(told))
        rounds += 1
        if rounds > _ROUNDS_MAX:
            return failed(MCPError(code=INTERNAL_ERROR, message="The call asked for input again and again."))
        try:
            questions = questions_in(told)
        except UpstreamUnavailable as error:
            return failed(protocol_error(error))
        state = told.get("requestState")
        # A key is used once in a task's life, while a tool may ask twice by the same.
        requests = {f"{rounds}:{key}": dict(question) for key, question in questions.items()}
        return Outcome(status=TaskStatus.INPUT_REQUIRED, result=told, requests=requests)

    return work


def _dumped(result: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = (result or EmptyResult()).model_dump(
        by_alias=True, mode="json", exclude_none=True
    )
    return dumped


def _teller(ctx: _Context) -> Callable[[Task], Awaitable[None]]:
    """Tells the client that began a task what has become of it; a modern one asks, or listens."""
    connection = connection_of(ctx)

    async def tell(task: Task) -> None:
        if ctx.protocol_version == HANDSHAKE_VERSION:
            with anyio.move_on_after(_TELL_TIMEOUT_S):
                await connection.notify("notifications/tasks/status", handshake_task(task))

    return tell
