"""The latest captures and the times of resumes, on both databases."""

from datetime import timedelta
from itertools import pairwise

import pytest

from komorebi_mcp.domain.captures import CaptureCreate, CaptureFilter, Kind
from komorebi_mcp.errors import NotFound
from komorebi_mcp.storage.recall import GLIMPSE_CHARS_MAX
from komorebi_mcp.storage.store import open_store
from support.clock import StillClock


async def test_each_owner_and_project_has_a_last_resume_of_its_own(store_url: str, clock: StillClock) -> None:
    async with open_store(store_url, clock=clock) as store:
        for owner in ("a", "b"):
            await store.take_in(owner, [CaptureCreate(content="x", project="p")])
        first = clock()
        async with store.write("a") as transaction:
            await transaction.recall.remember_resume("p", at=first)
            await transaction.recall.remember_resume(None, at=first)
            await transaction.recall.remember_resume("p", at=first + timedelta(days=1))
        async with store.read("a") as transaction:
            assert await transaction.recall.last_resume("p") == first + timedelta(days=1)
            assert await transaction.recall.last_resume(None) == first
        async with store.read("b") as transaction:
            assert await transaction.recall.last_resume("p") is None
            assert await transaction.recall.last_resume(None) is None
            with pytest.raises(NotFound):
                await transaction.recall.last_resume("q")


async def test_of_many_captures_so_many_stand_for_them_the_marked_ones_first(
    store_url: str, clock: StillClock
) -> None:
    async with open_store(store_url, clock=clock) as store:
        kinds = {3: Kind.DECISION, 60: Kind.ERROR}
        wanted = [CaptureCreate(content=f"{at}", kind=kinds.get(at, Kind.NOTE)) for at in range(100)]
        await store.take_in("a", wanted)
        async with store.read("a") as transaction:
            few = await transaction.captures.sample(CaptureFilter(), most=10)
            told = [int(each.content) for each in few.captures]
            assert (len(told), few.is_all) == (10, False)
            assert told == sorted(told)
            assert {3, 60} <= set(told)
            assert max(later - earlier for earlier, later in pairwise([*told, 100])) <= 100 // 8 + 1
            everything = await transaction.captures.sample(CaptureFilter(), most=100)
            assert ([int(each.content) for each in everything.captures], everything.is_all) == (
                [*range(100)],
                True,
            )
            marked = await transaction.captures.sample(
                CaptureFilter(kinds=(Kind.DECISION, Kind.ERROR)), most=1
            )
            assert (len(marked.captures), marked.is_all) == (1, False)
        async with store.read("b") as transaction:
            assert (await transaction.captures.sample(CaptureFilter(), most=10)).captures == []


async def test_the_latest_captures_come_first_and_long_ones_by_their_beginning(
    store_url: str, clock: StillClock
) -> None:
    async with open_store(store_url, clock=clock) as store:
        for content in ("Prüfung\x00 eins", "Lang " * GLIMPSE_CHARS_MAX, "Prüfung\x00 eins"):
            await store.take_in("a", [CaptureCreate(content=content, kind=Kind.LOG)])
            clock.advance(seconds=1)
        async with store.read("a") as transaction:
            long, short = await transaction.recall.recent(CaptureFilter(), limit=5)
            assert short.content == "Prüfung\x00 eins"
            assert long.content.startswith("Lang Lang")
            assert len(long.content) < 300
            assert await transaction.recall.recent(CaptureFilter(kinds=(Kind.NOTE,)), limit=5) == []
        async with store.read("b") as transaction:
            assert await transaction.recall.recent(CaptureFilter(), limit=5) == []
