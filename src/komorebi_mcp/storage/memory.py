"""What a process keeps in memory between transactions."""

from collections import OrderedDict
from threading import Lock
from typing import Any

_HEADS_MAX = 32
"""Searches whose pages go on; each has some hundred matches."""


class Memory:
    """Vectors by owner and model; made and read by `closest`.

    Of no type here, so that a process without a model needs nothing of what makes them.
    """

    def __init__(self) -> None:
        self.vectors: dict[tuple[str, str], Any] = {}
        self._heads: OrderedDict[str, Any] = OrderedDict()
        self.lock = Lock()
        """Held while these are read or changed: on SQLite, searches are in threads. Never for a statement."""

    def keep_head(self, name: str, head: Any) -> None:
        """Keeps the best matches of a search for its later pages, in place of those asked for longest ago."""
        with self.lock:
            self._heads[name] = head
            self._heads.move_to_end(name)
            while len(self._heads) > _HEADS_MAX:
                self._heads.popitem(last=False)

    def head(self, name: str) -> Any:
        """What was kept under that name; None where it is not there any more, or in another process."""
        with self.lock:
            return self._heads.get(name)
