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


class Backlog(Model):
    """How much work waits."""

    waiting: int
    """Captures in the inbox that will be tried, now or after their backoff."""
    set_aside: int
    """Captures whose enrichment failed too often."""
    oldest_waiting_at: datetime | None
