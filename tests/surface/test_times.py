"""Times that clients give in words."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from mcp import Client

from komorebi_mcp.app import open_app
from komorebi_mcp.domain.captures import CaptureCreate
from komorebi_mcp.settings import Settings
from komorebi_mcp.surface.principal import LOCAL_OWNER
from komorebi_mcp.surface.server import open_server
from support.connections import call, refused

TOKYO = ZoneInfo("Asia/Tokyo")
MONDAY_MORNING = datetime(2026, 3, 16, 8, tzinfo=TOKYO)
"""Sunday evening in London."""


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"since": "yesterday"}, {"on Sunday", "this morning"}),
        ({"since": "yesterday", "until": "yesterday"}, {"on Sunday"}),
        ({"since": "last week", "until": "last week"}, {"a week ago", "on Sunday"}),
        ({"since": "letzte Woche", "until": "昨日"}, {"a week ago", "on Sunday"}),
        ({"until": "2026-03-15"}, {"a week ago"}),
        ({"since": "2026-03-15"}, {"on Sunday", "this morning"}),
        ({"since": "2026-03-15T15:00:00Z"}, {"this morning"}),
        ({"since": "12 hours ago"}, {"on Sunday", "this morning"}),
    ],
)
async def test_since_takes_the_start_of_what_is_said_and_until_its_end(
    tmp_path: Path, arguments: dict[str, str], found: set[str]
) -> None:
    times = {
        "a week ago": MONDAY_MORNING - timedelta(days=7),
        "on Sunday": datetime(2026, 3, 15, 23, 30, tzinfo=TOKYO),
        "this morning": datetime(2026, 3, 16, 0, 30, tzinfo=TOKYO),
    }
    settings = Settings(home=tmp_path)
    async with (
        open_app(settings, clock=lambda: MONDAY_MORNING.astimezone(UTC), zone=lambda: TOKYO) as app,
        open_server(app) as server,
        Client(server, mode="legacy") as client,
    ):
        for content, created_at in times.items():
            await app.capture.capture(LOCAL_OWNER, CaptureCreate(content=content, created_at=created_at))
        listed = await call(client, "list_captures", **arguments)
        assert {capture["snippet"] for capture in listed["captures"]} == found


async def test_a_timeline_has_the_days_of_the_zone(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    async with (
        open_app(settings, clock=lambda: MONDAY_MORNING.astimezone(UTC), zone=lambda: TOKYO) as app,
        open_server(app) as server,
        Client(server, mode="legacy") as client,
    ):
        receipt = await app.capture.capture(LOCAL_OWNER, CaptureCreate(content="a", project="p"))
        counted = await call(client, "timeline", project="p", since="this week")
        (bucket,) = counted["buckets"]
        assert bucket["start"] == "2026-03-16T00:00:00+09:00"
        assert (bucket["count"], bucket["by_kind"], bucket["top"]) == (1, {"note": 1}, [receipt.id])
        assert counted["total"] == 1
        assert await call(client, "timeline", until="2000-01-01") == {"buckets": [], "total": 0}
        assert "No project has that name" in await refused(client, "timeline", project="q")
