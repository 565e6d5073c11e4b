"""Works through the inbox while the application is open: claim, enrich, finish, then keep summaries up.

A capture's row is the queue's only truth. A claim is a lease: a process that dies loses it when it ends, and
another one goes on. Nothing here makes a caller of `capture` wait.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from math import inf

import anyio
import anyio.lowlevel
import anyio.to_thread
import structlog

from komorebi_mcp.domain.captures import Capture, Enrichment
from komorebi_mcp.domain.clock import Clock
from komorebi_mcp.domain.jobs import Job
from komorebi_mcp.domain.spans import span
from komorebi_mcp.errors import StorageUnavailable
from komorebi_mcp.storage.store import Store

_CLAIM_MAX = 64
_LEASE_S = 60.0
"""Far longer than a batch takes, short enough that a killed process's captures do not wait for long."""
_POLL_S = 0.5
"""How often to look for what another process stored or left behind."""
_POLL_HEARING_S = 30.0
"""The same where other processes tell of it; less where a job is due before."""
_ORPHANS_S = 1.0
"""How often, while others hold leases, to look whether they are still there."""
_PAUSE_S = 0.03
"""Each step is taken when no capture has come for so long: whoever captures comes first."""
_PATIENCE_S = 0.05
"""But a step waits for such a pause no longer than this, so that a steady stream is enriched as well."""
_FINISH_MAX = 16
"""Captures finished in one transaction; a capture that comes meanwhile waits for its end."""
_POLL_MAX_S = 30.0
"""Up to which the wait doubles while the database fails: its log is not to fill a disk that is full."""
_ATTEMPTS_MAX = 5
_BACKOFF_S = 2.0
"""The wait after the first failure; it doubles with each further one."""
_INLINE_CHARS_MAX = 32_768
"""A longer content is enriched in a thread, so that other calls need not wait."""

_ROUNDS_BETWEEN = 8
"""While captures wait, summaries get their turn after so many rounds of enrichment,"""
_CAPTURES_BETWEEN = 200
"""or so many captures, as one turn sees to: summaries are no further behind when the inbox is empty."""

_log = structlog.get_logger(__name__)


