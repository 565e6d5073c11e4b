"""Both databases give the same hits in the same order, up to what `docs/search.md` states."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from komorebi_mcp.domain.captures import CaptureCreate, CaptureFilter, Kind
from komorebi_mcp.services.enrich import enrich
from komorebi_mcp.storage import search_head
from komorebi_mcp.storage.store import Store, open_store
from komorebi_mcp.text.terms import parse_query
from support.databases import PostgresServer, put_sqlite_file

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

ME = "local"
NOON = datetime(2031, 3, 4, 12, tzinfo=UTC)
WORDS = """
    ferry timetable harbour violin ledger import disk archive garden tomato rain roof ladder paint letter
    Lisbon stamp bicycle chain repair kitchen oven bread flour recipe Kofi Ines Mei camera tripod lens
    """.split()  # noqa: SIM905 - words are read more easily than a list of strings
SOURCES = ("Ines", "Kofi", "Mei")
QUERIES = (
    "ferry",
    "Where is the violin?",
    "when did the ferry leave the harbour?",
    "what does Ines think about the ladder",
    "repairing bicycle chains",
    "tommato gardn",
    '"import disk"',
    '"never written so" ledger',
    "roof -rain",
    "東京",
    "parse_row fooBar v1.2.3",
    "bought bread",
    "oven kitchen flour recipe camera",
    "nightly import ledger disk",
    "how many letters from Lisbon?",
)
FILTERS = (
    CaptureFilter(),
    CaptureFilter(project="p1"),
    CaptureFilter(kinds=(Kind.DECISION,)),
    CaptureFilter(tags=("often",)),
    CaptureFilter(since=NOON + timedelta(hours=1), until=NOON + timedelta(hours=3)),
)


def _captures() -> Iterator[CaptureCreate]:
    chance = random.Random(5)  # noqa: S311 - repeatable on purpose, secret to nobody.
    for number in range(160):
        said = " ".join(chance.choices(WORDS, k=chance.randint(2, 25)))
        yield CaptureCreate(
            content=f"{said.capitalize()}{'?' if number % 7 == 0 else '.'}",
            title=f"Talk {number // 20}" if number % 3 else None,
            project=f"p{number // 40}",
            source=chance.choice(SOURCES),
            kind=Kind.DECISION if number % 5 == 0 else Kind.NOTE,
            tags=("often",) if number % 2 else (),
            created_at=NOON + number * timedelta(minutes=2),
        )
    story = "The nightly import of the ledger stopped at row {}: the backup disk was full. Ask Kofi."
    for number in range(8):
        yield CaptureCreate(content=story.format(number), project="logs", created_at=NOON)
    for content in (
        "東京タワーに行きました。",
        "parse_row() of v1.2.3 fails in fooBar at 9 o'clock on Friday.",
        "We buy flour in Lisbon.",
        "Bread was bought on 3 March 2031.",
        "An import disk, and the ledger of the archive.",
    ):
        yield CaptureCreate(content=content, created_at=NOON + timedelta(days=1))


async def _fill(store: Store, *, indexed: int) -> dict[str, int]:
    """Stores the captures, the first `indexed` of them enriched; each one's place by its id."""
    items = list(_captures())
    ids: list[str] = []
    for start, end in ((0, indexed), (indexed, len(items))):
        ids += [receipt.id for receipt in await store.take_in(ME, items[start:end])]
        if start == 0:
            async with store.work() as queue:
                jobs = await queue.claim(limit=1000, lease_s=60)
            await store.enrich(ME, [(job, enrich(job.capture)) for job in jobs])
    return {capture_id: place for place, capture_id in enumerate(ids)}


async def _pages(store: Store, places: dict[str, int], query: str, where: CaptureFilter) -> list[object]:
    found: list[object] = []
    cursor: str | None = None
    async with store.read(ME) as transaction:
        while True:
            page = await transaction.captures.search(parse_query(query), where, limit=40, cursor=cursor)
            found += [
                (places[hit.id], hit.score, hit.snippet, sorted(places[each] for each in hit.also))
                for hit in page.items
            ]
            if (cursor := page.next_cursor) is None:
                return found


@pytest.fixture
def urls(tmp_path: Path, postgres_of_session: PostgresServer) -> tuple[str, str]:
    put_sqlite_file(tmp_path / "komorebi.db")
    return f"sqlite+aiosqlite:///{tmp_path}/komorebi.db", postgres_of_session.migrated_database()


async def test_both_databases_give_the_same_hits_with_the_same_scores(urls: tuple[str, str]) -> None:
    async with open_store(urls[0]) as one, open_store(urls[1]) as other:
        places = [await _fill(store, indexed=165) for store in (one, other)]
        for query in QUERIES:
            for where in FILTERS:
                expected = await _pages(one, places[0], query, where)
                assert await _pages(other, places[1], query, where) == expected, (query, where)
        assert all([await _pages(one, places[0], query, FILTERS[0]) for query in QUERIES])


async def test_behind_the_head_both_find_the_same_in_an_order_of_their_own(
    urls: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_head, "HEAD_MAX", 10)
    found = []
    for url in urls:
        async with open_store(url) as store:
            places = await _fill(store, indexed=165)
            found.append([hit[0] for hit in await _pages(store, places, "ferry violin", FILTERS[0])])  # type: ignore[index]
    assert len(found[0]) > 30
    assert sorted(found[0]) == sorted(found[1])
