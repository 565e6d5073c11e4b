"""Captures as they are stored, read, changed and forgotten."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from komorebi_mcp.domain.captures import (
    TAGS_MAX,
    Capture,
    CaptureCreate,
    CaptureFilter,
    CaptureUpdate,
    Enrichment,
    Entity,
    EntityType,
    Kind,
    Passage,
    Status,
)
from komorebi_mcp.errors import InvalidInput
from komorebi_mcp.services.enrich import enrich
from komorebi_mcp.storage.store import Store, open_store
from komorebi_mcp.text.terms import parse_query, terms
from support.clock import StillClock
from support.databases import prepared_statements, read_all

ME = "local"

EXACT = {
    "nul": "before\x00after\x00",
    "emoji": "👩‍👩‍👧‍👦 \U0001f1fa\U0001f1e6 e\u0301",
    "ansi": "\x1b[31mred\x1b[0m\r\n\x07\x08",
    "right to left": "\u202e\u05e9\u05dc\u05d5\u05dd \u2067\u0645\u0631\u062d\u0628\u0627\u2069",
    "edges": "\ufeff\ufffe\uffff\U0010ffff \u2028\u2029\x85",
    "white space": "  \t\n leading and trailing \r\n\r",
    "one": "x",
    "one line of ten million": "é%_" * 3_333_333,
}


async def _add(store: Store, *items: CaptureCreate, owner: str = ME) -> list[str]:
    async with store.write(owner) as transaction:
        return [receipt.id for receipt in await transaction.captures.add_all(items)]


async def _get(store: Store, *ids: str, owner: str = ME) -> list[Capture]:
    async with store.read(owner) as transaction:
        return await transaction.captures.get(ids)


async def _enrich_all(store: Store, **found: Any) -> None:
    async with store.work() as queue:
        jobs = await queue.claim(limit=1000, lease_s=60)
    for job in jobs:
        values = {"title": "derived", "tokens": 7, "terms": terms(job.capture.content), **found}
        assert await store.enrich(job.owner, [(job, Enrichment(**values))])


@pytest.mark.parametrize("name", EXACT)
async def test_content_reads_back_exactly_as_it_was_captured(store_url: str, name: str) -> None:
    async with open_store(store_url) as store:
        ids = await _add(store, CaptureCreate(content=EXACT[name]))
        assert [capture.content for capture in await _get(store, *ids)] == [EXACT[name]]


async def test_a_capture_reads_back_with_everything_its_bearer_said(
    store_url: str, clock: StillClock
) -> None:
    said = CaptureCreate(
        content="The build broke.",
        title="Broken build",
        project="Garden % party",
        tags=("b", "a", "ü"),
        kind=Kind.ERROR,
        source="ci",
        key="k",
        created_at=datetime(2020, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC),
        redactions=3,
        id="01890a5d-ac96-774b-bcce-b302099a8057",
        status=Status.ARCHIVED,
        passage=Passage(group="01890a5d-ac96-774b-bcce-b302099a8057", position=1),
    )
    async with open_store(store_url, clock=clock) as store:
        [capture] = await _get(store, *await _add(store, said))
    assert capture.model_dump(include=set(CaptureCreate.model_fields) - {"key"}) == said.model_dump(
        exclude={"key"}
    )
    assert (capture.status, capture.updated_at, capture.tokens) == (Status.ARCHIVED, clock(), None)


async def test_captures_come_in_the_order_asked_for_and_unknown_ids_are_left_out(store_url: str) -> None:
    async with open_store(store_url) as store:
        first, second = await _add(store, CaptureCreate(content="1"), CaptureCreate(content="2"))
        unknown = "01890000-0000-7000-8000-000000000000"
        assert [capture.id for capture in await _get(store, second, unknown, first, second)] == [
            second,
            first,
        ]


async def test_ids_rise_in_the_order_of_the_batch(store_url: str) -> None:
    async with open_store(store_url) as store:
        ids = await _add(store, *(CaptureCreate(content=str(number)) for number in range(100)))
    assert ids == sorted(ids)


async def test_a_known_key_is_answered_with_the_earlier_receipt(store_url: str, clock: StillClock) -> None:
    async with open_store(store_url, clock=clock) as store:
        async with store.write(ME) as transaction:
            [first, again] = await transaction.captures.add_all(
                [
                    CaptureCreate(content="a", key="k", redactions=2),
                    CaptureCreate(content="b", key="k", project="p"),
                ]
            )
        clock.advance(seconds=5)
        async with store.write(ME) as transaction:
            [later, other] = await transaction.captures.add_all(
                [CaptureCreate(content="c", key="k"), CaptureCreate(content="c", key="l")]
            )
            assert await transaction.captures.count(CaptureFilter()) == 2
            assert (await transaction.projects.page()).items == ()
    assert first.created
    assert again == later == first.model_copy(update={"created": False})
    assert other.created


async def test_keys_are_told_apart_whatever_signs_are_in_them(store_url: str) -> None:
    keys = ("a", "A", "a'b", 'a"b', "a\\b", "\\u0061", "é", "e\u0301", "💥", "[]", "%", "?", "null", "1")
    async with open_store(store_url) as store:
        first = await store.take_in(ME, [CaptureCreate(content=key, key=key) for key in keys])
        again = await store.take_in(ME, [CaptureCreate(content="other", key=key) for key in keys])
    assert all(receipt.created for receipt in first)
    assert [receipt.model_copy(update={"created": True}) for receipt in again] == first


async def test_a_copy_names_the_first_one_of_its_project(store_url: str) -> None:
    async with open_store(store_url) as store, store.write(ME) as transaction:
        [a] = await transaction.captures.add_all([CaptureCreate(content="same")])
        b, c, d, e = await transaction.captures.add_all(
            [
                CaptureCreate(content="same"),
                CaptureCreate(content="same", project="p"),
                CaptureCreate(content="same", project="p"),
                CaptureCreate(content="other"),
            ]
        )
    assert [r.duplicate_of for r in (a, b, c, d, e)] == [None, a.id, None, c.id, None]


@contextmanager
def _statements() -> Iterator[list[str]]:
    """What the databases are asked meanwhile; one statement for many rows counts once."""
    noted: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        noted.append(statement)

    def note_prepared(_c: Any, driver: object, statement: Any, _: Any) -> None:
        if driver is not None:
            # SQLAlchemy is passed by.
            noted.append(str(statement))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        with prepared_statements() as told:
            told.append(note_prepared)
            yield noted
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_a_batch_takes_as_many_statements_as_a_single_capture(store_url: str) -> None:
    def items(size: int, name: str) -> list[CaptureCreate]:
        return [
            CaptureCreate(
                content=f"{name} {n}", key=f"{name}{n}", project=f"p{n % 7}{name}", tags=("t", str(n))
            )
            for n in range(size)
        ]

    async with open_store(store_url) as store:
        counts = []
        for size, name in ((1, "a"), (3, "b"), (900, "c")):
            with _statements() as asked:
                await _add(store, *items(size, name))
            counts.append(len(asked))
    assert counts[0] == counts[1] == counts[2] <= 12


async def test_enriching_many_takes_as_many_statements_as_enriching_one(store_url: str) -> None:
    async def enrich_all(size: int) -> int:
        texts = (f"The nightly import of row {n} failed again, see https://a.b/{n}" for n in range(size))
        await _add(store, *(CaptureCreate(content=text, project="p") for text in texts))
        async with store.work() as queue:
            jobs = await queue.claim(limit=size, lease_s=60)
        finished = [(job, enrich(job.capture)) for job in jobs]
        with _statements() as asked:
            assert await store.enrich(ME, finished) == [job.capture.id for job in jobs]
        return len(asked)

    async with open_store(store_url) as store:
        assert await enrich_all(1) == await enrich_all(300) <= 10


async def test_of_those_enriched_together_only_those_still_held_are_stored(
    store_url: str, clock: StillClock
) -> None:
    async with open_store(store_url, clock=clock) as store:
        kept, lost, edited, gone = ids = await _add(
            store, *(CaptureCreate(content=name) for name in ("kept", "lost", "edited", "gone"))
        )
        async with store.work() as queue:
            jobs = await queue.claim(limit=4, lease_s=60)
            await queue.release([jobs[1]])
            [again] = await queue.claim(limit=4, lease_s=60)
        async with store.write(ME) as transaction:
            await transaction.captures.update([edited], CaptureUpdate(content="changed"))
            await transaction.captures.forget([gone])
        found = Enrichment(title="found", tokens=3, terms=("t",))
        assert await store.enrich(ME, [(job, found) for job in jobs]) == [kept]
        assert [capture.tokens for capture in await _get(store, *ids)] == [3, None, None]
        assert await store.enrich(ME, [(again, found)]) == [lost]


async def test_enrichment_takes_a_capture_out_of_the_inbox(store_url: str) -> None:
    entity = Entity(type=EntityType.URL, value="http://a\x00b", start=1, end=11)
    async with open_store(store_url) as store:
        given, derived = await _add(
            store, CaptureCreate(content="one", title="Mine"), CaptureCreate(content="two")
        )
        await _enrich_all(store, language="en", keywords=("k", "\u0000"), entities=(entity, entity))
        mine, other = await _get(store, given, derived)
        async with store.work() as queue:
            assert await queue.claim(limit=10, lease_s=1) == []
    assert (mine.title, other.title) == ("Mine", "derived")
    assert other.status is Status.PROCESSED
    assert (other.tokens, other.language, other.keywords) == (7, "en", ("k", "\u0000"))
    assert other.entities == (entity, entity)


async def test_archiving_is_kept_when_enrichment_ends(store_url: str) -> None:
    async with open_store(store_url) as store:
        [capture_id] = await _add(store, CaptureCreate(content="one"))
        async with store.write(ME) as transaction:
            await transaction.captures.update([capture_id], CaptureUpdate(status=Status.ARCHIVED))
        await _enrich_all(store)
        [capture] = await _get(store, capture_id)
    assert (capture.status, capture.tokens) == (Status.ARCHIVED, 7)


async def test_an_update_changes_what_it_names_and_nothing_else(store_url: str, clock: StillClock) -> None:
    async with open_store(store_url, clock=clock) as store:
        one, two = await _add(store, CaptureCreate(content="1", tags=("a", "b")), CaptureCreate(content="2"))
        before = await _get(store, two)
        clock.advance(seconds=1)
        change = CaptureUpdate(
            title="T",
            project="p",
            kind=Kind.CODE,
            add_tags=("c", "b"),
            remove_tags=("a",),
            status=Status.COMPACTED,
        )
        async with store.write(ME) as transaction:
            told = await transaction.captures.update([one, "01890000-0000-7000-8000-000000000000"], change)
            assert told == await transaction.captures.overviews([one])
        [changed] = await _get(store, one)
        assert [each.id for each in told] == [one]
        assert before == await _get(store, two)
    assert (changed.title, changed.project, changed.kind) == ("T", "p", Kind.CODE)
    assert (changed.tags, changed.status, changed.content) == (("b", "c"), Status.COMPACTED, "1")
    assert changed.updated_at == clock()


async def test_new_content_sends_a_capture_back_to_the_inbox(store_url: str) -> None:
    async with open_store(store_url) as store:
        first, copy, other = await _add(
            store, *(CaptureCreate(content=text) for text in ("old", "old", "new"))
        )
        await _enrich_all(
            store, keywords=("k",), entities=(Entity(type=EntityType.NAME, value="o", start=0, end=1),)
        )
        async with store.write(ME) as transaction:
            await transaction.captures.update([first], CaptureUpdate(content="new", redactions=1))
        changed, orphan, earlier = await _get(store, first, copy, other)
        async with store.read(ME) as transaction:
            found = await transaction.captures.search(parse_query("old"), CaptureFilter())
        async with store.work() as queue:
            [job] = await queue.claim(limit=5, lease_s=5)
    assert (changed.status, changed.content, changed.snippet, changed.title) == (
        Status.INBOX,
        "new",
        "new",
        "new",
    )
    assert (changed.tokens, changed.keywords, changed.entities, changed.redactions) == (None, (), (), 1)
    # The one that arrived first is the first copy, whichever text it had then.
    assert (orphan.duplicate_of, changed.duplicate_of, earlier.duplicate_of) == (None, None, first)
    assert [hit.id for hit in found.items] == [copy]
    assert (job.capture.id, job.attempt) == (first, 1)


async def test_moving_a_capture_to_another_project_settles_its_copies_anew(store_url: str) -> None:
    async with open_store(store_url) as store:
        first, copy = await _add(
            store, CaptureCreate(content="x", project="a"), CaptureCreate(content="x", project="a")
        )
        async with store.write(ME) as transaction:
            await transaction.captures.update([first], CaptureUpdate(project="b"))
        moved, left = await _get(store, first, copy)
    assert (moved.project, moved.duplicate_of, left.duplicate_of) == ("b", None, None)


async def test_too_many_tags_are_refused_and_nothing_changes(store_url: str) -> None:
    async with open_store(store_url) as store:
        ids = await _add(store, CaptureCreate(content="x", tags=tuple(map(str, range(TAGS_MAX)))))
        before = await _get(store, *ids)
        async with store.write(ME) as transaction:
            with pytest.raises(InvalidInput, match="at most 32 tags"):
                await transaction.captures.update(ids, CaptureUpdate(title="t", add_tags=("new",)))
        assert await _get(store, *ids) == before


async def test_a_forgotten_capture_leaves_nothing_behind(store_url: str) -> None:
    tables = ("captures", "capture_tags", "entities", "capture_index")
    async with open_store(store_url) as store:
        first, second, third = await _add(
            store, *(CaptureCreate(content="secret", tags=("t",)) for _ in range(3))
        )
        await _enrich_all(store, entities=(Entity(type=EntityType.NAME, value="s", start=0, end=1),))
        async with store.write(ME) as transaction:
            unknown = "01890000-0000-7000-8000-000000000000"
            assert await transaction.captures.forget([second, unknown, first, first]) == [second, first]
        [left] = await _get(store, first, second, third)
        assert (left.id, left.duplicate_of) == (third, None)
        async with store.write(ME) as transaction:
            await transaction.captures.forget([third])
            assert (await transaction.captures.search(parse_query("secret"), CaptureFilter())).items == ()
        counts = [
            await read_all(store, text(f"SELECT count(*) FROM {name}"))  # noqa: S608 - Our own names.
            for name in tables
        ]
    assert counts == [[(0,)]] * 4


async def test_the_projects_of_captures_are_told_without_reading_them(
    store_url: str, clock: StillClock
) -> None:
    async with open_store(store_url, clock=clock) as store:
        filed, unfiled = await _add(
            store, CaptureCreate(content="x", project="p"), CaptureCreate(content="y")
        )
        [foreign] = await _add(store, CaptureCreate(content="z", project="q"), owner="other")
        async with store.read(ME) as transaction:
            found = await transaction.captures.projects_of([unfiled, foreign, filed, "made up", unfiled])
    assert list(found.items()) == [(unfiled, None), (filed, "p")]
