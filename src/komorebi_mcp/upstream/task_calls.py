"""Tools that a handshake upstream runs as tasks only (2025-11-25, `execution.taskSupport: required`).

Whoever calls one through us waits for the result as of any other tool: the task is begun, followed and, when
they give up, cancelled here. Tasks of ours are made around the call, and know nothing of this one.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import anyio

from komorebi_mcp.errors import UpstreamError
from komorebi_mcp.upstream.caller import Caller
from komorebi_mcp.upstream.listing import Entry
from komorebi_mcp.upstream.route import REQUEST_SECONDS_MAX
from komorebi_mcp.upstream.session import Session
from komorebi_mcp.upstream.status import Era

RELATED_TASK = "io.modelcontextprotocol/related-task"
_CANCEL_S = 2.0


def must_be_task(session: Session, entry: Entry | None) -> bool:
    """Whether the upstream refuses a call of this tool that does not ask for a task."""
    if entry is None or session.terms.era is not Era.HANDSHAKE:
        return False
    execution = entry.definition.get("execution")
    return isinstance(execution, Mapping) and execution.get("taskSupport") == "required"


async def call_as_task(
    session: Session, params: Mapping[str, Any], *, timeout_s: float, caller: Caller
) -> dict[str, Any]:
    """The raw result of the tool; raises as `Session.request` does."""
    begun = await session.request("tools/call", {**params, "task": {}}, timeout_s=timeout_s, caller=caller)
    task = begun.get("task")
    task_id = task.get("taskId") if isinstance(task, Mapping) else None
    if not isinstance(task_id, str):
        return begun
    named = {"taskId": task_id}
    try:
        # It answers once there is a result, however long that takes.
        return await session.request(
            "tasks/result", named, timeout_s=REQUEST_SECONDS_MAX, caller=_knowing_no_task(caller)
        )
    except anyio.get_cancelled_exc_class():
        # It may have ended meanwhile, or nobody can be told.
        with anyio.move_on_after(_CANCEL_S, shield=True), suppress(UpstreamError):
            await session.request("tasks/cancel", named, timeout_s=_CANCEL_S)
        raise


def _knowing_no_task(caller: Caller) -> Caller:
    """The caller, who is asked questions without the task that they belong to, which is none of theirs."""
    ask = caller.ask
    if ask is None:
        return caller

    async def ask_plainly(method: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
        given = dict(params or {})
        meta = given.get("_meta")
        if isinstance(meta, Mapping) and RELATED_TASK in meta:
            given["_meta"] = {key: value for key, value in meta.items() if key != RELATED_TASK}
        return await ask(method, given)

    return replace(caller, ask=ask_plainly)
