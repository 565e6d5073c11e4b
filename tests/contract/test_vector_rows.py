"""Vectors of captures: what they find, and how they come and go. The same on both databases."""

from collections.abc import Sequence

import anyio
import numpy as np
import pytest
from sqlalchemy import select

from komorebi_mcp.domain.captures import CaptureCreate, CaptureFilter, CaptureUpdate, Kind, Status
from komorebi_mcp.domain.jobs import Unread
from komorebi_mcp.domain.search import Hit
from komorebi_mcp.domain.vectors import Coverage, Vector
from komorebi_mcp.services.enrich import enrich
from komorebi_mcp.storage import closest, vectors
from komorebi_mcp.storage.prepared import Prepared
from komorebi_mcp.storage.store import Store, open_store
from komorebi_mcp.storage.tables import capture_vectors
from komorebi_mcp.text.terms import parse_query
from komorebi_mcp.text.vectors import pack
from support.databases import read_all

ME, OTHER = "local", "someone else"
MODEL, LATER_MODEL = "tiny:1", "tiny:2"
EVERYTHING = CaptureFilter()
MEANINGS = {
    "The automobile stands in the yard.": (1.0, 0.0),
    "Brakes were replaced on Monday.": (0.8, 0.6),
    "Pudding for everybody.": (0.0, 1.0),
    "Nothing in it means a thing.": (0.0, 0.0),
}
YARD, BRAKES, PUDDING, NOTHING = MEANINGS
CAR = (1.0, 0.1)


def _vector(direction: Sequence[float], model: str = MODEL) -> Vector:
    return Vector(model=model, values=pack(np.array([direction], np.float32))[0])


def _read(text: str, model: str = MODEL) -> Vector:
    return _vector(MEANINGS.get(text, (0.0, 0.0)), model)


async def _add(
    store: Store, *items: CaptureCreate | str, owner: str = ME, model: str | None = MODEL
) -> list[str]:
    made = [CaptureCreate(content=item) if isinstance(item, str) else item for item in items]
    ids = [receipt.id for receipt in await store.take_in(owner, made)]
    await _enrich(store, model)
    return ids


async def _enrich(store: Store, model: str | None = MODEL) -> None:
    async with store.work() as queue:
        jobs = await queue.claim(limit=1000, lease_s=60)
    read = None if model is None else lambda text: _read(text, model)
    for owner in {job.owner for job in jobs}:
        found = [(job, enrich(job.capture, read)) for job in jobs if job.owner == owner]
        assert len(await store.enrich(owner, found)) == len(found)


async def _hits(
    store: Store,
    query: str,
    *,
    direction: Sequence[float] | None = CAR,
    where: CaptureFilter = EVERYTHING,
    owner: str = ME,
    model: str = MODEL,
) -> list[Hit]:
    meaning = None if direction is None else _vector(direction, model)
    asked = parse_query(query).model_copy(update={"meaning": meaning})
    async with store.read(owner) as transaction:
        return list((await transaction.captures.search(asked, where)).items)


async def _found(store: Store, query: str = "car", **options: object) -> list[str]:
    return [hit.id for hit in await _hits(store, query, **options)]  # type: ignore[arg-type]


async def _kept(store: Store) -> list[tuple[str, str]]:
    kept = select(capture_vectors.c.owner, capture_vectors.c.model).order_by(capture_vectors.c.seq)
    return [(owner, model) for owner, model in await read_all(store, kept)]


async def test_what_shares_no_word_is_found_by_what_it_means_the_nearest_first(store_url: str) -> None:
    async with open_store(store_url) as store:
        yard, brakes, *_ = await _add(store, *MEANINGS)
        hits = await _hits(store, "car")
        assert [hit.id for hit in hits] == [yard, brakes]
        assert [hit.score for hit in hits] == pytest.approx([0.995, 0.856], abs=0.01)
        assert await _found(store, direction=None) == []


async def test_meaning_lifts_what_matches_and_hides_nothing_that_does(store_url: str) -> None:
    async with open_store(store_url) as store:
        # Each in a project of its own: what is said nearby lifts captures as well.
        apart = [CaptureCreate(content=text, project=f"p{n}") for n, text in enumerate(MEANINGS)]
        yard, brakes, pudding, nothing = await _add(store, *apart)
        by_words = await _found(store, "pudding everybody thing", direction=None)
        assert set(by_words) == {pudding, nothing}
        found = await _found(store, "pudding everybody thing")
        assert (found[:2], set(found[2:])) == (by_words, {yard, brakes})


