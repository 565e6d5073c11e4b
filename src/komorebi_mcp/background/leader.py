"""One process works through a SQLite file; the others stand by.

Leases keep any number of workers from harming one another, so leading is about cost alone: without it every
process on the file would wake up for every capture, and wait for the others' locks.
"""

from datetime import datetime

import anyio
import structlog

from komorebi_mcp.background.worker import Worker
from komorebi_mcp.domain.clock import Clock
from komorebi_mcp.errors import StorageError
from komorebi_mcp.storage.locks import try_lock
from komorebi_mcp.storage.store import Store

_TRY_S = 1.0
"""How often to try to take over. The system frees the lock of a process that was killed at once."""
_STALLED_S = 15.0
"""A leader that left the first of the queue alone for so long is taken to be stopped, say by Ctrl-Z."""

_log = structlog.get_logger(__name__)


async def lead(store: Store, worker: Worker, *, clock: Clock) -> None:
    """Runs the worker for as long as this process leads, and stands by before; until cancelled.

    On PostgreSQL everyone works, since claims there skip what others hold.
    """
    if store.leader_lock is None:
        await worker.run()
        return
    deputy = _Deputy(store, worker, clock)
    while True:
        try:
            held = try_lock(store.leader_lock)
        except OSError as error:
            # As on some network drives: two who work are dear, nobody at all is worse.
            _log.warning("leader.no_lock", error=type(error).__name__)
            await worker.run()
            return
        if held is not None:
            with held:
                await _take_over(store)
                await worker.run()
            return
        await deputy.help()
        await anyio.sleep(_TRY_S)


async def _take_over(store: Store) -> None:
    """Frees what the last leader had claimed: who has the lock need not wait for the leases of the dead."""
    try:
        async with store.work() as queue:
            await queue.take_over()
    except StorageError:
        _log.exception("leader.take_over_failed")


class _Deputy:
    """Works in place of a leader that holds the lock and does nothing, which no lock can tell."""

    def __init__(self, store: Store, worker: Worker, clock: Clock) -> None:
        self._store = store
        self._worker = worker
        self._clock = clock
        self._first: datetime | None = None
        self._version: int | None = None
        """The database's, before the last look."""
        self._seen_at = clock()

    async def help(self) -> None:
        """Works through what is due if the same capture has been the first in the queue for too long."""
        try:
            first = await self._first_in_queue()
            now = self._clock()
            if first is None or first > now or first != self._first:
                self._first, self._seen_at = first, now
            elif (now - self._seen_at).total_seconds() >= _STALLED_S:
                _log.warning("leader.stalled")
                while await self._worker.work_once():
                    pass
                self._version = None
        except Exception:  # noqa: BLE001 - who only stands by must not end the application.
            _log.exception("leader.standby_failed")

    async def _first_in_queue(self) -> datetime | None:
        version = self._store.version()
        if version is not None and version == self._version:
            # Nobody has written anything since.
            return self._first
        async with self._store.look() as queue:
            first = await queue.next_due()
        self._version = version
        return first
