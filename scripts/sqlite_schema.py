"""What a new SQLite file is made of: the outcome of all migrations, as one script."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import make_url

from komorebi_mcp.storage import migrate, sqlite

_HEAD = "-- Made by scripts/reference.py; add a migration, and run it.\n"
_OBJECTS = """
    SELECT sql FROM sqlite_master JOIN pragma_table_list AS list ON list.name = tbl_name
    WHERE sql IS NOT NULL AND list.type <> 'shadow' AND tbl_name NOT LIKE 'sqlite^_%' ESCAPE '^'
    ORDER BY sqlite_master.rowid
"""


def script() -> str:
    """Every table, index and trigger in the order the migrations make them, and what rows they bring."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "new.db"
        engine = sqlite.make_engine(make_url(f"sqlite:///{path}"))
        try:
            migrate.upgrade(engine)
        finally:
            engine.dispose()
        with closing(sqlite3.connect(path)) as connection:
            return _HEAD + "".join(f"\n{statement};\n" for statement in _statements(connection))


def _statements(connection: sqlite3.Connection) -> Iterator[str]:
    for (statement,) in connection.execute(_OBJECTS):
        yield "\n".join(line.rstrip() for line in statement.strip().splitlines())
    yield "ANALYZE"
    yield "DELETE FROM sqlite_stat1"
    for row in connection.execute("SELECT tbl, idx, stat FROM sqlite_stat1 ORDER BY tbl, idx"):
        yield _insertion("sqlite_stat1 (tbl, idx, stat)", row)
    for row in connection.execute("SELECT version_num FROM alembic_version"):
        yield _insertion("alembic_version (version_num)", row)


def _insertion(columns: str, row: tuple[str | None, ...]) -> str:
    return f"INSERT INTO {columns} VALUES ({', '.join(map(_quoted, row))})"  # noqa: S608  # Written to a file.


def _quoted(value: str | None) -> str:
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"
