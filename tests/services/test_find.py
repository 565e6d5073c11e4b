"""Lists, searches and reads stay within what was asked for."""

from pathlib import Path

import pytest

from komorebi_mcp.domain.captures import CaptureCreate, CaptureFilter, CaptureUpdate
from komorebi_mcp.domain.ids import new_id
from komorebi_mcp.errors import InvalidInput, NotFound
from komorebi_mcp.text.tokens import estimate_tokens
from support.rooms import Rooms, open_rooms

OWNER = "local"


async def store(rooms: Rooms, *contents: str, **fields: str) -> list[str]:
    ids = []
    for content in contents:
        receipt = await rooms.capture.capture(
            OWNER, CaptureCreate.model_validate({"content": content, **fields})
        )
        ids.append(receipt.id)
    return ids


async def test_a_search_finds_an_enriched_and_a_waiting_capture_alike(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        early = await store(rooms, "The migration of the ledger failed.")
        await rooms.settle()
        late = await store(rooms, "Ledger migrations start again tomorrow.")
        result = await rooms.find.search(OWNER, "ledger migration", CaptureFilter())
        assert {hit.id for hit in result.hits} == {*early, *late}


async def test_time_words_of_a_query_weigh_and_hide_nothing(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        (old,) = await store(rooms, "The heating of the greenhouse was repaired.")
        rooms.clock.advance(seconds=86_400)
        (middle,) = await store(rooms, "The heating of the greenhouse was switched on.")
        rooms.clock.advance(seconds=86_400)
        (new,) = await store(rooms, "The heating of the greenhouse is too loud.")
        await rooms.settle()
        result = await rooms.find.search(OWNER, "greenhouse heating yesterday", CaptureFilter())
        assert result.hits[0].id == middle
        assert {hit.id for hit in result.hits} == {old, middle, new}


async def test_a_search_within_a_budget_says_what_it_left_out_and_goes_on_there(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        ids = await store(rooms, *(f"The quick fox number {n} jumps over the lazy dog." for n in range(12)))
        await rooms.settle()
        seen: list[str] = []
        cursor = None
        while True:
            result = await rooms.find.search(
                OWNER, "fox", CaptureFilter(), limit=10, max_tokens=400, cursor=cursor
            )
            assert sum(estimate_tokens(hit.title + hit.snippet) for hit in result.hits) <= 400
            seen += [hit.id for hit in result.hits]
            cursor = result.next_cursor
            if cursor is None:
                break
            assert result.omitted > 0 or len(result.hits) == 10
        assert sorted(seen) == sorted(ids)


async def test_pages_hold_each_match_once_although_captures_arrive_and_are_enriched_between_them(
    tmp_path: Path,
) -> None:
    async with open_rooms(tmp_path) as rooms:
        ids = await store(rooms, *(f"Number {n} of the zebra ledger." for n in range(60)), project="zoo")
        seen: list[str] = []
        cursor = None
        while True:
            found = await rooms.find.search(
                OWNER, "zebra", CaptureFilter(project="zoo"), limit=7, cursor=cursor
            )
            seen += [hit.id for hit in found.hits]
            seen += [other for hit in found.hits for other in hit.also]
            if (cursor := found.next_cursor) is None:
                break
            await store(rooms, f"A late zebra, after {len(seen)} others.", project="zoo")
            await rooms.settle()
        assert sorted(seen) == sorted(ids)


async def test_a_later_page_leaves_out_what_no_longer_fits(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        await store(rooms, *(f"Number {n} of the zebra ledger." for n in range(20)), project="zoo")
        where = CaptureFilter(project="zoo")
        first = await rooms.find.search(OWNER, "zebra", where, limit=7)
        second = await rooms.find.search(OWNER, "zebra", where, limit=7, cursor=first.next_cursor)
        moved, forgotten, *others = (hit.id for hit in second.hits)
        async with rooms.store.write(OWNER) as transaction:
            await transaction.captures.update([moved], CaptureUpdate(project="farm"))
            await transaction.captures.forget([forgotten])
        again = await rooms.find.search(OWNER, "zebra", where, limit=7, cursor=first.next_cursor)
    assert [hit.id for hit in again.hits] == others


async def test_an_empty_query_says_what_to_do_instead(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        with pytest.raises(InvalidInput, match="list_captures"):
            await rooms.find.search(OWNER, "  \n", CaptureFilter())


async def test_a_long_capture_is_read_to_its_end_in_parts(tmp_path: Path) -> None:
    content = "".join(f"Line {n}: größer, 漢字 and a 🦊.\n" for n in range(2_000))
    async with open_rooms(tmp_path) as rooms:
        ids = await store(rooms, content)
        parts = []
        offset: int | None = 0
        while offset is not None:
            result = await rooms.find.read(OWNER, ids, max_tokens=1_000, offset=offset)
            parts.append(result.captures[0].content)
            assert estimate_tokens(parts[-1]) <= 1_000
            offset = result.next_offset
        assert "".join(parts) == content
        assert len(parts) > 10


async def test_however_small_the_budget_reading_on_gets_to_the_end(tmp_path: Path) -> None:
    content = "🦊🦊 und größere Füchse, " * 20
    async with open_rooms(tmp_path) as rooms:
        ids = await store(rooms, content)
        parts = []
        offset: int | None = 0
        while offset is not None:
            result = await rooms.find.read(OWNER, ids, max_tokens=1, offset=offset)
            parts.append(result.captures[0].content)
            assert parts[-1]
            offset = result.next_offset
        assert "".join(parts) == content


async def test_several_captures_come_whole_and_those_that_do_not_fit_are_named(tmp_path: Path) -> None:
    contents = ("a " * 400, "b " * 4_000, "c " * 400)
    async with open_rooms(tmp_path) as rooms:
        ids = await store(rooms, *contents)
        result = await rooms.find.read(OWNER, ids, max_tokens=1_000)
        assert [capture.content for capture in result.captures] == [contents[0], contents[2]]
        assert result.left_out == (ids[1],)
        assert result.next_offset is None


async def test_where_the_first_of_several_is_too_long_it_is_cut_and_stands_alone(tmp_path: Path) -> None:
    long = "b " * 4_000
    async with open_rooms(tmp_path) as rooms:
        ids = await store(rooms, long, "short", "shorter")
        result = await rooms.find.read(OWNER, ids, max_tokens=1_000)
        (cut,) = result.captures
        assert result.next_offset == len(cut.content)
        assert long.startswith(cut.content)
        assert result.left_out == (ids[1], ids[2])


async def test_unknown_ids_among_known_ones_are_reported_and_alone_are_an_error(tmp_path: Path) -> None:
    unknown = new_id()
    async with open_rooms(tmp_path) as rooms:
        (known,) = await store(rooms, "here")
        result = await rooms.find.read(OWNER, [unknown, known, known])
        assert [capture.id for capture in result.captures] == [known]
        assert result.missing == (unknown,)
        with pytest.raises(NotFound, match="search_captures"):
            await rooms.find.read(OWNER, [unknown])


async def test_an_offset_beyond_the_end_or_with_several_ids_is_refused(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        ids = await store(rooms, "short", "shorter")
        with pytest.raises(InvalidInput, match="5 characters"):
            await rooms.find.read(OWNER, ids[:1], offset=5)
        with pytest.raises(InvalidInput, match="single id"):
            await rooms.find.read(OWNER, ids, offset=1)


async def test_related_captures_come_with_the_words_they_share(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        (ledger, twin, _) = await store(
            rooms,
            "The ledger export timed out because the ledger database was locked.",
            "Locked ledger database again; the export waits.",
            "Bought bread and cheese.",
        )
        await rooms.settle()
        result = await rooms.find.read(OWNER, [ledger], related=True)
        (related,) = result.related[ledger]
        assert related.id == twin
        assert any("ledger" in word.lower() for word in related.shared)
