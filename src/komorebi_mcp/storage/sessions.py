"""One transaction on one connection.

A repository method is one plain function over a SQLAlchemy connection, which its asyncio layer carries out.
It is shielded: cancellation takes effect when it has ended, so no statement is left half-way.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from anyio import CancelScope
from anyio.lowlevel import checkpoint_if_cancelled
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from komorebi_mcp.errors import InvalidInput, StorageError
from komorebi_mcp.storage.failures import storage_errors

T = TypeVar("T")


class Session:
    """A transaction that begins with its first statement."""

    def __init__(
        self, engine: AsyncEngine, *, options: Mapping[str, Any], opening: Callable[[Connection], None]
    ) -> None:
        self._engine = engine
        self._options = options
        self._opening = opening
        self._connection: AsyncConnection | None = None
        self._failed = False

    async def run(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns; it may only use the connection it is given."""
        await checkpoint_if_cancelled()
        try:
            with storage_errors(), CancelScope(shield=True):
                if self._connection is None:
                    self._connection = await self._begin()
                found = await self._connection.run_sync(work)
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
            try:
                if commit and not self._failed:
                    await connection.commit()
                    return
                await connection.rollback()
            finally:
                await connection.close()
        if commit:
            # PostgreSQL answers the COMMIT of a failed transaction with a silent rollback.
            raise StorageError(
                "An earlier statement of this change failed, so nothing was written. Try again."
            )

    async def _begin(self) -> AsyncConnection:
        connection = await self._engine.connect()
        try:
            await connection.execution_options(**self._options)
            await connection.begin()
            await connection.run_sync(self._opening)
        except BaseException:
            await connection.close()
            raise
        return connection
