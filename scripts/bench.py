"""What a capture costs against a bare echo tool of the same SDK, over the same transport, in the same run.

The two take turns round by round, so that whatever else the machine does weighs on both; ratios are of one
round each, and told with their spread. Milliseconds are of this machine only.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import anyio
from mcp import Client
from rich.console import Console
from rich.table import Table
from serving import KOMOREBI, Command, Era, Transport, call, connect_http, connect_stdio, serve_http

from komorebi_mcp.domain.access import LOCAL_OWNER
from komorebi_mcp.domain.captures import CaptureCreate, Enrichment
from komorebi_mcp.services.enrich import enrich
from komorebi_mcp.settings import Settings
from komorebi_mcp.storage.store import open_store

ECHO: Command = (sys.executable, str(Path(__file__).with_name("bench_echo.py")))
IN_FLIGHT = 32
TEXT = (
    "Looked at the nightly import with Mei. Row 4711 fails because the date column holds a time zone name; "
    "we decided to normalise to UTC before parsing, and to log the first ten offenders. "
    "See https://example.org/import/4711 and src/importer.py:212. Follow up on Friday."
)
_BATCH = 1_000
_LEGS: Sequence[tuple[Transport, Era]] = (("stdio", "handshake"), ("stdio", "modern"), ("http", "modern"))

Call = Callable[[str], Awaitable[object]]


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured; the spread comes from the rounds."""

    rounds: int
    sequential: int
    concurrent: int
    starts: int
    stored: int


FULL = Size(rounds=9, sequential=200, concurrent=640, starts=7, stored=100_000)
QUICK = Size(rounds=3, sequential=60, concurrent=160, starts=3, stored=10_000)


@dataclass(kw_only=True)
class Rounds:
    """One server's figures, round by round."""

    p50_ms: list[float] = field(default_factory=list)
    p95_ms: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Leg:
    """One transport in one era."""

    transport: Transport
    era: Era
    capture: Rounds
    echo: Rounds


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


@asynccontextmanager
async def open_client(command: Command, transport: Transport, era: Era, home: Path) -> AsyncIterator[Client]:
    async with AsyncExitStack() as stack:
        if transport == "stdio":
            yield await stack.enter_async_context(connect_stdio(command, home=home, era=era))
        else:
            url = await stack.enter_async_context(serve_http(command, home=home))
            yield await stack.enter_async_context(connect_http(url, era=era))


