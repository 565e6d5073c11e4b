"""One transaction on one connection.

A repository method is one plain function over a SQLAlchemy connection. How it is carried out is the
database's business: in a thread on SQLite, by SQLAlchemy's asyncio layer on PostgreSQL. It is shielded:
cancellation takes effect when it has ended, so no statement is left half-way.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from anyio import CancelScope
from anyio.lowlevel import checkpoint_if_cancelled
from sqlalchemy import Connection

from komorebi_mcp.errors import InvalidInput, StorageError
from komorebi_mcp.storage.failures import storage_errors

T = TypeVar("T")

Begin = Callable[[Connection], None]
"""Begins a transaction on a fresh connection."""


class Link(Protocol):
    """A connection for one transaction, taken with the first work on it."""

    async def run(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns."""

    async def run_last(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, once the transaction is committed; rolled back where it raises."""

    async def end(self, *, commit: bool) -> bool:
        """Commits or rolls back, and gives the connection back; False where none was taken."""


class Database(Protocol):
    """A pool of connections."""

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""

    @property
    def readers_max(self) -> int:
        """How many transactions may be open beside each other."""

    @property
    def one_writer(self) -> bool:
        """Whether writers wait for each other, beside the readers."""

    def link(self, begin: Begin, *, write: bool) -> Link:
        """A connection for one transaction."""

    async def dispose(self) -> None:
        """Closes all connections."""


class Session:
    """A transaction that begins with its first statement."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._failed = False

    async def run(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns; it may only use the connection it is given."""
        await checkpoint_if_cancelled()
        try:
            with storage_errors(), CancelScope(shield=True):
                found = await self._link.run(work)
        except InvalidInput:
            # A refusal, made before anything was written.
            raise
        except BaseException:
            self._failed = True
            raise
        return found

    async def run_last(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, committed; the transaction has ended either way."""
        await checkpoint_if_cancelled()
        with storage_errors(), CancelScope(shield=True):
            found = await self._link.run_last(work)
        return found  # noqa: RET504 - to mypy, a context manager may swallow what is raised in it.

    async def end(self, *, commit: bool) -> None:
        """Commits or rolls back, and gives the connection back.

        Raises:
            StorageError: A statement had failed and the caller went on regardless; nothing was written.
        """
        with storage_errors(), CancelScope(shield=True):
            begun = await self._link.end(commit=commit and not self._failed)
        if commit and begun and self._failed:
            # PostgreSQL answers the COMMIT of a failed transaction with a silent rollback.
            raise StorageError(
                "An earlier statement of this change failed, so nothing was written. Try again."
            )
