"""What a process keeps in memory between transactions."""

from threading import Lock
from typing import Any


class Memory:
    """Vectors by owner and model; made and read by `closest`.

    Of no type here, so that a process without a model needs nothing of what makes them.
    """

    def __init__(self) -> None:
        self.vectors: dict[tuple[str, str], Any] = {}
        self.lock = Lock()
        """Held while these are read or changed: on SQLite, searches are in threads. Never for a statement."""
