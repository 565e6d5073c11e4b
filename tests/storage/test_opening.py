"""Opening a database: new, current, foreign, damaged, out of reach."""

import asyncio
import hashlib
import os
import shutil
import sqlite3
import stat
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import aiosqlite
import anyio
import pytest
from sqlalchemy import text

from komorebi_mcp.domain.captures import CaptureCreate, CaptureFilter, Receipt
from komorebi_mcp.errors import ConfigError, StorageCorrupt, StorageUnavailable
from komorebi_mcp.storage import migrate, sqlite
from komorebi_mcp.storage.owned import Rows
from komorebi_mcp.storage.store import open_store
from support.databases import read_all


def _url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def _open(path: Path) -> None:
    async with open_store(_url(path)):
        pass


async def test_a_new_database_comes_into_being_in_a_folder_of_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "50% b" / "komorebi.db"
    await _open(path)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert sqlite.names_in(path)[1] == {migrate.HEAD}


async def test_an_empty_file_counts_as_new(tmp_path: Path) -> None:
    path = tmp_path / "komorebi.db"
    path.touch()
    await _open(path)


async def test_connections_are_durable_and_wait_for_each_other(tmp_path: Path) -> None:
    async with open_store(_url(tmp_path / "k.db")) as store:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        found = {name: (await read_all(store, text(f"PRAGMA {name}")))[0][0] for name in names}
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


async def test_a_write_begins_immediately_and_a_read_does_not(tmp_path: Path) -> None:
    statements: list[str] = []
    async with open_store(_url(tmp_path / "k.db")) as store:
        async with store.read("a") as transaction:
            reader = await transaction.captures._session.run(_driver)
            reader.set_trace_callback(statements.append)
        async with store.write("a") as transaction:
            writer = await transaction.captures._session.run(_driver)
            assert isinstance(writer, aiosqlite.Connection)
            await writer.set_trace_callback(statements.append)
        # The pools hand the traced connections out again.
        statements.clear()
        async with store.read("a") as transaction:
            await transaction.captures.count(CaptureFilter())
        assert (statements[0], statements[-1]) == ("BEGIN", "ROLLBACK")
        statements.clear()
        async with store.write("a") as transaction:
            await transaction.captures.add_all([CaptureCreate(content="x")])
        assert (statements[0], statements[-1]) == ("BEGIN IMMEDIATE", "COMMIT")


def _driver(rows: Rows) -> Any:
    return rows.connection.connection.driver_connection


async def test_what_is_computed_in_a_read_does_not_hold_up_the_event_loop(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()
    went_on: list[bool] = []

    def compute(_: Rows) -> None:
        begun.set()
        went_on.append(go_on.wait(5))

    async def work() -> None:
        async with store.read("a") as transaction:
            await transaction.captures._session.run(compute)

    async with open_store(_url(tmp_path / "k.db")) as store, anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        with anyio.fail_after(10):
            while not begun.is_set():
                await anyio.lowlevel.checkpoint()
        go_on.set()
    assert went_on == [True]


async def test_a_read_that_is_cancelled_twice_keeps_its_connection_until_its_work_has_ended(
    tmp_path: Path,
) -> None:
    begun, ended = threading.Event(), threading.Event()

    def compute(_: Rows) -> None:
        begun.set()
        # Longer than it takes to give a connection back; nobody says that it is time.
        threading.Event().wait(0.2)
        ended.set()

    async def work() -> None:
        async with store.read("a") as transaction:
            await transaction.captures._session.run(compute)

    async with open_store(_url(tmp_path / "k.db")) as store:
        task = asyncio.create_task(work())
        with anyio.fail_after(10):
            while not begun.is_set():
                await anyio.lowlevel.checkpoint()
            for _ in range(2):
                task.cancel()
                await anyio.lowlevel.checkpoint()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert ended.is_set()


@pytest.mark.parametrize(
    "content", [b"not a database at all" * 100, b"\x00" * 4096, b"SQLite format 3\x00" + b"\xff" * 5000]
)
async def test_a_damaged_file_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "komorebi.db"
    path.write_bytes(content)
    with pytest.raises(StorageCorrupt, match="Restore a backup"):
        await _open(path)
    assert path.read_bytes() == content


async def test_a_truncated_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "komorebi.db"
    await _open(path)
    os.truncate(path, 5000)
    before = _hash(path)
    with pytest.raises(StorageCorrupt, match="Restore a backup"):
        await _open(path)
    assert _hash(path) == before


async def test_another_programs_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "komorebi.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (id)")
    before = _hash(path)
    with pytest.raises(StorageCorrupt, match="another program"):
        await _open(path)
    assert _hash(path) == before


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "komorebi.db"
    await _open(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(StorageCorrupt, match="newer version"):
        await _open(path)


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailable, match="KOMOREBI_HOME"):
        await _open(tmp_path / "file" / "komorebi.db")


