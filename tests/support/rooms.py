"""The services on a real SQLite file, without transports."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from komorebi_mcp.background.leader import lead
from komorebi_mcp.background.worker import Worker
from komorebi_mcp.domain.changes import Change
from komorebi_mcp.services.capture import CaptureService
from komorebi_mcp.services.compact import Compact
from komorebi_mcp.services.enrich import enrich
from komorebi_mcp.services.events import Events
from komorebi_mcp.services.find import Find
from komorebi_mcp.services.organize import Organize
from komorebi_mcp.services.resume import Resuming
from komorebi_mcp.services.rewriting import Allowance, Rewriting
from komorebi_mcp.services.summarize import Summarize, Summarizer
from komorebi_mcp.storage.store import Store, open_store
from komorebi_mcp.summarizers.writer import Writer
from support.clock import StillClock
from support.databases import put_sqlite_file


@dataclass(frozen=True)
class Rooms:
    store: Store
    capture: CaptureService
    worker: Worker
    compact: Compact
    events: Events
    find: Find
    organize: Organize
    summarize: Summarize
    resume: Resuming
    clock: StillClock

    async def settle(self) -> None:
        """Enriches all that waits, and brings every pyramid up to date."""
        while await self.worker.work_once() or await self.compact.step():
            pass

    async def lead(self) -> None:
        """Works in the background as the application does, until cancelled."""
        await lead(self.store, self.worker, clock=self.clock)


@asynccontextmanager
async def open_rooms(
    folder: Path,
    *,
    summarizer: Summarizer = "extractive",
    endpoint: Writer | None = None,
    calls_per_hour: int = 600,
) -> AsyncIterator[Rooms]:
    """Every service over `folder`/test.db; the worker works only when `settle` says so."""
    clock = StillClock()
    put_sqlite_file(folder / "test.db")
    events = Events()
    async with (
        open_store(f"sqlite+aiosqlite:///{folder}/test.db", clock=clock, announce=events.publish) as store,
        anyio.create_task_group() as background,
    ):
        rewriting = Rewriting(store, endpoint, Allowance(calls_per_hour, clock)) if endpoint else None
        compact = Compact(store, rewriting=rewriting)
        worker = Worker(
            store,
            enrich,
            clock=clock,
            compact=compact.step,
            compact_apart=rewriting is not None,
        )

        def wake(change: Change) -> None:
            if change.due:
                worker.wake()

        events.subscribe(wake)
        capture = CaptureService(store, secrets="redact")
        background.start_soon(capture.run)
        yield Rooms(
            store=store,
            capture=capture,
            worker=worker,
            compact=compact,
            events=events,
            find=Find(store, clock=clock),
            organize=Organize(store, secrets="redact"),
            summarize=Summarize(store, summarizer=summarizer, endpoint=endpoint),
            resume=Resuming(store, clock=clock),
            clock=clock,
        )
        background.cancel_scope.cancel()
