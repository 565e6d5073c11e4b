"""What was captured when, in days, weeks or months."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum

from komorebi_mcp.domain.model import Model

BUCKETS_MAX = 100
"""In one answer; what lies before them is counted but not shown."""
TOP_MAX = 3


class Bucket(StrEnum):
    """How long a part of a timeline is."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class BucketCount(Model):
    """One part of a timeline in which something was captured."""

    start: datetime
    """Its first moment, in the reader's zone; a week begins on Monday."""
    count: int
    by_kind: dict[str, int]
    """Kinds that occur, the commonest first."""
    by_status: dict[str, int]
    """The same of statuses."""
    top: tuple[str, ...]
    """Ids of the longest captures, the longest first."""


class Timeline(Model):
    """Captures counted one by one, copies, passages and archived ones included."""

    buckets: tuple[BucketCount, ...]
    """From the earliest to the latest; those in which nothing was captured are left out."""
    total: int
    """In all the time that was asked about."""
    omitted: int
    """How many of them are in earlier buckets than those shown."""


def bounds(moment: datetime, bucket: Bucket, zone: tzinfo) -> tuple[datetime, datetime]:
    """The start of the bucket that the moment is in, and that of the next one, in UTC."""
    day = moment.astimezone(zone).date()
    match bucket:
        case Bucket.DAY:
            return _midnight(day, zone), _midnight(day + timedelta(days=1), zone)
        case Bucket.WEEK:
            monday = day - timedelta(days=day.weekday())
            return _midnight(monday, zone), _midnight(monday + timedelta(days=7), zone)
        case Bucket.MONTH:
            first = day.replace(day=1)
            following = (first + timedelta(days=31)).replace(day=1)
            return _midnight(first, zone), _midnight(following, zone)


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
