"""What one process changes on PostgreSQL, the others hear of as soon as it is committed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import psycopg
import pytest
from sqlalchemy import make_url, text

from komorebi_mcp.background.worker import Worker
from komorebi_mcp.domain.captures import CaptureCreate, CaptureUpdate, Enrichment
from komorebi_mcp.domain.changes import Change
from komorebi_mcp.domain.ids import new_id
from komorebi_mcp.domain.projects import ProjectUpdate
from komorebi_mcp.services.batches import store_all
from komorebi_mcp.services.compact import Compact
from komorebi_mcp.services.enrich import enrich
from komorebi_mcp.services.organize import Organize
from komorebi_mcp.services.watch import Followed, Watch
from komorebi_mcp.storage.store import Store, open_store
from support.clock import StillClock
from support.databases import PostgresServer

OWNER = "a"


@dataclass
class Ear:
    """What was heard, and when it could be."""

    heard: list[Change] = field(default_factory=list)
    connected: int = 0
    happened: anyio.Event = field(default_factory=anyio.Event)

    def take(self, change: Change) -> None:
        self.heard.append(change)
        self._happened()

    def connect(self) -> None:
        self.connected += 1
        self._happened()

    def _happened(self) -> None:
        self.happened.set()
        self.happened = anyio.Event()

    async def until(self, *, heard: int = 0, connected: int = 1) -> None:
        with anyio.fail_after(5):
            while len(self.heard) < heard or self.connected < connected:
                await self.happened.wait()


@asynccontextmanager
async def listening(store: Store) -> AsyncIterator[Ear]:
    """What `store` hears of the others on its database."""
    ear = Ear()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: store.listen(ear.take, connected=ear.connect))
        await ear.until()
        yield ear
        tasks.cancel_scope.cancel()


@pytest.fixture
def url(postgres_of_session: PostgresServer) -> str:
    return postgres_of_session.migrated_database()


@pytest.mark.postgres
async def test_a_text_is_heard_of_when_it_is_taken_in_and_when_it_is_enriched(
    url: str, clock: StillClock
) -> None:
    async with open_store(url, clock=clock) as here, open_store(url, clock=clock) as there:
        async with listening(here) as ear:
            [receipt] = await there.take_in(OWNER, [CaptureCreate(content="x", project="p")])
            await ear.until(heard=1)
            async with there.work() as queue:
                [job] = await queue.claim(limit=1, lease_s=30)
            await there.enrich(OWNER, [(job, Enrichment(title="t", tokens=1))])
            await ear.until(heard=2)
            assert here.hears
        assert not here.hears
    # Only the first is work for somebody.
    assert ear.heard == [Change(OWNER, (receipt.id,), ("p",), due=due) for due in (True, False)]


@pytest.mark.postgres
async def test_a_change_is_heard_of_once_it_is_committed_and_not_if_it_is_not(
    url: str, clock: StillClock
) -> None:
    told_there: list[Change] = []
    async with (
        open_store(url, clock=clock) as here,
        open_store(url, clock=clock, announce=told_there.append) as there,
        listening(here) as ear,
    ):
        with pytest.raises(ZeroDivisionError):
            await _give_up(there)
        organize = Organize(there, secrets="redact")
        [receipt] = await there.take_in(OWNER, [CaptureCreate(content="x")])
        await organize.update(OWNER, [receipt.id], CaptureUpdate(project="p"))
        await organize.forget(OWNER, [receipt.id])
        await ear.until(heard=3)
    changed = [Change(OWNER, (receipt.id,), ("p",))] * 2
    assert ear.heard == [Change(OWNER, (receipt.id,)), *changed]
    assert told_there == ear.heard


async def _give_up(store: Store) -> None:
    async with store.write(OWNER) as transaction:
        await transaction.captures.add_all([CaptureCreate(content="x")])
        transaction.tell(Change(OWNER, ("given up",)))
        raise ZeroDivisionError


@pytest.mark.postgres
async def test_a_change_of_very_many_captures_is_heard_of_whole(url: str, clock: StillClock) -> None:
    ids = tuple(new_id() for _ in range(1_000))
    projects = tuple("\U0001f987" * 90 + str(n) for n in range(20))
    async with (
        open_store(url, clock=clock) as here,
        open_store(url, clock=clock) as there,
        listening(here) as ear,
    ):
        async with there.write(OWNER) as transaction:
            await transaction.captures.add_all([CaptureCreate(content="x")])
            transaction.tell(Change(OWNER, ids, projects))
            transaction.tell(Change("b", ("last",)))
        with anyio.fail_after(5):
            while ear.heard[-1:] != [Change("b", ("last",))]:
                await ear.happened.wait()
    parts = ear.heard[:-1]
    assert {each for part in parts for each in part.captures} == set(ids)
    assert {each for part in parts for each in part.projects} == set(projects)
    assert {part.owner for part in parts} == {OWNER}


@pytest.mark.postgres
async def test_who_is_cut_off_connects_again_and_says_that_something_may_be_missing(
    url: str, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("komorebi_mcp.storage.notices._RETRY_S", 0.01)
    async with (
        open_store(url, clock=clock) as here,
        open_store(url, clock=clock) as there,
        listening(here) as ear,
    ):
        await there.take_in(OWNER, [CaptureCreate(content="x")])
        await ear.until(heard=1)
        _end_listeners(url)
        await ear.until(connected=2)
        assert here.hears
        await there.take_in(OWNER, [CaptureCreate(content="y")])
        await ear.until(heard=2)


@pytest.mark.postgres
async def test_what_others_say_on_the_channel_does_no_harm(url: str, clock: StillClock) -> None:
    async with (
        open_store(url, clock=clock) as here,
        open_store(url, clock=clock) as there,
        listening(here) as ear,
    ):
        with _connected(url) as connection:
            for payload in ("", "hello", "[]", '{"sender": "x", "owner": 1}'):
                connection.execute("SELECT pg_notify('komorebi', %s)", [payload])
        async with listening(there):
            await there.take_in(OWNER, [CaptureCreate(content="x")])
        await ear.until(heard=1)


def _connected(url: str) -> psycopg.Connection:
    address = make_url(url)
    return psycopg.connect(
        host=str(address.query["host"]), user=address.username, dbname=address.database, autocommit=True
    )


def _end_listeners(url: str) -> None:
    with _connected(url) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        )
        assert ended.rowcount == 1


async def test_what_another_process_changed_is_found_by_looking(store_url: str, clock: StillClock) -> None:
    found: list[Change] = []
    async with open_store(store_url, clock=clock) as here, open_store(store_url, clock=clock) as there:
        watch = Watch(here, announce=found.append)
        one, other = await there.take_in(OWNER, [CaptureCreate(content=text) for text in ("one", "other")])
        followed = Followed(frozenset({one.id, other.id}), inbox=True, projects=True)
        await watch.look(OWNER, followed)
        assert found == []
        clock.advance(seconds=1)
        organize = Organize(there, secrets="redact")
        await organize.update(OWNER, [one.id], CaptureUpdate(title="Another"))
        [third] = await there.take_in(OWNER, [CaptureCreate(content="third", project="p")])
        await organize.forget(OWNER, [other.id])
        await watch.look(OWNER, followed)
        [change] = found
        assert set(change.captures) == {one.id, other.id, third.id}
        assert change.projects == ("p",)
        await watch.look(OWNER, followed)
        assert found == [change]
        clock.advance(seconds=1)
        await organize.update_project(OWNER, "p", ProjectUpdate(new_name="q"))
        await watch.look(OWNER, followed)
        assert found[1:] == [Change(OWNER, projects=("p", "q"), due=False)]


@pytest.mark.postgres
async def test_whichever_service_changes_something_it_is_heard_of(url: str, clock: StillClock) -> None:
    async with (
        open_store(url, clock=clock) as here,
        open_store(url, clock=clock) as there,
        listening(here) as ear,
    ):
        items = [CaptureCreate(content=f"The crane at berth {n} is down.", project="p") for n in range(3)]
        ids = tuple(receipt.id for receipt in await store_all(there, OWNER, items))
        await ear.until(heard=1)
        worker = Worker(there, enrich, clock=clock)
        assert await worker.work_once()
        await ear.until(heard=2)
        assert await Compact(there).step()
        await ear.until(heard=3)
        await Organize(there, secrets="redact").update_project(OWNER, "p", ProjectUpdate(new_name="q"))
        await ear.until(heard=4)
    assert ear.heard[:3] == [Change(OWNER, ids, ("p",), due=due) for due in (True, False, False)]
    assert set(ear.heard[3].projects) == {"p", "q"}


@pytest.mark.postgres
async def test_where_notices_do_not_come_through_a_worker_goes_on_looking(
    url: str, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As behind a pooler that gives each statement another connection.
    nothing = text("SELECT CAST(:channel AS text), CAST(:payloads AS text[])")
    monkeypatch.setattr("komorebi_mcp.storage.notices._NOTIFY", nothing)
    ear, enriched = Ear(), Ear()
    async with (
        open_store(url, clock=clock, announce=enriched.take) as here,
        open_store(url, clock=clock) as there,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(lambda: here.listen(ear.take, connected=ear.connect))
        tasks.start_soon(Worker(here, enrich, clock=clock).run)
        for content in ("one", "another"):
            await there.take_in(OWNER, [CaptureCreate(content=content)])
            with anyio.fail_after(5):
                while not enriched.heard:
                    await enriched.happened.wait()
            enriched.heard.clear()
            assert not here.hears
        tasks.cancel_scope.cancel()
    assert (ear.heard, ear.connected) == ([], 0)


@pytest.mark.postgres
async def test_what_a_process_had_claimed_is_due_as_soon_as_it_is_gone_and_no_sooner(
    url: str, clock: StillClock
) -> None:
    async with open_store(url, clock=clock) as here, open_store(url, clock=clock) as there:
        await here.take_in(OWNER, [CaptureCreate(content=content) for content in ("1", "2", "3")])
        async with here.work() as queue:
            [unnamed] = await queue.claim(limit=1, lease_s=60)
        async with listening(there):
            async with there.work() as queue:
                claimed = await queue.claim(limit=2, lease_s=60)
            assert await _taken_over(here) == 0
        with anyio.fail_after(5):
            # The server takes a moment to notice that the connection has ended.
            while not (orphans := await _taken_over(here)):
                await anyio.lowlevel.checkpoint()
        async with here.work() as queue:
            again = await queue.claim(limit=3, lease_s=60)
    assert orphans == 2
    # Of whoever did not hear the others it cannot be told whether it lives, so that its lease has to end.
    assert {job.capture.id for job in again} == {job.capture.id for job in claimed}
    assert unnamed.capture.id not in {job.capture.id for job in again}


async def _taken_over(store: Store) -> int:
    async with store.work() as queue:
        return await queue.take_over_from_the_dead()
