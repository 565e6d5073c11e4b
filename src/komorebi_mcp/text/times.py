"""Times in people's words: `yesterday`, `last week`, `3 days ago`, `in March`, and in other languages.

Words name a span, as long as the unit they speak of: a week begins on Monday (ISO 8601). Days are those of
the reader's zone, however long a change of the clock makes them.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, NamedTuple

WORDS_CHARS_MAX = 80


class Span(NamedTuple):
    """A stretch of time; where it is empty it is that moment."""

    start: datetime
    """Inclusive, in UTC."""
    end: datetime
    """Exclusive, in UTC."""


_NUMBERS = {
    word: number
    for number, words in enumerate(
        ("a an one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), start=1
    )
    for word in words.split()
} | {"a couple of": 2, "a few": 3}
_COUNT = rf"(?:\d{{1,4}}|{'|'.join(sorted(_NUMBERS, key=len, reverse=True))})"
_UNIT = r"(?:minute|hour|day|week|month|year)"
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_MONTH = "|".join(_MONTHS)

_FORM = re.compile(
    rf"(?P<date>\d{{4}}-\d\d-\d\d)"
    rf"|(?P<iso_month>\d{{4}}-\d\d)"
    rf"|(?P<day>(?:the )?day before yesterday|yesterday|last night|today|tonight"
    rf"|this (?:morning|afternoon|evening))"
    rf"|(?P<which>this|last|previous) (?P<whole>week|month|quarter|year)"
    rf"|(?P<ago>{_COUNT}) (?P<ago_unit>{_UNIT})s? ago"
    rf"|(?:(?:in|over|during|within) )?(?:the )?(?:last|past|previous) "
    rf"(?:(?P<back>{_COUNT}) )?(?P<back_unit>{_UNIT})s?"
    rf"|(?P<weekend>(?:this|last|the) weekend)"
    rf"|(?P<quarter>Q[1-4])(?: (?P<quarter_year>(?:19|20)\d\d))?"
    rf"|(?:calendar )?(?:week|KW) (?P<week>\d{{1,2}})"
    rf"|(?P<dotted>\d{{1,2}}\.\d{{1,2}}\.(?:19|20)\d\d)"
    rf"|(?P<weekday>(?:last |on |this )?(?:{'|'.join(_WEEKDAYS)}))"
    rf"|(?:in |last )?(?P<month>{_MONTH}) (?P<month_year>\d{{4}})"
    rf"|(?P<month_day>(?P<day_month>{_MONTH}) (?P<day_number>\d{{1,2}})(?:st|nd|rd|th)?)"
    rf"|(?:in|last|since|during) (?P<bare_month>{_MONTH})"
    rf"|(?:in )?(?P<year>(?:19|20)\d\d)",
    re.IGNORECASE,
)
"""The commonest forms, known without dateparser, which takes 0.5 s and 28 MB to be ready."""

_SINCE = re.compile(
    r"(?:since|from|after|until|till|before|seit|ab|bis|depuis|desde|hasta|dal|sinds) (?=\S)", re.IGNORECASE
)
"""What people repeat of the argument they give the words for."""
_PAST = re.compile(
    r"\b(?:letzte[nmrs]?|vorige[nmrs]?|vergangene[nmrs]?|dernier|dernière|pasad[oa]|últim[oa]|passad[oa]|scors[oa]|"
    r"afgelopen|förra|sidste|viime|el|il)\b",
    re.IGNORECASE,
)
"""Said with a weekday, which is the latest of its name anyway; dateparser knows few of these."""

_IN_QUERY = re.compile(rf"(?<![\w\-./:])(?:{_FORM.pattern})(?![\w\-/:]|\.\d)", re.IGNORECASE)

_LANGUAGES = (
    *("en", "de", "fr", "es", "it", "pt", "nl", "sv", "da", "nb", "fi", "pl", "cs", "tr", "ru", "uk"),
    *("ja", "zh", "ko", "ar", "hi"),
)
"""What a text is tried in; every language dateparser knows would take 3 s for words that are none."""


def parse_span(words: str, *, now: datetime, zone: tzinfo) -> Span:
    """The span that the words name. It may read tables of languages, for up to a second, the first time.

    Raises:
        ValueError: They name no time, or one beyond the years 1 to 9999.
    """
    words = _joined(words)
    if not words or len(words) > WORDS_CHARS_MAX:
        raise ValueError("names no time")
    today = now.astimezone(zone)
    try:
        if words.casefold() == "now":
            return Span(now.astimezone(UTC), now.astimezone(UTC))
        match = _FORM.fullmatch(words) or re.fullmatch(rf"(?P<bare_month>{_MONTH})", words, re.IGNORECASE)
        found = _named(match, today, loose=False) if match else _in_any_language(words, today)
        return _span(*found, zone=zone)
    except OverflowError:
        raise ValueError("is too far from the present") from None


def is_plain(words: str) -> bool:
    """Whether `parse_span` knows the words at once, or knows at once that they are none."""
    words = _joined(words)
    return (
        len(words) > WORDS_CHARS_MAX
        or words.casefold() == "now"
        or _FORM.fullmatch(words) is not None
        or not _has_words(words)
    )


def _joined(words: str) -> str:
    words = " ".join(words.split())
    return words if _FORM.fullmatch(words) else _SINCE.sub("", words, count=1)


def time_span(query: str, *, now: datetime, zone: tzinfo) -> Span | None:
    """The span of time that a search query speaks of, in English; None where it names none, or one to come.

    It is as wide as the words are vague: 'two weeks ago' is that week, 'an hour ago' that hour.
    """
    today = now.astimezone(zone)
    for match in _IN_QUERY.finditer(query):
        try:
            span = _span(*_named(match, today, loose=True), zone=zone)
        except (ValueError, OverflowError):
            continue
        if span.start < now:
            return span
    return None


_Local = date | datetime
"""A day's first moment, or a moment with its zone."""


