"""Leases: who works on what, and for how long."""

from datetime import timedelta

from komorebi_mcp.domain.captures import CaptureCreate, CaptureFilter, CaptureUpdate, Enrichment, Status
from komorebi_mcp.domain.jobs import Job
from komorebi_mcp.domain.projects import ProjectUpdate
from komorebi_mcp.storage.store import Store, open_store
from support.clock import StillClock

FOUND = Enrichment(title="t", tokens=1)


async def _add(store: Store, *contents: str, owner: str = "a") -> list[str]:
    async with store.write(owner) as transaction:
        made = [CaptureCreate(content=content) for content in contents]
        return [receipt.id for receipt in await transaction.captures.add_all(made)]


async def _claim(store: Store, *, limit: int = 10, lease_s: float = 30) -> list[Job]:
    async with store.work() as queue:
        return await queue.claim(limit=limit, lease_s=lease_s)


async def _finish(store: Store, job: Job) -> bool:
    return bool(await store.enrich(job.owner, [(job, FOUND)]))


async def test_the_longest_waiting_captures_are_claimed_first_whoever_owns_them(
    store_url: str, clock: StillClock
) -> None:
    async with open_store(store_url, clock=clock) as store:
        first = await _add(store, "1", "2")
        clock.advance(seconds=1)
        second = await _add(store, "3", owner="b")
        one, two = await _claim(store, limit=2), await _claim(store, limit=2)
        assert await _claim(store) == []
    assert [job.capture.id for job in one] == first
    assert [(job.capture.id, job.owner, job.capture.content) for job in two] == [(second[0], "b", "3")]
    assert len({job.lease for job in (*one, *two)}) == 3
    assert {job.attempt for job in (*one, *two)} == {1}


async def test_a_job_cut_off_mid_way_is_claimed_again_when_its_lease_ends(
    store_url: str, clock: StillClock
) -> None:
    async with open_store(store_url, clock=clock) as store:
        await _add(store, "x")
        [stale] = await _claim(store, lease_s=30)
        clock.advance(seconds=29.999)
        assert await _claim(store) == []
        clock.advance(seconds=0.001)
        [fresh] = await _claim(store)
        assert (fresh.attempt, fresh.capture.id) == (2, stale.capture.id)
        assert not await _finish(store, stale)
        async with store.work() as queue:
            await queue.give_back(stale, retry_at=clock())
            await queue.set_aside(stale, error="late")
        async with store.read("a") as transaction:
            [capture] = await transaction.captures.get([fresh.capture.id])
        assert (capture.status, capture.failure) == (Status.INBOX, None)
        assert await _finish(store, fresh)
        assert not await _finish(store, fresh)


async def test_a_finding_about_a_text_that_has_changed_is_not_stored(store_url: str) -> None:
    async with open_store(store_url) as store:
        changed, gone, renamed = await _add(store, "1", "2", "3")
        jobs = {job.capture.id: job for job in await _claim(store)}
        async with store.write("a") as transaction:
            await transaction.captures.update([changed], CaptureUpdate(content="new"))
            await transaction.captures.update([renamed], CaptureUpdate(title="new"))
            await transaction.captures.forget([gone])
        assert [await _finish(store, jobs[each]) for each in (changed, gone, renamed)] == [False] * 3
        again = await _claim(store)
        assert {job.capture.id for job in again} == {changed, renamed}
        assert {job.attempt for job in again} == {1}


async def test_a_job_given_back_waits_until_its_time(store_url: str, clock: StillClock) -> None:
    async with open_store(store_url, clock=clock) as store:
        await _add(store, "x")
        [job] = await _claim(store)
        retry_at = clock() + timedelta(seconds=5)
        async with store.work() as queue:
            await queue.give_back(job, retry_at=retry_at)
            assert await queue.next_due() == retry_at
        assert await _claim(store) == []
        assert not await _finish(store, job)
        clock.advance(seconds=5)
        assert [each.attempt for each in await _claim(store)] == [2]


async def test_a_job_set_aside_stays_so_until_its_capture_changes(store_url: str, clock: StillClock) -> None:
    async with open_store(store_url, clock=clock) as store:
        ids = await _add(store, "poison")
        [job] = await _claim(store)
        async with store.work() as queue:
            await queue.set_aside(job, error="bad \x00 luck")
            assert await queue.next_due() is None
            backlog = await queue.backlog()
        assert (backlog.waiting, backlog.set_aside, backlog.oldest_waiting_at) == (0, 1, None)
        clock.advance(seconds=10_000_000)
        assert await _claim(store) == []
        async with store.write("a") as transaction:
            [capture] = await transaction.captures.get(ids)
            assert (capture.status, capture.failure) == (Status.INBOX, "bad \x00 luck")
            await transaction.captures.update(ids, CaptureUpdate(content="cured"))
            [mended] = await transaction.captures.get(ids)
            assert mended.failure is None
        assert [(each.attempt, each.capture.content) for each in await _claim(store)] == [(1, "cured")]


async def test_the_backlog_tells_how_much_waits_and_since_when(store_url: str, clock: StillClock) -> None:
    async with open_store(store_url, clock=clock) as store:
        async with store.work() as queue:
            assert await queue.next_due() is None
            assert (await queue.backlog()).waiting == 0
        since = clock()
        await _add(store, "1")
        clock.advance(seconds=9)
        await _add(store, "2", owner="b")
        await _claim(store, limit=1, lease_s=60)
        async with store.work() as queue:
            backlog = await queue.backlog()
            assert await queue.next_due() == since + timedelta(seconds=9)
    assert (backlog.waiting, backlog.set_aside, backlog.oldest_waiting_at) == (2, 0, since)


async def test_a_renamed_project_has_its_captures_indexed_again_without_leaving_their_status(
    store_url: str,
) -> None:
    async with open_store(store_url) as store:
        async with store.write("a") as transaction:
            await transaction.captures.add_all([CaptureCreate(content="x", project="old")])
        for job in await _claim(store):
            assert await _finish(store, job)
        async with store.write("a") as transaction:
            await transaction.projects.update("old", ProjectUpdate(new_name="new"))
        [job] = await _claim(store)
        assert (job.capture.project, job.capture.status) == ("new", Status.PROCESSED)
        assert await _finish(store, job)
        async with store.read("a") as transaction:
            assert await transaction.captures.count(CaptureFilter(statuses=(Status.PROCESSED,))) == 1


async def test_a_released_job_is_due_at_once_and_its_attempt_does_not_count(
    store_url: str, clock: StillClock
) -> None:
    async with open_store(store_url, clock=clock) as store:
        ids = await _add(store, "1", "2", "3")
        await _add(store, "4", owner="b")
        lapsed = await _claim(store, lease_s=30)
        clock.advance(seconds=30)
        current = await _claim(store, limit=2, lease_s=30)
        async with store.work() as queue:
            await queue.release(lapsed)
            await queue.release(current)
            await queue.release([])
        again = await _claim(store)
        assert await _claim(store) == []
    assert {job.capture.id for job in current} == set(ids[:2])
    assert sorted(job.capture.content for job in again) == ["1", "2", "3", "4"]
    # A lease that has lapsed is still the job's, unless another claim has taken its place.
    assert {job.capture.content: job.attempt for job in again} == {"1": 2, "2": 2, "3": 1, "4": 1}
