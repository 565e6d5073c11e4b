"""What was decided in the first week is told after ten thousand more captures."""

from pathlib import Path

import pytest

from komorebi_mcp.domain.captures import CaptureCreate, Kind
from komorebi_mcp.domain.summaries import Scope, Summary
from komorebi_mcp.text.tokens import estimate_tokens
from support.rooms import Rooms, open_rooms

pytestmark = pytest.mark.slow

OWNER = "local"
PROJECT = "harbour"
FACTS = (
    "We decided to move the invoice service to port 8417.",
    "Mariko Tanabe owns the rollout of billing_gateway until 14 March 2027.",
    "The retention period stays at 400 days, as legal agreed in LEGAL-311.",
    "Nobody deploys to the north quay on a Friday, see https://runbook.example/quay.",
    "The pool size is 80 connections from release v2.14.3 on.",
)
LATER = 10_000
STEP = 2_000
DECISION_EVERY = 200


def later(number: int) -> CaptureCreate:
    if number % DECISION_EVERY == 0:
        content = f"We decided to repaint crane {number} in the colour of berth {number % 17}."
        return CaptureCreate(content=content, project=PROJECT, kind=Kind.DECISION)
    content = f"The crane at berth {number} was inspected by the harbour crew in week {number % 52}."
    return CaptureCreate(content=content, project=PROJECT)


async def add(rooms: Rooms, made: list[CaptureCreate]) -> None:
    rooms.clock.advance(seconds=60)
    async with rooms.store.write(OWNER) as transaction:
        await transaction.captures.add_all(made)
    rooms.clock.advance(seconds=60)
    await rooms.settle()
    rooms.clock.advance(seconds=60)


async def brief(rooms: Rooms) -> Summary:
    return await rooms.summarize.summarize(OWNER, Scope(project=PROJECT), max_tokens=500)


async def test_planted_facts_are_in_every_later_brief_and_leave_room_for_the_rest(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        remarks = [later(number) for number in range(1, 60)]
        facts = [CaptureCreate(content=fact, project=PROJECT, kind=Kind.DECISION) for fact in FACTS]
        await add(rooms, remarks[:30] + facts + remarks[30:])
        told = await brief(rooms)
        assert [fact for fact in FACTS if fact not in told.text] == []
        for start in range(1_000, 1_000 + LATER, STEP):
            await add(rooms, [later(number) for number in range(start, start + STEP)])
            told = await brief(rooms)
            assert [fact for fact in FACTS if fact not in told.text] == []
            assert told.covers.captures == len(remarks) + len(FACTS) + start + STEP - 1_000
        assert estimate_tokens(told.text) <= 500
        # Ten times as many decisions were taken later: they are told as well, and so is what else there is.
        assert sum("repaint" in each.text for each in told.sentences) > len(FACTS)
        assert any("inspected" in each.text for each in told.sentences)
