"""Rows of the nodes of pyramids: written few statements at a time, however many nodes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, select, update

from komorebi_mcp.domain.ids import new_id
from komorebi_mcp.domain.nodes import Node, NodeCreate
from komorebi_mcp.domain.pyramid import Place, above
from komorebi_mcp.storage import leaves
from komorebi_mcp.storage.owned import Rows, among, batches, of_owner
from komorebi_mcp.storage.prepared import Prepared, in_list
from komorebi_mcp.storage.tables import captures, summaries, summary_children, summary_sources
from komorebi_mcp.storage.tables import leaves as leaf_rows

_WRITTEN = {"sentences", "covers", "method", "rejected", "truncated", "max_tokens"}
"""Fields of a node that are columns of the same name."""

_NODE = summaries.c
_AT = (
    of_owner(summaries),
    _NODE.project_id == bindparam("of_project"),
    _NODE.level == bindparam("of_level"),
    in_list(_NODE.position, "positions"),
)
# Made once: building a statement costs more than running it.
_FOUND = Prepared(
    select(_NODE.seq, _NODE.id, _NODE.level, _NODE.position, _NODE.input_hash)
    .where(*_AT)
    .order_by(_NODE.position)
)
_WHOLE = Prepared(select(summaries).where(*_AT).order_by(_NODE.position))
_SEQS = Prepared(select(_NODE.seq, _NODE.id).where(of_owner(summaries), in_list(_NODE.id, "ids")))
_REWRITE = Prepared(
    update(summaries)
    .where(of_owner(summaries), _NODE.seq == bindparam("of_seq"))
    .values(
        {
            name: bindparam(f"new_{name}", type_=_NODE[name].type)
            for name in (*_WRITTEN, "version", "input_hash", "statistics", "created_at")
        }
    )
)
_CUT_OFF = tuple(
    Prepared(delete(table).where(of_owner(table), in_list(table.c.seq, "seqs")))
    for table in (summary_sources, summary_children)
)


def put(rows: Rows, project_id: int, made: Sequence[NodeCreate], there: Mapping[Place, Any]) -> None:
    """Writes the nodes, each over the one that stands in its place, whose id it keeps."""
    now = rows.clock()
    known = [node for node in made if node.place in there]
    fresh = [node for node in made if node.place not in there]
    ids = {place: str(each.id) for place, each in there.items()} | {node.place: new_id() for node in fresh}
    rewritten = ((node, _columns(node, now)) for node in known)
    rows.change(
        _REWRITE,
        [
            {"of_seq": there[node.place].seq, **{f"new_{name}": value for name, value in columns.items()}}
            for node, columns in rewritten
        ],
    )
    for statement in _CUT_OFF if known else ():
        rows.change(statement, [{"seqs": [there[node.place].seq for node in known]}])
    same = {"project_id": project_id, "whole": False, "scope": {}}
    rows.insert(
        summaries,
        [{"id": ids[node.place], **node.place._asdict(), **same, **_columns(node, now)} for node in fresh],
    )
    added = rows.fetch(_SEQS, ids=[ids[node.place] for node in fresh]) if fresh else []
    seqs = {each.id: each.seq for each in (*there.values(), *added)}
    rows.insert(
        summary_sources,
        [
            {"seq": seqs[ids[node.place]], "capture_id": capture_id}
            for node in made
            for capture_id in dict.fromkeys(source for each in node.sentences for source in each.sources)
        ],
    )
    rows.insert(
        summary_children,
        [
            {"seq": seqs[ids[node.place]], "child_id": ids[child], "position": position}
            for node in made
            for position, child in enumerate(node.children)
        ],
    )


def _columns(node: NodeCreate, now: datetime) -> dict[str, Any]:
    """What of the node is written over the one before."""
    return {
        **node.model_dump(mode="json", include=_WRITTEN),
        "version": node.version,
        "input_hash": node.input_hash,
        "statistics": {"kinds": node.kinds, "ranks": node.ranks, "counts": node.counts},
        "created_at": now,
    }


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
    nodes: dict[int, str] = {}
    for project_id, mine in positions.items():
        size = leaves.size(rows, project_id)
        places = {place for position in mine for place in above(position, size)}
        nodes |= {each.seq: each.id for each in found(rows, project_id, places).values()}
    return nodes


def read(rows: Rows, project_id: int, places: Iterable[Place]) -> dict[Place, Node]:
    return {Place(row.level, row.position): _node(row) for row in _at(rows, project_id, places, _WHOLE)}


def found(rows: Rows, project_id: int, places: Iterable[Place]) -> dict[Place, Any]:
    """Number, id and input hash of those of the nodes that there are."""
    there = _at(rows, project_id, places, _FOUND)
    return {Place(each.level, each.position): each for each in there}


def _at(rows: Rows, project_id: int, places: Iterable[Place], statement: Prepared) -> list[Any]:
    by_level: dict[int, list[int]] = defaultdict(list)
    for level, position in places:
        by_level[level].append(position)
    there: list[Any] = []
    for level, positions in sorted(by_level.items()):
        for some in batches(sorted(positions)):
            there += rows.fetch(statement, of_project=project_id, of_level=level, positions=some)
    return there


def _node(row: Any) -> Node:
    return Node(
        id=row.id,
        place=Place(row.level, row.position),
        sentences=row.sentences,
        kinds=row.statistics["kinds"],
        # Nodes of before there were ranks have none.
        ranks=tuple(row.statistics.get("ranks", ())),
        counts=row.statistics["counts"],
        covers=row.covers,
        truncated=row.truncated,
        input_hash=row.input_hash,
        method=row.method,
        version=row.version,
        rejected=row.rejected,
        max_tokens=row.max_tokens,
    )
