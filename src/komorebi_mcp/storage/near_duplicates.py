"""Near-duplicates: captures that say almost the same, whatever their projects.

Every indexed capture has a signature; the bands of signatures lead from one capture to those like it. What is
near what is not stored but read from them, so that no edit leaves anything to put right.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, func, or_, select

from komorebi_mcp.domain.captures import NearDuplicate, Status
from komorebi_mcp.storage.owned import Rows, batches, canonical, of_owner
from komorebi_mcp.storage.prepared import Prepared, in_list
from komorebi_mcp.storage.tables import capture_bands, capture_index, captures
from komorebi_mcp.text.likeness import LIKE_MIN, bands, similarity

BAND_CAPTURES_MAX = 64
"""Captures kept under one band, the first to come: of thousands of like log lines, some are enough."""
_SHOWN_MAX = 5

# Made once: building a statement costs more than running it.
_FILLED = Prepared(
    select(capture_bands.c.band, func.count().label("captures"))
    .where(of_owner(capture_bands), in_list(capture_bands.c.band, "bands"))
    .group_by(capture_bands.c.band)
)
_REMOVE = Prepared(
    delete(capture_bands).where(
        of_owner(capture_bands),
        capture_bands.c.band == bindparam("of_band"),
        capture_bands.c.seq == bindparam("of_seq"),
    )
)
_SIGNATURES = Prepared(
    select(capture_index.c.seq, capture_index.c.signature).where(
        of_owner(capture_index), in_list(capture_index.c.seq, "seqs"), capture_index.c.signature.is_not(None)
    )
)
_SIGNED = (
    select(captures.c.seq, captures.c.id, captures.c.title, captures.c.group_id, capture_index.c.signature)
    .select_from(captures.join(capture_index, capture_index.c.seq == captures.c.seq))
    .where(of_owner(captures), of_owner(capture_index), capture_index.c.signature.is_not(None))
)
_ASKED = Prepared(_SIGNED.where(in_list(captures.c.id, "ids")))
_SHARING = Prepared(
    select(capture_bands.c.band, capture_bands.c.seq).where(
        of_owner(capture_bands), in_list(capture_bands.c.band, "bands")
    )
)
_CANDIDATES = Prepared(
    _SIGNED.where(
        in_list(captures.c.seq, "seqs"),
        # Folded under the first one, like everywhere.
        captures.c.duplicate_of.is_(None),
        captures.c.status != Status.ARCHIVED.value,
        # Of a long text its beginning stands for the whole.
        or_(captures.c.group_id.is_(None), captures.c.group_id == captures.c.id),
    )
)


def put(rows: Rows, signed: Iterable[tuple[int, bytes]]) -> None:
    """Files indexed captures under the bands of their signatures."""
    wanted = [(band, seq) for seq, signature in signed for band in bands(signature)]
    filled: dict[int, int] = {}
    for some in batches(dict.fromkeys(band for band, _ in wanted)):
        filled |= {row.band: row.captures for row in rows.fetch(_FILLED, bands=some)}
    fresh: list[dict[str, int]] = []
    for band, seq in wanted:
        filled[band] = filled.get(band, 0) + 1
        if filled[band] <= BAND_CAPTURES_MAX:
            fresh.append({"band": band, "seq": seq})
    rows.insert(capture_bands, fresh)


def drop(rows: Rows, seqs: Iterable[int]) -> None:
    """Takes captures out of all bands; to be done while they are still indexed."""
    for some in batches(seqs):
        filed = [
            {"of_band": band, "of_seq": row.seq}
            for row in rows.fetch(_SIGNATURES, seqs=some)
            for band in bands(row.signature)
        ]
        rows.change(_REMOVE, filed)


def nearest(rows: Rows, ids: Sequence[str]) -> dict[str, tuple[NearDuplicate, ...]]:
    """The nearest duplicates of each capture that has any, by its id, the most similar first.

    Copies are told under the first one of them, passages under the first one of their text, archived captures
    not at all.
    """
    asked: list[Any] = []
    for some in batches(canonical(ids)):
        asked += rows.fetch(_ASKED, ids=some)
    sharing = _sharing(rows, (row.signature for row in asked))
    there: dict[int, Any] = {}
    for some in batches({seq for seqs in sharing.values() for seq in seqs}):
        there |= {row.seq: row for row in rows.fetch(_CANDIDATES, seqs=some)}
    found: dict[str, tuple[NearDuplicate, ...]] = {}
    for row in asked:
        others = {seq for band in bands(row.signature) for seq in sharing.get(band, ())} & there.keys()
        alike = _most_similar(row, [there[seq] for seq in sorted(others)])
        if alike:
            found[row.id] = alike
    return found


def _sharing(rows: Rows, signatures: Iterable[bytes]) -> dict[int, list[int]]:
    """By band of these signatures, the captures filed under it."""
    wanted = dict.fromkeys(band for signature in signatures for band in bands(signature))
    sharing: defaultdict[int, list[int]] = defaultdict(list)
    for some in batches(wanted):
        for band, seq in rows.fetch(_SHARING, bands=some):
            sharing[band].append(seq)
    return sharing


def _most_similar(row: Any, candidates: Iterable[Any]) -> tuple[NearDuplicate, ...]:
    alike = [
        NearDuplicate(id=other.id, title=other.title, similarity=round(score, 2))
        for other in candidates
        if other.seq != row.seq
        and (other.group_id is None or other.group_id != row.group_id)
        and (score := similarity(row.signature, other.signature)) >= LIKE_MIN
    ]
    # Stable, so that of those equally alike the earlier ones come first.
    return tuple(sorted(alike, key=lambda other: -other.similarity)[:_SHOWN_MAX])
