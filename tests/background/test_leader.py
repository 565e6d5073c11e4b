"""One process works on a SQLite file, and whatever becomes of it the work goes on."""

from functools import partial
from pathlib import Path

import anyio
import pytest

from komorebi_mcp.domain.captures import CaptureCreate, Status
from komorebi_mcp.storage.locks import try_lock
from support.rooms import Rooms, open_rooms

OWNER = "local"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("komorebi_mcp.background.leader._TRY_S", 0.005)


async def capture(rooms: Rooms) -> str:
    return (await rooms.capture.capture(OWNER, CaptureCreate(content="some text"))).id


async def status(rooms: Rooms, capture_id: str) -> Status:
    return (await rooms.find.read(OWNER, [capture_id])).captures[0].status


async def processed(rooms: Rooms, capture_id: str) -> None:
    with anyio.fail_after(5):
        while await status(rooms, capture_id) is Status.INBOX:
            await anyio.lowlevel.checkpoint()


def lock_of(rooms: Rooms) -> Path:
    assert rooms.store.leader_lock is not None
    return rooms.store.leader_lock


async def test_whoever_stands_by_takes_over_once_the_leader_lets_go(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms, anyio.create_task_group() as background:
        held = try_lock(lock_of(rooms))
        assert held is not None
        tries = anyio.Event()
        with held, pytest.MonkeyPatch.context() as patch:
            patch.setattr("komorebi_mcp.background.leader.try_lock", partial(_note, tries))
            background.start_soon(rooms.lead)
            capture_id = await capture(rooms)
            with anyio.fail_after(5):
                await tries.wait()
            assert await status(rooms, capture_id) is Status.INBOX
        await processed(rooms, capture_id)
        assert try_lock(lock_of(rooms)) is None
        background.cancel_scope.cancel()


def _note(tries: anyio.Event, path: Path) -> object:
    held = try_lock(path)
    tries.set()
    return held


async def test_the_lock_is_free_once_the_leader_has_ended(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        async with anyio.create_task_group() as background:
            background.start_soon(rooms.lead)
            await processed(rooms, await capture(rooms))
            background.cancel_scope.cancel()
        held = try_lock(lock_of(rooms))
        assert held is not None
        held.close()


async def test_a_leader_that_holds_the_lock_and_does_nothing_is_stood_in_for(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms, anyio.create_task_group() as background:
        held = try_lock(lock_of(rooms))
        assert held is not None
        with held:
            background.start_soon(rooms.lead)
            capture_id = await capture(rooms)
            with anyio.fail_after(5):
                while await status(rooms, capture_id) is Status.INBOX:
                    rooms.clock.advance(seconds=1)
                    await anyio.lowlevel.checkpoint()
            background.cancel_scope.cancel()


async def test_what_a_dead_leader_had_claimed_does_not_wait_for_its_lease_to_end(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms, anyio.create_task_group() as background:
        capture_id = await capture(rooms)
        async with rooms.store.work() as queue:
            assert await queue.claim(limit=10, lease_s=60)
        background.start_soon(rooms.lead)
        await processed(rooms, capture_id)
        background.cancel_scope.cancel()


async def test_where_no_lock_can_be_had_the_work_is_done_all_the_same(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms, anyio.create_task_group() as background:
        lock_of(rooms).mkdir()
        background.start_soon(rooms.lead)
        await processed(rooms, await capture(rooms))
        background.cancel_scope.cancel()
