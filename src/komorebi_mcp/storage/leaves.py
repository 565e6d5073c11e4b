"""The places of captures at the foot of their project's pyramid."""

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, bindparam, literal_column, select, update

from komorebi_mcp.domain.captures import CaptureText, Status
from komorebi_mcp.domain.nodes import Leaf
from komorebi_mcp.storage.hydrate import TEXT, texts
from komorebi_mcp.storage.owned import Rows, among, batches, of_owner
from komorebi_mcp.storage.prepared import Prepared, in_list
from komorebi_mcp.storage.tables import captures, leaves

PROCESSED: ColumnElement[str] = literal_column(f"'{Status.PROCESSED}'")
"""Written out: SQLite uses a partial index only where the statement itself says what it holds."""
DUE = leaves.c.edited > leaves.c.seen

_LEAF, _CAPTURE = leaves.c, captures.c
_HERE = (of_owner(leaves), _LEAF.project_id == bindparam("of_project"))
_AT = (*_HERE, in_list(_LEAF.position, "positions"))
_OF_PROJECT = (of_owner(captures), _CAPTURE.project_id == bindparam("of_project"))
# Made once: building a statement costs more than running it.
_PLACED = Prepared(select(_LEAF.capture_seq).where(*_HERE, in_list(_LEAF.capture_seq, "seqs")))
_AGAIN = Prepared(
    update(leaves)
    .where(*_HERE, in_list(_LEAF.capture_seq, "seqs"), _LEAF.edited == _LEAF.seen)
    .values(edited=_LEAF.edited + 1)
)
_LAST = Prepared(select(_LEAF.position).where(*_HERE).order_by(_LEAF.position.desc()).limit(1))
_UNCOVERED = Prepared(
    select(_CAPTURE.seq)
    .where(*_OF_PROJECT, _CAPTURE.status == PROCESSED)
    .order_by(_CAPTURE.seq)
    .limit(bindparam("most"))
)
_DUE = select(_LEAF.position).where(*_HERE, DUE).order_by(_LEAF.position)
_ALL_DUE = Prepared(_DUE)
_FIRST_DUE = Prepared(_DUE.limit(bindparam("most")))
_DUE_AT = Prepared(_DUE.where(_LEAF.position == bindparam("of_position")))
_VERSIONS = Prepared(
    select(_LEAF.position, _LEAF.edited, _LEAF.capture_seq).where(*_AT).order_by(_LEAF.position)
)
_TEXTS = Prepared(
    select(*TEXT).where(*_OF_PROJECT, in_list(_CAPTURE.seq, "seqs"), _CAPTURE.status != Status.ARCHIVED.value)
)
_SEE = Prepared(update(leaves).where(*_AT).values(seen=_LEAF.edited))
_WAITING = Prepared(
    select(_CAPTURE.seq, _CAPTURE.id)
    .where(
        *_OF_PROJECT,
        _CAPTURE.seq.in_(select(_LEAF.capture_seq).where(*_AT)),
        _CAPTURE.status == Status.PROCESSED.value,
    )
    .order_by(_CAPTURE.seq)
)
_COMPACT = Prepared(
    update(captures)
    .where(of_owner(captures), in_list(_CAPTURE.seq, "seqs"))
    .values(status=Status.COMPACTED.value, updated_at=bindparam("now", type_=_CAPTURE.updated_at.type))
)


def mark(rows: Rows, seqs: Iterable[int]) -> None:
    """Says that the captures have changed, or where they belong has."""
    for some in batches(seqs):
        changed = rows.update(leaves).where(among(leaves.c.capture_seq, some))
        rows.run(changed.values(edited=leaves.c.edited + 1))


def release(rows: Rows, seqs: Iterable[int]) -> None:
    """Leaves holes where the captures were, which are about to be deleted."""
    for some in batches(seqs):
        changed = rows.update(leaves).where(among(leaves.c.capture_seq, some))
        rows.run(changed.values(edited=leaves.c.edited + 1, capture_seq=None))


def place(rows: Rows, project_id: int, seqs: Sequence[int]) -> None:
    """Gives the captures the project's next places, in their order; those that have one are due again."""
    known: set[int] = set()
    for some in batches(seqs):
        known |= {row.capture_seq for row in rows.fetch(_PLACED, of_project=project_id, seqs=some)}
        rows.change(_AGAIN, [{"of_project": project_id, "seqs": some}])
    fresh = [seq for seq in seqs if seq not in known]
    start = size(rows, project_id)
    new = {"project_id": project_id, "edited": 1, "seen": 0}
    rows.insert(leaves, [{**new, "position": start + n, "capture_seq": seq} for n, seq in enumerate(fresh)])


def size(rows: Rows, project_id: int) -> int:
    """How many places the project has given away."""
    last = rows.fetch(_LAST, of_project=project_id)
    return int(last[0].position) + 1 if last else 0


def uncovered(rows: Rows, project_id: int, limit: int) -> list[int]:
    """Enriched captures of the project that no node covers yet, in the order of their arrival."""
    return [row.seq for row in rows.fetch(_UNCOVERED, of_project=project_id, most=limit)]


def due_positions(rows: Rows, project_id: int, limit: int | None = None) -> list[int]:
    if limit is None:
        found = rows.fetch(_ALL_DUE, of_project=project_id)
    else:
        found = rows.fetch(_FIRST_DUE, of_project=project_id, most=limit)
    return [row.position for row in found]


def is_due(rows: Rows, project_id: int, position: int) -> bool:
    return bool(rows.fetch(_DUE_AT, of_project=project_id, of_position=position))


def read(rows: Rows, project_id: int, positions: Sequence[int]) -> tuple[Leaf, ...]:
    """The leaves at those positions, with the captures that may be told of."""
    found = versions(rows, project_id, positions)
    there: dict[int, CaptureText] = {}
    for some in batches(seq for _, seq in found.values() if seq is not None):
        told = rows.fetch(_TEXTS, of_project=project_id, seqs=some)
        there |= {each.seq: text for each, text in zip(told, texts(told), strict=True)}
    return tuple(
        Leaf(position=position, edited=edited, capture=None if seq is None else there.get(seq))
        for position, (edited, seq) in found.items()
    )


def versions(rows: Rows, project_id: int, positions: Sequence[int]) -> dict[int, tuple[int, int | None]]:
    """By position: how often the leaf was edited, and its capture."""
    found: dict[int, tuple[int, int | None]] = {}
    for some in batches(positions):
        for each in rows.fetch(_VERSIONS, of_project=project_id, positions=some):
            found[each.position] = (each.edited, each.capture_seq)
    return found


def settle(rows: Rows, project_id: int, positions: Sequence[int]) -> list[str]:
    """Says that nodes have seen these leaves; the ids of the captures that are covered from now on."""
    covered: list[str] = []
    for some in batches(positions):
        rows.change(_SEE, [{"of_project": project_id, "positions": some}])
        found = rows.fetch(_WAITING, of_project=project_id, positions=some)
        rows.change(_COMPACT, [{"seqs": [each.seq for each in found], "now": rows.clock()}] if found else [])
        covered += [each.id for each in found]
    return covered
