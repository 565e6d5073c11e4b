"""A disk that is full, a file that may not be written, a damaged database: told, and nothing spoilt."""

import json
import os
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from support.processes import COMMAND, START_S, Conversation, conversation, environment, request

pytestmark = pytest.mark.process

LARGE = "x" * 300_000


async def capture(server: Conversation, content: str, key: str) -> dict[str, Any]:
    """The result, an error's too."""
    arguments = {"content": content, "key": key, "project": "p"}
    await server.send(request("tools/call", name="capture", arguments=arguments))
    while "id" not in (answer := await server.receive()):
        pass
    result = answer["result"]
    assert isinstance(result, dict)
    return result


def refusal(result: dict[str, Any]) -> str:
    assert result.get("isError") is True, result
    return str(result["content"][0]["text"])


def rows(home: Path) -> list[tuple[str, int]]:
    """Key and length of everything stored, in a file that is sound."""
    with closing(sqlite3.connect(home / "komorebi.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return connection.execute("SELECT key, chars FROM captures ORDER BY seq").fetchall()


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as it ended."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="sets another process's limits")
async def test_a_file_that_may_grow_no_more_refuses_captures_until_it_may(tmp_path: Path) -> None:
    async with conversation(tmp_path) as server:
        await server.shake_hands()
        assert not (await capture(server, "before", "before")).get("isError")
        log = tmp_path / "komorebi.db-wal"
        _, most = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        limit = (log.stat().st_size + 50_000, most)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limit)
        assert "try again" in refusal(await capture(server, LARGE, "large"))
        assert "result" in await server.ask(request("ping"))
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (most, most))
        assert (await capture(server, LARGE, "large"))["structuredContent"]["created"] is True
    assert rows(tmp_path) == [("before", 6), ("large", len(LARGE))]


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of two megabytes of its own."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("may not mount a file system here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_disk_refuses_captures_until_there_is_room_and_keeps_what_it_had(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as home:
        async with conversation(home) as server:
            await server.shake_hands()
            kept = 0
            while not (result := await capture(server, f"{kept} {LARGE}", f"k{kept}")).get("isError"):
                kept += 1
            assert kept
            assert refusal(result) == "The disk is full. Free some space and try again."
            assert "result" in await server.ask(request("ping"))
            await anyio.run_process(["mount", "-o", "remount,size=32m", str(home)])
            for number in range(kept, 20):
                result = await capture(server, f"{number} {LARGE}", f"k{number}")
                assert result["structuredContent"]["created"] is True
            await server.hang_up()
        assert [key for key, _ in rows(home)] == [f"k{number}" for number in range(20)]


def test_what_a_full_disk_stops_is_told_in_lines_and_not_in_tracebacks(tmp_path: Path) -> None:
    def komorebi(*arguments: str) -> tuple[int, str]:
        done = run(home, *arguments)
        return done.returncode, done.stderr

    text = tmp_path / "text"
    # Words of which each is there once, so that the index needs more room than the text.
    text.write_text(" ".join(f"{number * 7_919:x}" for number in range(50_000)))
    with small_disk(tmp_path / "disk") as home:
        said = [komorebi("capture", "--file", str(text), "--title", str(number)) for number in range(8)]
        assert (said[0][0], said[-1][0]) == (0, 1)
        assert said[-1][1].endswith("komorebi-mcp: The disk is full. Free some space and try again.\n")
        assert not [error for _, error in said if "Traceback" in error]
        target = home / "out.jsonl"
        status, error = komorebi("export", str(target))
        assert (status, error.count("\n")) == (1, 1), error
        assert f"{target} cannot be written: No space left on device." in error
        assert not [*home.glob("*out.jsonl*")]
        subprocess.run(["mount", "-o", "remount,ro", str(home)], check=True)
        status, error = komorebi("install", "--client", "cursor", "--file", str(home / "mcp.json"))
        assert (status, error.count("\n")) == (1, 1), error
        assert "cannot be written: Read-only file system" in error


def test_an_import_that_fills_the_disk_tells_how_far_it_came_and_doctor_why(tmp_path: Path) -> None:
    many = tmp_path / "many.jsonl"
    many.write_text("".join(f'{{"content": "{number} {"word " * 20}"}}\n' for number in range(20_000)))
    with small_disk(tmp_path / "disk") as home:
        failed, looked_at = run(home, "import", str(many)), run(home, "doctor", "--json")
    stored, full = failed.stderr.splitlines()
    assert re.fullmatch(
        r"komorebi-mcp: [1-9],000 rows stored before it failed. Run it again to go on.", stored
    )
    assert full == "komorebi-mcp: The disk is full. Free some space and try again."
    problem = (
        "The disk of the database has 0 MB left. Free some space: once it is full, nothing can be captured."
    )
    assert (looked_at.returncode, json.loads(looked_at.stdout)["problems"]) == (1, [problem])


def without_rights(*arguments: str) -> list[str]:
    """The command as somebody whom the rights of files bind, which they do not bind root."""
    if os.geteuid() != 0:
        return [*COMMAND, *arguments]
    if shutil.which("setpriv") is None:
        pytest.skip("root without setpriv may write every file")
    return ["setpriv", "--bounding-set=-all", *COMMAND, *arguments]


async def test_a_file_that_may_not_be_written_can_be_read_and_takes_captures_once_it_may(
    tmp_path: Path,
) -> None:
    async with conversation(tmp_path) as server:
        await server.shake_hands()
        await capture(server, "before", "before")
        await server.hang_up()
    file = tmp_path / "komorebi.db"
    file.chmod(0o444)
    process = await anyio.open_process(without_rights(), env=environment(tmp_path), stderr=subprocess.DEVNULL)
    async with process:
        try:
            server = Conversation(process)
            await server.shake_hands()
            told = refusal(await capture(server, "while read-only", "during"))
            assert told == (
                "The database cannot be written. Make its file and folder writable, then try again."
            )
            found = await anyio.run_process(without_rights("doctor"), env=environment(tmp_path), check=False)
            assert found.returncode == 1
            assert b"problem  The database cannot be written." in found.stdout
            listed = await server.ask(request("tools/call", name="list_captures", arguments={}))
            assert [c["snippet"] for c in listed["result"]["structuredContent"]["captures"]] == ["before"]
            await server.hang_up()
        finally:
            if process.returncode is None:
                process.kill()
    file.chmod(0o644)
    assert rows(tmp_path) == [("before", 6)]
    async with conversation(tmp_path) as server:
        await server.shake_hands()
        assert not (await capture(server, "after", "after")).get("isError")
        await server.hang_up()


async def test_a_new_database_in_a_folder_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    status, said = await started(tmp_path, without_rights("serve"))
    assert status == 1
    assert said == (
        "komorebi-mcp: The folder of the database cannot be written. "
        "Check its rights, or set KOMOREBI_HOME.\n"
    )


def first_page_overwritten(content: bytes) -> bytes:
    return b"\x00garbage" * 512 + content[4096:]


def schema_overwritten(content: bytes) -> bytes:
    return content[:100] + b"\xff" * 3_996 + content[4096:]


def cut_short(content: bytes) -> bytes:
    return content[:5_000]


@pytest.mark.parametrize("damage", [first_page_overwritten, schema_overwritten, cut_short])
async def test_a_damaged_database_is_refused_with_advice_and_left_as_it_is(
    tmp_path: Path, damage: Any
) -> None:
    async with conversation(tmp_path) as server:
        await server.shake_hands()
        await capture(server, "before", "before")
        await server.hang_up()
    file = tmp_path / "komorebi.db"
    damaged = damage(file.read_bytes())
    file.write_bytes(damaged)
    status, said = await started(tmp_path, [*COMMAND, "serve"])
    assert status == 1
    assert said == (
        "komorebi-mcp: The database file is damaged or is not a database. "
        "Restore a backup, or move the file away to start with an empty one.\n"
    )
    assert file.read_bytes() == damaged
    log = tmp_path / "komorebi.db-wal"
    assert not log.exists() or log.stat().st_size == 0


async def started(home: Path, command: list[str]) -> tuple[int, str]:
    """How a server's start ended, and what it said on stderr; on stdout, nothing."""
    with anyio.fail_after(START_S):
        done = await anyio.run_process(command, env=environment(home), check=False, input=b"")
    assert done.stdout == b""
    return done.returncode, done.stderr.decode()
