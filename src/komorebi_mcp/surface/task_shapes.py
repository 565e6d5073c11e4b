"""Tasks as each era's clients read them.

Up to 2025-11-25 they are part of the protocol (basic/utilities/tasks); from 2026-07-28 on they are the
extension io.modelcontextprotocol/tasks (SEP-2663), which names some fields anew and puts the result inside.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, MISSING_REQUIRED_CLIENT_CAPABILITY, ErrorData

from komorebi_mcp.domain.tasks import Outcome, Task, TaskStatus

EXTENSION: Final = "io.modelcontextprotocol/tasks"
RELATED_TASK: Final = "io.modelcontextprotocol/related-task"

_MESSAGE_CHARS = 500
_POLL_MS_MIN = 250
_POLL_MS_MAX = 5_000


def handshake_task(task: Task) -> dict[str, Any]:
    """The `Task` of 2025-11-25, where a call that ended in a tool error has failed."""
    status = task.status
    if status is TaskStatus.COMPLETED and (task.result or {}).get("isError") is True:
        status = TaskStatus.FAILED
    return {**_common(task, status), "ttl": task.ttl_ms, "pollInterval": _poll_ms(task)}


def modern_task(task: Task) -> dict[str, Any]:
    """The `Task` of the extension, without what it has come to."""
    return {**_common(task, task.status), "ttlMs": task.ttl_ms, "pollIntervalMs": _poll_ms(task)}


def modern_detailed_task(task: Task) -> dict[str, Any]:
    """The extension's `DetailedTask`: with its result, its error, or what the client is asked."""
    told = modern_task(task)
    match task.status:
        case TaskStatus.COMPLETED:
            told["result"] = {"resultType": "complete", **(task.result or {})}
        case TaskStatus.FAILED:
            told["error"] = task.error
        case TaskStatus.INPUT_REQUIRED:
            told["inputRequests"] = task.requests or {}
    return told


def handshake_result(task: Task) -> dict[str, Any]:
    """What the call would have been answered with, for one that has ended.

    Raises:
        MCPError: It would have been answered with an error, or was cancelled.
    """
    if task.status is TaskStatus.CANCELLED:
        raise MCPError(code=INVALID_PARAMS, message="The task was cancelled, so it has no result.")
    if task.error is not None:
        raise MCPError.from_error_data(ErrorData.model_validate(task.error))
    result = {key: value for key, value in (task.result or {}).items() if key != "resultType"}
    return related(result, task.id)


def related(message: dict[str, Any], task_id: str) -> dict[str, Any]:
    """The params or result, saying which task it belongs to."""
    return {**message, "_meta": {**(message.get("_meta") or {}), RELATED_TASK: {"taskId": task_id}}}


def must_declare() -> MCPError:
    """The answer to a client that did not say that it follows tasks."""
    return MCPError(
        code=MISSING_REQUIRED_CLIENT_CAPABILITY,
        message=f"This needs the client capability {EXTENSION}. Declare it with the request.",
        data={"requiredCapabilities": {"extensions": {EXTENSION: {}}}},
    )


def failed(error: MCPError) -> Outcome:
    told = error.error.model_dump(mode="json", exclude_none=True)
    return Outcome(status=TaskStatus.FAILED, message=error.error.message, error=told)


def tool_error_in(result: Mapping[str, Any]) -> str | None:
    """What a tool said went wrong, to be told beside the task's status; None where nothing did."""
    if result.get("isError") is not True:
        return None
    texts = [block.get("text") for block in result.get("content") or () if isinstance(block, Mapping)]
    return next((text[:_MESSAGE_CHARS] for text in texts if isinstance(text, str) and text), None)


def error_of(outcome: Outcome) -> MCPError:
    error = outcome.error or {"code": INTERNAL_ERROR, "message": outcome.message or "The call failed."}
    return MCPError.from_error_data(ErrorData.model_validate(error))


def _common(task: Task, status: TaskStatus) -> dict[str, Any]:
    told: dict[str, Any] = {
        "taskId": task.id,
        "status": status.value,
        "createdAt": _instant(task.created_at),
        "lastUpdatedAt": _instant(task.updated_at),
    }
    if task.message:
        told["statusMessage"] = task.message
    return told


def _instant(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _poll_ms(task: Task) -> int:
    """Soon at first and ever more seldom, since what has taken long may take longer."""
    quiet_ms = (task.updated_at - task.created_at) // timedelta(milliseconds=4)
    return max(_POLL_MS_MIN, min(quiet_ms, _POLL_MS_MAX))
