"""Time, as an argument: whoever needs the time of day is handed a `Clock`; and waits that grow."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present moment, with a time zone."""


def utc_now() -> datetime:
    """The present moment in UTC, to the microsecond."""
    return datetime.now(UTC)


def doubled_s(first_s: float, failures: int, *, most_s: float) -> float:
    """How long to wait after so many failures in a row, counted from 1: twice as long after each."""
    # What fails for days does so more often than a float can be doubled.
    return min(first_s * 2.0 ** min(failures - 1, 64), most_s)
