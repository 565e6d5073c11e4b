"""Tools that a modern upstream runs as tasks (the extension io.modelcontextprotocol/tasks, SEP-2663).

An upstream is told that tasks can be followed only where it insists on that. Whoever calls such a tool
through us waits for the result as of any other one: the task is followed here, its questions are asked of the
caller, and it is cancelled when they give up. Tasks of ours are made around the call, and know nothing of it.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import anyio
from mcp_types import MISSING_REQUIRED_CLIENT_CAPABILITY

from komorebi_mcp.errors import UpstreamError, UpstreamRefused, UpstreamUnavailable
from komorebi_mcp.upstream.bridge import Request, ask, questions_in
from komorebi_mcp.upstream.caller import Caller
from komorebi_mcp.upstream.link import Link
from komorebi_mcp.upstream.route import REQUEST_SECONDS_MAX

EXTENSION: Final = "io.modelcontextprotocol/tasks"
POLL_MS_MIN, POLL_MS, POLL_MS_MAX = 50, 1_000, 5_000
"""How often a task is looked at: as often as its upstream says within these, and where it does not say."""
_CANCEL_S = 2.0


def insists_on_tasks(refused: UpstreamRefused) -> bool:
    """Whether an upstream carries the request out for those only who follow tasks."""
    match refused.data:
        case {"requiredCapabilities": {"extensions": {**named}}}:
            return refused.code == MISSING_REQUIRED_CLIENT_CAPABILITY and EXTENSION in named
        case _:
            return False


def following(caller: Caller) -> Caller:
    """The caller, as one who follows tasks."""
    extensions = caller.capabilities.get("extensions")
    declared = extensions if isinstance(extensions, Mapping) else {}
    return replace(caller, capabilities={**caller.capabilities, "extensions": {**declared, EXTENSION: {}}})


def is_task(result: Mapping[str, Any]) -> bool:
    """Whether it is a task in place of what the tool gives."""
    return result.get("resultType") == "task"


def result_of(link: Link, begun: Mapping[str, Any]) -> Request:
    """The request by which somebody waits for what a task comes to."""

    async def follow(_: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        task_id = begun.get("taskId")
        if not isinstance(task_id, str):
            raise _malformed()
        try:
            with anyio.move_on_after(REQUEST_SECONDS_MAX):
                return await _outcome(link, task_id, begun, caller)
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(_CANCEL_S, shield=True):
                await _cancel(link, task_id, caller)
            raise
        await _cancel(link, task_id, caller)
        raise UpstreamUnavailable(f"Its task did not end within {REQUEST_SECONDS_MAX:g} seconds.")

    return follow


async def _outcome(link: Link, task_id: str, task: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
    asked: set[str] = set()
    while True:
        await anyio.sleep(_pause_s(task))
        task = await link.request("tasks/get", {"taskId": task_id}, caller=following(caller))
        match task:
            case {"status": "working"}:
                pass
            case {"status": "input_required"}:
                await _answer(link, task_id, task, caller, asked)
            case {"status": "completed", "result": dict() as result}:
                return result
            case {"status": "failed", "error": {"code": int() as code, "message": str() as message, **rest}}:
                raise UpstreamRefused(message, code=code, data=rest.get("data"))
            case {"status": "cancelled"}:
                raise UpstreamUnavailable("The upstream has cancelled the task.")
            case _:
                raise _malformed()


async def _answer(link: Link, task_id: str, task: Mapping[str, Any], caller: Caller, asked: set[str]) -> None:
    """Asks the caller what the task wants to know and has not asked before."""
    for key, question in questions_in(task).items():
        if key in asked:
            continue
        asked.add(key)
        if caller.ask is None or not caller.declares(question["method"], question.get("params")):
            raise UpstreamUnavailable(
                "The upstream asks for input, which this client has no way to give. "
                "Repeat the request with all it needs."
            )
        answers = {key: await ask(caller, question)}
        await link.request(
            "tasks/update", {"taskId": task_id, "inputResponses": answers}, caller=following(caller)
        )


async def _cancel(link: Link, task_id: str, caller: Caller) -> None:
    # It may have ended meanwhile, or nobody can be told.
    with suppress(UpstreamError):
        await link.request("tasks/cancel", {"taskId": task_id}, caller=following(caller))


def _pause_s(task: Mapping[str, Any]) -> float:
    said = task.get("pollIntervalMs")
    wanted = said if isinstance(said, int | float) and said == said else POLL_MS  # noqa: PLR0124 - no NaN.
    return max(POLL_MS_MIN, min(wanted, POLL_MS_MAX)) / 1000


def _malformed() -> UpstreamUnavailable:
    return UpstreamUnavailable(
        "The upstream told of a task in a form that is not valid. Tell whoever maintains that server."
    )
