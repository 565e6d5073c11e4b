"""Database errors, told as what happened and what to do next."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, OperationalError

from komorebi_mcp.errors import StorageCorrupt, StorageError, StorageUnavailable

_DAMAGED = (
    "The database file is damaged or is not a database. "
    "Restore a backup, or move the file away to start with an empty one."
)
_SQLITE: dict[int, StorageError] = {
    sqlite3.SQLITE_BUSY: StorageUnavailable(
        "Another process has held the database for 30 seconds. Try again; end that process if it hangs."
    ),
    sqlite3.SQLITE_LOCKED: StorageUnavailable("The database is locked by another statement. Try again."),
    sqlite3.SQLITE_FULL: StorageUnavailable("The disk is full. Free some space and try again."),
    sqlite3.SQLITE_READONLY: StorageUnavailable(
        "The database cannot be written. Make its file and folder writable, then try again."
    ),
    sqlite3.SQLITE_CANTOPEN: StorageUnavailable(
        "The database file cannot be opened. Check its path and the rights of its folder."
    ),
    sqlite3.SQLITE_PERM: StorageUnavailable(
        "The database file may not be opened. Check the rights of the file and its folder."
    ),
    sqlite3.SQLITE_IOERR: StorageUnavailable(
        "The disk failed a read or write. Check the disk, then try again."
    ),
    sqlite3.SQLITE_NOMEM: StorageUnavailable("The database ran out of memory. Free some and try again."),
    sqlite3.SQLITE_CORRUPT: StorageCorrupt(_DAMAGED),
    sqlite3.SQLITE_NOTADB: StorageCorrupt(_DAMAGED),
}

_POSTGRES_STATES = {
    "XX001": StorageCorrupt("PostgreSQL reports damaged data. Restore a backup."),
    "XX002": StorageCorrupt("PostgreSQL reports a damaged index. Run REINDEX on the database."),
    "53100": StorageUnavailable("PostgreSQL's disk is full. Free some space and try again."),
    "53300": StorageUnavailable("PostgreSQL has no connection left. Try again, or raise max_connections."),
    "25006": StorageUnavailable(
        "PostgreSQL takes no writes here. Point the database URL at the primary server."
    ),
    "42501": StorageUnavailable("The PostgreSQL user lacks rights. Grant it the tables of its database."),
    "28P01": StorageUnavailable("PostgreSQL refused the password. Check the database URL."),
    "3D000": StorageUnavailable("PostgreSQL has no such database. Create it, or check the database URL."),
    "40P01": StorageUnavailable("Two transactions blocked each other. Try again."),
}
_UNREACHABLE = (
    "PostgreSQL does not answer. Check that it runs and that the database URL is right, then try again."
)


def told(error: BaseException) -> StorageError | None:
    """What a driver's exception means to a person; None where it is a fault of ours."""
    if isinstance(error, sqlite3.Error):
        # The low byte is the primary code, the rest refines it.
        known = _SQLITE.get((getattr(error, "sqlite_errorcode", None) or 0) & 0xFF)
        return None if known is None else type(known)(*known.args)
    state = getattr(error, "sqlstate", None)
    known = _POSTGRES_STATES.get(state or "")
    return None if known is None else type(known)(*known.args)


@contextmanager
def storage_errors() -> Iterator[None]:
    """Raises a driver's exception as one of ours, the original as its cause.

    Raises:
        StorageUnavailable: Trying again may help.
        StorageCorrupt: Trying again does not help.
    """
    try:
        yield
    except DBAPIError as error:
        meaning = told(error.orig) if error.orig is not None else None
        if meaning is None and _is_unreachable(error):
            meaning = StorageUnavailable(_UNREACHABLE)
        if meaning is None:
            raise
        raise meaning from error
    except sqlite3.Error as error:
        meaning = told(error)
        if meaning is None:
            raise
        raise meaning from error


def _is_unreachable(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        return False
    state = getattr(error.orig, "sqlstate", None)
    # Class 08 is a broken connection, 57 a server that is stopping; no state at all, none that was reached.
    unreached = state is None and isinstance(error, OperationalError)
    return error.connection_invalidated or unreached or str(state)[:2] in {"08", "57"}
