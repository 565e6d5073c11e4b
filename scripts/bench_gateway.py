"""What the way through the gateway costs against calling the same server directly, in the same run.

The two take turns round by round, so that whatever else the machine does weighs on both; ratios are of one
round each, and told with their spread. Processor time is of the gateway's process, and of the server called
directly, for the same calls: where a machine is shared it says more than the clock.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from measuring import (
    ECHO,
    Call,
    Rounds,
    children,
    compare,
    comparison,
    in_turn,
    machine,
    many_at_once,
    numbered_texts,
    one_by_one,
    processor_s,
    spread,
)
from rich.console import Console
from serving import KOMOREBI, Command, Era, Transport, call, connect_http, connect_stdio, serve_http

SILENT = {"command": sys.executable, "args": ["-c", "import time; time.sleep(600)"]}
"""An upstream that is started and never says a word."""
_LEGS: Sequence[tuple[Transport, Era]] = (
    ("http", "handshake"),
    ("http", "modern"),
    ("stdio", "handshake"),
    ("stdio", "modern"),
)


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured; the spread comes from the rounds."""

    rounds: int
    sequential: int
    concurrent: int
    starts: int


FULL = Size(rounds=9, sequential=200, concurrent=640, starts=5)
QUICK = Size(rounds=3, sequential=100, concurrent=320, starts=3)


@dataclass(kw_only=True)
class Way:
    """One way to the echo: a client, the process that it talks to, and their figures."""

    client: Client
    tool: str
    processes: set[int]
    """What is started for it; their children count too."""
    entry: dict[str, Any]
    """How the gateway is told of this server."""
    rounds: Rounds = field(default_factory=Rounds)
    processor_ms: list[float] = field(default_factory=list)
    """Of all that takes part, for each call with many in flight."""


@dataclass(frozen=True, kw_only=True)
class Leg:
    """One transport, on both hops, in one era of the client's."""

    transport: Transport
    era: Era
    through: Rounds
    direct: Rounds
    through_processor_ms: list[float]
    direct_processor_ms: list[float]


@asynccontextmanager
async def open_way(
    command: Command, tool: str, transport: Transport, era: Era, home: Path
) -> AsyncIterator[Way]:
    before = children(os.getpid()).keys()
    entry: dict[str, Any] = {"command": command[0], "args": list(command[1:])}
    async with AsyncExitStack() as stack:
        if transport == "stdio":
            opening = connect_stdio(command, home=home, era=era)
        else:
            url = await stack.enter_async_context(serve_http(command, home=home))
            entry, opening = {"url": url}, connect_http(url, era=era)
        client = await stack.enter_async_context(opening)
        started = children(os.getpid()).keys() - before
        yield Way(client=client, tool=tool, processes=started, entry=entry)


