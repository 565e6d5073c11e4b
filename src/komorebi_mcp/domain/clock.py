"""Time, as an argument: whoever needs the time of day is handed a `Clock`."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present moment, with a time zone."""


def utc_now() -> datetime:
    """The present moment in UTC, to the microsecond."""
    return datetime.now(UTC)
