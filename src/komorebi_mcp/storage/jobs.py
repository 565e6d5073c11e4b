"""Captures that wait for the background, whoever owns them. The one place that reads across owners."""

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, Update, bindparam, func, or_, select, update

from komorebi_mcp.domain.clock import Clock
from komorebi_mcp.domain.jobs import Backlog, Job, Unread
from komorebi_mcp.domain.nodes import Waiting
from komorebi_mcp.domain.vectors import Coverage
from komorebi_mcp.storage import vectors
from komorebi_mcp.storage.holders import names_of_the_dead
from komorebi_mcp.storage.hydrate import WHOLE, WITH_PROJECT, whole
from komorebi_mcp.storage.leaves import DUE, PROCESSED
from komorebi_mcp.storage.sessions import Session
from komorebi_mcp.storage.tables import captures, leaves, summaries

CLAIM_CHARS_MAX = 1_000_000
"""How much text is claimed at once, the first capture whatever its size: it is all held in memory."""
_LEASE_BYTES = 16
_ALONE_AFTER = 2
"""Attempts without an end, after which a job is not claimed together with others."""


class JobQueue:
    """Claims captures and gives them back.

    A capture is finished by `Store.enrich`. One claimed and never finished is due again when its
    lease ends.
    """

    def __init__(self, session: Session, clock: Clock, *, holder: str = "") -> None:
        """`holder` is what the leases are to begin with, so that others can tell whose they are."""
        self._session = session
        self._clock = clock
        self._holder = holder

    async def claim(self, *, limit: int, lease_s: float) -> list[Job]:
        """Up to `limit` waiting captures, ours for `lease_s` seconds, the longest waiting first.

        Fewer where their text is long. A lapsed lease counts as waiting, so a job may run twice: handlers
        must tolerate it. One that was not finished twice comes alone, so that a capture which ends the
        process takes no others down with it.
        """
        return await self._session.run(self._claim, limit, lease_s)

    async def take_over(self) -> None:
        """Makes every leased job due at once, since those who held the leases are gone."""
        row = captures.c
        orphaned = update(captures).where(row.due_at.is_not(None), row.lease.is_not(None))
        now = self._clock()
        await self._session.run(
            lambda connection: connection.execute(orphaned.values(lease=None, due_at=now)).close()
        )

    async def take_over_from_the_dead(self) -> int:
        """How many jobs are due at once now, since their holders are gone, as PostgreSQL alone can tell."""
        return await self._session.run(self._take_over_from_the_dead)

    async def give_back(self, job: Job, *, retry_at: datetime) -> None:
        """The job waits again, until `retry_at`; nothing happens where the lease is no longer the job's."""
        released = {"lease": None, "due_at": retry_at}
        await self._session.run(lambda connection: connection.execute(_held(job).values(released)).close())

    async def release(self, jobs: Sequence[Job]) -> None:
        """The jobs are due at once, as if they had never been claimed: the attempt does not count.

        Nothing happens to one whose lease is no longer the job's.
        """
        if jobs:
            await self._session.run(self._release, jobs)

    async def set_aside(self, job: Job, *, error: str) -> None:
        """The job is not tried again until its capture changes; `error` becomes the capture's `failure`.

        Nothing happens where the lease is no longer the job's.
        """
        failed = {"lease": None, "due_at": None, "failure": error}
        await self._session.run(lambda connection: connection.execute(_held(job).values(failed)).close())

    async def next_due(self) -> datetime | None:
        """When the next job may be claimed, now or earlier meaning at once; None where nothing waits."""
        earliest = (
            select(captures.c.due_at)
            .where(captures.c.due_at.is_not(None))
            .order_by(captures.c.due_at)
            .limit(1)
        )
        return await self._session.run(lambda connection: connection.execute(earliest).scalar())

    async def lagging(self, *, limit: int) -> list[Waiting]:
        """Projects whose pyramid is due, in no order that means anything."""
        return await self._session.run(_lagging, limit)

    async def unread(self, model: str, *, behind: int, limit: int) -> tuple[list[Unread], int]:
        """Enriched captures that the model has made no vector of, and how far was looked: see `vectors`."""
        return await self._session.run(vectors.unread, model, behind=behind, limit=limit)

    async def coverage(self, model: str) -> Coverage:
        """How many captures the model has made a vector of."""
        return await self._session.run(vectors.coverage, model)

    async def backlog(self) -> Backlog:
        """How much work there is, that under lease included."""
        return await self._session.run(_backlog)

    async def rejected_sentences(self) -> int:
        """How many sentences of all summaries that are kept failed grounding."""
        rejected = select(func.coalesce(func.sum(summaries.c.rejected), 0))
        return int(await self._session.run(lambda connection: connection.execute(rejected).scalar_one()))

    def _take_over_from_the_dead(self, connection: Connection) -> int:
        row = captures.c
        dead = names_of_the_dead(connection)
        if not dead:
            return 0
        theirs = or_(*(row.lease.startswith(name) for name in dead))
        orphaned = update(captures).where(row.due_at.is_not(None), theirs)
        return connection.execute(orphaned.values(lease=None, due_at=self._clock())).rowcount

    def _release(self, connection: Connection, jobs: Sequence[Job]) -> None:
        row = captures.c
        statement = (
            update(captures)
            .where(
                row.owner == bindparam("of_owner"),
                row.id == bindparam("of_id"),
                row.lease == bindparam("token"),
            )
            .values(lease=None, due_at=self._clock(), attempts=row.attempts - 1)
        )
        held = [{"of_owner": job.owner, "of_id": job.capture.id, "token": job.lease} for job in jobs]
        connection.execute(statement, held)

    def _claim(self, connection: Connection, limit: int, lease_s: float) -> list[Job]:
        now = self._clock()
        row = captures.c
        waiting = select(row.seq, row.chars, row.attempts).where(row.due_at <= now)
        waiting = waiting.order_by(row.due_at, row.seq).limit(limit).with_for_update(skip_locked=True)
        seqs = _together([(each.seq, each.chars, each.attempts) for each in connection.execute(waiting)])
        if not seqs:
            return []
        leases = {seq: f"{self._holder}{secrets.token_hex(_LEASE_BYTES)}" for seq in seqs}
        # Due again when the lease ends: that is all it takes to reclaim the job of a worker that died.
        lent = {"attempts": row.attempts + 1, "due_at": now + timedelta(seconds=lease_s)}
        statement = (
            update(captures).where(row.seq == bindparam("of_seq")).values(lease=bindparam("token"), **lent)
        )
        connection.execute(statement, [{"of_seq": seq, "token": lease} for seq, lease in leases.items()])
        claimed = select(*WHOLE, row.attempts).select_from(WITH_PROJECT).where(row.seq.in_(seqs))
        found = {each.seq: each for each in connection.execute(claimed)}
        ordered = [found[seq] for seq in seqs]
        contents = whole(connection, ordered, rows=None)
        return [
            Job(owner=each.owner, capture=capture, lease=leases[each.seq], attempt=each.attempts)
            for each, capture in zip(ordered, contents, strict=True)
        ]


