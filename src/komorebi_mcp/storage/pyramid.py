"""The pyramids of one owner: which parts are due, and the nodes that are kept."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, exists

from komorebi_mcp.domain.captures import Capture, Status
from komorebi_mcp.domain.ids import new_id
from komorebi_mcp.domain.nodes import Node, NodeCreate, Shape, Work
from komorebi_mcp.domain.pyramid import FAN_OUT, Place, above, beside, group
from komorebi_mcp.storage import leaves
from komorebi_mcp.storage.hydrate import WHOLE, WITH_PROJECT, whole
from komorebi_mcp.storage.owned import AnyRow, Rows, among, batches, equals
from komorebi_mcp.storage.sessions import Session
from komorebi_mcp.storage.tables import captures, projects, summaries, summary_children, summary_sources
from komorebi_mcp.storage.tables import leaves as leaf_rows

_WRITTEN = ("sentences", "covers", "method", "rejected", "truncated", "max_tokens")
"""Fields of a node that are columns of the same name."""
_PLACED_MAX = 1_000
"""Captures that get their place in one transaction."""


class PyramidRepository:
    """The pyramids of one owner's projects, within one transaction."""

    def __init__(self, session: Session, bind: Callable[[Connection], Rows]) -> None:
        self._session = session
        self._bind = bind

    async def take(self, project_id: int, *, leaves_max: int) -> Work | None:
        """Some of what is due, captures new to the pyramid given their places; None where nothing is.

        It is not claimed: two may take the same, and the second to `keep` it is refused.
        """
        return await self._session.run(
            lambda connection: _take(self._bind(connection), project_id, leaves_max)
        )

    async def keep(
        self, work: Work, made: Sequence[NodeCreate], *, gone: Sequence[Place]
    ) -> list[str] | None:
        """Keeps the nodes made, lower levels first, and drops those gone.

        The ids of the captures that are covered from now on; None, and nothing written, where any of the
        work has changed since it was taken.
        """
        return await self._session.run(lambda connection: _keep(self._bind(connection), work, made, gone))

    async def shape(self, project: str) -> Shape | None:
        """What there is of the project's pyramid; None where there is no such project."""
        return await self._session.run(lambda connection: _shape(self._bind(connection), project))

    async def nodes(self, project_id: int, places: Iterable[Place]) -> dict[Place, Node]:
        """Those of the nodes that there are."""
        return await self._session.run(lambda connection: _read(self._bind(connection), project_id, places))

    async def captures_at(self, project_id: int, positions: Sequence[int]) -> list[Capture]:
        """What the leaves at those positions hold, in their order."""
        found = await self._session.run(
            lambda connection: leaves.read(self._bind(connection), project_id, positions)
        )
        return [leaf.capture for leaf in found if leaf.capture is not None]

    async def unplaced(self, project_id: int, *, limit: int) -> list[Capture]:
        """The newest captures that have no place in the pyramid yet, in the order of their arrival."""
        return await self._session.run(
            lambda connection: _unplaced(self._bind(connection), project_id, limit)
        )


def _take(rows: Rows, project_id: int, leaves_max: int) -> Work | None:
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
        nodes=_read(rows, project_id, places),
    )


def _keep(rows: Rows, work: Work, made: Sequence[NodeCreate], gone: Sequence[Place]) -> list[str] | None:
    positions = [leaf.position for leaf in work.leaves]
    now = leaves.versions(rows, work.project_id, positions)
    unchanged = {position: edited for position, (edited, _) in now.items()} == {
        leaf.position: leaf.edited for leaf in work.leaves
    }
    row = summaries.c
    columns = (row.seq, row.id, row.level, row.position, row.input_hash)
    there = {
        Place(each.level, each.position): each for each in _at(rows, work.project_id, work.places, *columns)
    }
    as_read = {place: node.input_hash for place, node in work.nodes.items()}
    if not unchanged or {place: each.input_hash for place, each in there.items()} != as_read:
        return None
    if leaves.size(rows, work.project_id) != work.size:
        return None
    if work.due_next is not None and not leaves.is_due(rows, work.project_id, work.due_next):
        # Somebody has made the nodes above it without these.
        return None
    drop(rows, [there[place].seq for place in gone if place in there])
    ids = {place: each.id for place, each in there.items() if place not in gone}
    for node in made:
        ids[node.place] = _put(rows, work.project_id, node, there.get(node.place), ids)
    return leaves.settle(rows, work.project_id, positions)


