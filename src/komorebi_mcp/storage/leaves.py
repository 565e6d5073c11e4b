"""The places of captures at the foot of their project's pyramid."""

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, literal_column

from komorebi_mcp.domain.captures import Capture, Status
from komorebi_mcp.domain.nodes import Leaf
from komorebi_mcp.storage.hydrate import WHOLE, WITH_PROJECT, whole
from komorebi_mcp.storage.owned import Rows, among, batches
from komorebi_mcp.storage.tables import captures, leaves

PROCESSED: ColumnElement[str] = literal_column(f"'{Status.PROCESSED}'")
"""Written out: SQLite uses a partial index only where the statement itself says what it holds."""
DUE = leaves.c.edited > leaves.c.seen


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
    leaf = leaves.c
    here = leaf.project_id == project_id
    known: set[int] = set()
    for some in batches(seqs):
        placed = rows.select(leaf.capture_seq, of=leaves).where(here, among(leaf.capture_seq, some))
        known |= set(rows.run(placed).scalars())
        again = rows.update(leaves).where(here, among(leaf.capture_seq, some), leaf.edited == leaf.seen)
        rows.run(again.values(edited=leaf.edited + 1))
    fresh = [seq for seq in seqs if seq not in known]
    start = size(rows, project_id)
    new = {"project_id": project_id, "edited": 1, "seen": 0}
    rows.insert(leaves, [{**new, "position": start + n, "capture_seq": seq} for n, seq in enumerate(fresh)])


def size(rows: Rows, project_id: int) -> int:
    """How many places the project has given away."""
    last = rows.select(leaves.c.position, of=leaves).where(leaves.c.project_id == project_id)
    found = rows.run(last.order_by(leaves.c.position.desc()).limit(1)).scalar()
    return 0 if found is None else found + 1


def uncovered(rows: Rows, project_id: int, limit: int) -> list[int]:
    """Enriched captures of the project that no node covers yet, in the order of their arrival."""
    row = captures.c
    waiting = rows.select(row.seq, of=captures).where(row.project_id == project_id, row.status == PROCESSED)
    return list(rows.run(waiting.order_by(row.seq).limit(limit)).scalars())


def due_positions(rows: Rows, project_id: int, limit: int | None = None) -> list[int]:
    due = rows.select(leaves.c.position, of=leaves).where(leaves.c.project_id == project_id, DUE)
    return list(rows.run(due.order_by(leaves.c.position).limit(limit)).scalars())


def is_due(rows: Rows, project_id: int, position: int) -> bool:
    due = rows.select(leaves.c.position, of=leaves).where(leaves.c.project_id == project_id, DUE)
    return rows.run(due.where(leaves.c.position == position)).scalar() is not None


def read(rows: Rows, project_id: int, positions: Sequence[int]) -> tuple[Leaf, ...]:
    """The leaves at those positions, with the captures that may be told of."""
    row = captures.c
    found = versions(rows, project_id, positions)
    there: dict[int, Capture] = {}
    for some in batches(seq for _, seq in found.values() if seq is not None):
        here = rows.select(*WHOLE, of=captures).select_from(WITH_PROJECT)
        here = here.where(among(row.seq, some), row.project_id == project_id)
        told = rows.run(here.where(row.status != Status.ARCHIVED.value)).all()
        there |= {
            each.seq: capture
            for each, capture in zip(told, whole(rows.connection, told, rows=rows), strict=True)
        }
    return tuple(
        Leaf(position=position, edited=edited, capture=None if seq is None else there.get(seq))
        for position, (edited, seq) in found.items()
    )


def versions(rows: Rows, project_id: int, positions: Sequence[int]) -> dict[int, tuple[int, int | None]]:
    """By position: how often the leaf was edited, and its capture."""
    leaf = leaves.c
    found: dict[int, tuple[int, int | None]] = {}
    for some in batches(positions):
        columns = (leaf.position, leaf.edited, leaf.capture_seq)
        statement = rows.select(*columns, of=leaves).where(leaf.project_id == project_id)
        statement = statement.where(among(leaf.position, some)).order_by(leaf.position)
        found |= {each.position: (each.edited, each.capture_seq) for each in rows.run(statement)}
    return found


def settle(rows: Rows, project_id: int, positions: Sequence[int]) -> list[str]:
    """Says that nodes have seen these leaves; the ids of the captures that are covered from now on."""
    leaf, row = leaves.c, captures.c
    covered: list[str] = []
    for some in batches(positions):
        here = (leaf.project_id == project_id, among(leaf.position, some))
        rows.run(rows.update(leaves).where(*here).values(seen=leaf.edited))
        waiting = rows.select(row.seq, row.id, of=captures).where(
            row.seq.in_(rows.select(leaf.capture_seq, of=leaves).where(*here)),
            row.project_id == project_id,
            row.status == Status.PROCESSED.value,
        )
        found = rows.run(waiting.order_by(row.seq)).all()
        compacted = {"status": Status.COMPACTED.value, "updated_at": rows.clock()}
        changed = rows.update(captures).where(among(row.seq, [each.seq for each in found]))
        rows.run(changed.values(compacted))
        covered += [each.id for each in found]
    return covered
