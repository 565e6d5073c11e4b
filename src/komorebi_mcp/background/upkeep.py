"""What a process does beside answering: enriching, hearing of what others change, wiping what is forgotten.

None of it begins by itself, since a command that is over at once would only have to give back what it began.
"""

import anyio
import structlog

from komorebi_mcp.background.leader import lead
from komorebi_mcp.background.worker import Worker
from komorebi_mcp.domain.changes import Change
from komorebi_mcp.domain.clock import Clock
from komorebi_mcp.errors import StorageError
from komorebi_mcp.semantic.meaning import Meaning
from komorebi_mcp.services.events import Events
from komorebi_mcp.services.watch import Watch
from komorebi_mcp.storage.store import Store

_BETWEEN_STEPS_S = 0.02
"""In which others write."""

_log = structlog.get_logger(__name__)


class Upkeep:
    """`run` belongs in a task of the application; the other methods let it begin."""

    def __init__(
        self,
        store: Store,
        worker: Worker,
        *,
        clock: Clock,
        events: Events,
        meaning: Meaning | None,
        watch: Watch,
    ) -> None:
        self._store = store
        self._worker = worker
        self._clock = clock
        self._events = events
        self._meaning = meaning
        self._watch = watch
        self._enriching = anyio.Event()
        self._listening = anyio.Event()
        events.subscribe(self._wake_for)

    def start_enriching(self) -> None:
        """Has captures enriched from now on, those of other processes too."""
        self._enriching.set()
        self._listening.set()

    def start_listening(self) -> None:
        """Has `events` tell of what other processes change, where the database can."""
        self._listening.set()

    async def run(self) -> None:
        """Does what was started, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._enrich)
            tasks.start_soon(self._listen)
            tasks.start_soon(self._wipe)

    async def _enrich(self) -> None:
        await self._enriching.wait()
        if self._meaning is not None:
            # Ahead of enrichment, which then reads with it what it has in hand anyway.
            await self._meaning.load()
        await lead(self._store, self._worker, clock=self._clock)

    async def _listen(self) -> None:
        await self._listening.wait()
        await self._store.listen(self._events.publish, connected=self._look_again)

    async def _wipe(self) -> None:
        """Goes on at once with what a process that ended had begun; whoever forgets something wipes it."""
        await self._listening.wait()
        wiper = self._store.wiper
        while wiper is not None:
            try:
                # The next step waits for the others in between, not for anything that an event could tell.
                while await wiper.wipe_some():  # noqa: ASYNC110
                    await anyio.sleep(_BETWEEN_STEPS_S)
            except StorageError as error:
                _log.warning("upkeep.not_wiped", reason=str(error))
            await wiper.wait()

    def _wake_for(self, change: Change) -> None:
        if change.due:
            self._worker.wake()

    def _look_again(self) -> None:
        """Makes up for what was not heard while there was no connection."""
        self._worker.wake()
        self._watch.hurry()
