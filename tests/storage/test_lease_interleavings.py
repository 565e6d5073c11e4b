"""Whatever workers do in whatever order, nobody works on what another holds, and everything ends enriched."""

import asyncio
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from komorebi_mcp.domain.captures import CaptureCreate, CaptureUpdate, Status
from komorebi_mcp.domain.jobs import Job
from komorebi_mcp.services.enrich import enrich
from komorebi_mcp.storage.store import Store, open_store
from support.clock import StillClock
from support.databases import make_sqlite_template

pytestmark = pytest.mark.slow

OWNER = "local"
LEASE_S = 60

T = TypeVar("T")


@cache
def migrated() -> bytes:
    """A database with the current schema, which takes longer to make than all that is done with it."""
    with tempfile.TemporaryDirectory() as folder:
        return make_sqlite_template(Path(folder)).read_bytes()


class Leases(RuleBasedStateMachine):
    """Workers over a real SQLite file, beside a model of who holds what until when."""

    jobs: Bundle[Job] = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._clock = StillClock()
        self._holders: dict[str, Job] = {}
        """The one job of each capture that may still be finished."""
        self._until: dict[str, Any] = {}
        """When a capture is due; those done or set aside are not in it."""
        self._finished: set[str] = set()
        self._aside: set[str] = set()
        self._store: Store

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run(work)

    @initialize()
    def open(self) -> None:
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        (Path(folder) / "k.db").write_bytes(migrated())
        url = f"sqlite+aiosqlite:///{Path(folder)}/k.db"
        self._store = self._run(self._stack.enter_async_context(open_store(url, clock=self._clock)))

    def teardown(self) -> None:
        if hasattr(self, "_store"):
            self._everything_ends()
        self._run(self._stack.aclose())
        self._loop.close()

    @rule(count=st.integers(1, 4))
    def arrive(self, count: int) -> None:
        async def add() -> list[str]:
            async with self._store.write(OWNER) as transaction:
                items = [CaptureCreate(content=f"text {number}") for number in range(count)]
                return [receipt.id for receipt in await transaction.captures.add_all(items)]

        for capture_id in self._run(add()):
            self._until[capture_id] = self._clock()

    @rule(target=jobs, limit=st.integers(1, 5))
    def claim(self, limit: int) -> Any:
        claimed = self._run(self._claim(limit))
        due = {capture_id for capture_id, until in self._until.items() if until <= self._clock()}
        assert {job.capture.id for job in claimed} <= due, "claimed what another holds, or is not due"
        assert bool(claimed) == bool(due)
        for job in claimed:
            self._holders[job.capture.id] = job
            self._until[job.capture.id] = self._clock() + timedelta(seconds=LEASE_S)
        return multiple(*claimed)

    async def _claim(self, limit: int) -> list[Job]:
        async with self._store.work() as queue:
            return await queue.claim(limit=limit, lease_s=LEASE_S)

    @rule(job=consumes(jobs))
    def finish(self, job: Job) -> None:
        """Late ones too: a job may be finished after its lease, as long as nobody else has claimed it."""

        async def end() -> bool:
            return bool(await self._store.enrich(OWNER, [(job, enrich(job.capture))]))

        assert self._run(end()) == self._holds(job)
        if self._holds(job):
            self._let_go(job.capture.id)
            self._finished.add(job.capture.id)

    @rule(job=consumes(jobs), wait_s=st.integers(0, 120))
    def give_back(self, job: Job, wait_s: int) -> None:
        retry_at = self._clock() + timedelta(seconds=wait_s)

        async def back() -> None:
            async with self._store.work() as queue:
                await queue.give_back(job, retry_at=retry_at)

        self._run(back())
        if self._holds(job):
            del self._holders[job.capture.id]
            self._until[job.capture.id] = retry_at

    @rule(job=consumes(jobs))
    def set_aside(self, job: Job) -> None:
        async def aside() -> None:
            async with self._store.work() as queue:
                await queue.set_aside(job, error="x")

        self._run(aside())
        if self._holds(job):
            self._let_go(job.capture.id)
            self._aside.add(job.capture.id)

    @rule(job=jobs)
    def change(self, job: Job) -> None:
        """Its owner edits a capture while somebody may be working on it."""

        async def edit() -> None:
            async with self._store.write(OWNER) as transaction:
                await transaction.captures.update([job.capture.id], CaptureUpdate(content="edited"))

        self._run(edit())
        self._holders.pop(job.capture.id, None)
        self._finished.discard(job.capture.id)
        self._aside.discard(job.capture.id)
        self._until[job.capture.id] = self._clock()

    @rule(seconds=st.sampled_from([LEASE_S + 1, LEASE_S, 1]))
    def time_passes(self, seconds: int) -> None:
        self._clock.advance(seconds=seconds)

    @rule()
    def a_new_leader_takes_over(self) -> None:
        async def take_over() -> None:
            async with self._store.work() as queue:
                await queue.take_over()

        self._run(take_over())
        for capture_id in self._holders:
            self._until[capture_id] = self._clock()
        self._holders.clear()

    @invariant()
    def the_queue_knows_when_the_next_is_due(self) -> None:
        async def next_due() -> Any:
            async with self._store.look() as queue:
                return await queue.next_due()

        if hasattr(self, "_store"):
            assert self._run(next_due()) == min(self._until.values(), default=None)

    def _holds(self, job: Job) -> bool:
        return self._holders.get(job.capture.id) is job

    def _let_go(self, capture_id: str) -> None:
        del self._holders[capture_id]
        del self._until[capture_id]

    def _everything_ends(self) -> None:
        """After any history, workers that do their work leave nothing waiting."""

        async def work() -> dict[str, Status]:
            waiting = len(self._until)
            for _ in range(waiting + 1):
                self._clock.advance(seconds=LEASE_S * 2 + 1)
                for job in await self._claim(1000):
                    assert await self._store.enrich(OWNER, [(job, enrich(job.capture))])
            ids = [*self._finished, *self._until]
            async with self._store.read(OWNER) as transaction:
                return {each.id: each.status for each in await transaction.captures.get(ids)}

        assert set(self._run(work()).values()) <= {Status.PROCESSED}


TestLeases = Leases.TestCase
TestLeases.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
