"""The captures of one owner."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, tuple_

from komorebi_mcp.domain.captures import (
    Capture,
    CaptureCreate,
    CaptureFilter,
    CaptureOverview,
    CaptureUpdate,
    NearDuplicate,
    Order,
    PassageSize,
    Receipt,
)
from komorebi_mcp.domain.jobs import Unread
from komorebi_mcp.domain.pages import LIMIT_DEFAULT, Page
from komorebi_mcp.domain.search import HitPage, SearchQuery
from komorebi_mcp.domain.vectors import Vector
from komorebi_mcp.storage import changes, intake, near_duplicates, search, vectors
from komorebi_mcp.storage.columns import Instant
from komorebi_mcp.storage.filters import digest, fitting, folded, grouped, rarest
from komorebi_mcp.storage.hydrate import OVERVIEW, WHOLE, WITH_PROJECT, overviews, whole
from komorebi_mcp.storage.owned import OwnedSession, Rows, among, batches, canonical, equals, of_owner
from komorebi_mcp.storage.prepared import Prepared, in_list
from komorebi_mcp.storage.sample import Sample, sample
from komorebi_mcp.storage.tables import capture_tags, captures, projects

_INSTANT = Instant()

# One statement for lists of any length: SQLite keeps each that it has read, and long ones take megabytes.
_VERSIONS = Prepared(
    select(captures.c.id, captures.c.updated_at).where(of_owner(captures), in_list(captures.c.id, "ids"))
)


class CaptureRepository:
    """The captures of one owner, within one transaction. Another owner's ids are as unknown as any."""

    def __init__(self, session: OwnedSession) -> None:
        self._session = session

    async def add_all(self, items: Sequence[CaptureCreate]) -> list[Receipt]:
        """Stores the captures; a receipt for each, in the given order.

        A key that is known, from earlier or from the same call, is answered with the earlier receipt.
        """
        return await self._session.run(intake.add_all, items)

    async def get(self, ids: Sequence[str]) -> list[Capture]:
        """Those that exist, in the order of `ids`."""
        return await self._session.run(_get, ids)

    async def overviews(self, ids: Sequence[str]) -> list[CaptureOverview]:
        """Those that exist, without their contents, in the order of `ids`."""
        return await self._session.run(_overviews, ids)

    async def passages(self, ids: Sequence[str]) -> list[PassageSize]:
        """The passages, in order, of each text whose first passage is among `ids`."""
        return await self._session.run(_passages, ids)

    async def near_duplicates(self, ids: Sequence[str]) -> dict[str, tuple[NearDuplicate, ...]]:
        """The captures that say almost the same as each of these, by its id, the most similar first.

        At most five each, of all projects; copies and passages folded as in `page`, archived ones left out. A
        capture that waits for enrichment has none.
        """
        return await self._session.run(near_duplicates.nearest, ids)

    async def size(self, *, after_seq: int = 0) -> tuple[int, int]:
        """Characters of all contents and the last arrival number, of what arrived after `after_seq` alone."""
        return await self._session.run(_size, after_seq)

    async def projects_of(self, ids: Sequence[str]) -> dict[str, str | None]:
        """The project of each of those that exist, by its id, in the order of `ids`; None where unfiled."""
        return await self._session.run(_projects_of, ids)

    async def versions(self, ids: Sequence[str]) -> dict[str, datetime]:
        """When each of those that exist was last changed, by its id, enrichment included."""
        return await self._session.run(_versions, ids)

    async def page(
        self,
        where: CaptureFilter,
        *,
        order: Order = Order.NEWEST,
        limit: int = LIMIT_DEFAULT,
        cursor: str | None = None,
    ) -> Page[CaptureOverview]:
        """A page of those that fit, copies folded under the first one that fits, and passages likewise.

        Raises:
            InvalidInput: The cursor belongs to another list.
        """
        return await self._session.run(_page, where, order=order, limit=limit, cursor=cursor)

    async def search(
        self,
        query: SearchQuery,
        where: CaptureFilter,
        *,
        limit: int = LIMIT_DEFAULT,
        cursor: str | None = None,
    ) -> HitPage:
        """A page of those that fit and match, best first, copies folded as in `page`.

        Captures that wait for enrichment are found too, the newest 500 of them.

        Raises:
            InvalidInput: The cursor belongs to another search.
        """
        return await self._session.run(search.find, query, where, limit=limit, cursor=cursor)

    async def keep_vectors(self, found: Sequence[tuple[Unread, Vector]]) -> None:
        """Keeps vectors in place of other models', but for captures that changed since they were read."""
        await self._session.run(vectors.replace, found)

    async def sample(self, where: CaptureFilter, *, most: int) -> Sample:
        """Those that fit, or where these are more than `most`, so many that stand for them."""
        return await self._session.run(sample, where, most)

    async def count(self, where: CaptureFilter) -> int:
        """How many fit, copies included."""
        return await self._session.run(_count, where)

    async def update(self, ids: Sequence[str], change: CaptureUpdate) -> list[CaptureOverview]:
        """Changes those that exist, and returns them as they are now, in the order of `ids`.

        New content sends a capture back to the inbox. A new title, project or set of tags has it indexed
        again in the background, whatever its status.

        Raises:
            InvalidInput: A capture would carry too many tags, or is a passage and would get another content;
                nothing was changed.
        """
        return await self._session.run(_update, ids, change)

    async def forget(self, ids: Sequence[str]) -> list[str]:
        """Purges the captures with their tags, entities and index rows; the ids of those that were there.

        Summaries that cite them are the summary repository's: `forget_citing`.
        """
        return await self._session.run(changes.forget, ids)


