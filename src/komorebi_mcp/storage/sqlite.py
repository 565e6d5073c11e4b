"""SQLite: one file, one writer, readers beside it."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from komorebi_mcp.errors import ConfigError, StorageUnavailable
from komorebi_mcp.storage.failures import storage_errors
from komorebi_mcp.storage.sessions import CarryOut

T = TypeVar("T")

BUSY_TIMEOUT_MS = 30_000
_RETRY_S = 0.002
_LOG_WAIT_S = 0.1
READERS_MAX = 4

_CONNECT = {"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000}
_PRAGMAS = (
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    "PRAGMA journal_mode = WAL",
    # NORMAL may lose acknowledged commits when the power fails.
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    # What is forgotten is overwritten; many builds of SQLite would leave it in free pages.
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -16000",
)


def database_path(url: URL) -> Path:
    """The file a `sqlite…` URL names.

    Raises:
        ConfigError: It names none; a database in memory would be another one for each connection.
    """
    if not url.database or url.database == ":memory:":
        raise ConfigError(
            "KOMOREBI_DATABASE_URL names no file. Write it as sqlite+aiosqlite:////path/to/komorebi.db."
        )
    return Path(url.database)


def beside(url: URL, ending: str) -> Path:
    """The file beside the database that has its name and `ending`, the same whatever path led to it."""
    path = database_path(url).resolve()
    return path.with_name(path.name + ending)


def prepare_folder(path: Path) -> None:
    """Creates the folder of the database, readable by its owner alone.

    Raises:
        StorageUnavailable: It cannot be created.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageUnavailable(
            "The folder of the database cannot be created. Check its path and rights, or set KOMOREBI_HOME."
        ) from error


