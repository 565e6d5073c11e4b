"""Brings the schema up to date, by one process at a time."""

import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from sqlalchemy import Connection, Engine, inspect, text

from komorebi_mcp.errors import StorageCorrupt, StorageUnavailable
from komorebi_mcp.storage import sqlite
from komorebi_mcp.storage.failures import storage_errors
from komorebi_mcp.storage.locks import try_lock
from komorebi_mcp.storage.postgres import MIGRATION_LOCK

NEW_FILE: Final = Path(__file__).with_name("schema.sql")
"""What a new SQLite file is made of. Made from the migrations by scripts/reference.py."""
HEAD = "0002"
"""The newest migration. Kept here so that Alembic, slow to import, is imported only when needed."""

KNOWN = frozenset({"0001", "0002"})
TRIGGERS = frozenset({"capture_index_added", "capture_index_changed", "capture_index_removed"})
LOCK_TIMEOUT_S = 30.0


def migrate(engine: Engine, path: Path | None) -> None:
    """Creates or upgrades the schema where it is not at `HEAD`; `path` is the file on SQLite.

    Raises:
        StorageCorrupt: The database is damaged, another program's, or from a newer version.
        StorageUnavailable: It cannot be reached, or another process has been migrating for 30 seconds.
    """
    with storage_errors():
        if path is not None:
            sqlite.prepare_folder(path)
            if not _is_current(*sqlite.names_in(path)):
                with _file_lock(sqlite.beside(engine.url, ".lock")):
                    tables, versions = sqlite.names_in(path)
                    if not tables:
                        create(engine)
                    elif not _is_current(tables, versions):
                        upgrade(engine)
            return
        with engine.connect() as connection:
            if _is_current(*_names_on(connection), shared=True):
                return
        with engine.connect() as keeper:
            keeper.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK})
            try:
                if not _is_current(*_names_on(keeper), shared=True):
                    upgrade(engine)
            finally:
                keeper.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": MIGRATION_LOCK})


def _is_current(tables: frozenset[str], versions: frozenset[str], *, shared: bool = False) -> bool:
    """Whether the schema is at `HEAD`; False where it is new or older; `shared` lets other tables be."""
    if versions - KNOWN:
        raise StorageCorrupt(
            "The database was written by a newer version of komorebi-mcp. Upgrade this installation."
        )
    if not versions and (tables & {"captures", "projects", "summaries"} if shared else tables):
        raise StorageCorrupt(
            "The database belongs to another program. Point KOMOREBI_DATABASE_URL or KOMOREBI_HOME elsewhere."
        )
    return versions == {HEAD}


def _names_on(connection: Connection) -> tuple[frozenset[str], frozenset[str]]:
    tables = frozenset(inspect(connection).get_table_names())
    if "alembic_version" not in tables:
        return tables, frozenset()
    rows = connection.execute(text("SELECT version_num FROM alembic_version"))
    return tables, frozenset(rows.scalars())


def create(engine: Engine) -> None:
    """Makes the schema of a new SQLite file in one transaction, as the migrations would.

    Alembic would take a fifth of a second for it, and 9 MB of memory that a server never gives back.
    """
    script = NEW_FILE.read_text(encoding="utf-8")
    key = f"INSERT INTO meta (name, value) VALUES ('cursor_key', '{secrets.token_hex(32)}');"  # noqa: S608 - Digits.
    with closing(engine.raw_connection()) as connection:
        driver = connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - the engine's dialect says so.
        try:
            driver.executescript(f"BEGIN IMMEDIATE;\n{script}\n{key}\nCOMMIT;")
        except BaseException:
            driver.rollback()
            raise


def upgrade(engine: Engine) -> None:
    """Runs the migrations that the database has not had yet."""
    from alembic import command  # noqa: PLC0415 - 300 ms that a start with a current schema does not pay.
    from alembic.config import Config  # noqa: PLC0415 - The same.

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)
        if connection.dialect.name == "sqlite":
            found = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))
            if missing := TRIGGERS - set(found.scalars()):
                # Rebuilding a table drops its triggers without a word.
                raise StorageCorrupt(
                    f"The migration left out {', '.join(sorted(missing))}. Report this as a bug."
                )


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    """Holds the lock file at `path`, once whoever holds it has let go."""
    deadline_s = time.monotonic() + LOCK_TIMEOUT_S
    while (file := _try_lock(path)) is None:
        if time.monotonic() > deadline_s:
            raise StorageUnavailable(
                "Another process has been upgrading the database for 30 seconds. Try again later."
            )
        time.sleep(0.02)
    with file:
        yield


def _try_lock(path: Path) -> BinaryIO | None:
    try:
        return try_lock(path)
    except OSError as error:
        raise StorageUnavailable(
            "The folder of the database cannot be written. Check its rights, or set KOMOREBI_HOME."
        ) from error
