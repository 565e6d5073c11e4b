"""Minutes of mixed use by clients that come and go, to see whether memory and open files stay level.

One HTTP server and one stdio server work on one SQLite file. Every round opens sessions, captures, changes,
finds, reads, summarizes, subscribes, runs a task, gives up a call, and forgets what it captured, so that the
store does not grow either. Prints what each process held over time, and ends with status 1 where it held
more at the end than after warming up. Reads /proc, so it needs Linux.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from statistics import median

import anyio
from mcp import Client
from serving import KOMOREBI, Era, call, connect_http, connect_stdio, serve_http

ROUNDS_AT_ONCE = 4
SAMPLE_S = 2.0
WARM_UP_PART = 0.3
"""How much of the time is left out: caches fill, and pools open what they need."""
GROWTH_MB_MAX = 12.0
GROWTH_FILES_MAX = 6
ERAS: tuple[Era, Era] = ("handshake", "modern")


@dataclass(frozen=True)
class Sample:
    """What one process held at one moment."""

    pid: int
    at_s: float
    resident_mb: float
    files: int


@dataclass(frozen=True)
class Verdict:
    """What one process held, in the middle of the first and of the last third after warming up."""

    pid: int
    rounds: int
    resident_mb: tuple[float, float]
    files: tuple[float, float]

    @property
    def level(self) -> bool:
        return (
            self.resident_mb[1] - self.resident_mb[0] <= GROWTH_MB_MAX
            and self.files[1] - self.files[0] <= GROWTH_FILES_MAX
        )


async def one_round(client: Client, number: int) -> None:
    """What a client does in a session; leaves nothing behind."""
    project = f"soak {number % 7}"
    ids = [
        (await call(client, "capture", content=f"Round {number}: pump {n} lost pressure.", project=project))[
            "id"
        ]
        for n in range(5)
    ]
    await call(client, "update_captures", ids=ids[:2], add_tags=["soak"], kind="error")
    await call(client, "search_captures", query="which pump lost pressure", project=project)
    await call(client, "read_captures", ids=ids, related=True)
    await call(client, "list_captures", project=project)
    await call(client, "summarize", project=project, refresh=True)
    await client.read_resource(f"komorebi://captures/{ids[0]}")
    await client.list_resources()
    await client.get_prompt("resume", {})
    with anyio.move_on_after(0.002):
        await call(client, "summarize", project=project, focus="pressure", refresh=True)
    result = await client.call_tool("list_captures", {"limit": 0})
    if not result.is_error:
        raise RuntimeError("a limit of 0 was taken")
    await call(client, "forget_captures", ids=ids, confirm=True)


async def use_http(url: str, until: float, rounds: "count[int]") -> None:
    """One session after the other, in turns of both eras."""
    while time.monotonic() < until:
        number = next(rounds)
        async with connect_http(url, era=ERAS[number % 2]) as client:
            await one_round(client, number)


async def use_stdio(client: Client, until: float, rounds: "count[int]") -> None:
    while time.monotonic() < until:
        await one_round(client, next(rounds))


def children() -> list[int]:
    """The processes that this one started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
        if parent == os.getpid():
            found.append(int(folder.name))
    return found


def held_by(pid: int, at_s: float) -> Sample:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Sample(pid, at_s, pages * os.sysconf("SC_PAGE_SIZE") / 1e6, files)


async def watch(samples: list[Sample], until: float) -> None:
    began = time.monotonic()
    while time.monotonic() < until:
        samples.extend(held_by(pid, time.monotonic() - began) for pid in children())
        await anyio.sleep(SAMPLE_S)


def judge(samples: list[Sample], *, seconds: float, rounds: int) -> list[Verdict]:
    verdicts = []
    for pid in sorted({sample.pid for sample in samples}):
        warm = [each for each in samples if each.pid == pid and each.at_s >= seconds * WARM_UP_PART]
        third = max(1, len(warm) // 3)
        first, last = warm[:third], warm[-third:]
        verdicts.append(
            Verdict(
                pid,
                rounds,
                (median(each.resident_mb for each in first), median(each.resident_mb for each in last)),
                (median(each.files for each in first), median(each.files for each in last)),
            )
        )
    return verdicts


async def soak(seconds: float) -> list[Verdict]:
    samples: list[Sample] = []
    rounds = count()
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="komorebi-soak-")))
        http = (*KOMOREBI, "--transport", "http")
        url = await stack.enter_async_context(serve_http(http, home=home))
        client = await stack.enter_async_context(connect_stdio(KOMOREBI, home=home, era="handshake"))
        until = time.monotonic() + seconds
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch, samples, until)
            tasks.start_soon(use_stdio, client, until, rounds)
            for _ in range(ROUNDS_AT_ONCE):
                tasks.start_soon(use_http, url, until, rounds)
    return judge(samples, seconds=seconds, rounds=next(rounds))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if not Path("/proc/self/statm").exists():
        print("This reads /proc, which this system does not have.", file=sys.stderr)
        return 2
    verdicts = anyio.run(soak, options.minutes * 60)
    if options.json:
        print(json.dumps([{**asdict(verdict), "level": verdict.level} for verdict in verdicts]))
    else:
        for verdict in verdicts:
            print(
                f"process {verdict.pid} over {verdict.rounds} rounds: "
                f"{verdict.resident_mb[0]:.1f} → {verdict.resident_mb[1]:.1f} MB, "
                f"{verdict.files[0]:g} → {verdict.files[1]:g} open files: "
                f"{'level' if verdict.level else 'GROWING'}"
            )
    return 0 if verdicts and all(verdict.level for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
