"""Full-text search, the same on both databases."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from komorebi_mcp.domain.captures import CaptureCreate, CaptureFilter, CaptureUpdate, Enrichment, Kind, Status
from komorebi_mcp.domain.search import SearchQuery
from komorebi_mcp.errors import InvalidInput
from komorebi_mcp.storage import matching, readings, search_postgres, search_sqlite, wording
from komorebi_mcp.storage.store import Store, open_store
from komorebi_mcp.text.terms import parse_query, terms
from support.clock import StillClock

pytestmark = pytest.mark.slow

ME = "local"
EVERYTHING = CaptureFilter()
ODD_QUERIES = (
    *(
        '50% "off',
        "*",
        "%",
        "_",
        '"',
        "(",
        ")",
        "NEAR",
        "NEAR(a b)",
        "a AND",
        "terms:x",
        "^a",
        "{a}",
        "\\",
        "'",
    ),
    *("-", "&|!:*<->", "?", "'; DROP TABLE captures; --", "a" * 9_999, "🦜", " ", ":*", "\x00", "a\x00b", ""),
)


async def _add(store: Store, *items: CaptureCreate, owner: str = ME) -> list[str]:
    async with store.write(owner) as transaction:
        return [receipt.id for receipt in await transaction.captures.add_all(items)]


async def _index(store: Store) -> None:
    async with store.work() as queue:
        jobs = await queue.claim(limit=1000, lease_s=60)
    for job in jobs:
        about = " ".join((job.capture.title, *job.capture.tags, job.capture.project or ""))
        found = Enrichment(
            title=job.capture.title, tokens=1, terms=terms(job.capture.content), meta_terms=terms(about)
        )
        assert await store.enrich(job.owner, [(job, found)])


async def _found(
    store: Store, query: str | SearchQuery, where: CaptureFilter = EVERYTHING, *, owner: str = ME
) -> list[str]:
    asked = parse_query(query) if isinstance(query, str) else query
    async with store.read(owner) as transaction:
        return [hit.title for hit in (await transaction.captures.search(asked, where, limit=100)).items]


def _titled(texts: dict[str, str]) -> list[CaptureCreate]:
    return [CaptureCreate(title=title, content=content) for title, content in texts.items()]


@pytest.fixture(params=["waiting", "indexed"])
def indexed(request: pytest.FixtureRequest) -> bool:
    """Whether the captures have been enriched when they are looked for."""
    return bool(request.param == "indexed")


async def test_any_of_the_words_matches_and_the_best_comes_first(store_url: str, indexed: bool) -> None:
    texts = {
        "T1": "The reservoir pump failed in the night.",
        "T2": "Reservoir levels are normal; the reservoir is calm.",
        "T3": "Nothing about water at all, only paper and pencils and a long list of other things.",
        "T4": "The pump and the reservoir pump log.",
    }
    async with open_store(store_url) as store:
        await _add(store, *_titled(texts))
        if indexed:
            await _index(store)
        assert set(await _found(store, "reservoir pumps")) == {"T1", "T2", "T4"}
        assert (await _found(store, "reservoir pumps"))[0] == "T4"
        assert await _found(store, "submarine") == []


@pytest.mark.slow
async def test_any_text_can_be_searched(store_url: str, indexed: bool) -> None:
    async with open_store(store_url) as store:
        await _add(store, CaptureCreate(title="T1", content="plain words"))
        if indexed:
            await _index(store)
        for query in ODD_QUERIES:
            assert await _found(store, query) == []
            assert await _found(store, SearchQuery(terms=(query[:64],), phrases=((query[:64],),))) == []


async def test_signs_of_the_query_languages_are_searched_literally(store_url: str, indexed: bool) -> None:
    texts = {"T1": "100% near c++ foo_bar", "T2": "100 c foo bar", "T3": "not and or near"}
    async with open_store(store_url) as store:
        await _add(store, *_titled(texts))
        if indexed:
            await _index(store)
        assert await _found(store, "c++") == ["T1"]
        assert (await _found(store, "foo_bar"))[0] == "T1"
        assert set(await _found(store, "NEAR")) == {"T1", "T3"}


async def test_words_without_spaces_between_them_are_found(store_url: str, indexed: bool) -> None:
    texts = {
        "T1": "我住在北京市",
        "T2": "東京タワー",
        "T3": "สวัสดีครับ",
        "T4": "Straße café",
        "T5": "हिन्दी भाषा",
        "T6": "🦜",
    }
    async with open_store(store_url) as store:
        await _add(store, *_titled(texts))
        if indexed:
            await _index(store)
        for query, title in (
            ("北京", "T1"),
            ("タワー", "T2"),
            ("สวัสดี", "T3"),
            ("strasse CAFE", "T4"),
            ("हिन्दी", "T5"),
            ("🦜", "T6"),
        ):
            assert await _found(store, query) == [title]


async def test_a_phrase_matches_in_order_and_an_excluded_word_not_at_all(
    store_url: str, indexed: bool
) -> None:
    far = "filler " * 20_000
    texts = {"T1": "red wine list", "T2": "wine red list", "T3": f"{far} red wine", "T4": "red grapes"}
    async with open_store(store_url) as store:
        await _add(store, *_titled(texts))
        if indexed:
            await _index(store)
        assert set(await _found(store, '"red wine"')) == {"T1", "T3"}
        assert set(await _found(store, '"red wine" -filler')) == {"T1"}
        assert set(await _found(store, "red -wine")) == {"T4"}
        assert await _found(store, SearchQuery(terms=(), phrases=(("wine", "red"),))) == ["T2"]


async def test_a_quotation_that_nobody_wrote_so_is_searched_by_its_words_where_there_are_others(
    store_url: str, indexed: bool
) -> None:
    texts = {f"T{n}": f"the red list of wine, number {n}" for n in range(3)}
    async with open_store(store_url) as store:
        await _add(store, *_titled({**texts, "Other": "a green grape"}))
        if indexed:
            await _index(store)
        assert await _found(store, '"red wine"') == []
        assert await _found(store, '"wine_red"') == []
        assert set(await _found(store, '"red wine" list')) == set(texts)
        assert await _found(store, '"red list" wine grape') == ["T2", "T1", "T0"]
        seen: list[str] = []
        cursor = None
        for _ in texts:
            async with store.read(ME) as transaction:
                page = await transaction.captures.search(
                    parse_query('"red wine" list'), EVERYTHING, limit=1, cursor=cursor
                )
            assert page.loosened
            seen += [hit.title for hit in page.items]
            cursor = page.next_cursor
        assert cursor is None
        assert sorted(seen) == sorted(texts)


async def test_title_and_tags_are_searched_and_weigh_less_than_the_content(
    store_url: str, indexed: bool
) -> None:
    items = [
        CaptureCreate(title="Zeppelin", content="some words here about balloons"),
        CaptureCreate(title="Second", content="some words here about zeppelin"),
        CaptureCreate(title="Third", content="some words here", tags=("zeppelin",), project="Airfield"),
        *(CaptureCreate(title=str(n), content=f"unrelated {n}") for n in range(9)),
    ]
    async with open_store(store_url) as store:
        await _add(store, *items)
        if indexed:
            await _index(store)
        found = await _found(store, "zeppelin")
        assert (found[0], set(found)) == ("Second", {"Zeppelin", "Second", "Third"})
        assert await _found(store, "airfield") == ["Third"]


async def test_search_obeys_filters_and_folds_copies(
    store_url: str, clock: StillClock, indexed: bool
) -> None:
    items = [
        CaptureCreate(title="A1", content="lantern", project="a"),
        CaptureCreate(title="A2", content="lantern", project="a"),
        CaptureCreate(title="B1", content="lantern", project="b", tags=("t",)),
        CaptureCreate(title="U1", content="lantern"),
    ]
    async with open_store(store_url, clock=clock) as store:
        ids = await _add(store, *items)
        if indexed:
            await _index(store)
        assert set(await _found(store, "lantern")) == {"A1", "B1", "U1"}
        assert await _found(store, "lantern", CaptureFilter(project="a")) == ["A1"]
        assert await _found(store, "lantern", CaptureFilter(project="p0")) == []
        assert await _found(store, "lantern", CaptureFilter(tags=("t",))) == ["B1"]
        async with store.write(ME) as transaction:
            await transaction.captures.update([ids[0]], CaptureUpdate(status=Status.ARCHIVED, project="c"))
        assert await _found(store, "lantern", CaptureFilter(project="a")) == ["A2"]
        assert await _found(store, "lantern", CaptureFilter(project="c")) == []
        archived = CaptureFilter(project="c", statuses=(Status.ARCHIVED,))
        assert await _found(store, "lantern", archived) == ["A1"]
        # The scope in the index is not itself searched.
        assert await _found(store, SearchQuery(terms=("p0", "p1", "p2"))) == []


async def test_filters_hold_through_changes_of_what_they_ask_for(store_url: str, clock: StillClock) -> None:
    """The index has tokens of its own for these, which must never leave out what the rows say fits."""
    start = clock()
    async with open_store(store_url, clock=clock) as store:
        made = [
            CaptureCreate(
                title=f"T{n}",
                content=f"lantern {n}",
                kind=Kind.NOTE if n % 2 else Kind.CODE,
                tags=("even",) if n % 2 == 0 else ("odd", "o'ne"),
                project="a" if n < 3 else None,
                created_at=start - timedelta(days=40 * n),
            )
            for n in range(6)
        ]
        ids = await _add(store, *made)
        await _index(store)

        async def found(**fields: Any) -> str:
            return " ".join(sorted(await _found(store, "lantern", CaptureFilter(**fields))))

        assert await found(kinds=(Kind.CODE,)) == "T0 T2 T4"
        assert await found(kinds=(Kind.CODE, Kind.NOTE), project="a") == "T0 T1 T2"
        assert await found(tags=("odd", "o'ne")) == "T1 T3 T5"
        assert await found(tags=("odd", "even")) == ""
        assert await found(since=start - timedelta(days=80)) == "T0 T1 T2"
        assert await found(until=start - timedelta(days=80)) == "T3 T4 T5"
        assert await found(since=start - timedelta(days=130), until=start - timedelta(days=39)) == "T1 T2 T3"
        assert await found(since=start - timedelta(days=39), until=start - timedelta(days=1)) == ""
        assert await found(since=start + timedelta(days=400)) == ""
        assert await found(since=start - timedelta(days=9_000)) == "T0 T1 T2 T3 T4 T5"
        async with store.write(ME) as transaction:
            update = transaction.captures.update
            await update(ids[:1], CaptureUpdate(kind=Kind.NOTE))
            await update(ids[1:2], CaptureUpdate(add_tags=("even",), remove_tags=("odd",)))
            await update(ids[2:3], CaptureUpdate(project="b"))
        for _ in range(2):
            assert await found(kinds=(Kind.CODE,)) == "T2 T4"
            assert await found(tags=("even",)) == "T0 T1 T2 T4"
            assert await found(tags=("odd",)) == "T3 T5"
            assert await found(project="b", tags=("even",)) == "T2"
            await _index(store)


async def test_pages_of_hits_are_all_different_and_in_order(store_url: str) -> None:
    async with open_store(store_url) as store:
        await _add(
            store, *(CaptureCreate(title=f"T{n}", content="word " * (n % 4 + 1) + str(n)) for n in range(12))
        )
        await _index(store)
        await _add(store, *(CaptureCreate(title=f"W{n}", content=f"word {n} waiting") for n in range(5)))
        query = parse_query("word")
        async with store.read(ME) as transaction:
            whole = await transaction.captures.search(query, EVERYTHING, limit=100)
            paged: list[str] = []
            scores: list[float] = []
            cursor = None
            while True:
                page = await transaction.captures.search(query, EVERYTHING, limit=4, cursor=cursor)
                paged += [hit.id for hit in page.items]
                scores += [hit.score for hit in page.items]
                if (cursor := page.next_cursor) is None:
                    break
                last = cursor
            assert paged == [hit.id for hit in whole.items]
            assert len(set(paged)) == 17
            assert scores == sorted(scores, reverse=True)
            with pytest.raises(InvalidInput, match="does not belong"):
                await transaction.captures.search(parse_query("other"), EVERYTHING, cursor=last)
            with pytest.raises(InvalidInput, match="does not belong"):
                await transaction.captures.page(EVERYTHING, cursor=last)


async def test_common_words_are_left_out_where_a_rarer_one_is_there(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wording, "COMMON_MIN", 5)
    monkeypatch.setattr(wording, "COMMON_SHARE", 0.1)
    async with open_store(store_url) as store:
        await _add(store, *(CaptureCreate(title=f"T{n}", content=f"meeting {n}") for n in range(20)))
        await _add(store, CaptureCreate(title="Rare", content="budget memo"))
        await _index(store)
        assert await _found(store, "meeting budget") == ["Rare"]
        assert len(await _found(store, "meeting")) == 20
        assert len(await _found(store, "meeting absent")) == 20


async def test_a_common_word_that_brings_no_match_still_lifts_those_that_hold_it(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wording, "COMMON_MIN", 5)
    monkeypatch.setattr(wording, "COMMON_SHARE", 0.1)
    async with open_store(store_url) as store:
        await _add(store, *(CaptureCreate(title=f"T{n}", content=f"meeting {n}") for n in range(20)))
        await _add(store, CaptureCreate(title="Both", content="budget meeting", project="a"))
        await _add(store, CaptureCreate(title="One", content="budget memo", project="b"))
        await _index(store)
        assert await _found(store, "meeting budget") == ["Both", "One"]


async def test_a_word_finds_its_irregular_forms_but_not_where_it_is_quoted(
    store_url: str, indexed: bool
) -> None:
    texts = {"T1": "I bought a kettle.", "T2": "Somebody buys kettles.", "T3": "The kettle is old."}
    async with open_store(store_url) as store:
        await _add(store, *_titled(texts))
        if indexed:
            await _index(store)
        assert set(await _found(store, "buying")) == {"T1", "T2"}
        assert set(await _found(store, "bought")) == {"T1", "T2"}
        assert await _found(store, '"bought"') == ["T1"]
        async with store.read(ME) as transaction:
            hits = (await transaction.captures.search(parse_query("buy"), EVERYTHING)).items
        assert {hit.snippet for hit in hits} == {"I **bought** a kettle.", "Somebody **buys** kettles."}


async def test_forms_of_one_word_count_as_that_word_and_not_as_several(store_url: str) -> None:
    texts = {
        "Twice": "We write what we wrote, and it was written well.",
        "Both": "We wrote a letter and it came back.",
        **{f"F{n}": f"Nothing of note in entry {n}." for n in range(20)},
    }
    async with open_store(store_url) as store:
        await _add(store, *_titled(texts))
        await _index(store)
        assert (await _found(store, "write letter"))[:2] == ["Both", "Twice"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("Bodenprobe", "Proben"),
        ("Feuchtigkeit", "Feuchte"),
        ("Regression", "Analyse"),
        ("Messreihe", "Reihen"),
        ("Sensoren", "Sensor"),
        ("Zwiebelkuchen", None),
    ],
)
async def test_an_unknown_word_finds_its_other_endings_and_what_begins_with_it(
    store_url: str, query: str, found: str | None
) -> None:
    texts = {
        "Proben": "Die Bodenproben sind da.",
        "Feuchte": "Die Feuchtigkeitssensorik fehlt.",
        "Analyse": "Eine Regressionsanalyse steht aus.",
        "Reihen": "Zwei Messreihen sind zu Ende.",
        "Sensor": "Ein Sensor ist alt.",
    }
    async with open_store(store_url) as store:
        await _add(store, *_titled(texts))
        await _index(store)
        assert await _found(store, query) == ([found] if found else [])


async def test_a_misspelt_word_finds_what_was_meant(store_url: str) -> None:
    texts = {
        "T1": "We received the accommodation invoice.",
        "T2": "The reservoir is full.",
        "T3": "Ticket ABC-123 and port 8417.",
        "T4": "A grape on a plate.",
    }
    async with open_store(store_url) as store:
        await _add(store, *_titled(texts))
        await _add(store, CaptureCreate(title="Foreign", content="reservoit"), owner="other")
        await _index(store)
        assert await _found(store, "recieved") == ["T1"]
        assert await _found(store, "acommodations") == ["T1"]
        assert set(await _found(store, "resevoir plate")) == {"T2", "T4"}
        async with store.read(ME) as transaction:
            [hit] = (await transaction.captures.search(parse_query("resevoir"), EVERYTHING)).items
        assert hit.snippet == "The **reservoir** is full."


async def test_no_other_number_short_word_or_quotation_is_taken_for_the_one_asked_for(
    store_url: str,
) -> None:
    async with open_store(store_url) as store:
        await _add(store, *_titled({"T1": "abcd123 on port 8417", "T2": "the lamp", "T3": "reservoir wall"}))
        await _index(store)
        for query in ("abcd124", "8418", "damp", "limp", '"resevoir wall"', "kaleidoscope"):
            assert await _found(store, query) == []


async def test_a_word_that_is_known_is_never_corrected(store_url: str) -> None:
    async with open_store(store_url) as store:
        await _add(store, *_titled({"T1": "the planet", "T2": "the planer"}))
        await _index(store)
        assert await _found(store, "planer") == ["T2"]
        assert set(await _found(store, "planes planex")) == {"T1", "T2"}


async def test_the_newest_matches_are_ranked_where_there_are_too_many(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for dialect in (search_sqlite, search_postgres):
        monkeypatch.setattr(dialect, "CANDIDATES_MAX", 3)
    assert matching.CANDIDATES_MAX > 3
    async with open_store(store_url) as store:
        await _add(store, *(CaptureCreate(title=f"T{n}", content=f"word {n}") for n in range(6)))
        await _index(store)
        assert set(await _found(store, "word")) == {"T3", "T4", "T5"}
        async with store.read(ME) as transaction:
            search = transaction.captures.search
            assert (await search(parse_query("word"), EVERYTHING)).capped
            assert not (await search(parse_query("word"), CaptureFilter(source="s"))).capped


async def test_an_old_match_of_a_rare_word_is_found_among_very_many_of_frequent_ones(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (search_sqlite, search_postgres, wording):
        monkeypatch.setattr(module, "CANDIDATES_MAX", 3)
    async with open_store(store_url) as store:
        await _add(store, CaptureCreate(title="Old", content="zebra word"))
        await _add(store, *(CaptureCreate(title=f"T{n}", content=f"word {n}") for n in range(6)))
        await _index(store)
        assert (await _found(store, "word zebra"))[0] == "Old"


@pytest.mark.slow
async def test_more_terms_than_an_index_takes_are_cut_off(store_url: str) -> None:
    words: Sequence[str] = [f"w{n}" for n in range(60_000)]
    async with open_store(store_url) as store:
        await _add(store, CaptureCreate(title="T1", content=" ".join(words)))
        await _add(store, CaptureCreate(title="T2", content="x" * 64 + " " + "xylophone " * 100_000))
        await _index(store)
        assert await _found(store, "w49998") == ["T1"]
        assert await _found(store, "w59999") == []
        assert await _found(store, "xylophone") == ["T2"]


async def test_a_store_waiting_with_much_text_is_read_only_so_far(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "WAITING_CHARS_MAX", 100)
    async with open_store(store_url) as store:
        await _add(store, *(CaptureCreate(title=f"T{n}", content=f"word {n} " + "." * 40) for n in range(5)))
        assert await _found(store, "word") == ["T4", "T3"]
        await _add(store, CaptureCreate(title="Long", content="word " + "." * 1000))
        assert await _found(store, "word") == ["Long"]