def _put(
    rows: Rows, project_id: int, node: NodeCreate, before: AnyRow | None, ids: Mapping[Place, str]
) -> str:
    """Writes the node over the one that stood in its place, whose id it keeps."""
    written = node.model_dump(mode="json")
    values: dict[str, Any] = {
        **{name: written[name] for name in _WRITTEN},
        "version": node.version,
        "input_hash": node.input_hash,
        "statistics": {"kinds": written["kinds"], "counts": written["counts"]},
        "created_at": rows.clock(),
    }
    if before is not None:
        node_id, seq = str(before.id), before.seq
        rows.run(rows.update(summaries).where(summaries.c.seq == seq).values(values))
        for table in (summary_sources, summary_children):
            rows.run(rows.delete(table).where(table.c.seq == seq))
    else:
        node_id = new_id()
        place = {"level": node.place.level, "position": node.place.position, "project_id": project_id}
        rows.insert(summaries, [{"id": node_id, **place, "whole": False, "scope": {}, **values}])
        found = rows.select(summaries.c.seq, of=summaries).where(summaries.c.id == node_id)
        seq = rows.run(found).scalar_one()
    cited = dict.fromkeys(source for sentence in node.sentences for source in sentence.sources)
    rows.insert(summary_sources, [{"seq": seq, "capture_id": capture_id} for capture_id in cited])
    children = [
        {"seq": seq, "child_id": ids[place], "position": position}
        for position, place in enumerate(node.children)
    ]
    rows.insert(summary_children, children)
    return node_id


def drop(rows: Rows, seqs: Iterable[int]) -> None:
    """Deletes summaries, their sources and links with them."""
    doomed = list(seqs)
    for table in (summary_sources, summary_children, summaries):
        for some in batches(doomed):
            rows.run(rows.delete(table).where(among(table.c.seq, some)))


def above_captures(rows: Rows, capture_ids: Sequence[str]) -> dict[int, str]:
    """The nodes that cover any of the captures, in whichever projects these are or were: seq and id."""
    leaf = leaf_rows.c
    both = leaf_rows.join(
        captures, (captures.c.seq == leaf.capture_seq) & (captures.c.owner == leaf_rows.c.owner)
    )
    positions: dict[int, set[int]] = defaultdict(set)
    for some in batches(capture_ids):
        statement = rows.select(leaf.project_id, leaf.position, of=leaf_rows).select_from(both)
        for project_id, position in rows.run(statement.where(among(captures.c.id, some))):
            positions[project_id].add(position)
    found: dict[int, str] = {}
    for project_id, mine in positions.items():
        size = leaves.size(rows, project_id)
        places = {place for position in mine for place in above(position, size)}
        for each in _at(rows, project_id, places, summaries.c.seq, summaries.c.id):
            found[each.seq] = each.id
    return found


def _read(rows: Rows, project_id: int, places: Iterable[Place]) -> dict[Place, Node]:
    found = _at(rows, project_id, places, summaries)
    return {Place(row.level, row.position): _node(row) for row in found}


def _at(rows: Rows, project_id: int, places: Iterable[Place], *columns: Any) -> list[AnyRow]:
    row = summaries.c
    by_level: dict[int, list[int]] = defaultdict(list)
    for level, position in places:
        by_level[level].append(position)
    found: list[AnyRow] = []
    for level, positions in sorted(by_level.items()):
        for some in batches(sorted(positions)):
            statement = rows.select(*columns, of=summaries).where(row.project_id == project_id)
            statement = statement.where(row.level == level, among(row.position, some))
            found += rows.run(statement.order_by(row.position))
    return found


def _node(row: AnyRow) -> Node:
    return Node(
        id=row.id,
        place=Place(row.level, row.position),
        sentences=row.sentences,
        kinds=row.statistics["kinds"],
        counts=row.statistics["counts"],
        covers=row.covers,
        truncated=row.truncated,
        input_hash=row.input_hash,
        method=row.method,
        version=row.version,
        rejected=row.rejected,
        max_tokens=row.max_tokens,
    )


def _shape(rows: Rows, project: str) -> Shape | None:
    named = rows.select(projects.c.id, of=projects).where(equals(projects.c.name, project))
    project_id = rows.run(named).scalar()
    if project_id is None:
        return None
    row = summaries.c
    nodes = rows.select(row.level, row.position, of=summaries)
    nodes = nodes.where(row.project_id == project_id, row.position.is_not(None))
    made = rows.select(row.created_at, of=summaries)
    made = made.where(row.project_id == project_id, row.position.is_not(None))
    return Shape(
        project_id=project_id,
        size=leaves.size(rows, project_id),
        due=tuple(leaves.due_positions(rows, project_id)),
        places=frozenset(Place(each.level, each.position) for each in rows.run(nodes)),
        made_at=rows.run(made.order_by(row.level.desc()).limit(1)).scalar(),
    )


def _unplaced(rows: Rows, project_id: int, limit: int) -> list[Capture]:
    row = captures.c
    placed = exists(
        rows.select(leaf_rows.c.position, of=leaf_rows).where(
            leaf_rows.c.capture_seq == row.seq, leaf_rows.c.project_id == project_id
        )
    )
    statement = rows.select(*WHOLE, of=captures).select_from(WITH_PROJECT)
    statement = statement.where(row.project_id == project_id, ~placed)
    statement = statement.where(row.status.in_((Status.INBOX.value, Status.PROCESSED.value)))
    found = rows.run(statement.order_by(row.seq.desc()).limit(limit)).all()
    return whole(rows.connection, found[::-1], rows=rows)
