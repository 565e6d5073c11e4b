"""How fast `komorebi-mcp worker` processes empty one PostgreSQL's inbox, and whether work is done twice.

    python scripts/bench_workers.py postgresql://USER@HOST/EMPTY_DATABASE --workers 1,2,4 --kill

With `--kill` one worker of several is killed (SIGKILL) when half is done; what it had claimed the
others take over. Seconds are of this machine only: compare the rows of one run.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.abc import Process
from measuring import processor_s
from synthetic import texts

from komorebi_mcp.domain.captures import CaptureCreate, Kind
from komorebi_mcp.storage.store import Store, open_store

COMMAND = [sys.executable, "-m", "komorebi_mcp.cli.main", "worker"]
LOOK_S = 0.05
LOST = b"worker.leases_lost"
"""What a worker logs when somebody else finished what it had worked on."""


@dataclass
class Worker:
    process: Process
    log: Any

    def cpu_s(self) -> float:
        """Its processor time so far; none is known of one that is gone."""
        try:
            return processor_s(self.process.pid)
        except OSError:
            return 0.0

    def doubled(self) -> int:
        """How often it worked on what another one finished."""
        return self.said().count(LOST)

    def said(self) -> bytes:
        self.log.seek(0)
        return bytes(self.log.read())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("database", help="the URL of a database that may be filled")
    parser.add_argument("--workers", default="1,2,4", help="how many at once, one round each")
    parser.add_argument("--captures", type=int, default=4_000, help="of each round")
    parser.add_argument("--owners", type=int, default=4, help="among whom they are spread")
    parser.add_argument("--kill", action="store_true", help="one of several in the middle of its round")
    anyio.run(run, parser.parse_args())


async def run(options: argparse.Namespace) -> None:
    async with open_store(options.database) as store:
        for number, workers in enumerate(map(int, options.workers.split(","))):
            async with AsyncExitStack() as stack:
                started = [await stack.enter_async_context(worker(options.database)) for _ in range(workers)]
                await fill(store, options, seed=number)
                began, began_cpu_s = time.perf_counter(), sum(each.cpu_s() for each in started)
                if options.kill and workers > 1:
                    await until(store, waiting_max=options.captures // 2)
                    started[0].process.send_signal(signal.SIGKILL)
                await until(store, waiting_max=0)
                took_s = time.perf_counter() - began
                cpu_s = sum(each.cpu_s() for each in started) - began_cpu_s
                doubled = sum(each.doubled() for each in started)
            print(
                f"{workers} workers: {options.captures:,} captures in {took_s:.1f} s,"
                f" {options.captures / took_s:.0f} a second, CPU of the workers {cpu_s:.1f} s,"
                f" done twice: {doubled}"
            )


async def fill(store: Store, options: argparse.Namespace, *, seed: int) -> None:
    made = [
        CaptureCreate(content=text.content, kind=Kind(text.kind), project=text.project)
        for text in texts(options.captures, seed=seed)
    ]
    for number in range(options.owners):
        await store.take_in(f"owner {number}", made[number :: options.owners])


@asynccontextmanager
async def worker(database: str) -> AsyncIterator[Worker]:
    with tempfile.TemporaryFile() as log, tempfile.TemporaryDirectory() as home:
        variables = {
            **os.environ,
            "KOMOREBI_HOME": home,
            "KOMOREBI_DATABASE_URL": database,
            "KOMOREBI_LOG_LEVEL": "INFO",
        }
        async with await anyio.open_process(COMMAND, env=variables, stderr=log) as process:
            try:
                started = Worker(process, log)
                while b"Working" not in started.said():  # noqa: ASYNC110  # A process tells by its log alone.
                    await anyio.sleep(LOOK_S)
                yield started
            finally:
                if process.returncode is None:
                    process.terminate()


async def until(store: Store, *, waiting_max: int) -> None:
    """Returns once no more captures than that wait."""
    while True:
        async with store.look() as queue:
            backlog = await queue.backlog()
        if backlog.waiting <= waiting_max:
            return
        await anyio.sleep(LOOK_S)


if __name__ == "__main__":
    main()
