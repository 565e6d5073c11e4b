"""What a capture costs against a bare echo tool of the same SDK, over the same transport, in the same run.

The two take turns round by round, so that whatever else the machine does weighs on both; ratios are of one
round each, and told with their spread. Milliseconds are of this machine only.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from measuring import (
    ECHO,
    TEXT,
    Call,
    Rounds,
    child_memory_mib,
    compare,
    comparison,
    in_turn,
    machine,
    many_at_once,
    numbered_texts,
    one_by_one,
    ratios,
    spread,
)
from rich.console import Console
from serving import KOMOREBI, Command, Era, Transport, call, connect_http, connect_stdio, serve_http

from komorebi_mcp.domain.access import LOCAL_OWNER
from komorebi_mcp.domain.captures import CaptureCreate, Enrichment
from komorebi_mcp.services.enrich import enrich
from komorebi_mcp.settings import Settings
from komorebi_mcp.storage.store import open_store

_BATCH = 1_000
_LEGS: Sequence[tuple[Transport, Era]] = (("stdio", "handshake"), ("stdio", "modern"), ("http", "modern"))


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


@dataclass(frozen=True, kw_only=True)
class Leg:
    """One transport in one era."""

    transport: Transport
    era: Era
    capture: Rounds
    echo: Rounds


@asynccontextmanager
async def open_client(command: Command, transport: Transport, era: Era, home: Path) -> AsyncIterator[Client]:
    async with AsyncExitStack() as stack:
        if transport == "stdio":
            yield await stack.enter_async_context(connect_stdio(command, home=home, era=era))
        else:
            url = await stack.enter_async_context(serve_http(command, home=home))
            yield await stack.enter_async_context(connect_http(url, era=era))


async def measure(transport: Transport, era: Era, size: Size, echo: Command) -> Leg:
    ours, theirs = Rounds(), Rounds()
    product = KOMOREBI if transport == "stdio" else (*KOMOREBI, "--transport", "http")
    with tempfile.TemporaryDirectory(prefix="komorebi-bench-") as home:
        async with (
            open_client(product, transport, era, Path(home)) as product_client,
            open_client(echo, transport, era, Path(home)) as echo_client,
        ):
            sides = [(_calls(product_client, "capture"), ours), (_calls(echo_client, "echo"), theirs)]
            await _measure_sides(sides, size, concurrent=size.concurrent)
    return Leg(transport=transport, era=era, capture=ours, echo=theirs)


def _calls(client: Client, tool: str) -> Call:
    return lambda text: call(client, tool, content=text)


async def _measure_sides(
    sides: Sequence[tuple[Call, Rounds]], size: Size, *, concurrent: int | None = None
) -> None:
    """Adds the figures of each round; those of many at once only where it is said how many."""
    texts = numbered_texts()

    async def make(calls: Call, rounds: Rounds) -> None:
        await one_by_one(calls, size.sequential, texts, rounds)
        if concurrent is not None:
            await many_at_once(calls, concurrent, texts, rounds)

    for calls, _ in sides:
        await one_by_one(calls, size.sequential // 2, texts, Rounds())
    await in_turn([partial(make, calls, rounds) for calls, rounds in sides], rounds=size.rounds)


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
    empty, full = Rounds(), Rounds()
    with tempfile.TemporaryDirectory(prefix="komorebi-bench-") as folder:
        homes = [Path(folder, name) for name in ("empty", "full")]
        await fill(homes[1], size.stored)
        async with (
            open_client(KOMOREBI, "stdio", "modern", homes[0]) as one,
            open_client(KOMOREBI, "stdio", "modern", homes[1]) as other,
        ):
            await _measure_sides([(_calls(one, "capture"), empty), (_calls(other, "capture"), full)], size)
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
    with tempfile.TemporaryDirectory(prefix="komorebi-bench-") as home:
        async with connect_stdio(KOMOREBI, home=Path(home)) as client:
            await many_at_once(_calls(client, "capture"), calls, numbered_texts(), Rounds())
            return child_memory_mib()


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
    table = comparison(
        "capture", "echo", rounds=size.rounds, sequential=size.sequential, concurrent=size.concurrent
    )
    for leg in found["legs"]:
        capture, echo = leg["capture"], leg["echo"]
        figures = [
            ("p50 ms", capture["p50_ms"], echo["p50_ms"], 2),
            ("p95 ms", capture["p95_ms"], echo["p95_ms"], 2),
            ("calls/s", capture["per_second"], echo["per_second"], 0),
        ]
        compare(table, f"{leg['transport']}, {leg['era']}", figures)
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
