"""PostgreSQL: a pool of connections, one writer at a time per owner."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection, Engine, NullPool, create_engine, text
from sqlalchemy.engine import URL

from komorebi_mcp.errors import ConfigError
from komorebi_mcp.storage.sessions import Begin

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

T = TypeVar("T")

CONNECTIONS_MAX = 10
CONNECT_TIMEOUT_S = 10

_OPTIONS = "-c plan_cache_mode=force_custom_plan"
"""A plan kept from when a table was empty reads all of it later: 5 ms instead of 0.2 at 20k captures."""

MIGRATION_LOCK = 0x6B6F6D6F7265
"""Advisory lock held while the schema is changed."""

_OWNER_LOCKS = 0x6B6F6D
"""First half of the advisory locks of owners; the second is the owner's hash."""

_LOCK_OWNER = text("SELECT pg_advisory_xact_lock(:locks, hashtext(:owner))")


def make_engine(address: URL) -> Engine:
    """A synchronous engine, for migrations.

    Raises:
        ConfigError: psycopg is not installed.
    """
    with _driver_at_hand():
        return create_engine(_with_defaults(address), poolclass=NullPool, hide_parameters=True)


class PostgresDatabase:
    """A pool of connections over psycopg 3, which is asynchronous itself."""

    dialect = "postgresql"
    readers_max = CONNECTIONS_MAX
    one_writer = False

    def __init__(self, address: URL) -> None:
        # It brings SQLAlchemy's ORM along, a twentieth of the start: SQLite does without.
        from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415

        self._engine = create_async_engine(
            _with_defaults(address),
            # What was captured must not get into a log by way of an error.
            hide_parameters=True,
            pool_size=CONNECTIONS_MAX,
            max_overflow=0,
        )

    def link(self, begin: Begin, *, write: bool) -> "_AsyncLink":
        del write
        return _AsyncLink(self._engine, begin)

    async def dispose(self) -> None:
        await self._engine.dispose()


class _AsyncLink:
    def __init__(self, engine: "AsyncEngine", begin: Begin) -> None:
        self._engine = engine
        self._begin = begin
        self._connection: AsyncConnection | None = None

    async def run(self, work: Callable[[Connection], T]) -> T:
        if self._connection is None:
            connection = await self._engine.connect()
            try:
                await connection.run_sync(self._begin)
            except BaseException:
                await connection.close()
                raise
            self._connection = connection
        return await self._connection.run_sync(work)

    async def run_last(self, work: Callable[[Connection], T]) -> T:
        done = False
        try:
            found = await self.run(work)
            done = True
        finally:
            await self.end(commit=done)
        return found

    async def end(self, *, commit: bool) -> bool:
        connection, self._connection = self._connection, None
        if connection is None:
            return False
        try:
            if commit:
                await connection.commit()
            else:
                await connection.rollback()
        finally:
            await connection.close()
        return True


def _with_defaults(address: URL) -> URL:
    """The address with psycopg as driver, and with our connection parameters where it names none."""
    defaults = {"connect_timeout": str(CONNECT_TIMEOUT_S), "options": _OPTIONS}
    return address.set(drivername="postgresql+psycopg", query={**defaults, **address.query})


@contextmanager
def _driver_at_hand() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            "PostgreSQL needs an extra: install komorebi-mcp[postgres], or leave KOMOREBI_DATABASE_URL out."
        ) from error


def lock_owner(connection: Connection, owner: str) -> None:
    """Waits until no other transaction writes for `owner`, and keeps others waiting until this one ends.

    With it arrival order is commit order, which cursors rest on, and two processes cannot both be the first
    to store a key or a text.
    """
    connection.execute(_LOCK_OWNER, {"locks": _OWNER_LOCKS, "owner": owner})
