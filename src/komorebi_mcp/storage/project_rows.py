"""Rows of projects as other tables refer to them: found by name, made with their first capture, touched."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Select, bindparam, select, update

from komorebi_mcp.domain.projects import no_such_project
from komorebi_mcp.storage.owned import Rows, batches, equals, of_owner
from komorebi_mcp.storage.prepared import Prepared, in_list
from komorebi_mcp.storage.tables import projects

_NAMES_COMPARED_MAX = 1_000
"""A name that is not there is compared with those of the projects changed last."""

# Made once: building a statement costs more than running it.
_IDS = Prepared(
    select(projects.c.name, projects.c.id).where(of_owner(projects), in_list(projects.c.name, "names"))
)
_TOUCH = Prepared(
    update(projects)
    .where(of_owner(projects), in_list(projects.c.id, "ids"))
    .values(updated_at=bindparam("now", type_=projects.c.updated_at.type))
)


def id_query(rows: Rows, name: str) -> Select[*tuple[int]]:
    """Selects the id of the project of that name, for other statements to refer to."""
    found: Select[*tuple[int]] = rows.select(projects.c.id, of=projects).where(equals(projects.c.name, name))
    return found


def find_id(rows: Rows, name: str) -> int | None:
    """The id of the project of that name; None where there is none."""
    found: int | None = rows.run(id_query(rows, name)).scalar()
    return found


def require_id(rows: Rows, name: str) -> int:
    """The id of the project of that name.

    Raises:
        NotFound: No project has that name.
    """
    found = find_id(rows, name)
    if found is None:
        raise no_such_project(name, _latest_names(rows))
    return found


def _latest_names(rows: Rows) -> Sequence[str]:
    latest = rows.select(projects.c.name, of=projects).order_by(projects.c.updated_at.desc())
    return rows.run(latest.limit(_NAMES_COMPARED_MAX)).scalars().all()


def ensure_projects(rows: Rows, names: Iterable[str]) -> dict[str, int]:
    """The id of each project, made where there is none yet."""
    wanted = sorted(set(names))
    found = _ids(rows, wanted)
    missing = [name for name in wanted if name not in found]
    if missing:
        now = rows.clock()
        blank = {"description": "", "goal": "", "archived": False, "created_at": now, "updated_at": now}
        rows.insert(projects, [{"name": name, **blank} for name in missing])
        found |= _ids(rows, missing)
    return found


def touch_projects(rows: Rows, project_ids: Iterable[int | None]) -> None:
    """Marks projects as updated now."""
    touched = {project_id for project_id in project_ids if project_id is not None}
    for some in batches(sorted(touched)):
        rows.change(_TOUCH, [{"ids": some, "now": rows.clock()}])


def _ids(rows: Rows, names: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for some in batches(names):
        found |= {row.name: row.id for row in rows.fetch(_IDS, names=some)}
    return found
