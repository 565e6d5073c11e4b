"""Lists: filters, folding and cursors."""

import asyncio
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from komorebi_mcp.domain.captures import CaptureCreate, CaptureFilter, CaptureUpdate, Kind, Order, Status
from komorebi_mcp.errors import InvalidInput
from komorebi_mcp.services.enrich import enrich
from komorebi_mcp.storage.store import Store, open_store
from komorebi_mcp.text.terms import parse_query
from support.clock import StillClock

ME = "local"


async def _listed(store: Store, where: CaptureFilter, *, order: Order = Order.OLDEST) -> list[str]:
    async with store.read(ME) as transaction:
        return [each.title for each in (await transaction.captures.page(where, order=order, limit=100)).items]


async def test_every_given_field_of_a_filter_must_fit(store_url: str, clock: StillClock) -> None:
    start = clock()
    async with open_store(store_url, clock=clock) as store:
        items = [
            CaptureCreate(content="a", project="p", tags=("x", "y"), kind=Kind.CODE, source="s%"),
            CaptureCreate(content="b", project="p", tags=("x",)),
            CaptureCreate(content="c", source="s_", kind=Kind.LINK),
        ]
        ids = []
        for item in items:
            async with store.write(ME) as transaction:
                ids += [receipt.id for receipt in await transaction.captures.add_all([item])]
            clock.advance(seconds=60)
        async with store.write(ME) as transaction:
            await transaction.captures.update(ids[2:], CaptureUpdate(status=Status.ARCHIVED))
        archived = (Status.ARCHIVED,)
        minute = timedelta(minutes=1)
        assert await _listed(store, CaptureFilter()) == ["a", "b"]
        assert await _listed(store, CaptureFilter(), order=Order.NEWEST) == ["b", "a"]
        assert await _listed(store, CaptureFilter(statuses=archived)) == ["c"]
        assert await _listed(store, CaptureFilter(statuses=(*archived, Status.INBOX))) == ["a", "b", "c"]
        assert await _listed(store, CaptureFilter(project="p")) == ["a", "b"]
        assert await _listed(store, CaptureFilter(project="q")) == []
        assert await _listed(store, CaptureFilter(tags=("x",))) == ["a", "b"]
        assert await _listed(store, CaptureFilter(tags=("x", "y"))) == ["a"]
        assert await _listed(store, CaptureFilter(kinds=(Kind.CODE, Kind.LINK))) == ["a"]
        assert await _listed(store, CaptureFilter(source="s%", statuses=tuple(Status))) == ["a"]
        assert await _listed(store, CaptureFilter(since=start + minute)) == ["b"]
        assert await _listed(store, CaptureFilter(until=start + minute)) == ["a"]
        assert await _listed(store, CaptureFilter(ids=(ids[1], ids[2]))) == ["b"]
        async with store.read(ME) as transaction:
            [first, *_] = (await transaction.captures.page(CaptureFilter(), order=Order.OLDEST)).items
    assert (first.tags, first.project, first.created_at) == (("x", "y"), "p", start)


async def test_copies_fold_under_the_first_one_that_fits_the_same_filter(store_url: str) -> None:
    async with open_store(store_url) as store:
        async with store.write(ME) as transaction:
            items = [CaptureCreate(content="x", title=title) for title in ("first", "second", "third")]
            first, *_ = await transaction.captures.add_all(items)
        assert await _listed(store, CaptureFilter()) == ["first"]
        async with store.write(ME) as transaction:
            await transaction.captures.update([first.id], CaptureUpdate(status=Status.PROCESSED))
        assert await _listed(store, CaptureFilter(statuses=(Status.PROCESSED,))) == ["first"]
        assert await _listed(store, CaptureFilter(statuses=(Status.INBOX,))) == ["second", "third"]


@pytest.mark.slow
@pytest.mark.parametrize("order", Order)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ages_s=st.lists(st.integers(0, 3), min_size=1, max_size=12),
    limit=st.integers(1, 5),
    arriving_s=st.lists(st.integers(0, 5), max_size=6),
)
def test_a_cursor_visits_everything_exactly_once_while_captures_arrive(
    store_url: str, clock: StillClock, order: Order, *, ages_s: list[int], limit: int, arriving_s: list[int]
) -> None:
    async def visit() -> None:
        async with open_store(store_url, clock=clock) as store:
            owner = f"owner {clock().timestamp()}"
            clock.advance(seconds=100)
            arriving = iter(arriving_s)

            async def add(ages: list[int]) -> list[str]:
                made = [
                    CaptureCreate(content=f"{age} {number}", created_at=clock() - timedelta(seconds=age))
                    for number, age in enumerate(ages)
                ]
                async with store.write(owner) as transaction:
                    return [receipt.id for receipt in await transaction.captures.add_all(made)]

            stored = await add(ages_s)
            visited: list[str] = []
            cursor = None
            while True:
                async with store.read(owner) as transaction:
                    page = await transaction.captures.page(
                        CaptureFilter(), order=order, limit=limit, cursor=cursor
                    )
                visited += [each.id for each in page.items]
                if (cursor := page.next_cursor) is None:
                    break
                await add([age for age in [next(arriving, None)] if age is not None])
            assert len(visited) == len(set(visited))
            assert set(stored) <= set(visited)

    asyncio.run(visit())


