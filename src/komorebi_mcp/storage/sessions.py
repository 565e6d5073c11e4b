"""One transaction on one connection.

A repository method is one plain function over a SQLAlchemy connection. SQLAlchemy's asyncio layer carries it
out, or a worker thread where it only reads SQLite. Cancellation takes effect when it has ended, so no
statement is left half-way. One that only reads is brought to its end by interrupting the database.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Concatenate, Final, NamedTuple, ParamSpec, Protocol, TypeVar

from anyio import CancelScope
from anyio.lowlevel import checkpoint_if_cancelled
from sqlalchemy import Connection, Engine

from komorebi_mcp.errors import InvalidInput, StorageError
from komorebi_mcp.storage.failures import storage_errors

_INTERRUPT_S: Final = 0.05
"""How often to interrupt a statement that a cancelled reader waits for."""

P = ParamSpec("P")
T = TypeVar("T")


class CarryOut(Protocol):
    """Runs a function that uses a connection, without holding up the event loop meanwhile."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


class Connector(NamedTuple):
    """Where connections come from, and how work on one is carried out."""

    engine: Engine
    carry_out: CarryOut
    interrupt: Callable[[Connection], Awaitable[None]] | None = None
    """Ends the statement under way, if any; None where statements go on to their end, as of writers."""


class Session:
    """A transaction that begins with its first statement."""

    def __init__(
        self, connector: Connector, *, options: Mapping[str, Any], opening: Callable[[Connection], None]
    ) -> None:
        self._engine, self._carry_out, self._interrupt = connector
        self._options = options
        self._opening = opening
        self._connection: Connection | None = None
        self._failed = False

    async def run(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What `work` returns, given a connection and these arguments; it may use no other connection."""
        await checkpoint_if_cancelled()
        try:
            with storage_errors():
                found = await self._uncut(self._carry_out(partial(self._step, work, *args, **kwargs)))
        except InvalidInput:
            # A refusal, made before anything was written.
            raise
        except BaseException:
            self._failed = True
            raise
        return found

    async def _uncut(self, work: Awaitable[T]) -> T:
        """What the work returns; a cancellation is raised when it has ended, which a reader's does soon."""
        task = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            interrupt = None if self._interrupt is None else self._interrupt_statement
            await _outlasting_cancellation(task, interrupt=interrupt)
            # Whatever came of it, nobody wants to know any more.
            task.exception()
            raise

    async def _interrupt_statement(self) -> None:
        if self._interrupt is not None and self._connection is not None:
            await self._interrupt(self._connection)

    async def end(self, *, commit: bool) -> None:
        """Commits or rolls back, and gives the connection back.

        Raises:
            StorageError: A statement had failed and the caller went on regardless; nothing was written.
        """
        connection, self._connection = self._connection, None
        if connection is None:
            return
        ending = self._carry_out(partial(_end, connection, commit=commit and not self._failed))
        with storage_errors():
            await _cancelled_after(ending)
        if commit and self._failed:
            # PostgreSQL answers the COMMIT of a failed transaction with a silent rollback.
            raise StorageError(
                "An earlier statement of this change failed, so nothing was written. Try again."
            )

    def _step(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._connection is None:
            self._connection = self._begin()
        return work(self._connection, *args, **kwargs)

    def _begin(self) -> Connection:
        connection = self._engine.connect()
        try:
            connection.execution_options(**self._options)
            connection.begin()
            self._opening(connection)
        except BaseException:
            connection.close()
            raise
        return connection


async def _cancelled_after(work: Awaitable[None]) -> None:
    """Awaits the work; a cancellation meanwhile, as by a person's Ctrl-C, takes effect at the next await.

    Whoever committed can tell what is stored, which a cancellation here would leave untold.
    """
    task = asyncio.ensure_future(work)
    cancelled = await _outlasting_cancellation(task)
    task.result()
    if cancelled:
        this = asyncio.current_task()
        assert this is not None  # noqa: S101 - a coroutine runs in one.
        this.uncancel()
        this.cancel()


async def _outlasting_cancellation(
    task: asyncio.Future[Any], *, interrupt: Callable[[], Awaitable[None]] | None = None
) -> bool:
    """Returns once the task is done; whether a cancellation came meanwhile.

    `interrupt` is to make the task end soon. It is called again and again: between two statements there is
    nothing to interrupt.
    """
    cancelled = False
    # The scope keeps out cancellations by anyio, which would come again at every await; asyncio has its own.
    with CancelScope(shield=True):
        while not task.done():
            try:
                if interrupt is not None:
                    await interrupt()
                await asyncio.wait([task], timeout=None if interrupt is None else _INTERRUPT_S)
            except asyncio.CancelledError:
                cancelled = True
    return cancelled


def _end(connection: Connection, *, commit: bool) -> None:
    try:
        if commit:
            connection.commit()
        else:
            connection.rollback()
    finally:
        connection.close()
