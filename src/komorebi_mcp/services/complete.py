"""Complete: what a person may mean who has begun to type a name, a tag or an id."""

from collections.abc import Iterable

from komorebi_mcp.storage.store import Store


class Complete:
    """Offers values that the owner's data holds. Every list has the best first."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def projects(self, owner: str, typed: str) -> list[str]:
        """Names of projects that begin with what was typed, then those that hold it; case does not matter."""
        async with self._store.read(owner) as transaction:
            return matching(await transaction.completions.project_names(), typed)

    async def tags(self, owner: str, typed: str) -> list[str]:
        """Tags in use, chosen as `projects` does."""
        async with self._store.read(owner) as transaction:
            return matching(await transaction.completions.tags(), typed)

    async def captures(self, owner: str, typed: str, *, limit: int) -> list[str]:
        """Ids of captures that begin so, the newest first."""
        async with self._store.read(owner) as transaction:
            return await transaction.completions.capture_ids(typed, limit=limit)

    async def summaries(self, owner: str, typed: str, *, limit: int) -> list[str]:
        """Ids of summaries that begin so, the newest first."""
        async with self._store.read(owner) as transaction:
            return await transaction.completions.summary_ids(typed, limit=limit)


def matching(values: Iterable[str], typed: str) -> list[str]:
    """Those that begin with what was typed, then those that hold it, each in the order given."""
    wanted = typed.strip().casefold()
    holding = [value for value in values if wanted in value.casefold()]
    return sorted(holding, key=lambda value: not value.casefold().startswith(wanted))