async def test_a_folder_in_place_of_the_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="failed a read or write"):
        await _open(tmp_path)


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "", "sqlite+aiosqlite://", "sqlite:///:memory:"])
async def test_a_url_of_no_known_kind_is_told(url: str) -> None:
    with pytest.raises(ConfigError, match="sqlite"):
        async with open_store(url):
            pass


async def test_a_postgresql_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="does not answer"):
        async with open_store(f"postgresql+psycopg://nobody@/none?host={tmp_path}"):
            pass


async def test_a_full_disk_is_told_and_nothing_is_half_written(tmp_path: Path) -> None:
    async with open_store(_url(tmp_path / "k.db")) as store:
        [(pages,)] = await read_all(store, text("PRAGMA page_count"))
        async with store.work() as queue:
            await queue._session.run(
                lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}").close()
            )

        async def fill() -> None:
            async with store.write("a") as transaction:
                await transaction.captures.add_all([CaptureCreate(content="x" * 100_000)])

        with pytest.raises(StorageUnavailable, match="disk is full"):
            await fill()
        async with store.read("a") as transaction:
            assert await transaction.captures.count(CaptureFilter()) == 0


async def test_a_database_held_by_another_process_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_PRAGMAS", (*sqlite._PRAGMAS, "PRAGMA busy_timeout = 10"))
    path = tmp_path / "k.db"

    async with open_store(_url(path)) as store:

        async def add() -> None:
            async with store.write("a") as transaction:
                await transaction.captures.add_all([CaptureCreate(content="x")])

        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageUnavailable, match="Another process"):
                await add()
            other.execute("ROLLBACK")
        await add()


async def test_many_starting_at_once_migrate_once(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(_open, tmp_path / "new" / "k.db")


async def test_a_migration_under_way_elsewhere_is_waited_for_and_then_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT_S", 0.0)
    held, refused = (
        migrate._file_lock(tmp_path / "k.db.lock"),
        pytest.raises(StorageUnavailable, match="upgrading"),
    )
    with held, refused:
        await _open(tmp_path / "k.db")
    await _open(tmp_path / "k.db")


@pytest.mark.process
async def test_a_start_with_a_current_schema_imports_neither_alembic_nor_psycopg(tmp_path: Path) -> None:
    path = tmp_path / "k.db"
    await _open(path)
    script = f"""
import asyncio, sys
from komorebi_mcp.storage.store import open_store

async def main():
    async with open_store({_url(path)!r}) as store:
        await store.check()

asyncio.run(main())
print(sorted({{"alembic", "psycopg", "sqlalchemy.dialects.postgresql"}} & sys.modules.keys()))
"""
    done = await anyio.run_process([sys.executable, "-c", script])
    assert done.stdout.strip() == b"[]"


async def test_acknowledged_captures_are_there_after_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "k.db"
    async with open_store(_url(path)) as store:
        async with store.write("a") as transaction:
            await transaction.captures.add_all([CaptureCreate(content="x")])
        # What a killed process leaves behind: the file and its log, never closed.
        shutil.copytree(tmp_path, tmp_path / "crashed", ignore=shutil.ignore_patterns("crashed", "*-shm"))
    async with open_store(_url(tmp_path / "crashed" / "k.db")) as store, store.read("a") as transaction:
        assert await transaction.captures.count(CaptureFilter()) == 1


async def test_a_capture_waits_for_another_process_that_writes(tmp_path: Path) -> None:
    receipts: list[Receipt] = []
    async with open_store(_url(tmp_path / "k.db")) as store:

        async def take_in() -> None:
            receipts.extend(await store.take_in("a", [CaptureCreate(content="patient")]))

        with closing(sqlite3.connect(tmp_path / "k.db", isolation_level=None)) as elsewhere:
            elsewhere.execute("BEGIN IMMEDIATE")
            with anyio.fail_after(5):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(take_in)
                    with anyio.move_on_after(0.1):
                        await anyio.sleep_forever()
                    assert not receipts
                    elsewhere.execute("COMMIT")
        assert [receipt.created for receipt in receipts] == [True]


async def test_a_capture_is_refused_where_another_process_does_not_end_its_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("komorebi_mcp.storage.sqlite.BUSY_TIMEOUT_MS", 50)
    async with open_store(_url(tmp_path / "k.db")) as store:
        with closing(sqlite3.connect(tmp_path / "k.db", isolation_level=None)) as elsewhere:
            elsewhere.execute("BEGIN IMMEDIATE")
            with anyio.fail_after(5), pytest.raises(StorageUnavailable, match="Try again"):
                await store.take_in("a", [CaptureCreate(content="refused")])
        [receipt] = await store.take_in("a", [CaptureCreate(content="accepted")])
        assert receipt.created


async def test_nobody_tells_of_changes_in_a_file_and_nobody_waits_for_it(tmp_path: Path) -> None:
    async with open_store(_url(tmp_path / "k.db")) as store:
        with anyio.fail_after(5):
            await store.listen(lambda _: None, connected=lambda: None)
        assert not store.hears
