"""The command without and with the wrong words."""

import json
import os
import pty
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from support.processes import COMMAND, START_S, environment

pytestmark = pytest.mark.process


def run(home: Path, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env={**environment(home), **changed},
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_without_arguments_at_a_terminal_it_shows_its_help(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        COMMAND, env=environment(tmp_path), stdin=theirs, capture_output=True, timeout=START_S, check=False
    )
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0
    assert b"serve" in done.stdout
    assert not list(tmp_path.iterdir())


def test_it_tells_its_version(tmp_path: Path) -> None:
    assert run(tmp_path, "--version").stdout.strip() == version("komorebi-mcp")


def test_serve_explains_its_options(tmp_path: Path) -> None:
    done = run(tmp_path, "serve", "--help")
    assert done.returncode == 0
    assert all(option in done.stdout for option in ("--transport", "--host", "--port"))


def test_a_wrong_word_is_a_usage_error(tmp_path: Path) -> None:
    assert run(tmp_path, "sevre").returncode == 2
    assert run(tmp_path, "serve", "--transport", "carrier-pigeon").returncode == 2


def test_a_wrong_setting_is_told_in_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, KOMOREBI_LOG_LEVEL="LOUD")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "KOMOREBI_LOG_LEVEL" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_home_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    done = run(tmp_path / "file" / "home")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("komorebi-mcp: ")


def test_what_stdout_has_no_bytes_for_is_replaced_in_texts_and_escaped_in_json(tmp_path: Path) -> None:
    assert run(tmp_path, "capture", "naïve 日本", "--project", "Gärten").returncode == 0
    narrow = {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    for command in (["list"], ["search", "naïve"], ["summarize"], ["timeline"], ["projects"]):
        done = subprocess.run(
            [*COMMAND, *command],
            env={**environment(tmp_path), **narrow},
            capture_output=True,
            timeout=START_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert (done.returncode, done.stderr) == (0, b""), command
    listed = run(tmp_path, "list", "--json", PYTHONIOENCODING="ascii")
    (capture,) = json.loads(listed.stdout)["captures"]
    assert (capture["title"], capture["project"]) == ("naïve 日本", "Gärten")
