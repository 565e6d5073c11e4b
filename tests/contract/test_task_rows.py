"""Tasks as they are kept: whose they are, how long, and what befalls one whose process is gone."""

from typing import Any

import pytest

from komorebi_mcp.domain.captures import CaptureCreate
from komorebi_mcp.domain.tasks import Outcome, Task, TaskStatus
from komorebi_mcp.errors import InvalidInput
from komorebi_mcp.storage.store import Store, open_store
from support.clock import StillClock

ME = "local"
DONE = Outcome(status=TaskStatus.COMPLETED, result={"text": "It \x00 works 👍 \ud800."}, message="Done.")


async def _add(store: Store, *, owner: str = ME, ttl_ms: int = 60_000, lease_s: float = 10) -> str:
    async with store.write(owner) as transaction:
        return (await transaction.tasks.add(ttl_ms=ttl_ms, lease_s=lease_s)).id


async def _get(store: Store, task_id: str, *, owner: str = ME) -> Task | None:
    async with store.read(owner) as transaction:
        return await transaction.tasks.get(task_id)


async def _put(store: Store, task_id: str, outcome: Outcome, *, owner: str = ME) -> bool:
    async with store.write(owner) as transaction:
        return await transaction.tasks.put(task_id, outcome)


async def test_a_task_is_working_until_it_is_told_otherwise_and_then_stays_so(
    store_url: str, clock: StillClock
) -> None:
    async with open_store(store_url, clock=clock) as store:
        began = clock()
        task_id = await _add(store)
        task = await _get(store, task_id)
        assert task is not None
        assert (task.status, task.created_at, task.ttl_ms) == (TaskStatus.WORKING, began, 60_000)
        clock.advance(seconds=1)
        question = Outcome(status=TaskStatus.INPUT_REQUIRED, requests={"1:name": {"method": "m"}})
        assert await _put(store, task_id, question)
        assert await _put(store, task_id, DONE)
        for late in (Outcome(status=TaskStatus.CANCELLED), question, DONE):
            assert not await _put(store, task_id, late)
        ended = await _get(store, task_id)
    assert ended is not None
    assert ended.model_dump(include={"status", "result", "message", "requests"}) == DONE.model_dump(
        include={"status", "result", "message", "requests"}
    )
    assert ended.updated_at == clock()


async def test_another_owner_sees_no_task_and_ends_none(store_url: str, clock: StillClock) -> None:
    async with open_store(store_url, clock=clock) as store:
        task_id = await _add(store)
        assert await _get(store, task_id, owner="other") is None
        assert not await _put(store, task_id, DONE, owner="other")
        async with store.write("other") as transaction:
            assert await transaction.tasks.renew({task_id: "mine now"}, lease_s=99) == set()
            assert (await transaction.tasks.page()).items == ()
        for odd in ("", "x", "'; --", "\x00", task_id.upper()):
            assert await _get(store, odd) is None


async def test_a_task_has_failed_once_its_lease_has_lapsed(store_url: str, clock: StillClock) -> None:
    async with open_store(store_url, clock=clock) as store:
        kept, left = await _add(store), await _add(store)
        clock.advance(seconds=9)
        async with store.write(ME) as transaction:
            assert await transaction.tasks.renew({kept: "3 of 9"}, lease_s=10) == {kept}
        clock.advance(seconds=2)
        task = await _get(store, kept)
        assert task is not None
        assert (task.status, task.message) == (TaskStatus.WORKING, "3 of 9")
        failed = await _get(store, left)
        assert failed is not None
        assert failed.status is TaskStatus.FAILED
        assert failed.message is not None
        assert "Call the tool again." in failed.message
        assert failed.error == {"code": -32603, "message": failed.message}
        # Whoever was only slow comes too late.
        assert not await _put(store, left, DONE)
        async with store.write(ME) as transaction:
            assert await transaction.tasks.renew({left: None}, lease_s=10) == set()


async def test_a_task_is_gone_when_its_time_is_over(store_url: str, clock: StillClock) -> None:
    async with open_store(store_url, clock=clock) as store:
        short, theirs = await _add(store, ttl_ms=500), await _add(store, owner="other", ttl_ms=500)
        await _put(store, short, DONE)
        clock.advance(seconds=1)
        assert await _get(store, short) is None
        longer = await _add(store)
        async with store.read(ME) as transaction:
            assert [task.id for task in (await transaction.tasks.page()).items] == [longer]
        await store.purge_tasks()
        async with store.look() as queue:
            rows: Any = await queue._session.run(
                lambda connection: connection.exec_driver_sql("SELECT id FROM tasks").all()
            )
        assert len(rows) == 1
        assert theirs not in rows


async def test_pages_hold_every_task_once_the_newest_first(store_url: str, clock: StillClock) -> None:
    async with open_store(store_url, clock=clock) as store:
        ids = [await _add(store) for _ in range(5)]
        await _add(store, owner="other")
        seen: list[str] = []
        cursor: str | None = None
        async with store.read(ME) as transaction:
            while True:
                page = await transaction.tasks.page(limit=2, cursor=cursor)
                seen += [task.id for task in page.items]
                cursor = page.next_cursor
                if cursor is None:
                    break
            assert seen == ids[::-1]
            with pytest.raises(InvalidInput):
                await transaction.tasks.page(cursor="made up")
            foreign = (await transaction.tasks.page(limit=2)).next_cursor
        async with store.read("other") as transaction:
            with pytest.raises(InvalidInput):
                await transaction.tasks.page(cursor=foreign)


async def test_results_that_name_a_forgotten_capture_are_forgotten(store_url: str, clock: StillClock) -> None:
    async with open_store(store_url, clock=clock) as store:
        async with store.write(ME) as transaction:
            [receipt] = await transaction.captures.add_all([CaptureCreate(content="Said.")])
        telling, other, working = await _add(store), await _add(store), await _add(store)
        await _put(store, telling, Outcome(status=TaskStatus.COMPLETED, result={"sources": [receipt.id]}))
        await _put(store, other, DONE)
        async with store.write(ME) as transaction:
            assert await transaction.tasks.forget_telling([receipt.id]) == 1
        assert await _get(store, telling) is None
        assert await _get(store, other) is not None
        assert await _get(store, working) is not None
