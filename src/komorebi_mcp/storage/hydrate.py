"""Rows of captures as domain values, with the rows of other tables that belong to them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, true

from komorebi_mcp.domain.captures import (
    Capture,
    CaptureOverview,
    CaptureText,
    Entity,
    EntityType,
    Kind,
    Passage,
    Status,
)
from komorebi_mcp.storage.owned import AnyRow, Rows, among, batches
from komorebi_mcp.storage.tables import capture_tags, captures, entities, projects

OVERVIEW = (
    captures.c.seq,
    captures.c.id,
    captures.c.title,
    captures.c.snippet,
    projects.c.name.label("project"),
    captures.c.kind,
    captures.c.status,
    captures.c.created_at,
)
WHOLE = (
    *OVERVIEW,
    captures.c.owner,
    captures.c.content,
    captures.c.source,
    captures.c.keywords,
    captures.c.language,
    captures.c.tokens,
    captures.c.redactions,
    captures.c.duplicate_of,
    captures.c.updated_at,
    captures.c.failure,
    captures.c.group_id,
    captures.c.group_position,
)
TEXT = (
    captures.c.seq,
    captures.c.id,
    captures.c.title,
    captures.c.content,
    captures.c.source,
    captures.c.kind,
    captures.c.language,
    captures.c.created_at,
)
WITH_PROJECT = captures.outerjoin(
    projects, (projects.c.id == captures.c.project_id) & (projects.c.owner == captures.c.owner)
)


def overviews(rows: Rows, found: Sequence[AnyRow]) -> tuple[CaptureOverview, ...]:
    """Rows of `OVERVIEW` in their order."""
    tags = tags_of(rows, [row.seq for row in found])
    return tuple(CaptureOverview(**_overview(row), tags=tags[row.seq]) for row in found)


def texts(found: Sequence[Any]) -> list[CaptureText]:
    """Rows of `TEXT` in their order."""
    return [
        CaptureText(
            id=row.id,
            title=row.title,
            content=row.content,
            source=row.source,
            kind=Kind(row.kind),
            language=row.language,
            created_at=row.created_at,
        )
        for row in found
    ]


def whole(connection: Connection, found: Sequence[AnyRow], *, rows: Rows | None) -> list[Capture]:
    """Rows of `WHOLE` in their order; `rows` is None only for jobs, which are everybody's."""
    seqs = [row.seq for row in found]
    tags = _tags(connection, true() if rows is None else rows.mine(capture_tags), seqs)
    named = _entities(connection, true() if rows is None else rows.mine(entities), seqs)
    return [
        Capture(
            **_overview(row),
            tags=tags[row.seq],
            content=row.content,
            source=row.source,
            entities=named[row.seq],
            keywords=tuple(row.keywords),
            language=row.language,
            tokens=row.tokens,
            redactions=row.redactions,
            duplicate_of=row.duplicate_of,
            updated_at=row.updated_at,
            failure=row.failure,
            passage=passage_of(row),
        )
        for row in found
    ]


def passage_of(row: AnyRow) -> Passage | None:
    """The place of a row with `group_id` and `group_position` in a longer text; None where it has none."""
    return Passage(group=row.group_id, position=row.group_position) if row.group_id else None


def tags_of(rows: Rows, seqs: Iterable[int]) -> dict[int, tuple[str, ...]]:
    """The tags of each of these captures in their order; none for those that have none."""
    return _tags(rows.connection, rows.mine(capture_tags), seqs)


def first_within(sizes: Iterable[tuple[int, int]], chars_max: int) -> list[int]:
    """The first of the captures, given by number and length, that have at most so many characters together.

    The very first one is among them whatever its length, so that whoever reads on gets past it.
    """
    seqs: list[int] = []
    chars = 0
    for seq, length in sizes:
        chars += length
        if seqs and chars > chars_max:
            break
        seqs.append(seq)
    return seqs


def _overview(row: AnyRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "title": row.title,
        "snippet": row.snippet,
        "project": row.project,
        "kind": Kind(row.kind),
        "status": Status(row.status),
        "created_at": row.created_at,
    }


def _tags(
    connection: Connection, mine: ColumnElement[bool], seqs: Iterable[int]
) -> dict[int, tuple[str, ...]]:
    found: dict[int, tuple[str, ...]] = defaultdict(tuple)
    for some in batches(seqs):
        statement = select(capture_tags.c.seq, capture_tags.c.tag).where(
            mine, among(capture_tags.c.seq, some)
        )
        for seq, tag in connection.execute(statement.order_by(capture_tags.c.seq, capture_tags.c.position)):
            found[seq] = (*found[seq], tag)
    return found


def _entities(
    connection: Connection, mine: ColumnElement[bool], seqs: Iterable[int]
) -> dict[int, tuple[Entity, ...]]:
    columns = entities.c
    found: dict[int, list[Entity]] = defaultdict(list)
    for some in batches(seqs):
        statement = select(columns.seq, columns.type, columns.value, columns.start, columns.end)
        statement = statement.where(mine, among(columns.seq, some)).order_by(columns.seq, columns.position)
        for seq, kind, value, start, end in connection.execute(statement):
            found[seq].append(Entity(type=EntityType(kind), value=value, start=start, end=end))
    return defaultdict(tuple, {seq: tuple(named) for seq, named in found.items()})
