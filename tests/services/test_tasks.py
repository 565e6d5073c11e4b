"""Work that goes on after its caller was answered ends honestly, whatever happens to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from komorebi_mcp.domain.tasks import Outcome, Task, TaskStatus
from komorebi_mcp.errors import InvalidInput, NotFound
from komorebi_mcp.services import tasks as service
from komorebi_mcp.services.running import Running, Work
from komorebi_mcp.services.tasks import Tasks
from komorebi_mcp.storage.store import Store, open_store
from support.databases import put_sqlite_file

# Tasks live by the clock.
pytestmark = pytest.mark.slow

ME = "local"
DONE = Outcome(status=TaskStatus.COMPLETED, result={"text": "done"})

Answers = dict[str, Any] | None


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Tasks, Store]]:
    """Tasks over `folder`/test.db, as a process of their own would have them."""
    put_sqlite_file(folder / "test.db")
    with anyio.fail_after(10):
        async with (
            open_store(f"sqlite+aiosqlite:///{folder}/test.db") as store,
            anyio.create_task_group() as group,
        ):
            tasks = Tasks(store, group)
            group.start_soon(tasks.run)
            yield tasks, store
            group.cancel_scope.cancel()


class Told:
    """The states that a client was told."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.first = anyio.Event()

    async def __call__(self, task: Task) -> None:
        self.states.append(task.status.value)
        self.first.set()


async def quick(_running: Running, _answers: Answers) -> Outcome:
    return DONE


class Endless:
    """Work that only ends when it is stopped."""

    def __init__(self) -> None:
        self.stopped = anyio.Event()

    async def __call__(self, _running: Running, _answers: Answers) -> Outcome:
        try:
            await anyio.sleep_forever()
        finally:
            self.stopped.set()
        raise AssertionError


async def broken(_running: Running, _answers: Answers) -> Outcome:
    raise RuntimeError("inside")


async def started(tasks: Tasks, work: Work, **options: Any) -> Task:
    task = await tasks.start(ME, work, **{"tell": Told(), **options})
    assert isinstance(task, Task)
    return task


async def test_a_task_ends_with_what_the_work_came_to_and_says_so(tmp_path: Path) -> None:
    told = Told()
    async with opened(tmp_path) as (tasks, _):
        task = await started(tasks, quick, tell=told)
        assert task.status is TaskStatus.WORKING
        ended = await tasks.ended(ME, task.id)
        assert (ended.status, ended.result) == (TaskStatus.COMPLETED, {"text": "done"})
        assert told.states == ["completed"]
        for odd in ("other", ME):
            with pytest.raises(NotFound):
                await tasks.get(odd, task.id if odd == "other" else "no id")


async def test_an_outcome_that_comes_in_time_needs_no_task(tmp_path: Path) -> None:
    async with opened(tmp_path) as (tasks, _):
        outcome = await tasks.start(ME, quick, tell=Told(), patience_s=5, at_once=lambda _: True)
        assert outcome == DONE
        assert (await tasks.page(ME)).items == ()
        kept = await tasks.start(ME, quick, tell=Told(), patience_s=5, at_once=lambda _: False)
        assert isinstance(kept, Task)
        late = await tasks.start(ME, Endless(), tell=Told(), patience_s=0.01, at_once=lambda _: True)
        assert isinstance(late, Task)


async def test_work_is_given_up_with_a_caller_who_goes_while_it_waits(tmp_path: Path) -> None:
    work = Endless()
    async with opened(tmp_path) as (tasks, _):
        with anyio.move_on_after(0.01):
            await tasks.start(ME, work, tell=Told(), patience_s=60)
        await work.stopped.wait()
        assert (await tasks.page(ME)).items == ()


async def test_a_cancelled_task_stops_working_and_stays_cancelled(tmp_path: Path) -> None:
    work, told = Endless(), Told()
    async with opened(tmp_path) as (tasks, _):
        task = await started(tasks, work, tell=told)
        with pytest.raises(NotFound):
            await tasks.cancel("other", task.id)
        assert (await tasks.cancel(ME, task.id)).status is TaskStatus.CANCELLED
        await work.stopped.wait()
        assert (await tasks.ended(ME, task.id)).status is TaskStatus.CANCELLED
        assert (await tasks.cancel(ME, task.id)).status is TaskStatus.CANCELLED
        assert told.states == ["cancelled"]
        done = await started(tasks, quick)
        await tasks.ended(ME, done.id)
        assert (await tasks.cancel(ME, done.id)).status is TaskStatus.COMPLETED