def _span(start: _Local, end: _Local, *, zone: tzinfo) -> Span:
    return Span(_moment(start, zone), _moment(end, zone))


def _moment(value: _Local, zone: tzinfo) -> datetime:
    if not isinstance(value, datetime):
        value = datetime.combine(value, time(), tzinfo=zone)
    return value.astimezone(UTC)


def _named(match: re.Match[str], now: datetime, *, loose: bool) -> tuple[_Local, _Local]:
    """Start and end of what `_FORM` has matched; `loose` takes 'ago' by its unit instead of to the day."""
    found = {name: words.lower() for name, words in match.groupdict().items() if words}
    today = now.date()
    for name, reading in _READINGS.items():
        if name in found:
            return reading(found, today)
    count = _NUMBERS.get(given := found.get("ago") or found.get("back") or "1") or int(given)
    unit = found.get("ago_unit") or found["back_unit"]
    if unit in ("minute", "hour"):
        before = now.astimezone(UTC) - timedelta(**{f"{unit}s": count})
        half = timedelta(**{f"{unit}s": 0.5 if loose else 0})
        return (before - half, before + half) if "ago" in found else (before, now)
    before_day = _earlier(today, count, unit)
    if "ago" not in found:
        return before_day, now
    return _around(before_day, unit if loose else "day")


