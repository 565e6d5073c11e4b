"""Passages of a text, on both databases."""

from komorebi_mcp.domain.captures import CaptureCreate, CaptureFilter, CaptureUpdate, Passage, Status
from komorebi_mcp.domain.ids import new_id
from komorebi_mcp.storage.store import Store, open_store
from komorebi_mcp.text.terms import parse_query

ME = "local"


async def add(store: Store, *contents: str, owner: str = ME) -> list[str]:
    """The ids of one text's passages."""
    group = new_id()
    items = [
        CaptureCreate(
            content=content,
            id=group if position == 1 else None,
            passage=Passage(group=group, position=position),
        )
        for position, content in enumerate(contents, start=1)
    ]
    async with store.write(owner) as transaction:
        return [receipt.id for receipt in await transaction.captures.add_all(items)]


async def listed(store: Store, **where: object) -> list[str]:
    async with store.read(ME) as transaction:
        page = await transaction.captures.page(CaptureFilter.model_validate(where))
    return [capture.id for capture in page.items]


async def test_a_text_is_listed_as_its_first_passage_that_fits(store_url: str) -> None:
    async with open_store(store_url) as store:
        one, two, three = await add(store, "alpha", "beta", "alpha")
        [other] = await add(store, "alpha")
        assert await listed(store) == [other, one]
        async with store.write(ME) as transaction:
            await transaction.captures.update([two], CaptureUpdate(add_tags=("t",)))
            await transaction.captures.update([three], CaptureUpdate(add_tags=("t",)))
            hits = await transaction.captures.search(parse_query("alpha"), CaptureFilter())
        assert await listed(store, tags=("t",)) == [two]
        assert {hit.id for hit in hits.items} == {one, three, other}


async def test_the_passages_of_a_text_are_told_in_order_to_its_owner_only(store_url: str) -> None:
    async with open_store(store_url) as store:
        ids = await add(store, "a", "bb", "ccc")
        for owner, expected in ((ME, list(zip(ids, (1, 2, 3), strict=True))), ("other", [])):
            async with store.read(owner) as transaction:
                found = await transaction.captures.passages([ids[0]])
                assert [(each.id, each.chars) for each in found] == expected
                assert await transaction.captures.passages([ids[1]]) == []


async def test_a_change_to_the_first_passage_and_forgetting_it_hold_for_all(store_url: str) -> None:
    async with open_store(store_url) as store:
        ids = await add(store, "a", "b", "c")
        async with store.write(ME) as transaction:
            change = CaptureUpdate(project="p", status=Status.ARCHIVED, title="T")
            assert [each.id for each in await transaction.captures.update([ids[0]], change)] == [ids[0]]
            moved = CaptureFilter(project="p", statuses=(Status.ARCHIVED,))
            assert await transaction.captures.count(moved) == 3
            assert [each.title for each in await transaction.captures.get(ids)].count("T") == 1
            assert await transaction.captures.forget([ids[0]]) == [ids[0]]
            assert await transaction.captures.count(moved) == 0


async def test_a_known_id_is_answered_like_a_known_key(store_url: str) -> None:
    item = CaptureCreate(content="once", id=new_id())
    async with open_store(store_url) as store, store.write(ME) as transaction:
        captures = transaction.captures
        assert item.id is not None
        [first, twin] = await captures.add_all([item, item.model_copy(update={"key": "k"})])
        [again] = await captures.add_all([item])
        assert [each.id for each in (first, twin, again)] == [item.id] * 3
        assert [each.created for each in (first, twin, again)] == [True, False, False]