async def test_a_cursor_is_good_for_its_own_list_only(store_url: str) -> None:
    async with open_store(store_url) as store:
        for owner in (ME, "other"):
            async with store.write(owner) as transaction:
                await transaction.captures.add_all(
                    [CaptureCreate(content=str(n), project=f"p{n}") for n in range(3)]
                )
        async with store.read(ME) as transaction:
            captures, projects = transaction.captures, transaction.projects
            cursor = (await captures.page(CaptureFilter(), limit=1)).next_cursor
            assert cursor is not None
            assert len((await captures.page(CaptureFilter(), limit=5, cursor=cursor)).items) == 2
            forged = ("A" if cursor[0] != "A" else "B") + cursor[1:]
            for bad in (forged, cursor[:-2], cursor + "AAAA", "", "\x00", "é", "=" * 40, "A" * 5000):
                with pytest.raises(InvalidInput, match="does not belong to this list"):
                    await captures.page(CaptureFilter(), cursor=bad)
            with pytest.raises(InvalidInput):
                await captures.page(CaptureFilter(project="p1"), cursor=cursor)
            with pytest.raises(InvalidInput):
                await captures.page(CaptureFilter(), order=Order.OLDEST, cursor=cursor)
            with pytest.raises(InvalidInput):
                await projects.page(cursor=cursor)
        async with store.read("other") as transaction:
            with pytest.raises(InvalidInput):
                await transaction.captures.page(CaptureFilter(), cursor=cursor)


@pytest.mark.parametrize(
    ("tags", "fitting"),
    [
        (("red | blue",), {0, 1, 3}),
        (("round", "red | blue"), {1, 3}),
        (("red | blue", "red | green"), {0, 1}),
        (("no such | blue",), {3}),
        (("no such | none either",), set()),
        (("this | that",), {4}),
        (("|",), {5}),
    ],
)
async def test_a_tag_with_an_upright_stroke_asks_for_either(
    store_url: str, tags: tuple[str, ...], fitting: set[int]
) -> None:
    of_each = [("red",), ("red", "round"), ("green", "round"), ("blue", "round"), ("this | that",), ("|",)]
    async with open_store(store_url) as store:
        made = [CaptureCreate(content=f"Thing {n}.", tags=own) for n, own in enumerate(of_each)]
        ids = [receipt.id for receipt in await store.take_in(ME, made)]
        async with store.work() as queue:
            jobs = await queue.claim(limit=100, lease_s=60)
        await store.enrich(ME, [(job, enrich(job.capture)) for job in jobs])
        where = CaptureFilter(tags=tags)
        async with store.read(ME) as transaction:
            listed = await transaction.captures.page(where)
            found = await transaction.captures.search(parse_query("thing"), where)
    assert {ids.index(capture.id) for capture in listed.items} == fitting
    assert {ids.index(hit.id) for hit in found.items} == fitting


async def test_a_list_by_tags_comes_page_by_page_in_the_order_of_its_captures(
    store_url: str, clock: StillClock
) -> None:
    async with open_store(store_url, clock=clock) as store:
        made = [
            CaptureCreate(
                content=str(number),
                tags=("all",) + (("third",) if number % 3 == 0 else ()),
                created_at=clock() - timedelta(days=number * 7 % 10),
            )
            for number in range(10)
        ]
        receipts = await store.take_in(ME, [*made, CaptureCreate(content="other", tags=("third",))])
        async with store.write(ME) as transaction:
            late = CaptureUpdate(add_tags=("third",))
            await transaction.captures.update([receipts[5].id], late)
        # 7n mod 10 days ago: in time, those are 0 3 6 9 2 5 8 1 4 7.
        newest_first = [receipts[number].id for number in (0, 3, 6, 9, 5)]
        for tags in (("all", "third"), ("third", "all")):
            for order, expected in ((Order.NEWEST, newest_first), (Order.OLDEST, newest_first[::-1])):
                shown: list[str] = []
                cursor = None
                async with store.read(ME) as transaction:
                    while True:
                        page = await transaction.captures.page(
                            CaptureFilter(tags=tags), order=order, limit=2, cursor=cursor
                        )
                        shown += [capture.id for capture in page.items]
                        cursor = page.next_cursor
                        if cursor is None:
                            break
                assert shown == expected
