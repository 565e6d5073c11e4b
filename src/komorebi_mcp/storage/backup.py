"""A copy of a SQLite database as it is at one moment, made while others write."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL

from komorebi_mcp.errors import InvalidInput, StorageUnavailable
from komorebi_mcp.storage.failures import storage_errors
from komorebi_mcp.storage.sqlite import BUSY_TIMEOUT_MS, database_path

_STEP_PAGES = 2_048


def copy_database(address: URL, target: Path, *, copied: Callable[[int, int], None]) -> None:
    """Copies the database to a new file of its own, complete at once or not there at all.

    `copied` is told of bytes done and in all. SQLite's online backup reads within one transaction here, so
    that writers are neither waited for nor held up, and what they write meanwhile is not in the copy.
    https://sqlite.org/backup.html

    Raises:
        InvalidInput: The database is no SQLite file.
        StorageError: It cannot be read or the copy not written.
    """
    if address.get_backend_name() != "sqlite":
        raise InvalidInput(
            "The database is PostgreSQL, which has a tool for this. "
            "Run `pg_dump --format=custom --file=FILE DATABASE`, or export to take captures elsewhere."
        )
    partial = target.with_name(f".{target.name}.part")
    try:
        # Made by us, since the copy is as private as the database.
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    except OSError as error:
        raise StorageUnavailable(
            f"{target} cannot be written: {error.strerror}. Name a file in a folder that can be."
        ) from error
    try:
        with (
            storage_errors(),
            closing(
                sqlite3.connect(database_path(address), timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None)
            ) as from_,
            closing(sqlite3.connect(partial, isolation_level=None)) as to,
        ):
            (page_bytes,) = from_.execute("PRAGMA page_size").fetchone()
            from_.execute("BEGIN")
            # The transaction sees the database from its first read on.
            from_.execute("SELECT count(*) FROM sqlite_master").fetchone()

            def tell(_status: int, left: int, total: int) -> None:
                copied((total - left) * page_bytes, total * page_bytes)

            from_.backup(to, pages=_STEP_PAGES, progress=tell)
            from_.execute("COMMIT")
            # One file, without the log that belongs to the original.
            to.execute("PRAGMA journal_mode = DELETE")
            (verdict,) = to.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise StorageUnavailable("The copy is not sound and was thrown away. Try again.")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
