"""What has to be true of a database before it is used: a known kind, the current schema, its key."""

from contextlib import suppress

from sqlalchemy import select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from komorebi_mcp.errors import ConfigError, StorageCorrupt
from komorebi_mcp.storage import postgres, sqlite
from komorebi_mcp.storage.failures import storage_errors
from komorebi_mcp.storage.migrate import migrate
from komorebi_mcp.storage.tables import meta


def prepare(url: str) -> tuple[URL, bytes]:
    """The address of a database whose schema is current, and its key for cursors."""
    address = _parse(url)
    if address.get_backend_name() == "sqlite":
        path = sqlite.database_path(address)
        engine = sqlite.make_engine(address)
    else:
        path = None
        engine = postgres.make_engine(address)
    try:
        migrate(engine, path)
        with storage_errors(), engine.connect() as connection:
            key = connection.execute(select(meta.c.value).where(meta.c.name == "cursor_key")).scalar()
    finally:
        engine.dispose()
    if key is None:
        raise StorageCorrupt("The database has lost its cursor key. Restore a backup.")
    return address, bytes.fromhex(key)


def _parse(url: str) -> URL:
    with suppress(ArgumentError):
        address = make_url(url)
        if address.get_backend_name() in {"sqlite", "postgresql"}:
            return address
    raise ConfigError(
        "The database URL is not one that is supported. Write it as sqlite+aiosqlite:///… or postgresql+psycopg://…."
    )
