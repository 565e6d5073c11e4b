"""A piece of work of this process: a task once its caller was answered without waiting for it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from komorebi_mcp.domain.tasks import Outcome, Task, TaskStatus
from komorebi_mcp.storage.store import Store

Work = Callable[["Running", "dict[str, Any] | None"], Awaitable[Outcome]]
"""Given the task and, once it has asked for them, the client's answers by key."""
Tell = Callable[[Task], Awaitable[None]]


class Running:
    """What the work itself is given to speak with, and what it has come to so far."""

    def __init__(self, store: Store, owner: str, tell: Tell) -> None:
        self._store = store
        self._tell = tell
        self._answers: dict[str, Any] = {}
        self._asked: frozenset[str] = frozenset()
        self._answered = anyio.Event()
        self.owner = owner
        self.task: Task | None = None
        self.message: str | None = None
        self.outcome: Outcome | None = None
        self.scope = anyio.CancelScope()
        self.worked = anyio.Event()
        """There is an outcome, if only a question."""
        self.settled = anyio.Event()
        """It is known whether this is a task."""
        self.ended = anyio.Event()

    def say(self, message: str) -> None:
        """What the task is at; read at once, and written down with the next renewal."""
        self.message = message

    @asynccontextmanager
    async def waiting_for_input(self, requests: dict[str, Any] | None = None) -> AsyncIterator[None]:
        """Has the task say meanwhile that it waits for the client."""
        await self.put(Outcome(status=TaskStatus.INPUT_REQUIRED, requests=requests))
        yield
        await self.put(Outcome(status=TaskStatus.WORKING))

    async def ask(self, requests: dict[str, Any]) -> dict[str, Any]:
        """The client's answers to all the requests."""
        self._answers, self._asked, self._answered = {}, frozenset(requests), anyio.Event()
        async with self.waiting_for_input(requests):
            if self._asked:
                await self._answered.wait()
        return self._answers

    def answer(self, answers: dict[str, Any]) -> None:
        """Hands answers over. Those to questions that are not open, or were answered, are left aside."""
        for key, answer in answers.items():
            if key in self._asked:
                self._answers.setdefault(key, answer)
        if self._asked and self._asked <= self._answers.keys():
            self._answered.set()

    async def put(self, outcome: Outcome) -> None:
        if self.task is None:
            return
        async with self._store.write(self.owner) as transaction:
            if not await transaction.tasks.put(self.task.id, outcome):
                return
            task = await transaction.tasks.get(self.task.id)
        if task is not None:
            await self._tell(task)