class Worker:
    """Enriches captures. `run` belongs in a task of the application; `wake` tells it that there is work."""

    def __init__(
        self,
        store: Store,
        enrich: Callable[[Capture], Enrichment],
        *,
        clock: Clock,
        compact: Callable[[], Awaitable[bool]] | None = None,
        compact_apart: bool = False,
    ) -> None:
        """`compact` does a small part of the work on summaries, and says whether there was any.

        Where it waits for a model, it belongs `compact_apart`, so that enrichment need not wait for it.
        """
        self._store = store
        self._enrich = enrich
        self._compact = None if compact_apart else compact
        self._compact_apart = compact if compact_apart else None
        self._clock = clock
        self._wake = anyio.Event()
        self._woken_at = -inf
        self._lagging = anyio.Event()
        self._uncompacted = 0
        """Captures enriched since summaries had their last turn."""
        self._due_at: datetime | None = None
        """When the next job may be claimed, as far as the last look could tell."""

    def wake(self) -> None:
        """Says that there is work now."""
        self._woken_at = anyio.current_time()
        self._wake.set()
        self._lagging.set()

    async def run(self) -> None:
        """Works until cancelled. Whatever fails is logged and tried again, since the application goes on."""
        async with anyio.create_task_group() as tasks:
            if self._compact_apart is not None:
                tasks.start_soon(self._keep_compacting, self._compact_apart)
            await self._work()

    async def _keep_compacting(self, compact: Callable[[], Awaitable[bool]]) -> None:
        failed_s = _POLL_S
        while True:
            self._lagging = anyio.Event()
            try:
                busy = await compact()
                failed_s, wait_s = _POLL_S, _POLL_HEARING_S if self._store.hears else _POLL_S
            except Exception as error:  # noqa: BLE001 - as below.
                _tell("worker.compact_failed", error)
                busy = False
                failed_s = wait_s = min(failed_s * 2, _POLL_MAX_S)
            if not busy:
                with anyio.move_on_after(wait_s):
                    await self._lagging.wait()

    async def _work(self) -> None:
        failed_s = _POLL_S
        rounds = 0
        while True:
            self._wake = anyio.Event()
            version = self._store.version()
            try:
                busy = await self.work_once()
                failed_s, wait_s = _POLL_S, self._until_next_look_s()
                rounds = rounds + 1 if busy else 0
                # Summaries give way to enrichment, but not for ever.
                their_turn = rounds % _ROUNDS_BETWEEN == 0 or self._uncompacted >= _CAPTURES_BETWEEN
                if self._compact is not None and their_turn:
                    self._uncompacted = 0
                    await self._pause()
                    busy = await self._compact() or busy
            except Exception as error:  # noqa: BLE001 - captures are taken in whatever becomes of their enrichment.
                _tell("worker.failed", error)
                busy, version = False, None
                failed_s = wait_s = min(failed_s * 2, _POLL_MAX_S)
            if not busy:
                await self._idle(wait_s, version)

    async def _idle(self, wait_s: float, version: int | None) -> None:
        """Returns when woken, and every `wait_s` unless nothing can have changed since that version."""
        while not self._wake.is_set():
            with anyio.move_on_after(wait_s):
                await self._wake.wait()
            is_due = self._due_at is not None and self._due_at <= self._clock()
            if version is None or version != self._store.version() or is_due:
                return

    def _until_next_look_s(self) -> float:
        if not self._store.hears:
            return _POLL_S
        if self._due_at is None:
            return _POLL_HEARING_S
        due_s = (self._due_at - self._clock()).total_seconds()
        return max(0.0, min(_ORPHANS_S, due_s))

    async def _pause(self) -> None:
        """Gives way to captures that are coming in."""
        until = anyio.current_time() + _PATIENCE_S
        # No event could say this: it would have to be set by captures that do not come.
        while (now := anyio.current_time()) < min(self._woken_at + _PAUSE_S, until):  # noqa: ASYNC110
            await anyio.sleep(min(self._woken_at + _PAUSE_S, until) - now)

    async def work_once(self) -> bool:
        """Claims some waiting captures and finishes each one way or another; False when none was waiting."""
        async with self._store.look() as queue:
            self._due_at = await queue.next_due()
        # Looking takes no lock, so that an idle server is in nobody's way.
        if self._due_at is None or (self._due_at > self._clock() and not await self._inherit()):
            return False
        await self._pause()
        async with self._store.work() as queue:
            jobs = await queue.claim(limit=_CLAIM_MAX, lease_s=_LEASE_S)
        done: list[tuple[Job, Enrichment]] = []
        left = list(jobs)
        try:
            while left:
                await self._pause()
                found = await self._try(left[0])
                job = left.pop(0)
                if found is not None:
                    done.append((job, found))
            while done:
                await self._pause()
                await self._finish_some(done)
        except anyio.get_cancelled_exc_class():
            # Whoever works next goes on from here, instead of waiting for leases to end.
            with anyio.CancelScope(shield=True):
                while done:
                    await self._finish_some(done)
                async with self._store.work() as queue:
                    await queue.release(left)
            raise
        return bool(jobs)

    async def _inherit(self) -> bool:
        """Whether there is work left behind by those that died, where it can be told that they did."""
        if not self._store.hears:
            return False
        async with self._store.work() as queue:
            orphans = await queue.take_over_from_the_dead()
        if orphans:
            _log.info("worker.took_over", captures=orphans)
        return bool(orphans)

    async def _finish_some(self, done: list[tuple[Job, Enrichment]]) -> None:
        """Stores what was found out for some captures of one owner, and takes them out of `done`."""
        owner = done[0][0].owner
        some = [each for each in done if each[0].owner == owner][:_FINISH_MAX]
        await self._finish(owner, some)
        stored = {job.lease for job, _ in some}
        done[:] = [each for each in done if each[0].lease not in stored]

    async def _finish(self, owner: str, finished: list[tuple[Job, Enrichment]]) -> None:
        stored = await self._store.enrich(owner, finished)
        self._uncompacted += len(stored)
        if len(stored) < len(finished):
            _log.info("worker.leases_lost", captures=len(finished) - len(stored))
        self._lagging.set()

    async def _try(self, job: Job) -> Enrichment | None:
        """What was found out; None when it failed, and then the job has been given back or set aside."""
        if job.attempt > _ATTEMPTS_MAX:
            # Claimed and never finished, each time: it takes the process down with it.
            await self._fail(job, "the process ended at every attempt")
            return None
        try:
            with span("enrich", chars=len(job.capture.content), attempt=job.attempt):
                if len(job.capture.content) > _INLINE_CHARS_MAX:
                    return await anyio.to_thread.run_sync(self._enrich, job.capture)
                found = self._enrich(job.capture)
            await anyio.lowlevel.checkpoint()
        except Exception as error:  # noqa: BLE001 - one capture must not end the work on the others.
            _log.exception("worker.enrichment_failed", capture=job.capture.id, attempt=job.attempt)
            await self._fail(job, f"{type(error).__name__} in enrichment")
            return None
        return found

    async def _fail(self, job: Job, error: str) -> None:
        async with self._store.work() as queue:
            if job.attempt >= _ATTEMPTS_MAX:
                await queue.set_aside(job, error=error)
            else:
                wait = timedelta(seconds=_BACKOFF_S * 2 ** (job.attempt - 1))
                await queue.give_back(job, retry_at=self._clock() + wait)


def _tell(event: str, error: Exception) -> None:
    """Logs what is being handled: a bug with its traceback, a full disk and the like in one line."""
    if isinstance(error, StorageUnavailable):
        _log.error(event, reason=str(error))
    else:
        _log.exception(event)