async def measure(transport: Transport, era: Era, size: Size) -> Leg:
    texts = numbered_texts()
    through_command = KOMOREBI if transport == "stdio" else (*KOMOREBI, "--transport", "http")
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="komorebi-bench-")))
        direct = await stack.enter_async_context(open_way(ECHO, "echo", transport, era, home))
        # Over HTTP both ways lead to one process, which cannot be warmer for one of them.
        write_upstreams(home, {"bench": direct.entry})
        through = await stack.enter_async_context(
            open_way(through_command, "bench__echo", transport, era, home)
        )
        if transport == "http":
            through.processes |= direct.processes
        ways = [through, direct]
        for way in ways:
            await one_by_one(_echo(way), size.sequential // 2, texts, Rounds())
        await in_turn([partial(_round, way, size, texts) for way in ways], rounds=size.rounds)
    return Leg(
        transport=transport,
        era=era,
        through=through.rounds,
        direct=direct.rounds,
        through_processor_ms=through.processor_ms,
        direct_processor_ms=direct.processor_ms,
    )


async def _round(way: Way, size: Size, texts: Iterator[str]) -> None:
    await one_by_one(_echo(way), size.sequential, texts, way.rounds)
    before_s = used_s(way.processes)
    await many_at_once(_echo(way), size.concurrent, texts, way.rounds)
    way.processor_ms.append((used_s(way.processes) - before_s) * 1e3 / size.concurrent)


def _echo(way: Way) -> Call:
    return lambda text: call(way.client, way.tool, content=text)


def write_upstreams(home: Path, servers: dict[str, Any]) -> None:
    (home / "upstreams.json").write_text(json.dumps({"mcpServers": servers}))


async def list_after_start(servers: dict[str, Any]) -> tuple[float, float, bool]:
    """Seconds that the first `tools/list` of a new process took, and seconds since it was started.

    And whether the tool of the upstream that works was in it: it has 0.8 seconds to come up.
    """
    with tempfile.TemporaryDirectory(prefix="komorebi-bench-") as folder:
        home = Path(folder)
        write_upstreams(home, servers)
        began = time.perf_counter()
        async with connect_stdio(KOMOREBI, home=home) as client:
            asked = time.perf_counter()
            listed = await client.list_tools()
            now = time.perf_counter()
        return now - asked, now - began, any(tool.name == "bench__echo" for tool in listed.tools)


def used_s(processes: set[int]) -> float:
    """Processor time that these, their children and this process have used so far."""
    return time.process_time() + sum(map(processor_s, processes.union(*map(children, processes))))


async def bench(size: Size, legs: Sequence[tuple[Transport, Era]]) -> dict[str, Any]:
    echo = {"command": ECHO[0], "args": list(ECHO[1:])}
    starts = {"without": {"bench": echo}, "with": {"bench": echo, "silent": SILENT}}
    listed: dict[str, list[tuple[float, float, bool]]] = {name: [] for name in starts}
    for _ in range(size.starts):
        for name, servers in starts.items():
            listed[name].append(await list_after_start(servers))
    return {
        "machine": machine(),
        "listed_s": listed,
        "legs": [asdict(await measure(transport, era, size)) for transport, era in legs],
    }


def report(found: dict[str, Any], size: Size) -> None:
    out = Console(highlight=False, width=100)
    out.print(found["machine"], soft_wrap=True)
    for name, runs in found["listed_s"].items():
        request_s, start_s, held = zip(*runs, strict=True)
        out.print(
            f"first tools/list {name} a silent upstream: {spread(request_s, 2)} s, "
            f"{spread(start_s, 2)} s from the start of the process; "
            f"the other upstream's tool was in {sum(held)} of {len(held)}"
        )
    table = comparison(
        "through", "direct", rounds=size.rounds, sequential=size.sequential, concurrent=size.concurrent
    )
    for leg in found["legs"]:
        through, direct = leg["through"], leg["direct"]
        figures = [
            ("p50 ms", through["p50_ms"], direct["p50_ms"], 2),
            ("p95 ms", through["p95_ms"], direct["p95_ms"], 2),
            ("calls/s", through["per_second"], direct["per_second"], 0),
            ("processor ms", leg["through_processor_ms"], leg["direct_processor_ms"], 2),
        ]
        compare(table, f"{leg['transport']}, {leg['era']}", figures)
    out.print(table)


def main() -> None:
    if not Path("/proc").is_dir():
        sys.exit("This needs /proc, to ask for the processor time of other processes. Run it on Linux.")
    parser = argparse.ArgumentParser(description="Measures the way through the gateway against none.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", action="store_true", help="every round's figures")
    parser.add_argument("--only", choices=("http", "stdio"), help="one transport only")
    options = parser.parse_args()
    size = QUICK if options.quick else FULL
    legs = [leg for leg in _LEGS if options.only in (None, leg[0])]
    found = anyio.run(partial(bench, size, legs), backend_options={"use_uvloop": sys.platform != "win32"})
    if options.json:
        print(json.dumps(found))
    else:
        report(found, size)


if __name__ == "__main__":
    main()
