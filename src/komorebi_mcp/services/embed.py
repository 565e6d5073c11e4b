"""Embed: has the model read what was enriched without it, or with another one."""

from collections import defaultdict

from komorebi_mcp.domain.jobs import Unread
from komorebi_mcp.domain.vectors import Vector
from komorebi_mcp.semantic.meaning import Meaning
from komorebi_mcp.storage.store import Store

_BATCH = 64


class Embed:
    """Goes once through all captures, in the order of their arrival. Enrichment sees to those that come."""

    def __init__(self, store: Store, meaning: Meaning) -> None:
        self._store = store
        self._meaning = meaning
        self._behind = 0
        """Arrival number up to which all are read. Rows say which are, so a stop costs a look at each."""

    async def step(self) -> bool:
        """Has a few read; False when there was nothing to do, or no model is there."""
        model = self._meaning.model
        if model is None:
            return False
        async with self._store.look() as queue:
            unread, reached = await queue.unread(model, behind=self._behind, limit=_BATCH)
        if reached == self._behind:
            return False
        vectors = await self._meaning.read_all([each.content for each in unread]) if unread else []
        found: dict[str, list[tuple[Unread, Vector]]] = defaultdict(list)
        for each, vector in zip(unread, vectors, strict=True):
            found[each.owner].append((each, vector))
        for owner, read in found.items():
            async with self._store.write(owner) as transaction:
                await transaction.captures.keep_vectors(read)
        self._behind = reached
        return True
