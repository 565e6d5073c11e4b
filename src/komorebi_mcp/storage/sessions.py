"""One transaction on one connection.

A repository method is one plain function over a SQLAlchemy connection. SQLAlchemy's asyncio layer carries it
out, or a worker thread where it only reads SQLite. Cancellation takes effect when it has ended, so no
statement is left half-way. One that only reads is brought to its end by interrupting the database.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Concatenate, Final, NamedTuple, ParamSpec, Protocol, TypeVar

from anyio import CancelScope
from anyio.lowlevel import checkpoint_if_cancelled
from sqlalchemy import Connection, Engine

from komorebi_mcp.errors import InvalidInput, StorageError
from komorebi_mcp.storage.failures import storage_errors

_INTERRUPT_S: Final = 0.05
"""How often to interrupt: between two statements there is nothing to be interrupted."""

P = ParamSpec("P")
T = TypeVar("T")


class CarryOut(Protocol):
    """Runs a function that uses a connection, without holding up the event loop meanwhile."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


class Way(NamedTuple):
    """To a database."""

    engine: Engine
    carry_out: CarryOut
    interrupt: Callable[[Connection], Awaitable[None]] | None = None
    """Ends the statement under way, if any; None where statements go on to their end, as of writers."""


class Session:
    """A transaction that begins with its first statement."""

    def __init__(
        self, way: Way, *, options: Mapping[str, Any], opening: Callable[[Connection], None]
    ) -> None:
        self._engine, self._carry_out, self._interrupt = way
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
                found = await self._to_its_end(self._carry_out(partial(self._step, work, *args, **kwargs)))
        except InvalidInput:
            # A refusal, made before anything was written.
            raise
        except BaseException:
            self._failed = True
            raise
        return found

    async def _to_its_end(self, work: Awaitable[T]) -> T:
        """What the work returns; a cancellation is raised when it has ended, which a reader's does soon."""
        task = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            with CancelScope(shield=True):
                while not task.done():
                    if self._interrupt is not None and self._connection is not None:
                        await self._interrupt(self._connection)
                    await asyncio.wait([task], timeout=None if self._interrupt is None else _INTERRUPT_S)
            # Whatever came of it, nobody wants to know any more.
            task.exception()
            raise

    async def end(self, *, commit: bool) -> None:
        """Commits or rolls back, and gives the connection back.

        Raises:
            StorageError: A statement had failed and the caller went on regardless; nothing was written.
        """
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with storage_errors(), CancelScope(shield=True):
            await _cancelled_after(
                self._carry_out(partial(_end, connection, commit=commit and not self._failed))
            )
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
    """Awaits the work; a cancellation in between, as of a person's Ctrl-C, comes true at the next await.

    Whoever committed can tell what is stored, which a cancellation here would leave untold. No cancel scope
    shields from one of asyncio's own.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        task.result()
        this = asyncio.current_task()
        assert this is not None  # noqa: S101 - a coroutine runs in one.
        this.uncancel()
        this.cancel()


def _end(connection: Connection, *, commit: bool) -> None:
    try:
        if commit:
            connection.commit()
        else:
            connection.rollback()
    finally:
        connection.close()
