"""What benchmarks share: calls in rounds and in turn, figures with their spread, and what processes use."""

import os
import platform
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import count
from pathlib import Path
from statistics import median, quantiles

import anyio
from rich.table import Table
from serving import Command

ECHO: Command = (sys.executable, str(Path(__file__).with_name("bench_echo.py")))
IN_FLIGHT = 32
TEXT = (
    "Looked at the nightly import with Mei. Row 4711 fails because the date column holds a time zone name; "
    "we decided to normalise to UTC before parsing, and to log the first ten offenders. "
    "See https://example.org/import/4711 and src/importer.py:212. Follow up on Friday."
)

Call = Callable[[str], Awaitable[object]]


@dataclass(kw_only=True)
class Rounds:
    """One server's figures, round by round."""

    p50_ms: list[float] = field(default_factory=list)
    p95_ms: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)


def numbered_texts() -> Iterator[str]:
    """The same text again and again, and no two alike."""
    return (f"{number}. {TEXT}" for number in count())


async def one_by_one(call_tool: Call, calls: int, texts: Iterator[str], rounds: Rounds) -> None:
    took_ms: list[float] = []
    for _ in range(calls):
        text = next(texts)
        began = time.perf_counter()
        await call_tool(text)
        took_ms.append((time.perf_counter() - began) * 1e3)
    cuts = quantiles(took_ms, n=100, method="inclusive")
    rounds.p50_ms.append(cuts[49])
    rounds.p95_ms.append(cuts[94])


async def many_at_once(call_tool: Call, calls: int, texts: Iterator[str], rounds: Rounds) -> None:
    left = iter(range(calls))

    async def work() -> None:
        for _ in left:
            await call_tool(next(texts))

    began = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(IN_FLIGHT):
            group.start_soon(work)
    rounds.per_second.append(calls / (time.perf_counter() - began))


async def in_turn(sides: Sequence[Callable[[], Awaitable[object]]], *, rounds: int) -> None:
    """Has each side make its calls, round by round.

    Whoever goes second finds a warmer machine, so they swap places.
    """
    for number in range(rounds):
        for side in sides if number % 2 else reversed(sides):
            await side()


def spread(values: Sequence[float], digits: int) -> str:
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def comparison(ours: str, theirs: str, *, rounds: int, sequential: int, concurrent: int) -> Table:
    """A table for `compare` to fill."""
    title = f"{rounds} rounds of {sequential} calls in turn, {concurrent} at {IN_FLIGHT} in flight"
    return Table("leg", "figure", ours, theirs, "ratio", title=title, caption="median (least-greatest)")


def compare(
    table: Table, leg: str, figures: Sequence[tuple[str, Sequence[float], Sequence[float], int]]
) -> None:
    """Adds a leg's figures: their names, both sides, and the digits that they are worth."""
    for number, (name, ours, theirs, digits) in enumerate(figures):
        ratio = spread(ratios(ours, theirs), 2)
        table.add_row("" if number else leg, name, spread(ours, digits), spread(theirs, digits), ratio)


def machine() -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line
        ]
        model = names[0] if names else model
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, mcp {version('mcp')}, komorebi-mcp {version('komorebi-mcp')}"
    )


def children(parent: int) -> dict[int, dict[str, str]]:
    """The processes that this one has started, with what /proc tells of each; none without a /proc."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            told = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except OSError:
            # It has ended meanwhile.
            continue
        if int(told["PPid"]) == parent:
            found[int(status.parent.name)] = told
    return found


def child_memory_mib() -> float | None:
    """Resident memory of this process's only child; None where there is no /proc to ask."""
    for told in children(os.getpid()).values():
        if "VmRSS" in told:
            return int(told["VmRSS"].split()[0]) / 1024
    return None


def processor_s(process: int) -> float:
    """Processor time that a process has used so far.

    Raises:
        OSError: It is gone, or there is no /proc to ask.
    """
    # utime and stime of proc(5), counted from behind the name, which may hold blanks.
    told = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")
