"""Vectors of captures, and who still lacks one.

A vector goes with the capture's row in the index, so that an edit takes it away, and so does forgetting.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, func, null, select

from komorebi_mcp.domain.jobs import Unread
from komorebi_mcp.domain.vectors import Coverage, Vector
from komorebi_mcp.storage.owned import Rows, among, of_owner
from komorebi_mcp.storage.prepared import Prepared, in_list
from komorebi_mcp.storage.tables import capture_index, capture_vectors, captures

READ_CHARS_MAX = 100_000
"""Of a longer text that waits for its vector the snippet is read: its beginning, as the model reads it."""

_SINCE_MAX = 5_000
"""Read in one statement, so that little is in memory twice."""
_WINDOW = 5_000
"""So many arrival numbers are looked at in one statement, so that none takes long."""

_vector = capture_vectors.c
_SINCE = Prepared(
    select(_vector.place, _vector.seq, _vector.vector)
    .where(
        of_owner(capture_vectors), _vector.model == bindparam("of_model"), _vector.place > bindparam("behind")
    )
    .order_by(_vector.place)
    .limit(_SINCE_MAX)
)
_HELD = Prepared(
    select(_vector.seq, _vector.vector).where(
        of_owner(capture_vectors), _vector.model == bindparam("of_model"), in_list(_vector.seq, "seqs")
    )
)
_FINGERPRINTS = Prepared(
    select(captures.c.seq, captures.c.fingerprint)
    .select_from(captures.join(capture_index, capture_index.c.seq == captures.c.seq))
    .where(of_owner(captures), of_owner(capture_index), in_list(captures.c.seq, "seqs"))
)


def add(rows: Rows, found: Iterable[tuple[int, Vector]]) -> None:
    """Keeps the vectors of captures that are in the index and have none."""
    rows.insert(
        capture_vectors,
        [{"seq": seq, "model": vector.model, "vector": vector.values} for seq, vector in found],
    )


def replace(rows: Rows, found: Sequence[tuple[Unread, Vector]]) -> None:
    """Keeps vectors in place of other models', but for captures that changed since they were read."""
    read = rows.fetch(_FINGERPRINTS, seqs=[each.seq for each, _ in found])
    fingerprints = {row.seq: row.fingerprint for row in read}
    same = {each.seq: vector for each, vector in found if fingerprints.get(each.seq) == each.fingerprint}
    rows.run(rows.delete(capture_vectors).where(among(_vector.seq, same)))
    add(rows, same.items())


def of(rows: Rows, model: str, seqs: Collection[int]) -> dict[int, bytes]:
    """The vectors that this model made of these captures."""
    return {seq: bytes(values) for seq, values in rows.fetch(_HELD, of_model=model, seqs=seqs)}


def since(rows: Rows, model: str, place: int) -> Sequence[Any]:
    """Place, capture and vector of the first that were kept after that place, in their order."""
    return rows.fetch(_SINCE, of_model=model, behind=place)


def place_behind(rows: Rows, model: str, count: int) -> int:
    """The place behind which only the newest `count` vectors are; 0 where there are no more than that."""
    places = rows.select(_vector.place, of=capture_vectors).where(_vector.model == model)
    return int(rows.run(places.order_by(_vector.place.desc()).limit(1).offset(count)).scalar() or 0)


def unread(connection: Connection, model: str, *, behind: int, limit: int) -> tuple[list[Unread], int]:
    """Enriched captures of any owner that this model has not read, by arrival, and how far was looked.

    It begins behind that arrival number, and has seen all there is where it got no further.
    """
    row, entry = captures.c, capture_index.c
    content = case((row.chars <= READ_CHARS_MAX, row.content), else_=null())
    has_one = and_(_vector.seq == entry.seq, _vector.owner == entry.owner, _vector.model == model)
    lacking = (
        select(row.owner, row.seq, row.fingerprint, content.label("content"), row.snippet)
        .select_from(
            capture_index.join(captures, and_(row.seq == entry.seq, row.owner == entry.owner)).outerjoin(
                capture_vectors, has_one
            )
        )
        .where(entry.seq > behind, entry.seq <= behind + _WINDOW, _vector.seq.is_(None))
        .order_by(entry.seq)
        .limit(limit)
    )
    newest = connection.execute(select(func.max(entry.seq))).scalar() or 0
    if newest <= behind:
        return [], behind
    found = [
        Unread(
            owner=each.owner,
            seq=each.seq,
            fingerprint=each.fingerprint,
            content=each.snippet if each.content is None else each.content,
        )
        for each in connection.execute(lacking)
    ]
    return found, found[-1].seq if len(found) == limit else min(behind + _WINDOW, newest)


def coverage(connection: Connection, model: str) -> Coverage:
    """How many captures of all owners this model has read."""
    read = select(func.count()).select_from(capture_vectors).where(_vector.model == model)
    indexed = select(func.count()).select_from(capture_index)
    return Coverage(
        read=connection.execute(read).scalar_one(), indexed=connection.execute(indexed).scalar_one()
    )
