"""The projects of one owner."""

from datetime import datetime
from typing import Any

from sqlalchemy import func, tuple_

from komorebi_mcp.domain.pages import LIMIT_DEFAULT, Page
from komorebi_mcp.domain.projects import Project, ProjectUpdate
from komorebi_mcp.errors import InvalidInput
from komorebi_mcp.storage.columns import Instant
from komorebi_mcp.storage.filters import digest
from komorebi_mcp.storage.owned import AnyRow, OwnedSession, Rows, among
from komorebi_mcp.storage.project_rows import find_id, require_id
from komorebi_mcp.storage.tables import captures, projects

_INSTANT = Instant()


class ProjectRepository:
    """The projects of one owner, within one transaction. They come into being with their first capture."""

    def __init__(self, session: OwnedSession) -> None:
        self._session = session

    async def page(
        self, *, limit: int = LIMIT_DEFAULT, cursor: str | None = None, archived: bool = False
    ) -> Page[Project]:
        """A page of the active projects, or of the archived ones; the most recently updated first.

        Raises:
            InvalidInput: The cursor belongs to another list.
        """
        return await self._session.run(_page, limit=limit, cursor=cursor, archived=archived)

    async def get(self, name: str) -> Project | None:
        """The project of that name; None where there is none."""
        return await self._session.run(_get, name)

    async def require(self, name: str) -> Project:
        """The project of that name.

        Raises:
            NotFound: No project has that name.
        """
        return await self._session.run(_require, name)

    async def versions(self, *, limit: int) -> dict[str, datetime]:
        """When each of the last changed projects was changed, by its name, archived ones included."""
        return await self._session.run(_versions, limit)

    async def update(self, name: str, change: ProjectUpdate) -> Project:
        """The project as it is after the change.

        A new name has its captures indexed again in the background.

        Raises:
            NotFound: No project has that name.
            InvalidInput: Another project has the new name.
        """
        return await self._session.run(_update, name, change)


def _page(rows: Rows, *, limit: int, cursor: str | None, archived: bool) -> Page[Project]:
    asked = digest(archived)
    row = projects.c
    place = tuple_(row.updated_at, row.id)
    statement = rows.select(projects, of=projects).where(row.archived.is_(archived))
    if cursor is not None:
        updated_at, last_id = rows.cursors.open(cursor, owner=rows.owner, list_of="projects", asked=asked)
        moment = _INSTANT.process_result_value(updated_at, rows.connection.dialect)
        statement = statement.where(place < tuple_(moment, last_id, types=place.type.types))
    found = rows.run(statement.order_by(row.updated_at.desc(), row.id.desc()).limit(limit + 1)).all()
    shown = found[:limit]
    next_cursor = None
    if len(found) > limit:
        position = [_INSTANT.process_bind_param(shown[-1].updated_at, rows.connection.dialect), shown[-1].id]
        next_cursor = rows.cursors.seal(position, owner=rows.owner, list_of="projects", asked=asked)
    counts = _counts(rows, [each.id for each in shown])
    return Page[Project](items=tuple(_project(each, counts) for each in shown), next_cursor=next_cursor)


def _get(rows: Rows, name: str) -> Project | None:
    project_id = find_id(rows, name)
    return None if project_id is None else _with_id(rows, project_id)


def _require(rows: Rows, name: str) -> Project:
    return _with_id(rows, require_id(rows, name))


def _with_id(rows: Rows, project_id: int) -> Project:
    found = rows.run(rows.select(projects, of=projects).where(projects.c.id == project_id)).one()
    return _project(found, _counts(rows, [project_id]))


def _versions(rows: Rows, limit: int) -> dict[str, datetime]:
    row = projects.c
    found = rows.select(row.name, row.updated_at, of=projects).order_by(row.updated_at.desc(), row.id.desc())
    return {each.name: each.updated_at for each in rows.run(found.limit(limit))}


def _update(rows: Rows, name: str, change: ProjectUpdate) -> Project:
    row = projects.c
    project_id = require_id(rows, name)
    now = rows.clock()
    values: dict[str, Any] = change.model_dump(exclude_none=True, exclude={"new_name"})
    if change.new_name is not None and change.new_name != name:
        if find_id(rows, change.new_name) is not None:
            raise InvalidInput("Another project already has that name. Choose another new_name.")
        values["name"] = change.new_name
        # Its captures are indexed by its name, so they are due again; those set aside stay so.
        stale = rows.update(captures).where(captures.c.project_id == project_id, captures.c.failure.is_(None))
        rows.run(stale.values(attempts=0, lease=None, due_at=now))
    if values:
        rows.run(rows.update(projects).where(row.id == project_id).values(**values, updated_at=now))
    return _with_id(rows, project_id)


def _counts(rows: Rows, project_ids: list[int]) -> dict[int, int]:
    if not project_ids:
        return {}
    row = captures.c
    statement = rows.select(row.project_id, func.count().label("held"), of=captures).where(
        among(row.project_id, project_ids)
    )
    return {each.project_id: each.held for each in rows.run(statement.group_by(row.project_id))}


def _project(row: AnyRow, counts: dict[int, int]) -> Project:
    return Project(
        name=row.name,
        description=row.description,
        goal=row.goal,
        archived=row.archived,
        captures=counts.get(row.id, 0),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
