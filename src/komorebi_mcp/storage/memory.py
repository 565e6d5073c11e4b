"""What a process keeps in memory between transactions."""

from typing import Any


class Memory:
    """Vectors by owner and model; made and read by `closest`.

    Of no type here, so that a process without a model needs nothing of what makes them.
    """

    def __init__(self) -> None:
        self.vectors: dict[tuple[str, str], Any] = {}