async def test_another_process_sees_a_task_and_can_cancel_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_RENEW_S", 0.05)
    monkeypatch.setattr(service, "_POLL_S", 0.02)
    work = Endless()
    async with opened(tmp_path) as (here, _), opened(tmp_path) as (there, _):
        task = await started(here, work)
        assert (await there.get(ME, task.id)).status is TaskStatus.WORKING
        with pytest.raises(InvalidInput, match="Another server process"):
            await there.answer(ME, task.id, {})
        async with anyio.create_task_group() as waiting:
            waiting.start_soon(there.ended, ME, task.id)
            await there.cancel(ME, task.id)
        await work.stopped.wait()


async def test_a_task_whose_server_stops_has_failed_and_one_whose_server_dies_does_so_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as (tasks, _):
        stopped = await started(tasks, Endless())
    monkeypatch.setattr(service, "LEASE_S", 0.01)
    monkeypatch.setattr(service, "_POLL_S", 0.01)
    async with opened(tmp_path) as (tasks, store):
        failed = await tasks.get(ME, stopped.id)
        assert failed.status is TaskStatus.FAILED
        assert failed.message is not None
        assert "stopped before" in failed.message
        async with store.write(ME) as transaction:
            # What a process leaves behind that is killed.
            orphan = await transaction.tasks.add(ttl_ms=60_000, lease_s=0.01)
        dead = await tasks.ended(ME, orphan.id)
        assert dead.status is TaskStatus.FAILED
        assert dead.message is not None
        assert dead.message.endswith("Call the tool again.")


async def test_work_that_breaks_is_a_failed_task_without_its_insides(tmp_path: Path) -> None:
    async with opened(tmp_path) as (tasks, _):
        task = await started(tasks, broken)
        failed = await tasks.ended(ME, task.id)
        assert failed.status is TaskStatus.FAILED
        assert failed.error == {"code": -32603, "message": failed.message}
        assert "RuntimeError" not in str(failed.message)


async def test_a_task_is_stopped_when_its_time_is_over(tmp_path: Path) -> None:
    work = Endless()
    async with opened(tmp_path) as (tasks, _):
        task = await started(tasks, work, ttl_ms=50)
        await work.stopped.wait()
        with pytest.raises(NotFound):
            await tasks.ended(ME, task.id)


async def test_a_task_asks_and_goes_on_with_the_answers_to_its_own_questions(tmp_path: Path) -> None:
    told = Told()

    async def work(_running: Running, answers: Answers) -> Outcome:
        if answers is None:
            requests = {"1:name": {"method": "m"}, "1:age": {"method": "m"}}
            return Outcome(status=TaskStatus.INPUT_REQUIRED, requests=requests)
        return Outcome(status=TaskStatus.COMPLETED, result=answers)

    async with opened(tmp_path) as (tasks, _):
        task = await started(tasks, work, tell=told)
        await told.first.wait()
        asking = await tasks.get(ME, task.id)
        assert set(asking.requests or {}) == {"1:name", "1:age"}
        with pytest.raises(NotFound):
            await tasks.answer("other", task.id, {"1:name": "Eve"})
        await tasks.answer(ME, task.id, {"1:name": "Ada", "0:gone": 1})
        assert (await tasks.get(ME, task.id)).status is TaskStatus.INPUT_REQUIRED
        await tasks.answer(ME, task.id, {"1:age": 36, "1:name": "Bob"})
        assert (await tasks.ended(ME, task.id)).result == {"1:name": "Ada", "1:age": 36}
        assert told.states == ["input_required", "working", "completed"]


async def test_what_a_task_is_at_can_be_read_at_once(tmp_path: Path) -> None:
    said = anyio.Event()

    async def work(running: Running, _answers: Answers) -> Outcome:
        running.say("3 of 9")
        said.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with opened(tmp_path) as (tasks, _):
        task = await started(tasks, work)
        await said.wait()
        assert (await tasks.get(ME, task.id)).message == "3 of 9"


async def test_an_owner_has_only_so_many_tasks_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "UNDER_WAY_MAX", 2)
    async with opened(tmp_path) as (tasks, _):
        for _ in range(2):
            await started(tasks, Endless())
        with pytest.raises(InvalidInput, match="Wait for one of them"):
            await started(tasks, quick)
        assert isinstance(await tasks.start("other", quick, tell=Told()), Task)
