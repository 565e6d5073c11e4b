"""Notifications on their way to one client, in the order of the wire."""

from collections import deque
from collections.abc import Mapping
from typing import Any, get_args

import anyio
import structlog
from mcp_types import LoggingLevel

from komorebi_mcp.upstream.caller import Start, Tell

_WAITING_MAX = 1000
_LEVELS = get_args(LoggingLevel)

_log = structlog.get_logger(__name__)


class Outbox:
    """What is to be told, while whoever tells it reads on."""

    def __init__(self, tell: Tell, start: Start) -> None:
        self._tell = tell
        self._start = start
        # Under a flood the oldest go: progress only ever grows, and memory must not.
        self._waiting: deque[tuple[str, dict[str, Any]]] = deque(maxlen=_WAITING_MAX)
        self._delivered: anyio.Event | None = None

    def put(self, method: str, params: dict[str, Any]) -> None:
        """Has the notification delivered; returns at once."""
        self._waiting.append((method, params))
        if self._delivered is None:
            self._delivered = anyio.Event()
            self._start(self._deliver)

    async def delivered(self) -> None:
        """Returns once all that was put has arrived."""
        if self._delivered is not None:
            await self._delivered.wait()

    def close(self) -> None:
        """Drops what has not been delivered."""
        self._waiting.clear()

    async def _deliver(self) -> None:
        done = self._delivered
        try:
            while self._waiting:
                await self._tell(*self._waiting.popleft())
        except Exception as error:  # noqa: BLE001  # A client that cannot be told costs the upstream nothing.
            _log.debug("upstream.not_told", error=type(error).__name__)
            self._waiting.clear()
        finally:
            self._delivered = None
            if done is not None:
                done.set()


def is_wanted(method: str, params: Mapping[str, Any], least: str | None) -> bool:
    """Whether a client that wants to hear of log messages from level `least` on is to get this one."""
    if method != "notifications/message":
        return True
    if least not in _LEVELS:
        return False
    level = params.get("level")
    return level not in _LEVELS or _LEVELS.index(level) >= _LEVELS.index(least)
