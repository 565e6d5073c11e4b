"""Background work: captures that wait to be enriched, claimed by lease."""

from datetime import datetime

from komorebi_mcp.domain.captures import Capture
from komorebi_mcp.domain.model import Model


class Job(Model):
    """A claimed capture.

    The claim ends with its lease, so a job may run twice: finishing it must tolerate that.
    """

    owner: str
    capture: Capture
    lease: str
    """Fences a worker that wakes up late: only the holder of the newest lease may finish the job."""
    attempt: int
    """1 the first time."""


class Unread(Model):
    """A capture whose meaning a model has not read yet."""

    owner: str
    seq: int
    """Its arrival number."""
    fingerprint: str
    """Of its content: another one says that it changed meanwhile."""
    content: str
    """The content, or as much as the model would read of it."""


class Backlog(Model):
    """How much work waits."""

    waiting: int
    """Captures in the inbox that will be tried, now or after their backoff."""
    set_aside: int
    """Captures whose enrichment failed too often."""
    oldest_waiting_at: datetime | None
