"""Whatever happens to the worker, each capture is enriched or set aside with its reason."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import anyio
import pytest
from sqlalchemy import Engine, event

from komorebi_mcp.background.worker import Worker
from komorebi_mcp.domain.captures import (
    Capture,
    CaptureCreate,
    CaptureUpdate,
    Enrichment,
    Status,
)
from komorebi_mcp.services.enrich import enrich
from support.rooms import Rooms, open_rooms

OWNER = "local"


async def capture(rooms: Rooms, content: str, title: str | None = None) -> str:
    return (await rooms.capture.capture(OWNER, CaptureCreate(content=content, title=title))).id


async def read(rooms: Rooms, capture_id: str) -> Capture:
    return (await rooms.find.read(OWNER, [capture_id])).captures[0]


def poisoned(found: Capture) -> Enrichment:
    if "poison" in found.content:
        raise RuntimeError("the text itself")
    return enrich(found)


async def test_a_capture_moves_from_the_inbox_to_processed_with_what_was_found(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        plain = await capture(rooms, "# Release notes\nSee https://example.com/v2 for parse_config().")
        given = await capture(rooms, "Some text", title="  My Title ")
        await rooms.settle()
        found = await read(rooms, plain)
        assert found.status is Status.PROCESSED
        assert found.title == "Release notes"
        assert found.tokens
        assert "https://example.com/v2" in {entity.value for entity in found.entities}
        assert all(found.content[e.start : e.end] == e.value for e in found.entities)
        assert (await read(rooms, given)).title == "  My Title "


async def test_summaries_keep_pace_with_the_enrichment_of_many_captures(tmp_path: Path) -> None:
    enriched: list[int] = []

    async def note() -> bool:
        async with rooms.store.look() as queue:
            enriched.append(1_000 - (await queue.backlog()).waiting)
        return False

    async with open_rooms(tmp_path) as rooms, anyio.create_task_group() as background:
        await rooms.store.take_in(OWNER, [CaptureCreate(content=f"Note {n}.") for n in range(1_000)])
        worker = Worker(
            rooms.store, lambda _: Enrichment(title="t", tokens=1), clock=rooms.clock, compact=note
        )
        background.start_soon(worker.run)
        with anyio.fail_after(20):
            while not enriched or enriched[-1] < 1_000:
                await anyio.lowlevel.checkpoint()
        background.cancel_scope.cancel()
    # A round claims 64.
    assert max(after - before for before, after in pairwise([0, *enriched])) <= 200 + 64


async def test_the_running_worker_is_woken_by_a_capture(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms, anyio.create_task_group() as background:
        background.start_soon(rooms.worker.run)
        capture_id = await capture(rooms, "wake up")
        with anyio.fail_after(5):
            while (await read(rooms, capture_id)).status is Status.INBOX:
                await anyio.lowlevel.checkpoint()
        background.cancel_scope.cancel()


async def test_a_poison_capture_is_retried_later_and_later_then_set_aside_and_blocks_nobody(
    tmp_path: Path,
) -> None:
    async with open_rooms(tmp_path) as rooms:
        worker = Worker(rooms.store, poisoned, clock=rooms.clock)
        bad = await capture(rooms, "poison")
        good = await capture(rooms, "bread")
        attempts = 0
        for _ in range(60):
            attempts += await worker.work_once()
            rooms.clock.advance(seconds=1)
        assert (await read(rooms, good)).status is Status.PROCESSED
        found = await read(rooms, bad)
        assert found.status is Status.INBOX
        assert found.failure == "RuntimeError in enrichment"
        assert attempts == 5
        async with rooms.store.work() as queue:
            backlog = await queue.backlog()
        assert (backlog.waiting, backlog.set_aside) == (0, 1)


async def test_a_new_content_gives_a_capture_that_was_set_aside_another_chance(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        worker = Worker(rooms.store, poisoned, clock=rooms.clock)
        bad = await capture(rooms, "poison")
        for _ in range(60):
            await worker.work_once()
            rooms.clock.advance(seconds=1)
        await rooms.organize.update(OWNER, [bad], CaptureUpdate(content="cured"))
        await worker.work_once()
        found = await read(rooms, bad)
        assert (found.status, found.failure) == (Status.PROCESSED, None)


async def test_a_capture_that_ends_the_process_each_time_is_set_aside(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        killer = await capture(rooms, "kills")
        for _ in range(5):
            async with rooms.store.work() as queue:
                assert await queue.claim(limit=10, lease_s=60)
            rooms.clock.advance(seconds=61)
        await rooms.settle()
        assert (await read(rooms, killer)).failure == "the process ended at every attempt"


class Killed(BaseException):
    """Stands for the end of the process: nothing of ours catches it."""


async def test_a_capture_that_ends_the_process_takes_no_others_down_with_it(tmp_path: Path) -> None:
    def deadly(found: Capture) -> Enrichment:
        if "deadly" in found.content:
            raise Killed
        return enrich(found)

    async with open_rooms(tmp_path) as rooms:
        worker = Worker(rooms.store, deadly, clock=rooms.clock)
        before, killer, behind = [await capture(rooms, text) for text in ("bread", "deadly", "butter")]
        for _ in range(20):
            with suppress(Killed):
                await worker.work_once()
            rooms.clock.advance(seconds=61)
        assert (await read(rooms, before)).status is Status.PROCESSED
        assert (await read(rooms, behind)).status is Status.PROCESSED
        assert (await read(rooms, killer)).failure == "the process ended at every attempt"


async def test_a_cancelled_worker_keeps_what_it_finished_and_gives_the_rest_back_uncounted(
    tmp_path: Path,
) -> None:
    reached = anyio.Event()

    def slow(found: Capture) -> Enrichment:
        if found.content == "second":
            reached.set()
        return enrich(found)

    async with open_rooms(tmp_path) as rooms:
        ids = [await capture(rooms, content) for content in ("first", "second", "third")]
        worker = Worker(rooms.store, slow, clock=rooms.clock)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as background:
                background.start_soon(worker.run)
                await reached.wait()
                background.cancel_scope.cancel()
        statuses = [(await read(rooms, each)).status for each in ids]
        assert statuses == [Status.PROCESSED, Status.INBOX, Status.INBOX]
        async with rooms.store.work() as queue:
            left = await queue.claim(limit=10, lease_s=60)
        assert [(job.capture.content, job.attempt) for job in left] == [("second", 1), ("third", 1)]


async def test_a_worker_that_wakes_up_after_its_lease_changes_nothing(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        capture_id = await capture(rooms, "first text")
        async with rooms.store.work() as queue:
            (late,) = await queue.claim(limit=10, lease_s=60)
        rooms.clock.advance(seconds=61)
        async with rooms.store.work() as queue:
            (current,) = await queue.claim(limit=10, lease_s=60)
        assert not await rooms.store.enrich(OWNER, [(late, enrich(late.capture))])
        assert await rooms.store.enrich(OWNER, [(current, enrich(current.capture))])
        assert (await read(rooms, capture_id)).status is Status.PROCESSED


async def test_a_database_that_fails_for_a_while_does_not_end_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("komorebi_mcp.background.worker._POLL_S", 0.01)
    async with open_rooms(tmp_path) as rooms, anyio.create_task_group() as background:
        capture_id = await capture(rooms, "patient")
        with closing(sqlite3.connect(tmp_path / "test.db")) as elsewhere:
            elsewhere.execute("ALTER TABLE captures RENAME TO hidden")
            failed = anyio.Event()
            monkeypatch.setattr("komorebi_mcp.background.worker._log.exception", lambda *_: failed.set())
            background.start_soon(rooms.worker.run)
            with anyio.fail_after(5):
                await failed.wait()
            elsewhere.execute("ALTER TABLE hidden RENAME TO captures")
        with anyio.fail_after(5):
            while (await read(rooms, capture_id)).status is Status.INBOX:
                await anyio.lowlevel.checkpoint()
        background.cancel_scope.cancel()


async def test_an_idle_worker_asks_nothing_until_another_process_has_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("komorebi_mcp.background.worker._POLL_S", 0.001)
    asked: list[str] = []
    polls = Polls()
    async with (
        open_rooms(tmp_path) as rooms,
        open_rooms(tmp_path) as elsewhere,
        anyio.create_task_group() as background,
    ):
        version = rooms.store.version
        monkeypatch.setattr(rooms.store, "version", lambda: polls.count(version()))
        background.start_soon(rooms.worker.run)
        await polls.until(10)
        with _statements(asked):
            await polls.until(30)
        assert asked == []
        capture_id = await capture(elsewhere, "of another process")
        with anyio.fail_after(5):
            while (await read(rooms, capture_id)).status is Status.INBOX:
                await anyio.lowlevel.checkpoint()
        background.cancel_scope.cancel()


class Polls:
    """How often the worker has looked whether anything was written."""

    def __init__(self) -> None:
        self._count = 0
        self._more = anyio.Event()

    def count(self, version: int | None) -> int | None:
        self._count += 1
        self._more.set()
        return version

    async def until(self, count: int) -> None:
        with anyio.fail_after(5):
            while self._count < count:
                self._more = anyio.Event()
                await self._more.wait()


@contextmanager
def _statements(asked: list[str]) -> Iterator[None]:
    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", note)
