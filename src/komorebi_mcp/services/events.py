"""Events: who wants to know is told what has changed, in this process and at once."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """Something of an owner's is different now. It says where to look, not what is there."""

    owner: str
    captures: tuple[str, ...] = ()
    """Ids."""
    projects: tuple[str, ...] = ()
    """Names, former ones included."""


Announce = Callable[[Change], None]


class Events:
    """Hands every change to every listener."""

    def __init__(self) -> None:
        self._listeners: dict[object, Announce] = {}

    def publish(self, change: Change) -> None:
        for listener in tuple(self._listeners.values()):
            listener(change)

    def subscribe(self, listener: Announce) -> Callable[[], None]:
        """Calls `listener`, which must be quick and must not raise, until the function returned is called."""
        token = object()
        self._listeners[token] = listener
        return lambda: self._listeners.pop(token, None) and None
