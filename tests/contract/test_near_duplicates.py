"""Captures that say almost the same find each other, and lose each other with every change."""

from sqlalchemy import select

from komorebi_mcp.domain.captures import (
    CaptureCreate,
    CaptureUpdate,
    Enrichment,
    NearDuplicate,
    Passage,
    Status,
)
from komorebi_mcp.domain.ids import new_id
from komorebi_mcp.services.enrich import enrich
from komorebi_mcp.storage import near_duplicates
from komorebi_mcp.storage.store import Store, open_store
from komorebi_mcp.storage.tables import capture_bands
from support.databases import read_all

ME, OTHER = "local", "someone else"
STORY = (
    "Looked at the nightly import with Mei. Row 4711 fails because the date column holds a time zone name; "
    "we decided to normalise to UTC before parsing, and to log the first ten offenders. Back on Friday."
)
RETOLD = STORY.replace("4711", "4712").replace("Friday", "Monday")
CORRECTED = STORY.replace("Mei", "May")
ELSE = "The invoice service moved to port 8417 last night, and billing answers within a second again."


async def _add(store: Store, *items: CaptureCreate | str, owner: str = ME) -> list[str]:
    made = [CaptureCreate(content=item) if isinstance(item, str) else item for item in items]
    ids = [receipt.id for receipt in await store.take_in(owner, made)]
    await _enrich(store)
    return ids


async def _enrich(store: Store) -> None:
    async with store.work() as queue:
        jobs = await queue.claim(limit=1000, lease_s=60)
    for owner in {job.owner for job in jobs}:
        await store.enrich(owner, [(job, enrich(job.capture)) for job in jobs if job.owner == owner])


async def _near(store: Store, *ids: str, owner: str = ME) -> dict[str, tuple[NearDuplicate, ...]]:
    async with store.read(owner) as transaction:
        return await transaction.captures.near_duplicates(ids)


async def _pairs(store: Store, *ids: str, owner: str = ME) -> dict[str, list[str]]:
    found = await _near(store, *ids, owner=owner)
    return {capture_id: [other.id for other in others] for capture_id, others in found.items()}


async def _bands_kept(store: Store) -> int:
    return len(await read_all(store, select(capture_bands.c.seq)))


async def test_a_text_told_again_finds_the_first_one_and_the_first_one_it(store_url: str) -> None:
    async with open_store(store_url) as store:
        first, other = await _add(store, CaptureCreate(content=STORY, title="Import", project="p"), ELSE)
        retold, corrected = await _add(store, RETOLD, CORRECTED)
        found = await _near(store, first, other, retold, corrected, new_id(), "nonsense")
    assert {capture_id: [each.id for each in others] for capture_id, others in found.items()} == {
        first: [corrected, retold],
        retold: [first, corrected],
        corrected: [first, retold],
    }
    nearest, next_one = found[first]
    assert 1 > nearest.similarity > next_one.similarity >= 0.7
    assert found[retold][0] == NearDuplicate(id=first, title="Import", similarity=next_one.similarity)


async def test_copies_are_folded_and_archived_captures_left_out(store_url: str) -> None:
    async with open_store(store_url) as store:
        first, copy, abroad, put_away = await _add(
            store, STORY, STORY, CaptureCreate(content=STORY, project="p"), CORRECTED
        )
        async with store.write(ME) as transaction:
            await transaction.captures.update([put_away], CaptureUpdate(status=Status.ARCHIVED))
        found = await _near(store, first, copy, abroad, put_away)
    told = {capture_id: [each.id for each in others] for capture_id, others in found.items()}
    assert told == {
        first: [abroad],
        copy: [first, abroad],
        abroad: [first],
        put_away: [first, abroad],
    }
    assert found[first][0].similarity == 1


async def test_a_long_text_is_told_by_its_first_passage_and_not_of_itself(store_url: str) -> None:
    group = new_id()
    passages = [
        CaptureCreate(content=text, id=capture_id, passage=Passage(group=group, position=position))
        for position, (capture_id, text) in enumerate(((group, STORY), (new_id(), RETOLD)), 1)
    ]
    async with open_store(store_url) as store:
        head, tail = await _add(store, *passages)
        [note] = await _add(store, CORRECTED)
        assert await _pairs(store, head, tail, note) == {head: [note], tail: [note], note: [head]}


async def test_an_edited_capture_is_compared_anew_once_enriched(store_url: str) -> None:
    async with open_store(store_url) as store:
        first, retold, other = await _add(store, STORY, RETOLD, ELSE)
        kept = await _bands_kept(store)
        async with store.write(ME) as transaction:
            await transaction.captures.update([retold], CaptureUpdate(content=ELSE + " Good."))
        assert await _pairs(store, first, retold, other) == {}
        await _enrich(store)
        assert await _pairs(store, first, retold, other) == {retold: [other], other: [retold]}
        async with store.write(ME) as transaction:
            await transaction.captures.update([retold, first], CaptureUpdate(title="Renamed", project="p"))
        await _enrich(store)
        [renamed] = (await _near(store, other))[other]
        assert renamed.title == "Renamed"
        assert await _bands_kept(store) == kept


async def test_a_forgotten_capture_is_near_nothing_and_leaves_nothing_behind(store_url: str) -> None:
    async with open_store(store_url) as store:
        first, retold = await _add(store, STORY, RETOLD)
        async with store.write(ME) as transaction:
            await transaction.captures.forget([retold])
        assert await _pairs(store, first, retold) == {}
        async with store.write(ME) as transaction:
            await transaction.captures.forget([first])
        assert await _bands_kept(store) == 0


async def test_nobody_is_told_of_another_owners_text(store_url: str) -> None:
    async with open_store(store_url) as store:
        [mine] = await _add(store, STORY)
        [theirs] = await _add(store, STORY, owner=OTHER)
        assert await _pairs(store, mine, theirs) == {}
        assert await _pairs(store, mine, theirs, owner=OTHER) == {}
        async with store.write(OTHER) as transaction:
            await transaction.captures.forget([mine, theirs])
        [retold] = await _add(store, RETOLD)
        assert await _pairs(store, mine, retold) == {mine: [retold], retold: [mine]}


async def test_thousands_of_like_texts_are_kept_in_bounds(store_url: str) -> None:
    found = Enrichment(title="t", tokens=1, terms=("t",), signature=bytes(129))
    async with open_store(store_url) as store:
        receipts = await store.take_in(ME, [CaptureCreate(content=str(number)) for number in range(300)])
        async with store.work() as queue:
            jobs = await queue.claim(limit=300, lease_s=60)
        for start in range(0, 300, 50):
            await store.enrich(ME, [(job, found) for job in jobs[start : start + 50]])
        last = receipts[-1].id
        others = (await _near(store, last))[last]
        assert [other.id for other in others] == [receipt.id for receipt in receipts[:5]]
        assert await _bands_kept(store) == 8 * near_duplicates.BAND_CAPTURES_MAX
