"""The command as a test calls it, and how it ended."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Komorebi = Callable[..., Ended]
"""Takes the arguments as on a command line, and `stdin` as bytes."""
