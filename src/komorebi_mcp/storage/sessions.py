"""One transaction on one connection.

A repository method is one plain function over a SQLAlchemy connection. SQLAlchemy's asyncio layer carries it
out, or a worker thread where it only reads SQLite. It is shielded: cancellation takes effect when it has
ended, so no statement is left half-way.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from anyio import CancelScope
from anyio.lowlevel import checkpoint_if_cancelled
from sqlalchemy import Connection, Engine

from komorebi_mcp.errors import InvalidInput, StorageError
from komorebi_mcp.storage.failures import storage_errors

T = TypeVar("T")


class CarryOut(Protocol):
    """Runs a function that uses a connection, without holding up the event loop meanwhile."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


class Way(NamedTuple):
    """To a database."""

    engine: Engine
    carry_out: CarryOut


class Session:
    """A transaction that begins with its first statement."""

    def __init__(
        self, way: Way, *, options: Mapping[str, Any], opening: Callable[[Connection], None]
    ) -> None:
        self._engine, self._carry_out = way
        self._options = options
        self._opening = opening
        self._connection: Connection | None = None
        self._failed = False

    async def run(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns; it may only use the connection it is given."""
        await checkpoint_if_cancelled()
        try:
            with storage_errors(), CancelScope(shield=True):
                found = await self._carry_out(partial(self._step, work))
        except InvalidInput:
            # A refusal, made before anything was written.
            raise
        except BaseException:
            self._failed = True
            raise
        return found

    async def end(self, *, commit: bool) -> None:
        """Commits or rolls back, and gives the connection back.

        Raises:
            StorageError: A statement had failed and the caller went on regardless; nothing was written.
        """
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with storage_errors(), CancelScope(shield=True):
            await self._carry_out(partial(_end, connection, commit=commit and not self._failed))
        if commit and self._failed:
            # PostgreSQL answers the COMMIT of a failed transaction with a silent rollback.
            raise StorageError(
                "An earlier statement of this change failed, so nothing was written. Try again."
            )

    def _step(self, work: Callable[[Connection], T]) -> T:
        if self._connection is None:
            self._connection = self._begin()
        return work(self._connection)

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


def _end(connection: Connection, *, commit: bool) -> None:
    try:
        if commit:
            connection.commit()
        else:
            connection.rollback()
    finally:
        connection.close()