async def measure(transport: Transport, era: Era, size: Size, echo: Command) -> Leg:
    texts = (f"{number}. {TEXT}" for number in count())
    ours, theirs = Rounds(), Rounds()
    product = KOMOREBI if transport == "stdio" else (*KOMOREBI, "--transport", "http")
    with tempfile.TemporaryDirectory(prefix="komorebi-bench-") as home:
        async with (
            open_client(product, transport, era, Path(home)) as product_client,
            open_client(echo, transport, era, Path(home)) as echo_client,
        ):
            turns = [
                (lambda text: call(product_client, "capture", content=text), ours),
                (lambda text: call(echo_client, "echo", content=text), theirs),
            ]
            for call_tool, _ in turns:
                await one_by_one(call_tool, size.sequential // 2, texts, Rounds())
            for round_number in range(size.rounds):
                # Whoever goes second finds a warmer machine, so they swap places.
                for call_tool, rounds in turns if round_number % 2 else reversed(turns):
                    await one_by_one(call_tool, size.sequential, texts, rounds)
                    await many_at_once(call_tool, size.concurrent, texts, rounds)
    return Leg(transport=transport, era=era, capture=ours, echo=theirs)


async def fill(home: Path, captures: int) -> None:
    """Stores so many enriched captures in the database of `home`, past the server, which takes longer."""
    sample: Enrichment | None = None
    async with open_store(Settings(home=home).database_url) as store:
        for start in range(0, captures, _BATCH):
            numbers = range(start, min(start + _BATCH, captures))
            await store.take_in(LOCAL_OWNER, [CaptureCreate(content=f"{each}: {TEXT}") for each in numbers])
            async with store.work() as queue:
                jobs = await queue.claim(limit=_BATCH, lease_s=60)
            sample = sample or enrich(jobs[0].capture)
            found = [
                (job, sample.model_copy(update={"terms": (str(number), *sample.terms)}))
                for number, job in zip(numbers, jobs, strict=True)
            ]
            await store.enrich(LOCAL_OWNER, found)


async def measure_stored(size: Size) -> dict[str, Rounds]:
    """What captures take in a store that is empty and in one that holds much."""
    texts = (f"{number}. {TEXT}" for number in count())
    empty, full = Rounds(), Rounds()
    with tempfile.TemporaryDirectory(prefix="komorebi-bench-") as folder:
        homes = [Path(folder, name) for name in ("empty", "full")]
        await fill(homes[1], size.stored)
        async with (
            open_client(KOMOREBI, "stdio", "modern", homes[0]) as one,
            open_client(KOMOREBI, "stdio", "modern", homes[1]) as other,
        ):
            turns = [
                (lambda text: call(one, "capture", content=text), empty),
                (lambda text: call(other, "capture", content=text), full),
            ]
            for call_tool, _ in turns:
                await one_by_one(call_tool, size.sequential // 2, texts, Rounds())
            for round_number in range(size.rounds):
                for call_tool, rounds in turns if round_number % 2 else reversed(turns):
                    await one_by_one(call_tool, size.sequential, texts, rounds)
    return {"empty": empty, "full": full}


async def start(command: Command) -> tuple[float, float | None]:
    """Seconds from starting the process to the first `tools/list`, and its resident memory in MiB then."""
    with tempfile.TemporaryDirectory(prefix="komorebi-bench-") as home:
        began = time.perf_counter()
        async with connect_stdio(command, home=Path(home)) as client:
            await client.list_tools()
            return time.perf_counter() - began, child_memory_mib()


async def loaded_memory_mib(calls: int) -> float | None:
    """Resident memory of the product after so many captures."""
    texts = (f"{number}. {TEXT}" for number in count())
    with tempfile.TemporaryDirectory(prefix="komorebi-bench-") as home:
        async with connect_stdio(KOMOREBI, home=Path(home)) as client:
            await many_at_once(lambda text: call(client, "capture", content=text), calls, texts, Rounds())
            return child_memory_mib()


def child_memory_mib() -> float | None:
    """Resident memory of this process's only child; None where there is no /proc to ask."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except OSError:
            # It has ended meanwhile, so it is not the child.
            continue
        if int(fields["PPid"]) == os.getpid() and "VmRSS" in fields:
            return int(fields["VmRSS"].split()[0]) / 1024
    return None


def spread(values: Sequence[float], digits: int) -> str:
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(ours, theirs, strict=True)]


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


async def bench(size: Size, echo: Command) -> dict[str, Any]:
    starts = {"komorebi-mcp": KOMOREBI, "echo": echo}
    begun: dict[str, list[tuple[float, float | None]]] = {name: [] for name in starts}
    for _ in range(size.starts):
        for name, command in starts.items():
            begun[name].append(await start(command))
    return {
        "machine": machine(),
        "start_s": {name: [seconds for seconds, _ in runs] for name, runs in begun.items()},
        "memory_mib": {name: [mib for _, mib in runs if mib is not None] for name, runs in begun.items()},
        "loaded_memory_mib": await loaded_memory_mib(size.concurrent),
        "stored": {name: asdict(rounds) for name, rounds in (await measure_stored(size)).items()},
        "legs": [asdict(await measure(transport, era, size, echo)) for transport, era in _LEGS],
    }


def report(found: dict[str, Any], size: Size) -> None:
    out = Console(highlight=False, width=100)
    out.print(found["machine"], soft_wrap=True)
    for name, seconds in found["start_s"].items():
        memory = found["memory_mib"][name]
        resident = f", {spread(memory, 0)} MiB resident" if memory else ""
        out.print(f"start of {name} to the first tools/list: {spread(seconds, 2)} s{resident}")
    if found["loaded_memory_mib"] is not None:
        out.print(f"resident after {size.concurrent} captures: {found['loaded_memory_mib']:.0f} MiB")
    stored = found["stored"]
    times = ratios(stored["full"]["p95_ms"], stored["empty"]["p95_ms"])
    out.print(
        f"capture p95 with {size.stored:,} stored: {spread(stored['full']['p95_ms'], 2)} ms, "
        f"in an empty store {spread(stored['empty']['p95_ms'], 2)} ms, ratio {spread(times, 2)}",
        soft_wrap=True,
    )
    title = (
        f"{size.rounds} rounds of {size.sequential} calls in turn, {size.concurrent} at {IN_FLIGHT} in flight"
    )
    table = Table("leg", "figure", "capture", "echo", "ratio", title=title, caption="median (least-greatest)")
    for leg in found["legs"]:
        for figure, name, digits in (
            ("p50_ms", "p50 ms", 2),
            ("p95_ms", "p95 ms", 2),
            ("per_second", "calls/s", 0),
        ):
            ours, theirs = leg["capture"][figure], leg["echo"][figure]
            first = f"{leg['transport']}, {leg['era']}" if figure == "p50_ms" else ""
            ratio = spread(ratios(ours, theirs), 2)
            table.add_row(first, name, spread(ours, digits), spread(theirs, digits), ratio)
    out.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures a capture against a bare echo tool.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and 10,000 stored captures")
    parser.add_argument("--json", action="store_true", help="every round's figures")
    parser.add_argument("--echo-uvloop", action="store_true", help="run the echo on uvloop too")
    options = parser.parse_args()
    size = QUICK if options.quick else FULL
    echo = (*ECHO, "--uvloop") if options.echo_uvloop else ECHO
    found = anyio.run(partial(bench, size, echo), backend_options={"use_uvloop": sys.platform != "win32"})
    if options.json:
        print(json.dumps(found))
    else:
        report(found, size)


if __name__ == "__main__":
    main()
