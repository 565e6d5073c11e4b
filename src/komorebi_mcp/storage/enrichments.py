"""Storing what the background found out about captures: few statements, however many captures."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import bindparam, select, update

from komorebi_mcp.domain.captures import Enrichment, Status
from komorebi_mcp.domain.jobs import Job
from komorebi_mcp.storage import index, leaves, near_duplicates, scopes, vectors
from komorebi_mcp.storage.owned import Rows, among, batches, of_owner
from komorebi_mcp.storage.prepared import Prepared, in_list
from komorebi_mcp.storage.tables import captures, entities

# Made once: building a statement costs more than running it.
_HELD = Prepared(
    select(
        captures.c.seq,
        captures.c.id,
        captures.c.lease,
        captures.c.project_id,
        captures.c.title,
        captures.c.title_given,
        captures.c.status,
        captures.c.tokens,
        captures.c.kind,
        captures.c.created_at,
    )
    .where(of_owner(captures), in_list(captures.c.id, "ids"))
    # In one order always: other transactions lock these rows, too.
    .order_by(captures.c.seq)
    .with_for_update()
)
_FINISH = Prepared(
    update(captures)
    .where(of_owner(captures), captures.c.seq == bindparam("of_seq"))
    .values(
        title=bindparam("new_title"),
        status=bindparam("new_status"),
        tokens=bindparam("new_tokens"),
        language=bindparam("new_language"),
        keywords=bindparam("new_keywords", type_=captures.c.keywords.type),
        updated_at=bindparam("now", type_=captures.c.updated_at.type),
        attempts=0,
        lease=None,
        due_at=None,
        failure=None,
    )
)


class _Held(NamedTuple):
    """A capture that is the job's, and what was found out about it."""

    row: Any
    found: Enrichment
    tags: tuple[str, ...]


def store_all(rows: Rows, finished: Iterable[tuple[Job, Enrichment]]) -> list[str]:
    """Stores what was found and ends those jobs; the ids of the captures that still were the job's.

    A job whose lease is another one's by now, or whose capture is gone, changes nothing.
    """
    held = _still_held(rows, finished)
    if not held:
        return []
    now = rows.clock()
    rows.change(
        _FINISH,
        [
            {
                "of_seq": row.seq,
                "new_title": row.title if row.title_given else found.title,
                "new_status": Status.PROCESSED.value if row.status == Status.INBOX else row.status,
                "new_tokens": found.tokens,
                "new_language": found.language,
                "new_keywords": list(found.keywords),
                "now": now,
            }
            for row, found, _ in held
        ],
    )
    _place_imported(rows, held)
    drop(rows, [row.seq for row, *_ in held if row.tokens is not None])
    rows.insert(
        entities,
        [
            {
                "seq": row.seq,
                "position": position,
                "type": entity.type.value,
                "value": entity.value,
                "start": entity.start,
                "end": entity.end,
            }
            for row, found, _ in held
            for position, entity in enumerate(found.entities)
        ],
    )
    index.put(rows, [_entry(rows.owner, each) for each in held])
    near_duplicates.put(
        rows, [(row.seq, found.signature) for row, found, _ in held if found.signature is not None]
    )
    vectors.add(rows, [(row.seq, found.vector) for row, found, _ in held if found.vector is not None])
    return [row.id for row, *_ in held]


def drop(rows: Rows, seqs: Sequence[int]) -> None:
    """Takes back what had been found out about these captures."""
    near_duplicates.drop(rows, seqs)
    index.drop(rows, seqs)
    for some in batches(seqs):
        rows.run(rows.delete(entities).where(among(entities.c.seq, some)))


def _entry(owner: str, held: _Held) -> index.Entry:
    row = held.row
    scope = scopes.scope(
        owner, project_id=row.project_id, kind=row.kind, tags=held.tags, created_at=row.created_at
    )
    return index.Entry(row.seq, scope, held.found)


def _still_held(rows: Rows, finished: Iterable[tuple[Job, Enrichment]]) -> list[_Held]:
    # A change of tags would have taken the lease away.
    by_id = {(job.capture.id, job.lease): (found, job.capture.tags) for job, found in finished}
    held: list[_Held] = []
    for some in batches(dict.fromkeys(capture_id for capture_id, _ in by_id)):
        for row in rows.fetch(_HELD, ids=some):
            found = by_id.get((row.id, row.lease))
            if found is not None:
                held.append(_Held(row, *found))
    return held


def _place_imported(rows: Rows, held: Sequence[_Held]) -> None:
    """Captures imported as covered by a summary get their place under one that is still to be made here."""
    placed: dict[int, list[int]] = {}
    for row, *_ in held:
        if row.status == Status.COMPACTED and row.tokens is None and row.project_id is not None:
            placed.setdefault(row.project_id, []).append(row.seq)
    for project_id, seqs in placed.items():
        leaves.place(rows, project_id, seqs)
