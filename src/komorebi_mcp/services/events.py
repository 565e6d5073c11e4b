"""Events: who wants to know is told what has changed, at once."""

from collections.abc import Callable

from komorebi_mcp.domain.changes import Announce, Change


class Events:
    """Hands every change to every listener."""

    def __init__(self) -> None:
        self._listeners: dict[object, Announce] = {}

    def publish(self, change: Change) -> None:
        for listener in tuple(self._listeners.values()):
            listener(change)

    def subscribe(self, listener: Announce) -> Callable[[], None]:
        """Calls `listener` until the function returned is called."""
        token = object()
        self._listeners[token] = listener

        def unsubscribe() -> None:
            self._listeners.pop(token, None)

        return unsubscribe
