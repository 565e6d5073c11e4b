"""Everything one owner has captured, row by row, for whoever takes it elsewhere."""

from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func

from komorebi_mcp.domain.captures import CaptureCreate, Kind, Passage, Status
from komorebi_mcp.storage.hydrate import WITH_PROJECT
from komorebi_mcp.storage.owned import OwnedSession, Rows, among
from komorebi_mcp.storage.tables import capture_tags, captures

_BATCH_ROWS = 500
_BATCH_CHARS = 4_000_000
"""Contents held in memory at a time; a single one may be larger."""


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
    seqs: list[int] = []
    chars = 0
    for seq, length in rows.run(sizes.order_by(row.seq).limit(_BATCH_ROWS)):
        chars += length
        if seqs and chars > _BATCH_CHARS:
            break
        seqs.append(seq)
    if not seqs:
        return behind, []
    tags: dict[int, list[str]] = defaultdict(list)
    tag = capture_tags.c
    named = rows.select(tag.seq, tag.tag, of=capture_tags).where(among(tag.seq, seqs))
    for seq, name in rows.run(named.order_by(tag.seq, tag.position)):
        tags[seq].append(name)
    columns = (
        *(
            row.seq,
            row.id,
            row.content,
            row.title,
            row.title_given,
            row.kind,
            row.source,
            row.key,
            row.status,
        ),
        *(row.created_at, row.redactions, row.group_id, row.group_position),
        WITH_PROJECT.right.c.name.label("project"),
    )
    found = rows.select(*columns, of=captures).select_from(WITH_PROJECT).where(among(row.seq, seqs))
    return seqs[-1], [
        ExportedCapture(
            CaptureCreate.model_construct(
                content=each.content,
                title=each.title if each.title_given else None,
                project=each.project,
                tags=tuple(tags[each.seq]),
                kind=Kind(each.kind),
                source=each.source,
                key=each.key,
                created_at=each.created_at,
                redactions=each.redactions,
                id=each.id,
                status=Status(each.status),
                passage=Passage(group=each.group_id, position=each.group_position) if each.group_id else None,
            ),
            each.id,
            each.created_at,
            each.title,
        )
        for each in rows.run(found.order_by(row.seq))
    ]
