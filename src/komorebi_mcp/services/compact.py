"""Compact: keeps every project's pyramid up with its captures, a small step at a time."""

import anyio.to_thread
import structlog

from komorebi_mcp.domain.nodes import NodeCreate, Waiting, Work
from komorebi_mcp.domain.pyramid import Place
from komorebi_mcp.domain.spans import span
from komorebi_mcp.errors import StorageError
from komorebi_mcp.services.nodes import make_nodes
from komorebi_mcp.services.rewriting import Rewriting
from komorebi_mcp.storage.store import Store

LEAVES_MAX = 200
"""Due leaves seen to in one step, so that enrichment does not wait for long."""
_PROJECTS_MAX = 100

_log = structlog.get_logger(__name__)


class Compact:
    """Makes the nodes of pyramids. Rows say what is due, so nothing is lost with the process."""

    def __init__(self, store: Store, *, rewriting: Rewriting | None = None) -> None:
        """`rewriting` has a model write nodes; without it they are verbatim."""
        self._store = store
        self._rewriting = rewriting
        # Where a step failed, until this process ends: one project must not hold up the others.
        self._failed: set[Waiting] = set()

    async def step(self) -> bool:
        """Brings a part of one pyramid up to date; False when there was nothing to do."""
        async with self._store.look() as queue:
            lagging = await queue.lagging(limit=_PROJECTS_MAX + len(self._failed))
        waiting = next((each for each in lagging if each not in self._failed), None)
        if waiting is None:
            return False
        try:
            await self._advance(waiting)
        except StorageError:
            # The database's trouble, not this project's: the worker tries again.
            raise
        except Exception:  # noqa: BLE001 - other projects are told of whatever one of them holds.
            _log.exception("compact.failed", project_id=waiting.project_id)
            self._failed.add(waiting)
        return True

    async def _advance(self, waiting: Waiting) -> None:
        work = await self._store.take_work(waiting.owner, waiting.project_id, leaves_max=LEAVES_MAX)
        if work is None:
            return
        with span("summary_nodes", leaves=len(work.leaves)) as opened:
            made, gone = await self._make(waiting.owner, work)
            opened.set_attribute("komorebi.nodes", len(made))
        covered = await self._store.keep_nodes(waiting.owner, work, made, gone=gone)
        if covered is None:
            _log.debug("compact.outrun", project_id=waiting.project_id)

    async def _make(self, owner: str, work: Work) -> tuple[list[NodeCreate], list[Place]]:
        # Where more is waiting, a model would only keep it waiting.
        behind = len(work.leaves) >= LEAVES_MAX
        if self._rewriting is None or behind:
            return await anyio.to_thread.run_sync(make_nodes, work)
        return await self._rewriting.make_nodes(owner, work)
