"""Capture: an acknowledged text is on disk.

Calls that arrive while a commit is under way share the next one (group commit), so durability costs one disk
synchronization for many captures instead of one each.
"""

from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

import anyio
import structlog

from komorebi_mcp.domain.captures import CaptureCreate, Receipt
from komorebi_mcp.domain.spans import span
from komorebi_mcp.errors import KomorebiError, StorageError, StorageUnavailable
from komorebi_mcp.services.content import SecretsPolicy, admit
from komorebi_mcp.storage.store import Store

_BATCH_MAX = 256
"""Captures in one transaction: enough to share its cost, few enough to keep the wait of each short."""

_log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class _Waiting:
    """A capture on its way to disk, and its caller's place to wait."""

    owner: str
    create: CaptureCreate
    done: anyio.Event = field(default_factory=anyio.Event)
    receipt: Receipt | None = None
    error: KomorebiError | None = None

    def settle(self, outcome: Receipt | KomorebiError) -> None:
        if isinstance(outcome, Receipt):
            self.receipt = outcome
        else:
            self.error = outcome
        self.done.set()


class CaptureService:
    """Takes texts in. `run` must be under way in a task of its own for `capture` to return."""

    def __init__(self, store: Store, *, secrets: SecretsPolicy) -> None:
        self._store = store
        self._secrets = secrets
        self._queue: deque[_Waiting] = deque()
        self._arrived = anyio.Event()
        self._stopped = False

    async def capture(self, owner: str, create: CaptureCreate) -> Receipt:
        """The receipt of a text that is now on disk.

        Raises:
            InvalidInput: The content is empty, too large or not valid Unicode.
            StorageError: It could not be stored; nothing of it was.
        """
        content, redactions = await admit(create.content, secrets=self._secrets)
        waiting = _Waiting(owner, create.model_copy(update={"content": content, "redactions": redactions}))
        if self._stopped:
            raise _stopping()
        self._queue.append(waiting)
        self._arrived.set()
        try:
            await waiting.done.wait()
        except anyio.get_cancelled_exc_class():
            # Not yet being written, it is taken back; a commit under way goes on.
            with suppress(ValueError):
                self._queue.remove(waiting)
            raise
        if waiting.receipt is None:
            raise waiting.error or _stopping()
        return waiting.receipt

    async def run(self) -> None:
        """Writes what arrives, until cancelled; then refuses whatever is not yet being written."""
        try:
            while True:
                await self._arrived.wait()
                while batch := self._next_batch():
                    # A commit that has begun is finished, so that no caller is told less than is true.
                    with anyio.CancelScope(shield=True):
                        await self._commit(batch)
                self._arrived = anyio.Event()
        finally:
            self._stopped = True
            while self._queue:
                self._queue.popleft().settle(_stopping())

    def _next_batch(self) -> list[_Waiting]:
        """The oldest waiting captures that have one owner in common."""
        batch: list[_Waiting] = []
        owner = self._queue[0].owner if self._queue else None
        while self._queue and len(batch) < _BATCH_MAX and self._queue[0].owner == owner:
            batch.append(self._queue.popleft())
        return batch

    async def _commit(self, batch: list[_Waiting]) -> None:
        try:
            with span("capture", captures=len(batch)):
                receipts = await self._store.take_in(batch[0].owner, [waiting.create for waiting in batch])
        except KomorebiError as error:
            # The database refused them all alike: it is full, locked or gone.
            for waiting in batch:
                waiting.settle(error)
        except Exception:  # noqa: BLE001 - the writer must outlive whatever one text brings about.
            _log.exception("capture.batch_failed", captures=len(batch))
            if len(batch) == 1:
                batch[0].settle(
                    StorageError(
                        "This capture could not be stored, and nothing of it was. See the server's log."
                    )
                )
                return
            # One of them is at fault; its neighbours must not pay for it.
            for waiting in batch:
                await self._commit([waiting])
        else:
            for waiting, receipt in zip(batch, receipts, strict=True):
                waiting.settle(receipt)


def _stopping() -> StorageUnavailable:
    return StorageUnavailable(
        "The server is stopping and did not store this text. Capture it again once it is back."
    )