def _earlier(day: date, count: int, unit: str) -> date:
    if unit in ("day", "week"):
        return day - timedelta(**{f"{unit}s": count})
    months = day.year * 12 + day.month - 1 - count * (12 if unit == "year" else 1)
    first = date(months // 12, months % 12 + 1, 1)
    return min(first + timedelta(days=day.day - 1), _around(first, "month")[1] - timedelta(days=1))


def _around(day: date, unit: str) -> tuple[date, date]:
    """First day of the unit that the day is in, and of the next one."""
    match unit:
        case "week":
            start = day - timedelta(days=day.weekday())
            return start, start + timedelta(days=7)
        case "month":
            start = day.replace(day=1)
            return start, (start + timedelta(days=31)).replace(day=1)
        case "quarter":
            start = day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
            return start, (start + timedelta(days=93)).replace(day=1)
        case "year":
            return day.replace(month=1, day=1), day.replace(year=day.year + 1, month=1, day=1)
        case _:
            return day, day + timedelta(days=1)


def _relative_day(found: dict[str, str], today: date) -> tuple[date, date]:
    words = found["day"]
    back = 2 if "before" in words else 1 if words in ("yesterday", "last night") else 0
    return _around(today - timedelta(days=back), "day")


def _calendar_unit(found: dict[str, str], today: date) -> tuple[date, date]:
    start, end = _around(today, found["whole"])
    return (start, end) if found["which"] == "this" else _around(start - timedelta(days=1), found["whole"])


def _weekday(found: dict[str, str], today: date) -> tuple[date, date]:
    """The latest day of that name: today counts unless it is said to be the last one."""
    name = found["weekday"].split()[-1]
    back = (today.weekday() - _WEEKDAYS.index(name)) % 7
    if back == 0 and found["weekday"].startswith("last "):
        back = 7
    return _around(today - timedelta(days=back), "day")


def _weekend(found: dict[str, str], today: date) -> tuple[date, date]:
    """Saturday and Sunday: this one's once it has begun, unless it is said to be the last one."""
    saturday = today - timedelta(days=(today.weekday() - 5) % 7)
    if found["weekend"].startswith("last ") and today < saturday + timedelta(days=2):
        saturday -= timedelta(days=7)
    return saturday, saturday + timedelta(days=2)


def _quarter(found: dict[str, str], today: date) -> tuple[date, date]:
    """That of the year given, or the latest of that name, the present one included."""
    month = 3 * int(found["quarter"][1]) - 2
    year = int(found.get("quarter_year") or today.year - (month > today.month))
    return _around(date(year, month, 1), "quarter")


def _week(found: dict[str, str], today: date) -> tuple[date, date]:
    """The latest week of that number (ISO 8601), the present one included."""
    number = int(found["week"])
    year, present, _ = today.isocalendar()
    return _around(date.fromisocalendar(year - (number > present), number, 1), "week")


def _bare_month(found: dict[str, str], today: date) -> tuple[date, date]:
    """The latest month of that name, the present one included."""
    month = _MONTHS.index(found["bare_month"]) + 1
    return _around(date(today.year - (month > today.month), month, 1), "month")


def _month_day(found: dict[str, str], today: date) -> tuple[date, date]:
    month, day = _MONTHS.index(found["day_month"]) + 1, int(found["day_number"])
    year = today.year - ((month, day) > (today.month, today.day))
    return _around(date(year, month, day), "day")


_READINGS: dict[str, Callable[[dict[str, str], date], tuple[date, date]]] = {
    "date": lambda found, _: _around(date.fromisoformat(found["date"]), "day"),
    "iso_month": lambda found, _: _around(date.fromisoformat(f"{found['iso_month']}-01"), "month"),
    "day": _relative_day,
    "which": _calendar_unit,
    "weekday": _weekday,
    "month": lambda found, _: _around(
        date(int(found["month_year"]), _MONTHS.index(found["month"]) + 1, 1), "month"
    ),
    "month_day": _month_day,
    "bare_month": _bare_month,
    "weekend": _weekend,
    "quarter": _quarter,
    "week": _week,
    "dotted": lambda found, _: _around(date(*map(int, reversed(found["dotted"].split(".")))), "day"),
    "year": lambda found, _: _around(date(int(found["year"]), 1, 1), "year"),
}


def _has_words(words: str) -> bool:
    """Whether there is a word at all: of figures alone, 3/4/2026, nobody knows which is the month."""
    letters = sum(char.isalpha() for char in words)
    return letters >= 3 or any(char.isalpha() and not char.isascii() for char in words)


def _in_any_language(words: str, now: datetime) -> tuple[_Local, _Local]:
    if not _has_words(words):
        raise ValueError("names no time")
    parser = _parser(now.replace(tzinfo=None))
    found = parser.get_date_data(words)
    if found.date_obj is None and (bare := _PAST.sub("", words).strip()) not in ("", words):
        found = parser.get_date_data(bare)
    if found.date_obj is None:
        raise ValueError("names no time")
    moment: datetime = found.date_obj
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=now.tzinfo)
    if found.period in ("time", "part_of_day"):
        return moment, moment
    return _around(moment.date(), found.period)


def _parser(now: datetime) -> Any:
    # Slow to import, and needed by whoever writes neither English nor ISO 8601.
    from dateparser.date import DateDataParser  # noqa: PLC0415

    return DateDataParser(
        languages=list(_LANGUAGES),
        settings={
            "RELATIVE_BASE": now,
            "TIMEZONE": "UTC",
            "PREFER_DATES_FROM": "past",
            "PREFER_DAY_OF_MONTH": "first",
            "RETURN_TIME_AS_PERIOD": True,
        },
    )