def names_in(path: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Tables and migration versions in the file at `path`, read without writing; both empty where it is new.

    Raises:
        StorageUnavailable: It cannot be read.
        StorageCorrupt: It is damaged or no database.
    """
    if not path.exists() or path.stat().st_size == 0:
        return frozenset(), frozenset()
    # Read-only: switching a foreign or damaged file to WAL would already alter it.
    with storage_errors():
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_MS / 1000
        )
        with closing(connection):
            tables = _first_column(connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'"))
            versions: frozenset[str] = frozenset()
            if "alembic_version" in tables:
                versions = _first_column(connection.execute("SELECT version_num FROM alembic_version"))
            return tables, versions


def _first_column(rows: Iterable[tuple[Any, ...]]) -> frozenset[str]:
    return frozenset(str(row[0]) for row in rows)


class Header:
    """The header of a database file, read without a thread: what it takes is a page that is in memory."""

    def __init__(self, address: URL) -> None:
        # No waiting: whoever asks is the event loop.
        uri = f"{database_path(address).absolute().as_uri()}?mode=ro"
        self._connection = sqlite3.connect(uri, uri=True, timeout=0, check_same_thread=False)

    def user_version(self) -> int | None:
        """The number that programs keep there for themselves; None where it cannot be read at once."""
        return self._number("user_version")

    def data_version(self) -> int | None:
        """A number that is another one after each commit; None where it cannot be read at once."""
        return self._number("data_version")

    def _number(self, pragma: str) -> int | None:
        try:
            return int(self._connection.execute(f"PRAGMA {pragma}").fetchone()[0])
        except sqlite3.Error:
            return None

    def close(self) -> None:
        self._connection.close()


class PlacedFile:
    """The file that is at the database's place now, looked for before each transaction.

    SQLite goes on with one that was deleted, or whose place another took, as when a backup is put back: all
    that is stored in it then is lost with the last process that has it open.
    """

    def __init__(self, address: URL) -> None:
        self._path = str(database_path(address).absolute())
        self._is = self._found()

    def look(self) -> None:
        """Returns where it is still there; one that was made after this object is any file.

        Raises:
            StorageUnavailable: It is not.
        """
        if self._is is not None and self._found() != self._is:
            raise StorageUnavailable(
                "The database file was removed or replaced while it was in use. Start this process again."
            )

    def _found(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)  # noqa: PTH116 - a Path costs more than the look.
        except OSError:
            return None
        return found.st_dev, found.st_ino


def make_engine(address: URL) -> Engine:
    """For work in threads. Transactions begin as with `make_async_engine`."""
    engine = create_engine(
        URL.create("sqlite", database=address.database),
        connect_args=_CONNECT,
        # What was captured must not get into a log by way of an error.
        hide_parameters=True,
        pool_size=READERS_MAX,
        max_overflow=0,
    )
    _set_up(engine, PlacedFile(address))
    return engine


def make_async_engine(address: URL) -> AsyncEngine:
    """Begins a transaction with BEGIN IMMEDIATE under the execution option `write`, else with BEGIN."""
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=address.database),
        connect_args=_CONNECT,
        hide_parameters=True,
        # There is one writer at a time.
        pool_size=1,
        max_overflow=0,
    )
    _set_up(engine.sync_engine, PlacedFile(address))
    return engine


def driver_of(connection: Connection) -> sqlite3.Connection | None:
    """The driver's own connection, for statements that need nothing of SQLAlchemy; None where it is async."""
    driver = connection.connection.driver_connection
    return driver if isinstance(driver, sqlite3.Connection) else None


class OneStep:
    """A connection of its own for transactions that are one step in one thread; one at a time."""

    def __init__(self, address: URL) -> None:
        self._engine = make_engine(address)
        # Transactions are begun and ended on the driver's connection, which is all it takes.
        event.remove(self._engine, "begin", _on_begin)
        event.listen(self._engine, "connect", _refuse_to_wait)
        self._connection: Connection | None = None
        self._file = PlacedFile(address)

    def write(self, work: Callable[[Connection], T], *, owner: str) -> T:
        """What `work` returns, its transaction committed, or rolled back where it failed.

        Raises:
            sqlite3.Error: Also where another process held the database for `BUSY_TIMEOUT_MS`.
            StorageUnavailable: The file is no longer there.
        """
        connection, driver = self._connected()
        connection.execution_options(owner=owner)
        self._file.look()
        _begin_as_soon_as_possible(driver)
        try:
            done = work(connection)
            driver.commit()
        except BaseException:
            driver.rollback()
            raise
        return done

    def empty_log(self) -> bool:
        """Whether the write-ahead log was carried over and begun anew; not while somebody reads for long."""
        _, driver = self._connected()
        deadline_s = time.monotonic() + _LOG_WAIT_S
        while driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > deadline_s:
                return False
            time.sleep(_RETRY_S)
        return True

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._engine.dispose()

    def _connected(self) -> tuple[Connection, sqlite3.Connection]:
        self._connection = self._connection or self._engine.connect()
        driver = driver_of(self._connection)
        assert driver is not None  # noqa: S101 - the engine's dialect says so.
        return self._connection, driver


def in_a_thread() -> CarryOut:
    """Carries work out in worker threads, as many as read at once.

    They are apart from those of other work: whatever that waits for, the database is not kept waiting.
    """
    return partial(to_thread.run_sync, limiter=CapacityLimiter(READERS_MAX))


async def interrupt(connection: Connection) -> None:
    """Ends the statement under way in a worker thread, if any."""
    if (driver := driver_of(connection)) is not None:
        driver.interrupt()


def _set_up(engine: Engine, file: PlacedFile) -> None:
    # Ahead of each connection, since SQLite makes a new file where there is none.
    event.listen(engine, "do_connect", lambda *_: file.look())
    event.listen(engine, "begin", lambda _: file.look())
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)


def _on_connect(connection: DBAPIConnection, _: object) -> None:
    # The driver's own BEGIN would come too late and be a deferred one.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _refuse_to_wait(connection: DBAPIConnection, _: object) -> None:
    # `_begin_as_soon_as_possible` waits instead.
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout = 0")
    cursor.close()


def _begin_as_soon_as_possible(driver: sqlite3.Connection) -> None:
    """Begins to write, asking again every other millisecond where another process does.

    SQLite's own waiting sleeps for up to 100 ms at a time, so that of several busy processes one is passed
    over for a second and more.
    """
    deadline_s = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            driver.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            # The low byte is the primary code, the rest refines it.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline_s:
                raise
            time.sleep(_RETRY_S)
        else:
            return


def _on_begin(connection: Connection) -> None:
    # BEGIN IMMEDIATE: a read upgraded to a write fails at once with SQLITE_BUSY.
    write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
