"""A summary is made of sentences that stand in the captures it cites."""

from datetime import timedelta
from pathlib import Path

import pytest

from komorebi_mcp.domain.captures import CaptureCreate, Kind
from komorebi_mcp.domain.ids import new_id
from komorebi_mcp.domain.summaries import Scope
from komorebi_mcp.errors import NotFound
from komorebi_mcp.services.view import WHOLE_MAX
from komorebi_mcp.text.tokens import estimate_tokens
from support.rooms import Rooms, open_rooms

OWNER = "local"

TEXTS = (
    "The nightly export failed 37 times with error EXPORT-5521. We retried it by hand.",
    "We decided to keep the retention period at 400 days. Legal agreed on Monday.",
    "Mariko owns the rollout of billing_gateway until 14 March 2027.",
    "Lunch was late today. The canteen ran out of soup and nobody minded much.",
)


async def fill(rooms: Rooms, project: str | None = "billing") -> dict[str, str]:
    """Content by id."""
    stored = {}
    for text in TEXTS:
        rooms.clock.advance(seconds=60)
        receipt = await rooms.capture.capture(OWNER, CaptureCreate(content=text, project=project))
        stored[receipt.id] = text
    await rooms.settle()
    rooms.clock.advance(seconds=60)
    return stored


@pytest.mark.parametrize(("max_tokens", "truncated"), [(20, True), (40, True), (500, False)])
async def test_every_sentence_stands_in_the_captures_it_cites_within_the_budget(
    tmp_path: Path, max_tokens: int, truncated: bool
) -> None:
    async with open_rooms(tmp_path) as rooms:
        stored = await fill(rooms)
        summary = await rooms.summarize.summarize(OWNER, Scope(project="billing"), max_tokens=max_tokens)
        assert summary.sentences
        assert estimate_tokens(summary.text) <= max_tokens
        for sentence in summary.sentences:
            assert sentence.sources
            assert all(sentence.text in stored[source] for source in sentence.sources)
        assert summary.covers.captures == len(TEXTS)
        assert summary.truncated is truncated
        assert summary.method == "extractive"


async def test_an_empty_store_is_not_blamed_on_a_filter(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        with pytest.raises(NotFound, match=r"nothing to summarize yet\. Call capture first"):
            await rooms.summarize.summarize(OWNER, Scope(), max_tokens=100)


async def test_a_query_leads_to_what_it_asks_for(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        await fill(rooms)
        for project in ("billing", None):
            scope = Scope(project=project, query="How long is the retention period?")
            summary = await rooms.summarize.summarize(OWNER, scope, max_tokens=20)
            assert "400 days" in summary.text


async def test_ids_and_time_narrow_what_is_covered(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        stored = await fill(rooms)
        first, second, *_ = stored
        summary = await rooms.summarize.summarize(OWNER, Scope(ids=(first, second)))
        assert summary.covers.captures == 2
        since = rooms.clock() - timedelta(seconds=150)
        assert (await rooms.summarize.summarize(OWNER, Scope(since=since))).covers.captures == 2


async def test_a_window_of_more_than_can_be_read_is_told_from_what_stands_for_it(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        since = rooms.clock()
        many = [
            CaptureCreate(content=f"Kiln {at} was fired.", project="kilns") for at in range(WHOLE_MAX + 9)
        ]
        decided = CaptureCreate(
            content="We keep the blue glaze for plates.", kind=Kind.DECISION, project="kilns"
        )
        asked_for = CaptureCreate(content="The mountain road is closed.", project="kilns")
        await rooms.store.take_in(OWNER, [*many[:50], decided, *many[50:], asked_for])
        for scope in (Scope(since=since), Scope(project="kilns", since=since)):
            summary = await rooms.summarize.summarize(OWNER, scope, max_tokens=200)
            assert (summary.covers.captures, summary.truncated) == (WHOLE_MAX, True)
            assert "We keep the blue glaze for plates." in summary.text
        for scope in (
            Scope(project="kilns", query="mountain road"),
            Scope(project="kilns", focus="mountain road", since=since),
            Scope(focus="mountain road"),
        ):
            summary = await rooms.summarize.summarize(OWNER, scope)
            assert [each.text for each in summary.sentences] == ["The mountain road is closed."]


async def test_an_unchanged_project_is_not_summarized_twice_unless_asked_to(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        await fill(rooms)
        first = await rooms.summarize.summarize(OWNER, Scope(project="billing"))
        assert await rooms.summarize.summarize(OWNER, Scope(project="billing")) == first
        assert (await rooms.summarize.summarize(OWNER, Scope(project="billing"), refresh=True)).id != first.id
        rooms.clock.advance(seconds=60)
        await rooms.capture.capture(OWNER, CaptureCreate(content="The port is 8417 now.", project="billing"))
        rooms.clock.advance(seconds=60)
        brief = await rooms.summarize.brief(OWNER, "billing")
        assert brief.covers.captures == len(TEXTS) + 1
        assert await rooms.summarize.get(OWNER, brief.id) == brief


async def test_nothing_to_summarize_is_an_error_with_the_next_step(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        for scope in (Scope(), Scope(project="none"), Scope(query="nothing"), Scope(ids=(new_id(),))):
            with pytest.raises(NotFound, match=r"Call|call"):
                await rooms.summarize.summarize(OWNER, scope)
