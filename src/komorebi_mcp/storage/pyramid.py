"""The pyramids of one owner: which parts are due, and the nodes that are kept."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import exists, func

from komorebi_mcp.domain.captures import CaptureText, Status
from komorebi_mcp.domain.nodes import Node, NodeCreate, Shape, Work
from komorebi_mcp.domain.pyramid import FAN_OUT, Place, above, beside, group
from komorebi_mcp.storage import leaves, nodes
from komorebi_mcp.storage.hydrate import TEXT, texts
from komorebi_mcp.storage.owned import OwnedSession, Rows
from komorebi_mcp.storage.project_rows import find_id, id_query
from komorebi_mcp.storage.tables import captures, projects, summaries
from komorebi_mcp.storage.tables import leaves as leaf_rows

_PLACED_MAX = 1_000
"""Captures that get their place in one transaction."""


class PyramidRepository:
    """The pyramids of one owner's projects, within one transaction."""

    def __init__(self, session: OwnedSession) -> None:
        self._session = session

    async def take(self, project_id: int, *, leaves_max: int) -> Work | None:
        """Some of what is due, captures new to the pyramid given their places; None where nothing is.

        It is not claimed: two may take the same, and the second to `keep` it is refused.
        """
        return await self._session.run(take, project_id, leaves_max=leaves_max)

    async def keep(
        self, work: Work, made: Sequence[NodeCreate], *, gone: Sequence[Place]
    ) -> list[str] | None:
        """Keeps the nodes made, lower levels first, and drops those gone.

        The ids of the captures that are covered from now on; None, and nothing written, where any of the
        work has changed since it was taken.
        """
        return await self._session.run(keep, work, made, gone=gone)

    async def shape(self, project: str) -> Shape | None:
        """What there is of the project's pyramid; None where there is no such project."""
        return await self._session.run(_shape, project)

    async def made_at(self, project: str) -> datetime | None:
        """When any node of the project's pyramid was last made; None where there is none."""
        return await self._session.run(_made_at, project)

    async def nodes(self, project_id: int, places: Iterable[Place]) -> dict[Place, Node]:
        """Those of the nodes that there are."""
        return await self._session.run(nodes.read, project_id, places)

    async def captures_at(self, project_id: int, positions: Sequence[int]) -> list[CaptureText]:
        """What the leaves at those positions hold, in their order."""
        found = await self._session.run(leaves.read, project_id, positions)
        return [leaf.capture for leaf in found if leaf.capture is not None]

    async def unplaced(self, project_id: int, *, limit: int) -> list[CaptureText]:
        """The newest captures that have no place in the pyramid yet, in the order of their arrival."""
        return await self._session.run(_unplaced, project_id, limit)


def take(rows: Rows, project_id: int, *, leaves_max: int) -> Work | None:
    """As `PyramidRepository.take`."""
    named = rows.select(projects.c.name, projects.c.goal, of=projects).where(projects.c.id == project_id)
    project = rows.run(named).first()
    if project is None:
        return None
    if fresh := leaves.uncovered(rows, project_id, _PLACED_MAX):
        leaves.place(rows, project_id, fresh)
    due = leaves.due_positions(rows, project_id, leaves_max + FAN_OUT)
    if not due:
        return None
    size = leaves.size(rows, project_id)
    groups = sorted({above(leaf, size)[0] for leaf in due[:leaves_max]})
    positions = [position for place in groups for position in group(place)]
    due_next = next((leaf for leaf in due if leaf > positions[-1]), None)
    places = beside(due[:leaves_max], size, due_next=due_next)
    return Work(
        project_id=project_id,
        project=project.name,
        goal=project.goal,
        size=size,
        due_next=due_next,
        leaves=leaves.read(rows, project_id, positions),
        places=tuple(places),
        nodes=nodes.read(rows, project_id, places),
    )


def keep(rows: Rows, work: Work, made: Sequence[NodeCreate], *, gone: Sequence[Place]) -> list[str] | None:
    """As `PyramidRepository.keep`."""
    positions = [leaf.position for leaf in work.leaves]
    now = leaves.versions(rows, work.project_id, positions)
    unchanged = {position: edited for position, (edited, _) in now.items()} == {
        leaf.position: leaf.edited for leaf in work.leaves
    }
    there = nodes.found(rows, work.project_id, work.places)
    as_read = {place: node.input_hash for place, node in work.nodes.items()}
    if not unchanged or {place: each.input_hash for place, each in there.items()} != as_read:
        return None
    if leaves.size(rows, work.project_id) != work.size:
        return None
    if work.due_next is not None and not leaves.is_due(rows, work.project_id, work.due_next):
        # Somebody has made the nodes above it without these.
        return None
    nodes.drop(rows, [there[place].seq for place in gone if place in there])
    for place in gone:
        there.pop(place, None)
    nodes.put(rows, work.project_id, made, there)
    return leaves.settle(rows, work.project_id, positions)


def _shape(rows: Rows, project: str) -> Shape | None:
    project_id = find_id(rows, project)
    if project_id is None:
        return None
    row = summaries.c
    there = rows.select(row.level, row.position, of=summaries)
    there = there.where(row.project_id == project_id, row.position.is_not(None))
    return Shape(
        project_id=project_id,
        size=leaves.size(rows, project_id),
        due=tuple(leaves.due_positions(rows, project_id)),
        places=frozenset(Place(each.level, each.position) for each in rows.run(there)),
    )


def _made_at(rows: Rows, project: str) -> datetime | None:
    named = id_query(rows, project).scalar_subquery()
    last = rows.select(func.max(summaries.c.created_at), of=summaries)
    made_at: datetime | None = rows.run(
        last.where(summaries.c.project_id == named, summaries.c.position.is_not(None))
    ).scalar()
    return made_at


def _unplaced(rows: Rows, project_id: int, limit: int) -> list[CaptureText]:
    row = captures.c
    placed = exists(
        rows.select(leaf_rows.c.position, of=leaf_rows).where(
            leaf_rows.c.capture_seq == row.seq, leaf_rows.c.project_id == project_id
        )
    )
    statement = rows.select(*TEXT, of=captures).where(row.project_id == project_id, ~placed)
    statement = statement.where(row.status.in_((Status.INBOX.value, Status.PROCESSED.value)))
    found = rows.run(statement.order_by(row.seq.desc()).limit(limit)).all()
    return texts(found[::-1])
