"""Times in people's words."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komorebi_mcp.text.times import Span, is_plain, parse_span, time_span

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 18, 14, 30, tzinfo=BERLIN)
"""A Wednesday, eleven days before the clock goes forward."""


def days(start: str, end: str) -> Span:
    """From the first moment of one day to that of the other, in Berlin."""
    return Span(*(datetime.fromisoformat(day).replace(tzinfo=BERLIN).astimezone(UTC) for day in (start, end)))


@pytest.mark.parametrize(
    ("words", "start", "end"),
    [
        ("today", "2026-03-18", "2026-03-19"),
        ("Yesterday", "2026-03-17", "2026-03-18"),
        ("the day before yesterday", "2026-03-16", "2026-03-17"),
        ("this week", "2026-03-16", "2026-03-23"),
        ("last  week", "2026-03-09", "2026-03-16"),
        ("last month", "2026-02-01", "2026-03-01"),
        ("last quarter", "2025-10-01", "2026-01-01"),
        ("last year", "2025-01-01", "2026-01-01"),
        ("3 days ago", "2026-03-15", "2026-03-16"),
        ("two weeks ago", "2026-03-04", "2026-03-05"),
        ("a month ago", "2026-02-18", "2026-02-19"),
        ("13 months ago", "2025-02-18", "2025-02-19"),
        ("monday", "2026-03-16", "2026-03-17"),
        ("wednesday", "2026-03-18", "2026-03-19"),
        ("last wednesday", "2026-03-11", "2026-03-12"),
        ("on Friday", "2026-03-13", "2026-03-14"),
        ("in january", "2026-01-01", "2026-02-01"),
        ("April", "2025-04-01", "2025-05-01"),
        ("December 2025", "2025-12-01", "2026-01-01"),
        ("march 3rd", "2026-03-03", "2026-03-04"),
        ("december 24", "2025-12-24", "2025-12-25"),
        ("2026-02", "2026-02-01", "2026-03-01"),
        ("2025", "2025-01-01", "2026-01-01"),
        ("last weekend", "2026-03-14", "2026-03-16"),
        ("since monday", "2026-03-16", "2026-03-17"),
        ("Q4", "2025-10-01", "2026-01-01"),
        ("Q1 2026", "2026-01-01", "2026-04-01"),
        ("week 11", "2026-03-09", "2026-03-16"),
        ("KW 52", "2025-12-22", "2025-12-29"),
        ("11.3.2026", "2026-03-11", "2026-03-12"),
    ],
)
def test_common_words_name_whole_days_weeks_months_and_years(words: str, start: str, end: str) -> None:
    assert is_plain(words) or words == "April"
    assert parse_span(words, now=NOW, zone=BERLIN) == days(start, end)


@pytest.mark.parametrize(
    ("words", "start", "end"),
    [
        ("gestern", "2026-03-17", "2026-03-18"),
        ("vor 3 Tagen", "2026-03-15", "2026-03-16"),
        ("letzte Woche", "2026-03-09", "2026-03-16"),
        ("la semaine dernière", "2026-03-09", "2026-03-16"),
        ("hace 3 días", "2026-03-15", "2026-03-16"),
        ("昨日", "2026-03-17", "2026-03-18"),
        ("先週", "2026-03-09", "2026-03-16"),
        ("上个月", "2026-02-01", "2026-03-01"),
        ("어제", "2026-03-17", "2026-03-18"),
        ("на прошлой неделе", "2026-03-09", "2026-03-16"),
        ("3 March 2026", "2026-03-03", "2026-03-04"),
        ("letzten Montag", "2026-03-16", "2026-03-17"),
        ("lundi dernier", "2026-03-16", "2026-03-17"),
        ("el lunes pasado", "2026-03-16", "2026-03-17"),
    ],
)
def test_other_languages_and_rarer_forms_are_understood(words: str, start: str, end: str) -> None:
    assert not is_plain(words)
    assert parse_span(words, now=NOW, zone=BERLIN) == days(start, end)


def test_hours_and_minutes_are_moments() -> None:
    for words, ago in {"2 hours ago": 2, "vor 2 Stunden": 2, "now": 0}.items():
        moment = (NOW - timedelta(hours=ago)).astimezone(UTC)
        assert parse_span(words, now=NOW, zone=BERLIN) == (moment, moment)


def test_the_last_days_end_now_and_begin_with_a_day() -> None:
    span = parse_span("last 7 days", now=NOW, zone=BERLIN)
    assert span == (days("2026-03-11", "2026-03-12").start, NOW.astimezone(UTC))
    assert parse_span("the past 2 hours", now=NOW, zone=BERLIN).start == NOW - timedelta(hours=2)


def test_a_weekend_that_has_begun_is_this_one_and_not_the_last() -> None:
    sunday = datetime(2026, 3, 22, 12, tzinfo=BERLIN)
    assert parse_span("this weekend", now=sunday, zone=BERLIN) == days("2026-03-21", "2026-03-23")
    assert parse_span("last weekend", now=sunday, zone=BERLIN) == days("2026-03-14", "2026-03-16")
    assert (
        parse_span("in the last two weeks", now=sunday, zone=BERLIN).start
        == days("2026-03-08", "2026-03-09").start
    )


def test_a_day_on_which_the_clock_changes_is_as_long_as_it_is() -> None:
    monday = datetime(2026, 3, 30, 12, tzinfo=BERLIN)
    span = parse_span("yesterday", now=monday, zone=BERLIN)
    assert span.end - span.start == timedelta(hours=23)


def test_a_day_is_the_readers() -> None:
    late = datetime(2026, 3, 18, 23, 30, tzinfo=UTC)
    assert parse_span("today", now=late, zone=BERLIN) == days("2026-03-19", "2026-03-20")


@pytest.mark.parametrize(
    "words",
    [
        "",
        "soon",
        "a",
        "12",
        "3/4/2026",
        "fix the bug",
        "2026-13",
        "31.2.2026",
        "week 54",
        "february 30",
        "9999 years ago",
        "x" * 500,
    ],
)
def test_words_that_name_no_time_are_refused(words: str) -> None:
    with pytest.raises(ValueError, match=r"names no time|too far|week|month|day|year"):
        parse_span(words, now=NOW, zone=BERLIN)


@pytest.mark.parametrize(
    ("query", "start", "end"),
    [
        ("what did we decide last week about the importer", "2026-03-09", "2026-03-16"),
        ("errors yesterday", "2026-03-17", "2026-03-18"),
        ("what Mei said two weeks ago", "2026-03-02", "2026-03-09"),
        ("release notes in March", "2026-03-01", "2026-04-01"),
        ("invoice 2026-02-11", "2026-02-11", "2026-02-12"),
        ("budget for December 2025", "2025-12-01", "2026-01-01"),
    ],
)
def test_time_words_in_a_query_are_found(query: str, start: str, end: str) -> None:
    assert time_span(query, now=NOW, zone=BERLIN) == days(start, end)


@pytest.mark.parametrize(
    "query",
    [
        "may I march in", "row 4711", "row-2026", "version 2026.1", "src/2026-01-01/x", "next week", "",
        "the marching band", "todays special", "2027",
    ],
)  # fmt: skip
def test_a_query_without_a_past_time_names_none(query: str) -> None:
    assert time_span(query, now=NOW, zone=BERLIN) is None


@given(st.text(max_size=90))
def test_any_query_can_be_looked_through(query: str) -> None:
    span = time_span(query, now=NOW, zone=BERLIN)
    assert span is None or span.start <= span.end


@given(
    st.dates(min_value=date(1990, 1, 1)),
    st.integers(0, 300),
    st.sampled_from(["day", "week", "month", "year"]),
)
def test_ago_is_a_day_not_after_today(day: date, count: int, unit: str) -> None:
    now = datetime(day.year, day.month, day.day, 12, tzinfo=BERLIN)
    try:
        span = parse_span(f"{count} {unit}s ago", now=now, zone=BERLIN)
    except ValueError:
        return
    assert span.start <= now
    assert timedelta(hours=22) <= span.end - span.start <= timedelta(hours=26)