def _together(waiting: Iterable[tuple[int, int, int]]) -> list[int]:
    """The first of the jobs, given as row, characters and attempts, that may be claimed at once."""
    seqs: list[int] = []
    chars = 0
    for seq, length, attempts in waiting:
        chars += length
        if seqs and (chars > CLAIM_CHARS_MAX or attempts >= _ALONE_AFTER):
            break
        seqs.append(seq)
        if attempts >= _ALONE_AFTER:
            break
    return seqs


def _held(job: Job) -> Update:
    row = captures.c
    return update(captures).where(row.owner == job.owner, row.id == job.capture.id, row.lease == job.lease)


def _lagging(connection: Connection, limit: int) -> list[Waiting]:
    row, leaf = captures.c, leaves.c
    # Both read an index that holds nothing else than what is due.
    new = select(row.owner, row.project_id).where(row.status == PROCESSED, row.project_id.is_not(None))
    due = select(leaf.owner, leaf.project_id).where(DUE)
    found = [
        Waiting(*each)
        for statement in (new, due)
        for each in connection.execute(statement.distinct().limit(limit))
    ]
    return list(dict.fromkeys(found))[:limit]


def _backlog(connection: Connection) -> Backlog:
    row = captures.c
    waiting = select(func.count(), func.min(row.seq)).where(row.due_at.is_not(None))
    count, first = connection.execute(waiting).one()
    oldest = select(row.created_at).where(row.seq == first)
    aside = select(func.count()).select_from(captures).where(row.failure.is_not(None))
    return Backlog(
        waiting=count,
        set_aside=connection.execute(aside).scalar_one(),
        oldest_waiting_at=None if first is None else connection.execute(oldest).scalar(),
    )
