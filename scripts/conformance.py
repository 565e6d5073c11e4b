"""The official conformance suite, on an upstream directly and through the gateway, scenario by scenario.

Everything that passes directly must pass through. With `--own` the suite's general scenarios run on our own
server instead; a check of theirs that calls a tool of the suite's fixture is counted apart, since only the
fixture has it. The status is 1 when something is lost, or fails with `--own`.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from rich.console import Console
from rich.table import Table
from serving import KOMOREBI, serve_http

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".cache" / "node" / "node_modules" / ".bin"
FIXTURE = ROOT / "tests" / "support" / "upstreams" / "everything_server.py"
REQUIREMENTS = ("2025-11-25", "2026-07-28")
SUITE_TIMEOUT_S = 300.0
GENERAL = (
    "server-initialize",
    "server-session-lifecycle",
    "server-stateless",
    "logging-set-level",
    "ping",
    "tools-list",
    "resources-list",
    "prompts-list",
    "resources-subscribe",
    "resources-unsubscribe",
    "sep-2164-resource-not-found",
    "server-sse-multiple-streams",
    "dns-rebinding-protection",
    "caching",
    "http-header-validation",
)
"""Scenarios that need nothing of a server but what every server has."""

_LINE = re.compile(
    r"^[✓✗] (?P<name>[a-z0-9-]+): (?P<passed>\d+) passed, (?P<failed>\d+) failed", re.MULTILINE
)
_RUN = re.compile(r"^server-|-\d{4}-\d\d-\d\dT[\d-]+Z$")
"""What the suite puts around a scenario's name in that of a folder."""
_ERAS = {"2025-11-25": "handshake", "2026-07-28": "both"}

out = Console()

Outcome = tuple[int, int]
"""How many checks of a scenario passed and failed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--own", action="store_true", help="the general scenarios on our own server")
    parser.add_argument("--requirements", choices=REQUIREMENTS, help="one revision of the protocol only")
    parser.add_argument("--upstream", choices=("http", "stdio"), help="one transport of the upstream only")
    options = parser.parse_args()
    revisions = (options.requirements,) if options.requirements else REQUIREMENTS
    if options.own:
        sys.exit(anyio.run(check_own, revisions))
    transports = (options.upstream,) if options.upstream else ("http", "stdio")
    sys.exit(anyio.run(compare, revisions, transports))


async def compare(revisions: Iterable[str], transports: Iterable[str]) -> int:
    """1 when a scenario passes directly and not through the gateway."""
    lost = 0
    for revision in revisions:
        era = ("--era", _ERAS[revision])
        async with serve_http((sys.executable, str(FIXTURE), *era), home=ROOT) as url:
            outcomes = {"direct": await run_suite(url, revision)}
            for transport in transports:
                command = {"command": sys.executable, "args": [str(FIXTURE), *era]}
                entry = {"url": url} if transport == "http" else command
                async with gateway(entry) as through:
                    outcomes[f"through {transport}"] = await run_suite(through, revision)
        lost += show(revision, outcomes)
    return 1 if lost else 0


async def check_own(revisions: Iterable[str]) -> int:
    """1 when a general scenario fails on our own server."""
    failing = 0
    for revision in revisions:
        with tempfile.TemporaryDirectory() as folder:
            async with gateway(None) as url:
                found = await run_suite(url, revision, details=Path(folder))
            beyond_us = _of_the_fixture(Path(folder))
        general = {
            name: (passed, failed - beyond_us[name])
            for name, (passed, failed) in found.items()
            if name in GENERAL
        }
        failing += sum(failed > 0 for _, failed in general.values())
        show(revision, {"our own": general})
        for name in general.keys() & beyond_us.keys():
            out.print(f"{name}: {beyond_us[name]} more checks call tools that only the suite's fixture has.")
    return 1 if failing else 0


def _of_the_fixture(details: Path) -> Counter[str]:
    """How many checks of each scenario need a tool of the suite's fixture, as the suite says itself."""
    counts: Counter[str] = Counter()
    for file in details.glob("server-*/checks.json"):
        name = _RUN.sub("", file.parent.name)
        checks = json.loads(file.read_text())
        counts[name] += sum(
            check["status"] == "FAILURE" and "does not list the diagnostic tool" in check["errorMessage"]
            for check in checks
        )
    return +counts


@asynccontextmanager
async def gateway(upstream: Mapping[str, Any] | None) -> AsyncIterator[str]:
    """The URL of our server, with this one upstream under its own names."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        if upstream is not None:
            servers = {"everything": {**upstream, "prefix": ""}}
            (home / "upstreams.json").write_text(json.dumps({"mcpServers": servers}))
        command = (*KOMOREBI, "--transport", "http")
        async with serve_http(command, home=home, settings={"KOMOREBI_LOG_LEVEL": "error"}) as url:
            yield url


async def run_suite(url: str, revision: str, *, details: Path | None = None) -> dict[str, Outcome]:
    """The outcome of every scenario that the revision requires; `details` is a folder for its checks."""
    command = [
        str(BIN / "node"),
        str(BIN / "conformance"),
        "server",
        "--url",
        url,
        "--requirements",
        revision,
        *(("--output-dir", str(details)) if details else ()),
    ]
    with anyio.fail_after(SUITE_TIMEOUT_S):
        finished = await anyio.run_process(
            command, check=False, stderr=subprocess.STDOUT, cwd=tempfile.gettempdir()
        )
    said = finished.stdout.decode(errors="replace")
    outcomes = {
        name: (int(passed), int(failed))
        for name, passed, failed in _LINE.findall(said.partition("=== SUMMARY ===")[2])
    }
    if not outcomes:
        out.print(said, markup=False)
        sys.exit("The suite told of no scenario.")
    return outcomes


def show(revision: str, outcomes: Mapping[str, Mapping[str, Outcome]]) -> int:
    """How many scenarios are worse than in the first column; prints them all."""
    first, *others = outcomes
    table = Table("scenario", *outcomes, title=f"Requirements of {revision}")
    lost = 0
    for name, (passed, failed) in outcomes[first].items():
        cells = [_cell(passed, failed, is_lost=False)]
        for other in others:
            here = outcomes[other].get(name, (0, 1))
            is_lost = here[1] > failed or here[0] < passed
            lost += is_lost
            cells.append(_cell(*here, is_lost=is_lost))
        table.add_row(name, *cells)
    out.print(table)
    if others:
        out.print(
            f"{lost} scenarios lost on the way."
            if lost
            else "Everything that passes directly passes through."
        )
    return lost


def _cell(passed: int, failed: int, *, is_lost: bool) -> str:
    words = f"{passed}" if not failed else f"{passed}, {failed} failed"
    return f"[red]{words}[/]" if is_lost else words


if __name__ == "__main__":
    main()
