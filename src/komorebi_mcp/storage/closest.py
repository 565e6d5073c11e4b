"""The captures that mean what a query means, found by their vectors whatever their words.

The vectors of an owner are kept in memory, brought up to date by each search, and all compared. Imported only
once a model is there: it needs numpy.
"""

from collections.abc import Collection
from heapq import nlargest

from komorebi_mcp.domain.captures import CaptureFilter
from komorebi_mcp.domain.vectors import Vector
from komorebi_mcp.storage import vectors
from komorebi_mcp.storage.filters import folded
from komorebi_mcp.storage.owned import Rows
from komorebi_mcp.storage.prepared import in_list
from komorebi_mcp.storage.tables import captures
from komorebi_mcp.text.vectors import Shelf

CLOSE_MIN = 0.25
"""Cosine from which a capture that shares no word is a match."""
CLOSEST_MAX = 50
"""So many captures match by meaning at most."""

_LOOKED_AT = 200
"""So many of the nearest are asked for whether they fit: copies and archived ones do not."""
_FITTING_MAX = 3_000
"""Where a filter leaves few of those, the newest captures that fit it are compared instead."""
_VECTORS_MAX = 250_000
"""Of one owner, the newest: 64 MB at 256 dimensions, and 13 ms a search."""
_MEMORY_BYTES_MAX = 256_000_000
"""Of all owners; those that searched longest ago have theirs read again."""


class _Known(Shelf):
    """Vectors, and the place up to which they have been read."""

    def __init__(self, place: int) -> None:
        super().__init__(_VECTORS_MAX)
        self.place = place


def closest(rows: Rows, meaning: Vector, where: CaptureFilter, *, newest_seq: int) -> dict[int, float]:
    """The captures nearest in meaning that fit the filter, each with its cosine, at least `CLOSE_MIN`."""
    known = _up_to_date(rows, meaning.model)
    with rows.memory.lock:
        near = known.nearest(meaning.values, _LOOKED_AT)
    fitting = _fitting(rows, where, newest_seq, among=near)
    if len(fitting) < CLOSEST_MAX < len(near):
        newest = _fitting(rows, where, newest_seq, among=None)
        with rows.memory.lock:
            near |= known.nearest(meaning.values, CLOSEST_MAX, among=newest)
        fitting |= newest
    best = nlargest(CLOSEST_MAX, fitting & near.keys(), key=lambda seq: (near[seq], seq))
    return {seq: near[seq] for seq in best if near[seq] >= CLOSE_MIN}


def closeness(rows: Rows, meaning: Vector, seqs: Collection[int]) -> dict[int, float]:
    """The cosine of each of these captures that the model has read."""
    held = vectors.of(rows, meaning.model, seqs)
    known = _up_to_date(rows, meaning.model)
    with rows.memory.lock:
        near = known.cosines(meaning.values, list(held.values()))
    return dict(zip(held, near, strict=True))


def _up_to_date(rows: Rows, model: str) -> _Known:
    """The owner's vectors with those that came since the last search. Of captures that are gone they stay."""
    kept, whose = rows.memory.vectors, (rows.owner, model)
    known: _Known = kept.get(whose) or _Known(vectors.place_behind(rows, model, _VECTORS_MAX))
    with rows.memory.lock:
        # Put in again, so that whoever searched longest ago is the first to go.
        kept[whose] = known = kept.pop(whose, known)
    while fresh := vectors.since(rows, model, place := known.place):
        with rows.memory.lock:
            # Another search may have read the same meanwhile.
            if known.place == place:
                places, seqs, values = zip(*fresh, strict=True)
                known.add(seqs, values)
                known.place = places[-1]
    with rows.memory.lock:
        while len(kept) > 1 and sum(each.size_bytes for each in kept.values()) > _MEMORY_BYTES_MAX:
            del kept[next(iter(kept))]
    return known


def _fitting(rows: Rows, where: CaptureFilter, newest_seq: int, *, among: Collection[int] | None) -> set[int]:
    """Captures that fit the filter: those of `among`, or where that is None the newest of all."""
    row = captures.c
    fitting = rows.select(row.seq, of=captures).where(folded(rows, where), row.seq <= newest_seq)
    if among is None:
        return set(rows.run(fitting.order_by(row.seq.desc()).limit(_FITTING_MAX)).scalars())
    return set(rows.run(fitting.where(in_list(row.seq, "seqs")), {"seqs": among}).scalars())
