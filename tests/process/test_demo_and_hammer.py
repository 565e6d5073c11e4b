"""The demonstration and the load test end well when all is well, and loudly when it is not."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.documents import ROOT

pytestmark = [pytest.mark.process, pytest.mark.slow]

TIMEOUT_S = 120


def run(folder: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, folder / "scripts" / script, *arguments],
        capture_output=True, encoding="utf-8", timeout=TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_the_demo_walks_through_the_main_job() -> None:
    done = run(ROOT, "demo.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "letter for letter" in " ".join(done.stdout.split())


def test_the_demo_fails_when_a_step_does_not_hold(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    # The example server that the demo wants to call is not there.
    done = run(tmp_path, "demo.py")
    assert done.returncode == 1
    assert "The demo stopped:" in done.stdout


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_the_hammer_finds_nothing_lost_doubled_or_altered(transport: str) -> None:
    done = run(ROOT, "hammer.py", "--size", "60", "--transport", transport, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["captured"] == 60


@pytest.mark.parametrize("summarizer", ["openai", "client"])
@pytest.mark.parametrize("era", ["handshake", "modern"])
def test_the_hammer_finds_no_lie_of_a_model_in_a_summary(summarizer: str, era: str) -> None:
    done = run(ROOT, "hammer.py", "--size", "60", "--summarizer", summarizer, "--era", era, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    account = json.loads(done.stdout)
    assert account["unsupported"] == 0
    assert account["rejected"] > 0


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the soak reads /proc")
def test_the_soak_tells_what_each_process_held() -> None:
    done = run(ROOT, "soak.py", "--minutes", "0.2", "--json")
    told = json.loads(done.stdout)
    assert len(told) == 2
    assert all(verdict["rounds"] > 0 and verdict["resident_mb"][0] > 0 for verdict in told)
