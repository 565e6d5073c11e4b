"""A `CaptureFilter` as a condition on rows."""

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, literal_column, or_, select
from sqlalchemy.sql.selectable import FromClause

from komorebi_mcp.domain.captures import CaptureFilter, Kind, Status, either_of
from komorebi_mcp.storage.owned import Rows, among, canonical, equals
from komorebi_mcp.storage.project_rows import id_query
from komorebi_mcp.storage.tables import capture_tags, captures

# Made once: making an alias, with a column for each of the table's, costs as much as the statement takes.
_FIRST = captures.alias("first")
_EARLIER = captures.alias("earlier")
_TAGGED = capture_tags.alias("tagged")


def fitting(rows: Rows, where: CaptureFilter, of: FromClause = captures) -> ColumnElement[bool]:
    """The condition that a row of `of` fits the filter and belongs to the owner."""
    row = of.c
    conditions = [
        rows.mine(of),
        row.status != Status.ARCHIVED.value if not where.statuses else row.status.in_(where.statuses),
    ]
    if where.project is not None:
        conditions.append(row.project_id == id_query(rows, where.project).scalar_subquery())
    if where.unfiled:
        conditions.append(row.project_id.is_(None))
    if where.kinds:
        conditions.append(row.kind.in_(where.kinds))
        if Kind.NOTE not in where.kinds:
            # Written out: an index of the other kinds is used only where the statement itself says so.
            conditions.append(row.kind != literal_column(f"'{Kind.NOTE}'"))
    if where.source is not None:
        conditions.append(equals(row.source, where.source))
    if where.since is not None:
        conditions.append(row.created_at >= where.since)
    if where.until is not None:
        conditions.append(row.created_at < where.until)
    if where.ids:
        conditions.append(row.id.in_(canonical(where.ids)))
    for tag in where.tags:
        # Asked of each row, since the list of all captures with a frequent tag is long.
        holds = select(_TAGGED.c.seq).where(
            rows.mine(_TAGGED),
            _TAGGED.c.seq == row.seq,
            or_(*(equals(_TAGGED.c.tag, each) for each in either_of(tag))),
        )
        conditions.append(exists(holds))
    return and_(*conditions)


def still_fitting(rows: Rows, where: CaptureFilter, seqs: Sequence[int]) -> set[int]:
    """Those of the captures with these arrival numbers that fit the filter."""
    row = captures.c
    return set(
        rows.run(
            rows.select(row.seq, of=captures).where(fitting(rows, where), among(row.seq, seqs))
        ).scalars()
    )


def folded(rows: Rows, where: CaptureFilter) -> ColumnElement[bool]:
    """Fits the filter, and is no copy of an earlier capture that fits it too."""
    shown = exists(
        select(_FIRST.c.seq).where(_FIRST.c.id == captures.c.duplicate_of, fitting(rows, where, _FIRST))
    )
    return and_(fitting(rows, where), or_(captures.c.duplicate_of.is_(None), ~shown))


def grouped(rows: Rows, where: CaptureFilter) -> ColumnElement[bool]:
    """Is no passage that follows another one of its group that fits the filter too."""
    shown = exists(
        select(_EARLIER.c.seq).where(
            _EARLIER.c.group_id == captures.c.group_id,
            _EARLIER.c.group_position < captures.c.group_position,
            fitting(rows, where, _EARLIER),
        )
    )
    return or_(captures.c.group_id.is_(None), ~shown)


_TAG_PROBE = 1_000


def rarest(rows: Rows, tags: Sequence[str]) -> str | None:
    """The tag that the fewest captures carry, as a short look tells; None where each is one of several."""

    def carried(tag: str) -> int:
        some = rows.select(capture_tags.c.seq, of=capture_tags).where(equals(capture_tags.c.tag, tag))
        return int(
            rows.run(select(func.count()).select_from(some.limit(_TAG_PROBE).subquery("probed"))).scalar_one()
        )

    certain = [tag for tag in tags if either_of(tag) == (tag,)]
    return min(certain, key=carried) if len(certain) > 1 else next(iter(certain), None)


def digest(*asked: Any) -> str:
    """A short text that differs where a filter, an order or a query does; cursors are bound to it."""
    return hashlib.blake2b(repr(asked).encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()
