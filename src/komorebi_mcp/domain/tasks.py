"""Tasks: calls that are carried out while the caller does something else."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from komorebi_mcp.domain.model import Model


class TaskStatus(StrEnum):
    """How far a task has come; the words are the protocol's."""

    WORKING = "working"
    INPUT_REQUIRED = "input_required"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN = frozenset({TaskStatus.WORKING, TaskStatus.INPUT_REQUIRED})
"""A task in any other state stays in it."""


class Outcome(Model):
    """How a task ended, or what it waits for."""

    status: TaskStatus
    message: str | None = None
    result: dict[str, Any] | None = None
    """What the call would have been answered with; where it completed."""
    error: dict[str, Any] | None = None
    """The JSON-RPC error that it would have been answered with; where it failed."""
    requests: dict[str, Any] | None = None
    """What the client is asked, by keys that are used once; where input is required."""


class Task(Outcome):
    """A task as of now."""

    id: str
    created_at: datetime
    updated_at: datetime
    ttl_ms: int
    """Counted from `created_at`; then the task is gone, finished or not."""

    @property
    def is_open(self) -> bool:
        return self.status in OPEN
