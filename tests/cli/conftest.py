"""The command, run in this process and in a home of its own."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from komorebi_mcp.cli.main import run
from support.commands import Ended, Komorebi
from support.logs import log_plainly


@pytest.fixture
def komorebi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Komorebi]:
    monkeypatch.setenv("KOMOREBI_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")

    def command(*arguments: str, stdin: bytes = b"") -> Ended:
        monkeypatch.setattr(sys, "argv", ["komorebi-mcp", *arguments])
        piped = tmp_path / "stdin"
        piped.write_bytes(stdin)
        file = piped.open(encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", file)
        status = 0
        try:
            with file:
                run()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1 if end.code else 0
            if isinstance(end.code, str):
                # The interpreter would print it.
                sys.stderr.write(f"{end.code}\n")
        printed = capsys.readouterr()
        return Ended(status, printed.out, printed.err)

    yield command
    # The commands point logs at this test's stderr, which is closed when it ends.
    log_plainly()
