"""Big input in real processes: bounded memory, and nothing lost or doubled when one is killed."""

import json
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from komorebi_mcp.storage.store import open_store
from support.processes import COMMAND, environment

pytestmark = [pytest.mark.process, pytest.mark.slow]

RUN_S = 300
LOG_MIB = 50
MEMORY_KIB_MAX = 250 * 1024
PRODUCER = """
import sys
line = "{:09} the worker asked the queue for the next of its jobs and was told to wait for it\\n"
for start in range(0, {lines}, 1000):
    sys.stdout.write("".join(line.format(n) for n in range(start, start + 1000)))
"""
LINE_BYTES = 86


def lines_of(mib: int) -> int:
    return mib * 2**20 // LINE_BYTES // 1000 * 1000


def rows_in(home: Path) -> int:
    database = home / "komorebi.db"
    if not database.exists():
        return 0
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM captures").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def pipe_log(home: Path) -> tuple[Any, int]:
    """Pipes the log to the command: its receipt, and the most memory it used, in KiB."""
    program = PRODUCER.replace("{lines}", str(lines_of(LOG_MIB)))
    with (
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as producer,
        subprocess.Popen(
            [*COMMAND, "capture", "-", "--json", "--title", "big"],
            stdin=producer.stdout, stdout=subprocess.PIPE, env=environment(home),
        ) as keeper,
    ):  # fmt: skip
        peak_kib = 0
        while True:
            try:
                keeper.wait(0.2)
                break
            except subprocess.TimeoutExpired:
                status = Path(f"/proc/{keeper.pid}/status").read_text()
                if found := re.search(r"VmHWM:\s+(\d+)", status):
                    peak_kib = int(found[1])
        assert keeper.stdout is not None
        receipt = json.loads(keeper.stdout.read())
    return receipt, peak_kib


async def test_fifty_megabytes_from_a_pipe_need_little_memory_and_read_back(tmp_path: Path) -> None:
    receipt, peak_kib = pipe_log(tmp_path)
    assert 0 < peak_kib < MEMORY_KIB_MAX
    at = 0
    async with (
        open_store(f"sqlite+aiosqlite:///{tmp_path}/komorebi.db") as store,
        store.read("local") as there,
    ):
        passages = await there.captures.passages([receipt["id"]])
        assert len(passages) == receipt["passages"]
        for passage in passages:
            [capture] = await there.captures.get([passage.id])
            for line in capture.content.splitlines():
                assert line.startswith(f"{at:09} the")
                at += 1
    assert at == lines_of(LOG_MIB)


@pytest.mark.parametrize("by", ["kill", "interrupt"])
@pytest.mark.parametrize("keyed", [True, False], ids=["with keys", "without keys"])
def test_an_import_that_is_cut_off_and_run_again_stores_each_row_once(
    tmp_path: Path, keyed: bool, by: str
) -> None:
    rows = [{"content": f"row {n}"} | ({"key": f"k{n}"} if keyed else {}) for n in range(20_000)]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    command = [*COMMAND, "import", str(file), "--json"]
    with subprocess.Popen(
        command, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as cut_off:
        while not rows_in(tmp_path):
            assert cut_off.poll() is None
        if by == "kill":
            cut_off.kill()
        else:
            cut_off.send_signal(signal.SIGINT)
            assert cut_off.wait(RUN_S) == 130
            assert cut_off.stderr is not None
            told = f"Interrupted; {rows_in(tmp_path):,} rows stored. Run it again to go on."
            assert told in cut_off.stderr.read().decode()
    stored = rows_in(tmp_path)
    assert 0 < stored < len(rows)
    again = subprocess.run(command, env=environment(tmp_path), capture_output=True, timeout=RUN_S, check=True)
    report = json.loads(again.stdout)
    assert (report["created"], report["known"]) == (len(rows) - stored, stored)
    assert rows_in(tmp_path) == len(rows)


@pytest.mark.parametrize("by", ["kill", "interrupt"])
def test_a_pipe_that_is_cut_off_keeps_what_was_told_and_goes_on_under_its_key(
    tmp_path: Path, by: str
) -> None:
    program = PRODUCER.replace("{lines}", str(lines_of(8)))
    text = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    command = [*COMMAND, "capture", "-", "--key", "k", "--json"]
    with subprocess.Popen(
        command, env=environment(tmp_path), stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as cut_off:
        assert cut_off.stdin is not None
        assert cut_off.stderr is not None
        cut_off.stdin.write(text[: 3 * 2**20])
        cut_off.stdin.flush()
        # The pipe stays open: what has been read is on disk all the same.
        while rows_in(tmp_path) < 11:
            assert cut_off.poll() is None
        if by == "kill":
            cut_off.kill()
        else:
            cut_off.send_signal(signal.SIGINT)
            assert cut_off.wait(RUN_S) == 130
            assert b"Interrupted; the first" in cut_off.stderr.read()
    again = subprocess.run(
        command, env=environment(tmp_path), input=text, capture_output=True, timeout=RUN_S, check=True
    )
    assert rows_in(tmp_path) == json.loads(again.stdout)["passages"]
    with closing(sqlite3.connect(tmp_path / "komorebi.db")) as connection:
        contents = connection.execute("SELECT content FROM captures ORDER BY group_position").fetchall()
    assert "".join(content for (content,) in contents).encode() == text
