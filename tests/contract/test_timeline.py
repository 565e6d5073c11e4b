"""Captures counted over time, on both databases."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from komorebi_mcp.domain.captures import CaptureCreate, CaptureUpdate, Kind, Status
from komorebi_mcp.domain.timeline import Bucket, Timeline, bounds
from komorebi_mcp.errors import NotFound
from komorebi_mcp.services.timeline import timeline
from komorebi_mcp.storage.store import Store, open_store

BERLIN = ZoneInfo("Europe/Berlin")


def at(moment: str, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime.fromisoformat(moment).replace(tzinfo=zone)


async def keep(store: Store, owner: str, *items: CaptureCreate) -> list[str]:
    async with store.write(owner) as transaction:
        return [receipt.id for receipt in await transaction.captures.add_all(items)]


def note(moment: str, *, chars: int = 1, kind: Kind = Kind.NOTE, project: str | None = None) -> CaptureCreate:
    return CaptureCreate(content="x" * chars, created_at=at(moment), kind=kind, project=project)


def starts(counted: Timeline) -> list[tuple[str, int]]:
    return [(bucket.start.isoformat(), bucket.count) for bucket in counted.buckets]


async def test_days_are_those_of_the_zone_even_where_the_clock_changes(store_url: str) -> None:
    moments = ["2026-03-28T23:59:59", "2026-03-29T00:00:00", "2026-03-29T23:59:59", "2026-03-30T00:00:00"]
    async with open_store(store_url) as store:
        await keep(store, "a", *map(note, moments))
        counted = await timeline(store, "a", zone=BERLIN)
        assert starts(counted) == [
            ("2026-03-28T00:00:00+01:00", 1),
            ("2026-03-29T00:00:00+01:00", 2),
            ("2026-03-30T00:00:00+02:00", 1),
        ]
        in_utc = await timeline(store, "a", zone=ZoneInfo("UTC"))
        assert [count for _, count in starts(in_utc)] == [2, 2]
        assert counted.total == in_utc.total == 4


async def test_weeks_begin_on_monday_and_months_on_the_first(store_url: str) -> None:
    moments = ["2026-02-28T12:00", "2026-03-01T12:00", "2026-03-02T12:00", "2026-03-08T23:30"]
    async with open_store(store_url) as store:
        await keep(store, "a", *map(note, moments))
        weeks = await timeline(store, "a", zone=BERLIN, bucket=Bucket.WEEK)
        assert starts(weeks) == [("2026-02-23T00:00:00+01:00", 2), ("2026-03-02T00:00:00+01:00", 2)]
        months = await timeline(store, "a", zone=BERLIN, bucket=Bucket.MONTH)
        assert starts(months) == [("2026-02-01T00:00:00+01:00", 1), ("2026-03-01T00:00:00+01:00", 3)]


async def test_a_bucket_tells_kinds_statuses_and_the_longest_captures(store_url: str) -> None:
    async with open_store(store_url) as store:
        ids = await keep(
            store,
            "a",
            note("2026-03-02T10:00", chars=5),
            note("2026-03-02T11:00", chars=50, kind=Kind.ERROR),
            note("2026-03-02T12:00", chars=7),
            note("2026-03-02T13:00", chars=9),
        )
        async with store.write("a") as transaction:
            await transaction.captures.update([ids[0]], CaptureUpdate(status=Status.ARCHIVED))
        (day,) = (await timeline(store, "a", zone=BERLIN)).buckets
        assert day.by_kind == {"note": 3, "error": 1}
        assert day.by_status == {"inbox": 3, "archived": 1}
        assert day.top == (ids[1], ids[3], ids[2])


async def test_only_what_was_asked_about_is_counted(store_url: str) -> None:
    async with open_store(store_url) as store:
        days = [f"2026-03-{day:02}T12:00" for day in range(1, 6)]
        await keep(store, "a", *(note(day, project="p") for day in days), note(days[0]))
        await keep(store, "b", note(days[0], project="q"))
        counted = await timeline(
            store, "a", zone=BERLIN, project="p", since=at("2026-03-02T12:00"), until=at("2026-03-04T12:00")
        )
        assert starts(counted) == [("2026-03-02T00:00:00+01:00", 1), ("2026-03-03T00:00:00+01:00", 1)]
        assert (await timeline(store, "a", zone=BERLIN)).total == 6
        with pytest.raises(NotFound):
            await timeline(store, "a", zone=BERLIN, project="q")


async def test_the_latest_buckets_are_shown_and_the_others_counted(store_url: str) -> None:
    first = at("2025-01-01T12:00")
    async with open_store(store_url) as store:
        days = [first + timedelta(days=n) for n in range(120)]
        await keep(store, "a", *(CaptureCreate(content=str(day), created_at=day) for day in days))
        counted = await timeline(store, "a", zone=BERLIN)
        assert (len(counted.buckets), counted.total, counted.omitted) == (100, 120, 20)
        assert counted.buckets[-1].start.date() == days[-1].date()
        until = await timeline(store, "a", zone=BERLIN, until=counted.buckets[0].start)
        assert (len(until.buckets), until.omitted) == (20, 0)


async def test_nothing_captured_is_no_bucket(store_url: str) -> None:
    async with open_store(store_url) as store:
        assert await timeline(store, "a", zone=BERLIN) == Timeline(buckets=(), total=0, omitted=0)


@settings(suppress_health_check=[HealthCheck.differing_executors])
@given(
    st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)),
    st.sampled_from(Bucket),
    st.sampled_from(["Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia", "UTC"]),
)
def test_every_moment_is_in_the_bucket_it_is_counted_in_and_buckets_meet(
    moment: datetime, bucket: Bucket, name: str
) -> None:
    zone = ZoneInfo(name)
    start, end = bounds(moment, bucket, zone)
    assert start <= moment < end
    assert bounds(end, bucket, zone)[0] == end
    assert bounds(start, bucket, zone) == (start, end)
