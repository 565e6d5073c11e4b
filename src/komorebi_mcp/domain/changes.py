"""What has changed, told to whoever follows it: in this process and, on PostgreSQL, in others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from komorebi_mcp.domain.captures import CaptureCreate, Enrichment, Receipt
from komorebi_mcp.domain.jobs import Job
from komorebi_mcp.domain.nodes import NodeCreate, Work
from komorebi_mcp.domain.pyramid import Place


@dataclass(frozen=True, slots=True)
class Change:
    """Something of an owner's is different now. It says where to look, not what is there."""

    owner: str
    captures: tuple[str, ...] = ()
    """Ids."""
    projects: tuple[str, ...] = ()
    """Names, former ones included."""
    due: bool = True
    """Whether there is something to do about it in the background."""


Announce = Callable[[Change], None]
"""Must be quick and must not raise."""


def taken_in(owner: str, items: Sequence[CaptureCreate], receipts: Sequence[Receipt]) -> Change:
    """What has come into being."""
    created = [
        (receipt.id, item.project) for item, receipt in zip(items, receipts, strict=True) if receipt.created
    ]
    return Change(
        owner,
        captures=tuple(capture_id for capture_id, _ in created),
        projects=tuple(dict.fromkeys(project for _, project in created if project)),
    )


def enriched(owner: str, finished: Sequence[tuple[Job, Enrichment]], stored: Sequence[str]) -> Change:
    """What was found out, of those captures alone for which it was stored."""
    there = set(stored)
    projects = dict.fromkeys(job.capture.project for job, _ in finished if job.capture.id in there)
    return Change(owner, tuple(stored), tuple(project for project in projects if project), due=False)


def covered(
    owner: str, work: Work, made: Sequence[NodeCreate], gone: Sequence[Place], captures: Sequence[str] | None
) -> Change | None:
    """What summaries cover now; None where nothing is different."""
    if captures is None or not (captures or made or gone):
        return None
    return Change(owner, tuple(captures), (work.project,), due=False)
