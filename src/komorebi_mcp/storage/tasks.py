"""The tasks of one owner.

Whoever carries a task out holds a lease on it and renews it. A task whose lease has lapsed has failed, from
that moment on and without anybody writing so: its process is gone, and nothing more is written to it.
"""

import json
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, or_

from komorebi_mcp.domain.ids import new_id
from komorebi_mcp.domain.pages import LIMIT_DEFAULT, Page
from komorebi_mcp.domain.tasks import OPEN, Outcome, Task, TaskStatus
from komorebi_mcp.storage.filters import digest
from komorebi_mcp.storage.owned import AnyRow, OwnedSession, Rows, among, canonical
from komorebi_mcp.storage.tables import tasks

ABANDONED = (
    "The server that carried this out stopped before it had finished, and nothing was kept. "
    "Call the tool again."
)
_INTERNAL_ERROR = -32603
"""JSON-RPC's, which says that the fault is not the caller's."""


class TaskRepository:
    """The tasks of one owner, within one transaction. Those whose time is over are not there."""

    def __init__(self, session: OwnedSession) -> None:
        self._session = session

    async def add(self, *, ttl_ms: int, lease_s: float) -> Task:
        """A new task that is being worked on; the owner's outlived ones are deleted."""
        return await self._session.run(_add, ttl_ms=ttl_ms, lease_s=lease_s)

    async def get(self, task_id: str) -> Task | None:
        """The task; None where there is none."""
        return await self._session.run(_get, task_id)

    async def page(self, *, limit: int = LIMIT_DEFAULT, cursor: str | None = None) -> Page[Task]:
        """A page of them, the newest first.

        Raises:
            InvalidInput: The cursor belongs to another list.
        """
        return await self._session.run(_page, limit=limit, cursor=cursor)

    async def put(self, task_id: str, outcome: Outcome) -> bool:
        """Writes down what has become of an open task; False, and nothing written, where it has ended."""
        return await self._session.run(_put, task_id, outcome)

    async def renew(self, messages: Mapping[str, str | None], *, lease_s: float) -> set[str]:
        """Which of these tasks are still open, their leases renewed and their messages written down."""
        return await self._session.run(_renew, messages, lease_s=lease_s)

    async def forget_telling(self, capture_ids: Collection[str]) -> int:
        """How many ended tasks were deleted because their results name any of the captures."""
        return await self._session.run(_forget_telling, capture_ids)


def purge(connection: Connection, *, now: datetime) -> None:
    """Deletes the tasks of all owners whose time is over."""
    connection.execute(delete(tasks).where(tasks.c.expires_at <= now))


def _add(rows: Rows, *, ttl_ms: int, lease_s: float) -> Task:
    now = rows.clock()
    rows.run(rows.delete(tasks).where(tasks.c.expires_at <= now))
    task = Task(id=new_id(), status=TaskStatus.WORKING, created_at=now, updated_at=now, ttl_ms=ttl_ms)
    row = {
        "id": task.id,
        "status": task.status.value,
        "created_at": now,
        "updated_at": now,
        "expires_at": now + timedelta(milliseconds=ttl_ms),
        "lease_until": now + timedelta(seconds=lease_s),
    }
    rows.insert(tasks, [row])
    return task


def _get(rows: Rows, task_id: str) -> Task | None:
    found = rows.select(tasks, of=tasks).where(among(tasks.c.id, canonical([task_id])))
    row = rows.run(found.where(tasks.c.expires_at > rows.clock())).first()
    return None if row is None else _task(row, rows.clock())


def _page(rows: Rows, *, limit: int, cursor: str | None) -> Page[Task]:
    asked = digest("tasks")
    row = tasks.c
    statement = rows.select(tasks, of=tasks).where(row.expires_at > rows.clock())
    if cursor is not None:
        [behind] = rows.cursors.open(cursor, owner=rows.owner, list_of="tasks", asked=asked)
        statement = statement.where(row.seq < behind)
    found = rows.run(statement.order_by(row.seq.desc()).limit(limit + 1)).all()
    shown = found[:limit]
    next_cursor = None
    if len(found) > limit:
        next_cursor = rows.cursors.seal([shown[-1].seq], owner=rows.owner, list_of="tasks", asked=asked)
    now = rows.clock()
    return Page[Task](items=tuple(_task(each, now) for each in shown), next_cursor=next_cursor)


def _put(rows: Rows, task_id: str, outcome: Outcome) -> bool:
    values = {
        "status": outcome.status.value,
        "message": outcome.message,
        "result": _written(outcome.result),
        "error": _written(outcome.error),
        "requests": _written(outcome.requests),
        "updated_at": rows.clock(),
    }
    changed = rows.run(_open(rows).where(among(tasks.c.id, canonical([task_id]))).values(values))
    return changed.rowcount == 1


def _renew(rows: Rows, messages: Mapping[str, str | None], *, lease_s: float) -> set[str]:
    until = rows.clock() + timedelta(seconds=lease_s)
    held: set[str] = set()
    for task_id, message in messages.items():
        values: dict[str, Any] = {"lease_until": until}
        renewed = rows.run(_open(rows).where(tasks.c.id == task_id).values(values))
        if renewed.rowcount == 1:
            held.add(task_id)
            if message is not None:
                said = or_(tasks.c.message.is_(None), tasks.c.message != message)
                progress = _open(rows).where(tasks.c.id == task_id, said)
                rows.run(progress.values(message=message, updated_at=rows.clock()))
    return held


def _forget_telling(rows: Rows, capture_ids: Collection[str]) -> int:
    found = rows.select(tasks.c.seq, tasks.c.result, of=tasks).where(tasks.c.result.is_not(None))
    telling = [row.seq for row in rows.run(found) if any(each in row.result for each in capture_ids)]
    rows.run(rows.delete(tasks).where(among(tasks.c.seq, telling)))
    return len(telling)


def _open(rows: Rows) -> Any:
    """An update of those tasks that have not ended."""
    row = tasks.c
    now = rows.clock()
    return rows.update(tasks).where(among(row.status, OPEN), row.lease_until > now, row.expires_at > now)


def _task(row: AnyRow, now: datetime) -> Task:
    whole = {
        "id": row.id,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "ttl_ms": (row.expires_at - row.created_at) // timedelta(milliseconds=1),
    }
    if row.status in OPEN and row.lease_until <= now:
        error = {"code": _INTERNAL_ERROR, "message": ABANDONED}
        whole["updated_at"] = row.lease_until
        return Task(**whole, status=TaskStatus.FAILED, message=ABANDONED, error=error)
    return Task(
        **whole,
        status=row.status,
        message=row.message,
        result=_read(row.result),
        error=_read(row.error),
        requests=_read(row.requests),
    )


def _written(value: dict[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value)


def _read(text: str | None) -> dict[str, Any] | None:
    value: dict[str, Any] | None = None if text is None else json.loads(text)
    return value
