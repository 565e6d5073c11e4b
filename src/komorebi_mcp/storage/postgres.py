"""PostgreSQL: a pool of connections, one writer at a time per owner."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from komorebi_mcp.errors import ConfigError

CONNECTIONS_MAX = 10
CONNECT_TIMEOUT_S = 10
CANCEL_TIMEOUT_S = 5.0

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


def make_async_engine(address: URL) -> AsyncEngine:
    """An engine over psycopg 3."""
    return create_async_engine(
        _with_defaults(address),
        # What was captured must not get into a log by way of an error.
        hide_parameters=True,
        pool_size=CONNECTIONS_MAX,
        max_overflow=0,
    )


async def interrupt(connection: Connection) -> None:
    """Ends the statement under way, if any."""
    import psycopg  # noqa: PLC0415 - an extra, and no business of those on SQLite.

    # It takes a connection of its own. Where there is none to be had, the statement ends by itself.
    driver: Any = connection.connection.driver_connection
    with suppress(psycopg.Error, OSError):
        await driver.cancel_safe(timeout=CANCEL_TIMEOUT_S)


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