def _update(rows: Rows, ids: Sequence[str], change: CaptureUpdate) -> list[CaptureOverview]:
    changes.update(rows, ids, change)
    return _overviews(rows, ids)


def _get(rows: Rows, ids: Sequence[str]) -> list[Capture]:
    found: dict[str, Capture] = {}
    for some in batches(canonical(ids)):
        statement = (
            rows.select(*WHOLE, of=captures).select_from(WITH_PROJECT).where(among(captures.c.id, some))
        )
        for capture in whole(rows.connection, rows.run(statement).all(), rows=rows):
            found[capture.id] = capture
    return [found[capture_id] for capture_id in dict.fromkeys(ids) if capture_id in found]


def _overviews(rows: Rows, ids: Sequence[str]) -> list[CaptureOverview]:
    found: dict[str, CaptureOverview] = {}
    for some in batches(canonical(ids)):
        statement = rows.select(*OVERVIEW, of=captures).select_from(WITH_PROJECT)
        there = rows.run(statement.where(among(captures.c.id, some))).all()
        found |= {capture.id: capture for capture in overviews(rows, there)}
    return [found[capture_id] for capture_id in dict.fromkeys(ids) if capture_id in found]


def _passages(rows: Rows, ids: Sequence[str]) -> list[PassageSize]:
    row = captures.c
    found: list[PassageSize] = []
    for some in batches(canonical(ids)):
        statement = rows.select(row.id, row.group_id, row.chars, of=captures).where(among(row.group_id, some))
        found += [
            PassageSize(id=each.id, group=each.group_id, chars=each.chars)
            for each in rows.run(statement.order_by(row.group_id, row.group_position))
        ]
    return found


def _size(rows: Rows, after_seq: int) -> tuple[int, int]:
    row = captures.c
    statement = rows.select(func.sum(row.chars), func.max(row.seq), of=captures).where(row.seq > after_seq)
    chars, newest_seq = rows.run(statement).one()
    return int(chars or 0), int(newest_seq or after_seq)


def _projects_of(rows: Rows, ids: Sequence[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for some in batches(canonical(ids)):
        statement = rows.select(captures.c.id, projects.c.name, of=captures).select_from(WITH_PROJECT)
        found |= {row.id: row.name for row in rows.run(statement.where(among(captures.c.id, some)))}
    return {capture_id: found[capture_id] for capture_id in dict.fromkeys(ids) if capture_id in found}


def _versions(rows: Rows, ids: Sequence[str]) -> dict[str, datetime]:
    found: dict[str, datetime] = {}
    for some in batches(canonical(ids)):
        found |= {row.id: row.updated_at for row in rows.fetch(_VERSIONS, ids=some)}
    return found


def _page(
    rows: Rows, where: CaptureFilter, *, order: Order, limit: int, cursor: str | None
) -> Page[CaptureOverview]:
    asked = digest(where, order)
    statement = rows.select(*OVERVIEW, of=captures).where(folded(rows, where), grouped(rows, where))
    leading = rarest(rows, where.tags)
    if leading is not None:
        # Led by the tag, whose rows are in this order: a rare one is not looked for among all captures.
        row = capture_tags.c
        tagged = WITH_PROJECT.join(capture_tags, row.seq == captures.c.seq)
        statement = statement.select_from(tagged).where(rows.mine(capture_tags), equals(row.tag, leading))
    else:
        row = captures.c
        statement = statement.select_from(WITH_PROJECT)
    place = tuple_(row.created_at, row.seq)
    if cursor is not None:
        created_at, seq = rows.cursors.open(cursor, owner=rows.owner, list_of="captures", asked=asked)
        # The cursor holds microseconds, which are what the column holds.
        last = tuple_(
            _INSTANT.process_result_value(created_at, rows.connection.dialect), seq, types=place.type.types
        )
        statement = statement.where(place < last if order is Order.NEWEST else place > last)
    ways = [row.created_at, row.seq] if order is Order.OLDEST else [row.created_at.desc(), row.seq.desc()]
    found = rows.run(statement.order_by(*ways).limit(limit + 1)).all()
    shown = found[:limit]
    next_cursor = None
    if len(found) > limit:
        position = [_INSTANT.process_bind_param(shown[-1].created_at, rows.connection.dialect), shown[-1].seq]
        next_cursor = rows.cursors.seal(position, owner=rows.owner, list_of="captures", asked=asked)
    return Page[CaptureOverview](items=overviews(rows, shown), next_cursor=next_cursor)


def _count(rows: Rows, where: CaptureFilter) -> int:
    statement = rows.select(func.count(), of=captures).where(fitting(rows, where))
    return int(rows.run(statement).scalar_one())
