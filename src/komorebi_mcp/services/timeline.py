"""Timeline: what was captured when."""

from datetime import datetime, tzinfo

from komorebi_mcp.domain.timeline import BUCKETS_MAX, Bucket, Timeline
from komorebi_mcp.storage.store import Store


async def timeline(
    store: Store,
    owner: str,
    *,
    zone: tzinfo,
    project: str | None = None,
    bucket: Bucket = Bucket.DAY,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Timeline:
    """The owner's captures in the window, counted by days, weeks or months of the zone.

    Raises:
        NotFound: No project has that name.
    """
    async with store.read(owner) as transaction:
        return await transaction.recall.timeline(
            project=project, bucket=bucket, since=since, until=until, zone=zone, buckets_max=BUCKETS_MAX
        )
