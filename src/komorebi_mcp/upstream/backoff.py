"""How long to leave an upstream alone that does not work."""

import random

import anyio

from komorebi_mcp.domain.clock import doubled_s

BACKOFF_FIRST_S = 0.5
BACKOFF_LAST_S = 300.0
STEADY_S = 30.0
"""A connection that held so long starts the backoff anew."""


class Backoff:
    """Counts failures in a row. Times are of the event loop's clock."""

    def __init__(self) -> None:
        self._failures = 0
        self._failed_at = 0.0

    def failed(self, *, held_s: float) -> None:
        """A connection has ended, or was not made, after `held_s` seconds."""
        self._failures = 1 if held_s >= STEADY_S else self._failures + 1
        self._failed_at = anyio.current_time()

    def is_over(self, *, after_s: float) -> bool:
        """Whether the last failure was so many seconds ago; so it is where there was none."""
        return anyio.current_time() - self._failed_at >= after_s

    def until(self) -> float:
        """When to try again by itself: later with each failure, and not when everybody else does."""
        limit_s = doubled_s(BACKOFF_FIRST_S, self._failures, most_s=BACKOFF_LAST_S)
        return anyio.current_time() + limit_s * random.uniform(0.5, 1.0)  # noqa: S311  # Jitter is no secret.
