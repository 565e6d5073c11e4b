"""A copy of the database, made while others write."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import anyio
import anyio.from_thread
import pytest

from komorebi_mcp.domain.captures import CaptureCreate, CaptureFilter
from komorebi_mcp.errors import StorageUnavailable
from komorebi_mcp.storage import backup
from komorebi_mcp.storage.store import open_store


async def test_a_copy_is_whole_while_captures_go_on_arriving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_STEP_PAGES", 8)
    source, target = tmp_path / "k.db", tmp_path / "copy.db"
    seen: list[tuple[int, int]] = []
    under_way = anyio.Event()
    enough = threading.Event()
    with anyio.fail_after(20):
        async with open_store(f"sqlite+aiosqlite:///{source}") as store:
            await store.take_in("a", [CaptureCreate(content=f"{n} " + "x" * 2_000) for n in range(500)])

            def copied(done: int, total: int) -> None:
                seen.append((done, total))
                # The copy stands still in the middle until somebody has written.
                if len(seen) == 3:
                    anyio.from_thread.run_sync(under_way.set)
                    enough.wait(10)

            async with anyio.create_task_group() as group:
                group.start_soon(lambda: store.back_up(target, copied=copied))
                await under_way.wait()
                await store.take_in("a", [CaptureCreate(content="late")])
                enough.set()
        async with open_store(f"sqlite+aiosqlite:///{target}") as store, store.read("a") as transaction:
            assert await transaction.captures.count(CaptureFilter()) == 500
    assert seen[-1][0] == seen[-1][1]
    assert seen == sorted(seen)


async def test_a_copy_is_one_private_file_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "there" / "copy.db"
    target.parent.mkdir()
    async with open_store(f"sqlite+aiosqlite:///{tmp_path}/k.db") as store:
        await store.take_in("a", [CaptureCreate(content="x")])
        await store.back_up(target, copied=lambda _done, _all: None)
    assert [path.name for path in target.parent.iterdir()] == ["copy.db"]
    assert target.stat().st_mode & 0o077 == 0
    with closing(sqlite3.connect(target)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_place_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    async with open_store(f"sqlite+aiosqlite:///{tmp_path}/k.db") as store:
        with pytest.raises(StorageUnavailable, match="cannot be written"):
            await store.back_up(tmp_path / "nowhere" / "copy.db", copied=lambda _done, _all: None)
