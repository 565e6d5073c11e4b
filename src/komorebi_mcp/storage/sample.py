"""Captures to summarize, and what stands for them where they are more than can be read."""

from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, case, func, or_

from komorebi_mcp.domain.captures import CaptureFilter, CaptureText, Kind
from komorebi_mcp.storage.filters import fitting
from komorebi_mcp.storage.hydrate import TEXT, texts
from komorebi_mcp.storage.owned import Rows
from komorebi_mcp.storage.tables import captures

_CHARS_MAX = 50_000_000
"""About so many are read together; a text of many megabytes is stored in passages."""
_MARKED = case((captures.c.kind.in_((Kind.DECISION, Kind.ERROR)), 1), else_=0)


class Sample(NamedTuple):
    """As much of captures as summaries are made from, in the order of their arrival."""

    captures: list[CaptureText]
    is_all: bool
    """False where others fit as well and were left out."""


def sample(rows: Rows, where: CaptureFilter, most: int) -> Sample:
    """All captures that fit; or `most` of them spread evenly, up to half of these decisions and errors."""
    row = captures.c
    fits = fitting(rows, where)
    counted = rows.select(_MARKED, func.count(), func.sum(row.chars), of=captures).where(fits)
    found = {marked: (count, int(chars)) for marked, count, chars in rows.run(counted.group_by(_MARKED))}
    total = sum(count for count, _ in found.values())
    chars = sum(chars for _, chars in found.values())
    if chars > _CHARS_MAX:
        most = min(most, max(1, total * _CHARS_MAX // chars))
    wanted = rows.select(*TEXT, of=captures)
    if total <= most:
        wanted = wanted.where(fits)
    else:
        others, marked = (found.get(each, (0, 0))[0] for each in (0, 1))
        marked_most = min(marked, max(most // 2, most - others))
        place = func.row_number().over(partition_by=_MARKED, order_by=row.seq).label("place")
        placed = rows.select(row.seq, _MARKED.label("marked"), place, of=captures).where(fits).subquery()
        spread = or_(
            and_(placed.c.marked == 1, _spread(placed.c.place, marked_most, marked)),
            and_(placed.c.marked == 0, _spread(placed.c.place, most - marked_most, others)),
        )
        wanted = wanted.join(placed, placed.c.seq == row.seq).where(spread)
    return Sample(texts(rows.run(wanted.order_by(row.seq)).all()), is_all=total <= most)


def _spread(place: ColumnElement[int], most: int, count: int) -> ColumnElement[bool]:
    """Whether the row in that place, counted from 1, is one of `most` spread evenly over `count`."""
    count = max(count, 1)
    return (place * most) // count > ((place - 1) * most) // count
