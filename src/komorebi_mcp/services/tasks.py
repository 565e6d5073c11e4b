"""Tasks: work that goes on after its caller was answered, and what becomes of it.

What a task has come to is in the database, so that every process can tell; only the one that works on it can
stop it or hand it an answer. That one renews the task's lease: if it dies, the lease lapses and the task has
failed, whoever asks.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NamedTuple

import anyio
import anyio.abc
import structlog

from komorebi_mcp.domain.pages import LIMIT_DEFAULT, Page
from komorebi_mcp.domain.tasks import Outcome, Task, TaskStatus
from komorebi_mcp.errors import InvalidInput, NotFound, StorageError
from komorebi_mcp.services.running import Running, Tell, Work
from komorebi_mcp.storage.store import Store

LEASE_S = 8.0
"""How long after its process has died a task is said to have failed."""
TTL_MS_DEFAULT = 3_600_000
TTL_MS_MAX = 86_400_000
UNDER_WAY_MAX = 64
"""Tasks of one owner that one process works on at once."""

_RENEW_S = 2.0
_POLL_S = 0.3
"""How often to look whether another process has ended a task."""
_PURGE_S = 60.0
_INTERNAL_ERROR = -32603
_STOPPED = "The server was stopped before this had finished, and nothing was kept. Call the tool again."
_CANCELLED = "Cancelled as asked; nothing was kept."

_log = structlog.get_logger(__name__)


class Watching(NamedTuple):
    """Which tasks are watched, and how to end it."""

    task_ids: list[str]
    stop: Callable[[], None]


class Tasks:
    """Starts work, and tells what has become of it. `run` belongs in a task of the application."""

    def __init__(self, store: Store, group: anyio.abc.TaskGroup) -> None:
        """What is under way when the group is cancelled is said to have failed."""
        self._store = store
        self._group = group
        self._running: dict[str, Running] = {}
        self._begun = anyio.Event()
        self._purged_at = float("-inf")
        self._watchers: dict[object, tuple[frozenset[tuple[str, str]], Tell]] = {}

    async def start(
        self,
        owner: str,
        work: Work,
        *,
        tell: Tell,
        ttl_ms: int = TTL_MS_DEFAULT,
        patience_s: float = 0.0,
        at_once: Callable[[Outcome], bool] = lambda _: False,
    ) -> Task | Outcome:
        """The outcome, where one that may be told `at_once` is there within `patience_s`; else a task for it.

        `tell` is given the task whenever its state changes, and must not wait for long.

        Raises:
            InvalidInput: Too many tasks are under way.
        """
        if sum(running.owner == owner for running in self._running.values()) >= UNDER_WAY_MAX:
            raise InvalidInput(
                f"{UNDER_WAY_MAX} tasks are already under way. Wait for one of them to end, or cancel one."
            )

        async def tell_all(task: Task) -> None:
            await tell(task)
            for watched, tell_watcher in tuple(self._watchers.values()):
                if (owner, task.id) in watched:
                    await tell_watcher(task)

        running = Running(self._store, owner, tell_all)
        ttl_ms = max(1, min(ttl_ms, TTL_MS_MAX))
        running.scope.deadline = anyio.current_time() + ttl_ms / 1000
        # Begun here, so that the work sees this request's context.
        self._group.start_soon(self._carry_out, running, work)
        try:
            with anyio.move_on_after(patience_s):
                await running.worked.wait()
            if running.outcome is not None and at_once(running.outcome):
                return running.outcome
            task = await self._add(owner, ttl_ms)
            running.task = task
            self._running[task.id] = running
            self._begun.set()
        except BaseException:
            running.scope.cancel()
            raise
        finally:
            running.settled.set()
        return task

    async def watch(self, owner: str, task_ids: Iterable[str], tell: Tell) -> Watching:
        """Those of the owner's tasks that are there, of which this process now tells, until told to stop.

        Of a task that another process works on nothing is told.
        """
        there = []
        for task_id in task_ids:
            with suppress(NotFound):
                there.append((await self.get(owner, task_id)).id)
        token = object()
        self._watchers[token] = (frozenset((owner, task_id) for task_id in there), tell)

        def stop() -> None:
            self._watchers.pop(token, None)

        return Watching(there, stop)

    async def get(self, owner: str, task_id: str) -> Task:
        """The task as of now.

        Raises:
            NotFound: There is none of that id, or its time is over.
        """
        async with self._store.read(owner) as transaction:
            task = await transaction.tasks.get(task_id)
        if task is None:
            raise NotFound("No task has that id, or its time is over. Call the tool again to start another.")
        running = self._running.get(task_id)
        if running is not None and running.message is not None and task.status is TaskStatus.WORKING:
            return task.model_copy(update={"message": running.message})
        return task

    async def page(self, owner: str, *, limit: int = LIMIT_DEFAULT, cursor: str | None = None) -> Page[Task]:
        """A page of the owner's tasks, the newest first."""
        async with self._store.read(owner) as transaction:
            return await transaction.tasks.page(limit=limit, cursor=cursor)

    async def ended(self, owner: str, task_id: str) -> Task:
        """The task once it has ended.

        Raises:
            NotFound: There is none of that id, or its time is over.
        """
        while (task := await self.get(owner, task_id)).is_open:
            running = self._running.get(task_id)
            with anyio.move_on_after(LEASE_S if running else _POLL_S):
                await (running.ended.wait() if running else anyio.sleep_forever())
        return task

    async def cancel(self, owner: str, task_id: str) -> Task:
        """The task, cancelled; one that had ended is as it was.

        Raises:
            NotFound: There is none of that id, or its time is over.
        """
        outcome = Outcome(status=TaskStatus.CANCELLED, message=_CANCELLED)
        running = self._running.get(task_id)
        if running is not None and running.owner == owner:
            await running.put(outcome)
            running.scope.cancel()
        else:
            async with self._store.write(owner) as transaction:
                await transaction.tasks.put(task_id, outcome)
        return await self.get(owner, task_id)

    async def answer(self, owner: str, task_id: str, answers: dict[str, Any]) -> None:
        """Hands the client's answers to the task that asked for them.

        Raises:
            NotFound: There is none of that id, or its time is over.
            InvalidInput: Another process works on it.
        """
        task = await self.get(owner, task_id)
        running = self._running.get(task_id)
        if running is not None:
            running.answer(answers)
        elif task.is_open:
            raise InvalidInput("Another server process works on this task. Send the answers to that one.")

    async def _add(self, owner: str, ttl_ms: int) -> Task:
        if anyio.current_time() > self._purged_at + _PURGE_S:
            self._purged_at = anyio.current_time()
            await self._store.purge_tasks()
        async with self._store.write(owner) as transaction:
            return await transaction.tasks.add(ttl_ms=ttl_ms, lease_s=LEASE_S)

    async def _carry_out(self, running: Running, work: Work) -> None:
        try:
            with running.scope:
                await self._work(running, work)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await running.put(_failed(_STOPPED))
            raise
        except Exception:  # noqa: BLE001 - whatever one piece of work does, the others go on.
            _log.exception("task.failed")
            running.outcome = _failed("Something went wrong inside Komorebi. The server's log says more.")
            running.worked.set()
            await running.settled.wait()
            with anyio.CancelScope(shield=True):
                await self._put_last(running, running.outcome)
        finally:
            if running.task is not None:
                self._running.pop(running.task.id, None)
            running.ended.set()

    async def _work(self, running: Running, work: Work) -> None:
        answers: dict[str, Any] | None = None
        while True:
            outcome = await work(running, answers)
            running.outcome = outcome
            running.worked.set()
            await running.settled.wait()
            if running.task is None:
                # The caller has the outcome, a question included.
                return
            if outcome.status is not TaskStatus.INPUT_REQUIRED:
                await self._put_last(running, outcome)
                return
            answers = await running.ask(outcome.requests or {})

    async def _put_last(self, running: Running, outcome: Outcome) -> None:
        try:
            await running.put(outcome)
        except StorageError as error:
            # Its lease lapses, which says that it failed.
            _log.warning("task.not_written", error=str(error))

    async def run(self) -> None:
        """Renews leases, and stops what another process has cancelled; until cancelled itself."""
        while True:
            if not self._running:
                self._begun = anyio.Event()
                await self._begun.wait()
            await anyio.sleep(_RENEW_S)
            for owner in {running.owner for running in self._running.values()}:
                held = {key: each for key, each in self._running.items() if each.owner == owner}
                try:
                    async with self._store.write(owner) as transaction:
                        messages = {key: each.message for key, each in held.items()}
                        still_open = await transaction.tasks.renew(messages, lease_s=LEASE_S)
                except StorageError as error:
                    _log.warning("task.not_renewed", error=str(error))
                    continue
                for key in held.keys() - still_open:
                    held[key].scope.cancel()


def _failed(message: str) -> Outcome:
    error = {"code": _INTERNAL_ERROR, "message": message}
    return Outcome(status=TaskStatus.FAILED, message=message, error=error)
