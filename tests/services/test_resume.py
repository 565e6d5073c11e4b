"""Where somebody left off."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from komorebi_mcp.domain.captures import CaptureCreate, Kind
from komorebi_mcp.domain.projects import ProjectUpdate
from komorebi_mcp.domain.resume import Resume, SinceWhen
from komorebi_mcp.errors import NotFound
from komorebi_mcp.text.tokens import estimate_tokens
from support.rooms import Rooms, open_rooms

OWNER = "a"


async def keep(rooms: Rooms, content: str, *, project: str | None = "garden", **fields: Any) -> str:
    receipt = await rooms.capture.capture(OWNER, CaptureCreate(content=content, project=project, **fields))
    rooms.clock.advance(seconds=60)
    return receipt.id


def told(resume: Resume, heading: str) -> list[tuple[str, tuple[str, ...]]]:
    (section,) = (section for section in resume.sections if section.heading == heading)
    return [(item.text, item.sources) for item in section.items]


def texts(items: Iterable[tuple[str, tuple[str, ...]]]) -> list[str]:
    return [text for text, _ in items]


async def test_each_section_tells_what_captures_say_and_which(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        decision = await keep(rooms, "We decided to ship on Friday. Mei owns it.")
        error = await keep(rooms, "It stopped:\nValueError: row 4711 has no time zone")
        marked = await keep(rooms, "Keep Python 3.11.", kind=Kind.DECISION)
        question = await keep(rooms, "Row 4711 came from Lisbon. Who owns the roll-back?")
        resumed = await rooms.resume.resume(OWNER, project="garden")
        assert told(resumed, "Decisions") == [
            ("Keep Python 3.11.", (marked,)),
            ("We decided to ship on Friday.", (decision,)),
        ]
        assert told(resumed, "Open questions") == [("Who owns the roll-back?", (question,))]
        assert told(resumed, "Errors seen") == [("ValueError: row 4711 has no time zone", (error,))]
        assert told(resumed, "Where you left off")[0] == (
            "Row 4711 came from Lisbon. Who owns the roll-back?",
            (question,),
        )
        assert "Who owns the roll-back? [1]" in resumed.text
        assert f"[1] {question}" in resumed.text


async def test_changes_are_those_since_the_last_resume_of_that_project(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        first = await keep(rooms, "Before.")
        left = rooms.clock()
        resumed = await rooms.resume.resume(OWNER, project="garden")
        assert resumed.since_when is SinceWhen.LAST_ACTIVITY
        assert "The first resume here" in resumed.text
        assert told(resumed, "Changed since you left") == []
        rooms.clock.advance(seconds=60)
        second = await keep(rooms, "After.")
        await keep(rooms, "Elsewhere.", project="attic")
        again = await rooms.resume.resume(OWNER, project="garden")
        assert (again.since, again.since_when) == (left, SinceWhen.LAST_RESUME)
        assert told(again, "Changed since you left") == [("After.", (second,))]
        assert told(again, "Where you left off") == [("Before.", (first,))]
        assert "1 new capture." in again.text
        everything = await rooms.resume.resume(OWNER)
        assert everything.since_when is SinceWhen.LAST_ACTIVITY
        assert texts(told(everything, "Where you left off")) == ["Elsewhere.", "After.", "Before."]


async def test_a_given_time_is_counted_from_instead(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        await keep(rooms, "One.")
        since = rooms.clock()
        await keep(rooms, "Two.")
        await rooms.resume.resume(OWNER, project="garden")
        resumed = await rooms.resume.resume(OWNER, project="garden", since=since)
        assert (resumed.since, resumed.since_when) == (since, SinceWhen.GIVEN)
        assert texts(told(resumed, "Changed since you left")) == ["Two."]


async def test_the_first_resume_goes_back_to_the_last_long_pause(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        await keep(rooms, "Last week.")
        rooms.clock.advance(seconds=7 * 86_400)
        began = rooms.clock()
        await keep(rooms, "This morning.")
        rooms.clock.advance(seconds=3_600)
        await keep(rooms, "At noon.")
        assert (await rooms.resume.resume(OWNER, project="garden")).since == began


async def test_nothing_is_told_of_another_owner(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        await keep(rooms, "We decided to ship.")
        with pytest.raises(NotFound, match="list_projects"):
            await rooms.resume.resume("b", project="garden")
        resumed = await rooms.resume.resume("b")
        assert "Nothing is captured here yet. Call capture" in resumed.text
        assert not any(section.items for section in resumed.sections)
        assert resumed.since is None


@pytest.mark.parametrize("max_tokens", [1, 30, 90, 300])
async def test_the_text_is_within_its_budget_and_tells_a_little_of_everything(
    tmp_path: Path, max_tokens: int
) -> None:
    async with open_rooms(tmp_path) as rooms:
        for n in range(12):
            await keep(rooms, f"We decided on plan {chr(65 + n)} today. What about the other {chr(65 + n)}?")
        await rooms.organize.update_project(OWNER, "garden", ProjectUpdate(goal="A hedge by May"))
        resumed = await rooms.resume.resume(OWNER, project="garden", max_tokens=max_tokens)
        assert estimate_tokens(resumed.text) <= max_tokens
        assert resumed.truncated
        if max_tokens >= 300:
            assert "Goal: A hedge by May" in resumed.text
            assert all(section.items for section in resumed.sections[:3])


async def test_what_did_not_fit_is_not_said_to_be_nothing(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        await keep(rooms, f"We decided to {'carefully ' * 20}plant beans.")
        await rooms.settle()
        resumed = await rooms.resume.resume(OWNER, project="garden", max_tokens=60)
        assert resumed.truncated
        assert "## Decisions\n(more than fits)" in resumed.text
        assert "## Errors seen\n(none)" in resumed.text
        assert "Decisions" not in [section.heading for section in resumed.sections]
        assert "Errors seen" in [section.heading for section in resumed.sections]


async def test_repeated_errors_are_told_once_citing_only_those_that_say_just_that(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        error = "ValueError: row {} has no time zone"
        await keep(rooms, error.format(1), kind=Kind.ERROR)
        second = await keep(rooms, error.format(2), kind=Kind.ERROR)
        third = await keep(rooms, f"{error.format(2)}\nThis time at noon.", kind=Kind.ERROR)
        resumed = await rooms.resume.resume(OWNER, project="garden")
        assert told(resumed, "Errors seen") == [(error.format(2), (third, second))]


async def test_decisions_that_differ_in_a_figure_are_two(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        kept = {n: await keep(rooms, f"We stay on release {n}.", kind=Kind.DECISION) for n in (1, 2)}
        resumed = await rooms.resume.resume(OWNER, project="garden")
        assert told(resumed, "Decisions") == [(f"We stay on release {n}.", (kept[n],)) for n in (2, 1)]


async def test_where_somebody_left_off_is_told_without_markup_and_mere_replies(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        await keep(rooms, "# Sprout\n\n![logo](a.png)\n\nA site generator.\n\n```sh\nmake\n```\nIt is new.")
        await keep(rooms, "ok")
        resumed = await rooms.resume.resume(OWNER, project="garden")
        assert texts(told(resumed, "Where you left off")) == ["A site generator. It is new."]


async def test_a_traceback_is_told_by_the_error_it_ends_in(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        trace = 'Traceback (most recent call last):\n  File "a.py", line 3, in read\nValueError: bad row\n'
        kept = await keep(rooms, trace, kind=Kind.ERROR)
        await rooms.settle()
        resumed = await rooms.resume.resume(OWNER, project="garden")
        assert told(resumed, "Errors seen") == [("ValueError: bad row", (kept,))]


async def test_a_long_log_is_told_by_what_enrichment_found_in_it(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        log = "ok\n" * 5_000 + "ERROR db: connection refused\n" + "ok\n" * 5_000
        logged = await keep(rooms, log, kind=Kind.LOG)
        await rooms.settle()
        resumed = await rooms.resume.resume(OWNER, project="garden")
        assert told(resumed, "Errors seen") == [("ERROR db: connection refused", (logged,))]


async def test_decisions_and_errors_from_long_ago_are_not_lost(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        decision = await keep(rooms, "Ship on Friday.", kind=Kind.DECISION)
        many = [CaptureCreate(content=f"Note {n}.", project="garden") for n in range(320)]
        await rooms.store.take_in(OWNER, many)
        resumed = await rooms.resume.resume(OWNER, project="garden")
        assert told(resumed, "Decisions") == [("Ship on Friday.", (decision,))]


async def test_a_large_project_is_told_in_short_from_its_pyramid(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        for n in range(12):
            await keep(rooms, f"The importer moved {n} rows from Lisbon to the new table in one night.")
        await rooms.settle()
        resumed = await rooms.resume.resume(OWNER, project="garden")
        assert resumed.sections[0].heading == "In short"
        assert told(resumed, "In short")


async def test_in_short_is_what_tells_most_and_not_what_came_first(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        for n in range(4):
            await keep(rooms, f"Somebody painted gate {n} of the orchard before lunch.")
        decision = await keep(rooms, "We moved the importer of the ledger to Porto.", kind=Kind.DECISION)
        for n in range(8):
            await keep(rooms, f"Somebody repaired fence {n} of the meadow after lunch.")
        await rooms.settle()
        resumed = await rooms.resume.resume(OWNER, project="garden")
        assert ("We moved the importer of the ledger to Porto.", (decision,)) in told(resumed, "In short")
