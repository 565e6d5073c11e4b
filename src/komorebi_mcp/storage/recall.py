"""What one owner has done lately: counts over time, the latest captures, and when work was resumed."""

from collections import Counter, defaultdict
from datetime import datetime, tzinfo
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, case, func, null

from komorebi_mcp.domain.captures import CaptureFilter, EntityType, Kind
from komorebi_mcp.domain.resume import Glimpse
from komorebi_mcp.domain.timeline import TOP_MAX, Bucket, BucketCount, Timeline, bounds
from komorebi_mcp.storage.filters import folded, grouped
from komorebi_mcp.storage.hydrate import WITH_PROJECT
from komorebi_mcp.storage.owned import OwnedSession, Rows, among
from komorebi_mcp.storage.project_rows import require_id
from komorebi_mcp.storage.tables import captures, entities, projects, resumes

GLIMPSE_CHARS_MAX = 8_000
"""Of a longer content only the beginning is read."""
_EVERYTHING = 0
"""Stands where a project's number does; those begin at 1."""


class RecallRepository:
    """The recent past of one owner, within one transaction."""

    def __init__(self, session: OwnedSession) -> None:
        self._session = session

    async def timeline(
        self,
        *,
        project: str | None,
        bucket: Bucket,
        since: datetime | None,
        until: datetime | None,
        zone: tzinfo,
        buckets_max: int,
    ) -> Timeline:
        """Counts of the captures in the window, by the latest buckets that hold any.

        Raises:
            NotFound: No project has that name.
        """

        def count(rows: Rows) -> Timeline:
            scope = rows.mine(captures)
            if project is not None:
                scope = and_(scope, captures.c.project_id == require_id(rows, project))
            return _timeline(rows, _Window(scope, since, until), bucket, zone, buckets_max)

        return await self._session.run(count)

    async def recent(self, where: CaptureFilter, *, limit: int) -> list[Glimpse]:
        """The latest captures that fit, the latest first, copies and later passages folded."""
        return await self._session.run(_recent, where, limit)

    async def last_resume(self, project: str | None) -> datetime | None:
        """When the project was last resumed, or where None is given everything; None where it never was."""
        return await self._session.run(_last_resume, project)

    async def remember_resume(self, project: str | None, *, at: datetime) -> None:
        """Keeps the time for `last_resume`.

        Raises:
            NotFound: No project has that name.
        """
        await self._session.run(_remember_resume, project, at)


def _last_resume(rows: Rows, project: str | None) -> datetime | None:
    scope = _EVERYTHING if project is None else require_id(rows, project)
    last = rows.select(resumes.c.at, of=resumes).where(resumes.c.project_id == scope)
    found: datetime | None = rows.run(last).scalar()
    return found


def _remember_resume(rows: Rows, project: str | None, at: datetime) -> None:
    scope = _EVERYTHING if project is None else require_id(rows, project)
    known = rows.update(resumes).where(resumes.c.project_id == scope)
    if rows.run(known.values(at=at)).rowcount == 0:
        rows.insert(resumes, [{"project_id": scope, "at": at}])


def _recent(rows: Rows, where: CaptureFilter, limit: int) -> list[Glimpse]:
    row = captures.c
    content = case((row.chars <= GLIMPSE_CHARS_MAX, row.content), else_=null()).label("content")
    columns = (
        row.seq,
        row.id,
        row.title,
        row.snippet,
        row.kind,
        row.created_at,
        content,
        projects.c.name.label("project"),
    )
    latest = (
        rows.select(*columns, of=captures)
        .select_from(WITH_PROJECT)
        .where(folded(rows, where), grouped(rows, where))
    )
    found = rows.run(latest.order_by(row.created_at.desc(), row.seq.desc()).limit(limit)).all()
    named: dict[int, list[tuple[EntityType, str]]] = defaultdict(list)
    entity = entities.c
    long = [each.seq for each in found if each.content is None]
    told = rows.select(entity.seq, entity.type, entity.value, of=entities).where(
        among(entity.seq, long), entity.type.in_((EntityType.DECISION, EntityType.ERROR))
    )
    for seq, kind, value in rows.run(told.order_by(entity.seq, entity.position)) if long else ():
        named[seq].append((EntityType(kind), value))
    return [
        Glimpse(
            id=each.id,
            title=each.title,
            project=each.project,
            kind=Kind(each.kind),
            created_at=each.created_at,
            content=each.snippet if each.content is None else each.content,
            is_cut=each.content is None,
            named=tuple(named[each.seq]),
        )
        for each in found
    ]


class _Window(NamedTuple):
    """Captures in scope between two moments."""

    scope: ColumnElement[bool]
    since: datetime | None
    until: datetime | None

    def part(self, start: datetime | None, end: datetime) -> "_Window":
        since = max(start, self.since) if start and self.since else start or self.since
        return _Window(self.scope, since, min(end, self.until) if self.until else end)

    @property
    def condition(self) -> ColumnElement[bool]:
        # At most one bound on either side: of two, SQLite seeks by the first, be it the looser one.
        bounded = [] if self.since is None else [captures.c.created_at >= self.since]
        bounded += [] if self.until is None else [captures.c.created_at < self.until]
        return and_(self.scope, *bounded)


def _timeline(rows: Rows, window: _Window, bucket: Bucket, zone: tzinfo, buckets_max: int) -> Timeline:
    """Every statement reads one index in its order and nothing of the captures themselves."""
    row = captures.c
    total = int(rows.run(rows.select(func.count(), of=captures).where(window.condition)).scalar_one())
    newest = rows.select(row.created_at, of=captures).order_by(row.created_at.desc(), row.seq.desc()).limit(1)
    shown: list[BucketCount] = []
    latest = rows.run(newest.where(window.condition)).scalar()
    while latest is not None and len(shown) < buckets_max:
        start, end = bounds(latest, bucket, zone)
        shown.append(_bucket(rows, window.part(start, end).condition, start, zone))
        latest = rows.run(newest.where(window.part(None, start).condition)).scalar()
    omitted = total - sum(each.count for each in shown)
    return Timeline(buckets=tuple(reversed(shown)), total=total, omitted=omitted)


def _bucket(rows: Rows, within: ColumnElement[bool], start: datetime, zone: tzinfo) -> BucketCount:
    row = captures.c
    counts = rows.select(row.kind, row.status, func.count().label("held"), of=captures).where(within)
    by_kind: Counter[str] = Counter()
    by_status: Counter[str] = Counter()
    for kind, status, held in rows.run(counts.group_by(row.kind, row.status)):
        by_kind[kind] += held
        by_status[status] += held
    longest = rows.select(row.seq, of=captures).where(within).order_by(row.chars.desc(), row.seq)
    seqs = list(rows.run(longest.limit(TOP_MAX)).scalars())
    ids = {
        each.seq: each.id
        for each in rows.run(rows.select(row.seq, row.id, of=captures).where(row.seq.in_(seqs)))
    }
    return BucketCount(
        start=start.astimezone(zone),
        count=by_kind.total(),
        by_kind=dict(by_kind.most_common()),
        by_status=dict(by_status.most_common()),
        top=tuple(ids[seq] for seq in seqs),
    )
