"""What lifts a capture beside its own words, the same on both databases."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from komorebi_mcp.domain.captures import CaptureCreate, CaptureFilter, CaptureUpdate, Status
from komorebi_mcp.domain.search import Hit, SearchQuery
from komorebi_mcp.services.enrich import enrich
from komorebi_mcp.storage import matching, readings, search_head
from komorebi_mcp.storage.store import Store, open_store
from komorebi_mcp.text.terms import parse_query

pytestmark = pytest.mark.slow

ME = "local"
EVERYTHING = CaptureFilter()
NOON = datetime(2031, 3, 4, 12, tzinfo=UTC)
FILLER = tuple(
    CaptureCreate(title=f"F{n}", content=f"Nothing of note in entry {n}.", project=f"other {n}")
    for n in range(30)
)


async def _store_of(store: Store, *items: CaptureCreate, indexed: bool = True) -> list[str]:
    async with store.write(ME) as transaction:
        ids = [receipt.id for receipt in await transaction.captures.add_all(items)]
    if indexed:
        await _index(store)
    return ids


async def _index(store: Store, *, newest_first: bool = False) -> None:
    async with store.work() as queue:
        jobs = await queue.claim(limit=1000, lease_s=60)
    for job in reversed(jobs) if newest_first else jobs:
        assert await store.enrich(job.owner, [(job, enrich(job.capture))])


async def _found(store: Store, query: str, where: CaptureFilter = EVERYTHING) -> list[str]:
    return [hit.id for hit in await _hits(store, query, where)]


async def _hits(store: Store, query: str, where: CaptureFilter = EVERYTHING) -> list[Hit]:
    async with store.read(ME) as transaction:
        return list((await transaction.captures.search(parse_query(query), where, limit=100)).items)


@pytest.fixture(params=["waiting", "indexed"])
def indexed(request: pytest.FixtureRequest) -> bool:
    """Whether the captures have been enriched when they are looked for."""
    return bool(request.param == "indexed")


async def test_a_match_in_a_talk_about_the_query_comes_before_one_out_of_the_blue(store_url: str) -> None:
    talk = [
        CaptureCreate(title="Talk", content=text, project="garden")
        for text in (
            "The greenhouse needs a new heater before winter comes.",
            "We could put the blue one there.",
            "The heater of the greenhouse was cheap.",
        )
    ]
    stray = CaptureCreate(title="Stray", content="We could put the blue one here.", project="kitchen")
    async with open_store(store_url) as store:
        ids = await _store_of(store, *FILLER, *talk, stray)
        found = await _found(store, "greenhouse heater blue")
        assert found.index(ids[-3]) < found.index(ids[-1])


async def test_words_said_near_a_capture_count_less_the_more_is_said_in_between(store_url: str) -> None:
    def talk(project: str, between: str) -> list[CaptureCreate]:
        texts = ("The greenhouse needs a heater.", between, "Take the blue one instead.")
        return [CaptureCreate(content=text, project=project) for text in texts]

    at_once, later = talk("a", "Indeed."), talk("b", f"Indeed, {' '.join(f'word{n}' for n in range(90))}.")
    async with open_store(store_url) as store:
        *_, at_once_id, _, _, later_id = await _store_of(store, *FILLER, *at_once, *later)
        found = await _found(store, "greenhouse heater blue")
        assert found.index(at_once_id) < found.index(later_id)


async def test_a_match_amid_talk_about_the_query_is_ranked_however_many_match_better_alone(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_head, "HEAD_MAX", 6)
    talk = [
        CaptureCreate(content=text, project="hall")
        for text in (
            "The socket by the door is loose.",
            "Then the lamp goes beside the old chair and the red carpet.",
            "A socket costs little, and the socket by the stairs is no better.",
        )
    ]
    strays = [CaptureCreate(content=f"A lamp, {n}.", project=f"p{n}") for n in range(9)]
    async with open_store(store_url) as store:
        ids = await _store_of(store, *FILLER[:15], *talk, *FILLER[15:], *strays)
        assert ids[16] in (await _found(store, "lamp socket"))[:6]


async def test_a_capture_of_another_session_is_no_context(store_url: str) -> None:
    def pair(project: str, *, gap: timedelta) -> tuple[CaptureCreate, CaptureCreate]:
        return (
            CaptureCreate(content="The greenhouse needs a heater.", project=project, created_at=NOON),
            CaptureCreate(content="Take the blue one instead.", project=project, created_at=NOON + gap),
        )

    async with open_store(store_url) as store:
        near, far = pair("a", gap=timedelta(minutes=1)), pair("b", gap=timedelta(days=9))
        *_, near_id, _, far_id = await _store_of(store, *FILLER, *near, *far)
        found = await _found(store, "greenhouse heater blue")
        assert found.index(near_id) < found.index(far_id)


async def test_an_answer_comes_before_the_question_it_answers(store_url: str, indexed: bool) -> None:
    items = [
        CaptureCreate(title="A", content="The violin case is under the stairs.", project="a"),
        CaptureCreate(title="Q", content="The violin case is under the stairs?", project="b"),
    ]
    async with open_store(store_url) as store:
        ids = await _store_of(store, *FILLER, *items, indexed=indexed)
        assert (await _found(store, "Where is the violin case?"))[:2] == ids[-2:]


async def test_asked_when_a_capture_that_tells_a_time_comes_first(store_url: str, indexed: bool) -> None:
    items = [
        CaptureCreate(title="T", content="The boiler was repaired last week.", project="a"),
        CaptureCreate(title="N", content="The boiler was repaired by Ines.", project="b"),
    ]
    async with open_store(store_url) as store:
        timed, other = (await _store_of(store, *FILLER, *items, indexed=indexed))[-2:]
        assert (await _found(store, "When was the boiler repaired?"))[:2] == [timed, other]
        assert (await _found(store, "boiler repaired"))[:2] == [other, timed]


async def test_a_capture_from_the_source_the_query_names_comes_first(store_url: str, indexed: bool) -> None:
    items = [
        CaptureCreate(title="S", content="I like sailing most of all.", source="Ines Alba", project="a"),
        CaptureCreate(title="O", content="Ines Alba says that sailing is fine.", source="Kofi", project="b"),
    ]
    async with open_store(store_url) as store:
        own, other = (await _store_of(store, *FILLER, *items, indexed=indexed))[-2:]
        assert (await _found(store, "What does Ines Alba think about sailing?"))[:2] == [own, other]


async def test_what_came_right_after_a_question_that_matches_is_found_as_its_answer(store_url: str) -> None:
    talk = [
        CaptureCreate(content=text, project=project, source=source, tags=tags)
        for text, project, source, tags in (
            ("Where did you put the violin?", "house", "Ines", ()),
            ("Under the stairs, behind the coats.", "house", "Kofi", ("t",)),
            ("I see.", "house", "Ines", ()),
            ("Has anybody tuned the violin?", "a", None, ()),
            ("The bread is in the oven.", "b", None, ()),
            ("Who plays the violin?", None, None, ()),
            ("Soup tonight.", None, None, ()),
        )
    ]
    async with open_store(store_url) as store:
        ids = (await _store_of(store, *FILLER, *talk))[-7:]
        assert set(await _found(store, "violin")) == {ids[0], ids[1], ids[3], ids[5]}
        assert await _found(store, "violin", CaptureFilter(tags=("t",))) == []
        assert set(await _found(store, '"violin"')) == {ids[0], ids[3], ids[5]}
        assert set(await _found(store, "violin -coats")) == {ids[0], ids[3], ids[5]}
        async with store.write(ME) as transaction:
            await transaction.captures.update(ids[1:2], CaptureUpdate(status=Status.ARCHIVED))
        assert set(await _found(store, "violin")) == {ids[0], ids[3], ids[5]}


def _nearly_alike(count: int) -> list[CaptureCreate]:
    said = (
        "The nightly import of the ledger stopped at row {} since the disk of the backup host was full. "
        "Somebody has to move the old archives to the cold storage in the cellar before Friday."
    )
    return [CaptureCreate(content=said.format(n), project=f"p{n}") for n in range(count)]


async def test_what_says_almost_the_same_as_a_better_match_is_folded_under_it(store_url: str) -> None:
    other = CaptureCreate(content="The import of the ledger needs a larger disk.", project="x")
    async with open_store(store_url) as store:
        *alike, different = (await _store_of(store, *FILLER, *_nearly_alike(3), other))[-4:]
        first, second = await _hits(store, "nightly import ledger disk")
        assert {first.id, *first.also} == set(alike)
        assert len(first.also) == 2
        assert (second.id, second.also) == (different, ())
        # What is asked for alone is not under anything.
        [alone] = await _hits(store, "nightly import ledger disk", CaptureFilter(project="p1"))
        assert (alone.id, alone.also) == (alike[1], ())


async def test_of_very_many_that_say_almost_the_same_all_are_found_page_by_page(store_url: str) -> None:
    other = CaptureCreate(content="The import of the ledger needs a larger disk.", project="x")
    async with open_store(store_url) as store:
        *alike, different = (await _store_of(store, *FILLER, *_nearly_alike(9), other))[-10:]
        seen: list[Hit] = []
        cursor: str | None = None
        async with store.read(ME) as transaction:
            while True:
                page = await transaction.captures.search(
                    parse_query("nightly import ledger disk"), EVERYTHING, limit=1, cursor=cursor
                )
                seen += page.items
                if (cursor := page.next_cursor) is None:
                    break
        assert [len(hit.also) for hit in seen] == [5, 0, 0, 0, 0]
        assert seen[1].id == different
        assert sorted(each for hit in seen for each in (hit.id, *hit.also)) == sorted([*alike, different])


async def test_a_capture_from_the_time_a_query_speaks_of_comes_first(store_url: str, indexed: bool) -> None:
    def asked(span: tuple[datetime, datetime] | None) -> SearchQuery:
        return parse_query("ferry timetable").model_copy(update={"span": span})

    day = timedelta(days=1)
    items = [
        CaptureCreate(
            content=f"The ferry number {n} has a new timetable.", project=str(n), created_at=NOON - n * day
        )
        for n in range(4)
    ]
    async with open_store(store_url) as store:
        ids = (await _store_of(store, *FILLER, *items, indexed=indexed))[-4:]
        async with store.read(ME) as transaction:
            search = transaction.captures.search
            span = (NOON - 2 * day, NOON - day)
            first = await search(asked(span), EVERYTHING, limit=1)
            assert first.items[0].id == ids[2]
            # A minute later the words mean another minute; the pages still are those of the first one.
            later = asked((NOON, NOON + day))
            rest = await search(later, EVERYTHING, cursor=first.next_cursor)
            assert ids[2] not in {hit.id for hit in rest.items}
            assert {hit.id for hit in rest.items} == {*ids} - {ids[2]}
            assert (await search(later, EVERYTHING)).items[0].id == ids[0]


async def test_captures_enriched_in_any_order_are_ranked_alike(store_url: str) -> None:
    talk = [
        CaptureCreate(
            content=f"Turn {n}: the ferry {'leaves at nine' if n % 3 else 'costs more'}.", project="trip"
        )
        for n in range(9)
    ]
    orders = []
    async with open_store(store_url) as store:
        ids = await _store_of(store, *talk, indexed=False)
        for newest_first in (False, True):
            await _index(store, newest_first=newest_first)
            orders.append(await _found(store, "when does the ferry leave"))
            async with store.write(ME) as transaction:
                await transaction.captures.update(ids, CaptureUpdate(status=Status.INBOX))
    assert orders[0] == orders[1]
    assert set(orders[0]) == set(ids)


async def _paged(store: Store, query: str, *, arriving: bool) -> tuple[list[str], list[float]]:
    ids: list[str] = []
    scores: list[float] = []
    cursor = None
    while True:
        async with store.read(ME) as transaction:
            page = await transaction.captures.search(parse_query(query), EVERYTHING, limit=4, cursor=cursor)
        ids += [hit.id for hit in page.items]
        scores += [hit.score for hit in page.items]
        if (cursor := page.next_cursor) is None:
            return ids, scores
        if arriving:
            await _store_of(store, CaptureCreate(content=f"lamp lamp lamp, the {len(ids)}th"))


LAMPS = tuple(CaptureCreate(title=f"T{n}", content="lamp " * (n % 5 + 1) + f"number {n}") for n in range(25))


async def test_pages_stay_the_same_while_captures_arrive(store_url: str) -> None:
    async with open_store(store_url) as store:
        expected = await _store_of(store, *LAMPS)
        ids, scores = await _paged(store, "lamp", arriving=True)
        assert sorted(ids) == sorted(expected)
        assert scores == sorted(scores, reverse=True)


async def test_pages_go_on_behind_the_captures_that_are_ranked_anew(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_head, "HEAD_MAX", 10)
    async with open_store(store_url) as store:
        expected = await _store_of(store, *LAMPS[:18])
        expected += await _store_of(store, *LAMPS[18:], indexed=False)
        ids, scores = await _paged(store, "lamp", arriving=False)
        assert sorted(ids) == sorted(expected)
        assert scores == sorted(scores, reverse=True)


async def test_a_text_too_long_to_be_read_again_is_ranked_by_the_database(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "READ_CHARS_MAX", 100)
    assert matching.HEAD_MAX > 2
    async with open_store(store_url) as store:
        items = [
            CaptureCreate(title="L", content="anchor " * 20 + "chain"),
            CaptureCreate(title="S", content="The rope and the anchor."),
        ]
        ids = await _store_of(store, *FILLER, *items)
        assert set(await _found(store, "anchor")) == set(ids[-2:])


async def test_any_text_can_be_asked_of_any_captures(store_url: str) -> None:
    async with open_store(store_url) as store:
        kept = [
            CaptureCreate(content=text, project=project, source=source)
            for text, project, source in (
                ("When? Yesterday, at the lake.", None, "Ines"),
                ("東京タワー is tall?", "a", None),
                ("100% of c++ and foo_bar", "a", "%"),
                ("", None, None),
            )
            if text
        ]
        await _store_of(store, *kept)

        @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
        @given(st.text(max_size=60))
        def parses(text: str) -> None:
            queries.append(text)

        queries: list[str] = []
        parses()
        for text in queries:
            found = await _found(store, text)
            assert len(found) == len(set(found))