async def test_captures_that_no_model_has_read_keep_their_scores(store_url: str) -> None:
    async with open_store(store_url) as store:
        await _add(store, *MEANINGS, model=None)
        without = await _hits(store, "automobile pudding", direction=None)
        assert without
        assert await _hits(store, "automobile pudding") == without


async def test_a_vector_of_another_model_or_length_says_nothing(store_url: str) -> None:
    async with open_store(store_url) as store:
        await _add(store, *MEANINGS)
        assert await _found(store, model=LATER_MODEL) == []
        assert await _found(store, direction=(1.0, 0.0, 0.0)) == []


async def test_filters_other_owners_archived_ones_and_copies_hold_for_meaning_too(store_url: str) -> None:
    async with open_store(store_url) as store:
        elsewhere = CaptureCreate(content=BRAKES, project="p", kind=Kind.LOG)
        yard, _, put_away, decided = await _add(
            store, YARD, YARD, CaptureCreate(content=BRAKES, project="q"), elsewhere
        )
        await _add(store, YARD, owner=OTHER)
        async with store.write(ME) as transaction:
            await transaction.captures.update([put_away], CaptureUpdate(status=Status.ARCHIVED))
        await _enrich(store)
        assert await _found(store) == [yard, decided]
        assert await _found(store, where=CaptureFilter(project="p")) == [decided]
        assert await _found(store, where=CaptureFilter(kinds=(Kind.LOG,))) == [decided]
        assert await _found(store, where=CaptureFilter(statuses=(Status.ARCHIVED,))) == [put_away]
        assert await _found(store, owner="nobody") == []


async def test_quoted_and_excluded_words_leave_no_room_for_what_means_alike(store_url: str) -> None:
    async with open_store(store_url) as store:
        yard, *_ = await _add(store, *MEANINGS)
        assert await _found(store, '"stands in the yard"') == [yard]
        assert await _found(store, "automobile -brakes") == [yard]


async def test_a_narrow_filter_reaches_what_is_far_from_the_nearest_of_all(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closest, "_LOOKED_AT", 3)
    monkeypatch.setattr(closest, "CLOSEST_MAX", 2)
    async with open_store(store_url) as store:
        await _add(store, *(CaptureCreate(content=YARD, project=f"p{n}") for n in range(5)))
        [brakes] = await _add(store, CaptureCreate(content=BRAKES, project="narrow"))
        assert await _found(store, where=CaptureFilter(project="narrow")) == [brakes]


async def test_pages_show_each_capture_once_though_the_model_leaves_between_them(store_url: str) -> None:
    async with open_store(store_url) as store:
        ids = await _add(store, YARD, BRAKES, "A car at last.", "The car again, and the yard.")
        seen: list[str] = []
        cursor = None
        query = parse_query("car yard").model_copy(update={"meaning": _vector(CAR)})
        while True:
            async with store.read(ME) as transaction:
                page = await transaction.captures.search(query, EVERYTHING, limit=1, cursor=cursor)
            seen += [hit.id for hit in page.items]
            if (cursor := page.next_cursor) is None:
                break
        assert sorted(seen) == sorted(ids)
        async with store.read(ME) as transaction:
            first = await transaction.captures.search(query, EVERYTHING, limit=1)
            asked = query.model_copy(update={"meaning": None})
            await transaction.captures.search(asked, EVERYTHING, limit=1, cursor=first.next_cursor)


async def test_a_search_sees_what_came_since_the_last_one_and_not_what_went(store_url: str) -> None:
    async with open_store(store_url) as store:
        [yard] = await _add(store, YARD)
        assert await _found(store) == [yard]
        [brakes] = await _add(store, BRAKES)
        assert await _found(store) == [yard, brakes]
        async with store.write(ME) as transaction:
            await transaction.captures.update([yard], CaptureUpdate(content=PUDDING))
        assert await _found(store) == [brakes]
        await _enrich(store)
        assert await _found(store) == [brakes]
        assert await _found(store, "dessert", direction=(0.0, 1.0)) == [yard, brakes]
        async with store.write(ME) as transaction:
            await transaction.captures.forget([brakes])
        assert await _found(store) == []


