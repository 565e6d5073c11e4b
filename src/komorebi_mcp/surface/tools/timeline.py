"""The tool that counts captures over time."""

from datetime import datetime
from typing import Self

from komorebi_mcp.domain.captures import ProjectName
from komorebi_mcp.domain.model import Model
from komorebi_mcp.domain.timeline import Bucket, BucketCount
from komorebi_mcp.domain.timeline import Timeline as Counted
from komorebi_mcp.services.timeline import timeline
from komorebi_mcp.surface.arguments import Since, Until, check_window
from komorebi_mcp.surface.rendering import counted, paragraphs
from komorebi_mcp.surface.resource_uris import DASHBOARD_URI
from komorebi_mcp.surface.tools.record import READS, Call, Reply, Result, Tool


class TimelineArguments(Model):
    project: ProjectName | None = None
    bucket: Bucket = Bucket.DAY
    since: Since | None = None
    until: Until | None = None


class BucketRow(Result):
    start: datetime
    count: int
    by_kind: dict[str, int]
    by_status: dict[str, int]
    top: tuple[str, ...]

    @classmethod
    def of(cls, bucket: BucketCount) -> Self:
        return cls(**dict(bucket))


class TimelineResult(Result):
    buckets: tuple[BucketRow, ...]
    total: int
    omitted: int | None = None
    """How many captures are in earlier buckets, which are not shown."""

    @classmethod
    def of(cls, found: Counted) -> Self:
        buckets = tuple(BucketRow.of(bucket) for bucket in found.buckets)
        return cls(buckets=buckets, total=found.total, omitted=found.omitted or None)


async def _run(call: Call, arguments: TimelineArguments) -> Reply:
    check_window(arguments.since, arguments.until)
    found = await timeline(call.app.store, call.owner, zone=call.app.zone(), **dict(arguments))
    text = paragraphs(
        [
            counted(found.total, "capture") + (":" if found.total else " in that time. Widen it or capture."),
            "\n".join(_line(bucket) for bucket in found.buckets),
            f"{counted(found.omitted, 'earlier capture')} left out: take a longer bucket, or until "
            f"{found.buckets[0].start.isoformat()}."
            if found.omitted
            else None,
        ]
    )
    return Reply(TimelineResult.of(found), text)


def _line(bucket: BucketCount) -> str:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in bucket.by_kind.items())
    return f"- {bucket.start:%Y-%m-%d}: {bucket.count:,} ({kinds}); longest {', '.join(bucket.top)}"


TIMELINE = Tool(
    name="timeline",
    title="Timeline",
    description="Captures counted over time by kind and status; top: the longest.",
    arguments=TimelineArguments,
    result=TimelineResult,
    annotations=READS,
    run=_run,
    page_uri=DASHBOARD_URI,
)
