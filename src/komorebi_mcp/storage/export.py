"""Everything one owner has captured, row by row, for whoever takes it elsewhere."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func

from komorebi_mcp.domain.captures import CaptureCreate, Kind, Status
from komorebi_mcp.storage.hydrate import WITH_PROJECT, first_within, passage_of, tags_of
from komorebi_mcp.storage.owned import AnyRow, OwnedSession, Rows, among
from komorebi_mcp.storage.tables import captures, projects

_BATCH_ROWS = 500
_BATCH_CHARS = 4_000_000
"""Contents held in memory at a time; a single one may be larger."""


_COLUMNS = (
    captures.c.seq,
    captures.c.id,
    captures.c.content,
    captures.c.title,
    captures.c.title_given,
    captures.c.kind,
    captures.c.source,
    captures.c.key,
    captures.c.status,
    captures.c.created_at,
    captures.c.redactions,
    captures.c.group_id,
    captures.c.group_position,
    projects.c.name.label("project"),
)


class ExportedCapture(NamedTuple):
    """A capture on its way out."""

    capture: CaptureCreate
    """As it would be taken in again: without a title where that is derived."""
    id: str
    created_at: datetime
    title: str
    """As it is shown."""


class ExportRepository:
    """All captures of one owner, within one transaction, as they would be taken in again."""

    def __init__(self, session: OwnedSession) -> None:
        self._session = session

    async def count(self) -> int:
        """How many there are, archived ones included."""
        return await self._session.run(_count)

    async def all(self) -> AsyncIterator[list[ExportedCapture]]:
        """Batches of captures in the order of their arrival."""
        behind = 0
        while True:
            behind, batch = await self._session.run(_batch, behind)
            if not batch:
                return
            yield batch


def _count(rows: Rows) -> int:
    return int(rows.run(rows.select(func.count(), of=captures)).scalar_one())


def _batch(rows: Rows, behind: int) -> tuple[int, list[ExportedCapture]]:
    row = captures.c
    sizes = rows.select(row.seq, row.chars, of=captures).where(row.seq > behind)
    found = rows.run(sizes.order_by(row.seq).limit(_BATCH_ROWS))
    seqs = first_within(((each.seq, each.chars) for each in found), _BATCH_CHARS)
    if not seqs:
        return behind, []
    tags = tags_of(rows, seqs)
    whole = rows.select(*_COLUMNS, of=captures).select_from(WITH_PROJECT).where(among(row.seq, seqs))
    return seqs[-1], [_exported(each, tags[each.seq]) for each in rows.run(whole.order_by(row.seq))]


def _exported(row: AnyRow, tags: tuple[str, ...]) -> ExportedCapture:
    capture = CaptureCreate.model_construct(
        content=row.content,
        title=row.title if row.title_given else None,
        project=row.project,
        tags=tags,
        kind=Kind(row.kind),
        source=row.source,
        key=row.key,
        created_at=row.created_at,
        redactions=row.redactions,
        id=row.id,
        status=Status(row.status),
        passage=passage_of(row),
    )
    return ExportedCapture(capture, row.id, row.created_at, row.title)