async def test_what_is_forgotten_or_edited_leaves_no_vector(store_url: str) -> None:
    async with open_store(store_url) as store:
        yard, brakes = await _add(store, YARD, BRAKES)
        await _add(store, YARD, owner=OTHER)
        assert await _kept(store) == [(ME, MODEL), (ME, MODEL), (OTHER, MODEL)]
        async with store.write(ME) as transaction:
            await transaction.captures.forget([yard])
            await transaction.captures.update([brakes], CaptureUpdate(content="Something else."))
        assert await _kept(store) == [(OTHER, MODEL)]


async def _unread(store: Store, model: str, *, behind: int = 0, limit: int = 10) -> tuple[list[Unread], int]:
    async with store.look() as queue:
        return await queue.unread(model, behind=behind, limit=limit)


async def test_another_model_reads_everything_again_a_few_at_a_time(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "_WINDOW", 3)
    async with open_store(store_url) as store:
        await _add(store, YARD, BRAKES)
        await _add(store, PUDDING, owner=OTHER)
        await _add(store, NOTHING, model=LATER_MODEL)
        await store.take_in(ME, [CaptureCreate(content="It waits.")])
        assert await _unread(store, MODEL) == ([], 3)
        assert [each.content for each in (await _unread(store, MODEL, behind=3))[0]] == [NOTHING]
        some, reached = await _unread(store, LATER_MODEL, limit=2)
        assert [each.content for each in some] == [YARD, BRAKES]
        assert (await _unread(store, LATER_MODEL, behind=4)) == ([], 4)
        async with store.write(ME) as transaction:
            await transaction.captures.keep_vectors(
                [(each, _read(each.content, LATER_MODEL)) for each in some]
            )
        rest, _ = await _unread(store, LATER_MODEL, behind=reached)
        assert [(each.owner, each.content) for each in rest] == [(OTHER, PUDDING)]
        assert await _kept(store) == [(ME, LATER_MODEL), (ME, LATER_MODEL), (OTHER, MODEL), (ME, LATER_MODEL)]
        async with store.look() as queue:
            assert await queue.coverage(LATER_MODEL) == Coverage(read=3, indexed=4)
        assert len(await _found(store, model=LATER_MODEL)) == 2


async def test_what_changed_or_went_while_it_was_read_gets_no_vector_of_its_old_text(store_url: str) -> None:
    async with open_store(store_url) as store:
        changed, gone, same = await _add(store, YARD, BRAKES, PUDDING, model=None)
        some, _ = await _unread(store, MODEL)
        async with store.write(ME) as transaction:
            await transaction.captures.update([changed], CaptureUpdate(content="Something else."))
            await transaction.captures.forget([gone])
        await _enrich(store, None)
        async with store.write(ME) as transaction:
            await transaction.captures.keep_vectors([(each, _read(each.content)) for each in some])
        assert len(await _kept(store)) == 1
        assert await _found(store, "dessert", direction=(0.0, 1.0)) == [same]


async def test_of_a_very_long_text_its_beginning_is_read(store_url: str) -> None:
    async with open_store(store_url) as store:
        await _add(store, "word " * 30_000, model=None)
        [[unread], _] = await _unread(store, MODEL)
        assert unread.content.startswith("word word")
        assert len(unread.content) < 1_000


async def test_searches_that_read_the_vectors_at_the_same_time_keep_each_once(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_at_a_time = Prepared(vectors._SINCE.statement.limit(1))  # type: ignore[union-attr]
    monkeypatch.setattr(vectors, "_SINCE", one_at_a_time)
    async with open_store(store_url) as store:
        await _add(store, *[YARD] * 10)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as searches:
                for _ in range(4):
                    searches.start_soon(_hits, store, "car")
        [known] = store._memory.vectors.values()
        assert len(known.nearest(_vector(CAR).values, 100)) == known._count == 10


async def test_what_is_kept_in_memory_stays_small_whoever_searches(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closest, "_MEMORY_BYTES_MAX", 1)
    monkeypatch.setattr(closest, "_VECTORS_MAX", 1)
    async with open_store(store_url) as store:
        _, brakes = await _add(store, YARD, BRAKES)
        [theirs] = await _add(store, YARD, owner=OTHER)
        for _ in range(2):
            assert await _found(store) == [brakes]
            assert await _found(store, owner=OTHER) == [theirs]
            assert len(store._memory.vectors) == 1
