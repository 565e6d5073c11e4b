"""What a search costs with very many captures: rare, medium and common words, five of them, with filters.

And what a page of a list does, at its beginning and in its middle.

The captures are made up: words drawn so that a few are in many captures and most in few, as in language.
They go in by way of the storage, not one by one through a server. Each class of queries is told apart, in
wall-clock time and in the time this process computed, which is the truer figure where other programs run.
"""

import argparse
import gc
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import accumulate, islice
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple

import anyio
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, make_url, update

from komorebi_mcp.domain.captures import CaptureCreate, CaptureFilter, Enrichment, Kind, Status
from komorebi_mcp.domain.clock import utc_now
from komorebi_mcp.semantic.meaning import Meaning
from komorebi_mcp.services.embed import Embed
from komorebi_mcp.services.find import Find
from komorebi_mcp.storage import index, intake, postgres, project_rows, scopes, sqlite
from komorebi_mcp.storage.cursors import CursorSigner
from komorebi_mcp.storage.migrate import migrate
from komorebi_mcp.storage.owned import Rows
from komorebi_mcp.storage.store import Store, open_store
from komorebi_mcp.storage.tables import captures
from komorebi_mcp.text.terms import terms

OWNER = "local"
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
MINUTES_APART = 1.0
PROJECTS = 20
SESSION = 30
"""Captures in a row that have one project and one title."""
WORDS_OF_A_CAPTURE = (6, 60)
VOCABULARY = 60_000
COMMON_SHARES = (0.33, 0.25, 0.15, 0.1)
MEDIUM_SHARES = (0.03, 0.01, 0.003, 0.001)
RARE_COUNTS = (3, 10, 30, 60)
LISTS = {
    "without filter": CaptureFilter(),
    "one project": CaptureFilter(project="project 7"),
    "a frequent tag": CaptureFilter(tags=("often",)),
    "one kind": CaptureFilter(kinds=(Kind.DECISION,)),
}
PAGES = 100
"""Of each list, from either place."""
_BATCH = 2_000
_SYLLABLES = tuple(first + second for first in "bdfghjklmnprstvz" for second in ("a", "e", "i", "o", "u"))


def word(number: int) -> str:
    """A made-up word, the same for the same number; no two numbers share one."""
    parts = []
    number += len(_SYLLABLES)
    while number:
        number, rest = divmod(number, len(_SYLLABLES))
        parts.append(_SYLLABLES[rest])
    return "".join(parts) + "k"


def _named(kind: str, count: int) -> tuple[str, ...]:
    return tuple(f"{kind}{word(number)}" for number in range(count))


COMMON = _named("ko", len(COMMON_SHARES))
MEDIUM = _named("mi", 10 * len(MEDIUM_SHARES))
RARE = _named("ra", 10 * len(RARE_COUNTS))


def made_up(size: int, *, seed: int) -> Iterator[CaptureCreate]:
    """`size` captures in talks of `SESSION`, a minute between two."""
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose, secret to nobody.
    words = [word(number) for number in range(VOCABULARY)]
    # Frequency falls with rank, as in any language; the most frequent words are those nobody searches for.
    shares = list(accumulate(1 / (rank + 60) for rank in range(VOCABULARY)))
    chances = [
        *zip(COMMON, COMMON_SHARES, strict=True),
        *((name, MEDIUM_SHARES[n % len(MEDIUM_SHARES)]) for n, name in enumerate(MEDIUM)),
        *((name, RARE_COUNTS[n % len(RARE_COUNTS)] / size) for n, name in enumerate(RARE)),
    ]
    people = ("Amara", "Jonas", "Mei", "Ravi", "Ingrid")
    for number in range(size):
        least, most = WORDS_OF_A_CAPTURE
        said = chance.choices(words, cum_weights=shares, k=chance.randint(least, most))
        said += [name for name, share in chances if chance.random() < share]
        chance.shuffle(said)
        talk = number // SESSION
        yield CaptureCreate(
            content=" ".join(said).capitalize() + ("?" if number % 9 == 0 else "."),
            title=f"Talk {talk}",
            project=f"project {talk % PROJECTS}",
            source=people[number % len(people)],
            kind=tuple(Kind)[number % 7 % len(Kind)],
            tags=("rare",) if number % 997 == 0 else ("often",) if number % 3 == 0 else (),
            created_at=BEGIN + timedelta(minutes=number * MINUTES_APART),
            status=Status.PROCESSED,
        )


def fill(url: str, size: int, *, seed: int, progress: Callable[[int], None]) -> float:
    """Stores and indexes the captures; milliseconds of computing that the index took of each."""
    address = make_url(url)
    one_file = address.get_backend_name() == "sqlite"
    engine: Engine = sqlite.make_engine(address) if one_file else postgres.make_engine(address)
    indexing_s = 0.0
    try:
        migrate(engine, sqlite.database_path(address) if one_file else None)
        items = made_up(size, seed=seed)
        done = 0
        while batch := list(islice(items, _BATCH)):
            with engine.connect() as connection:
                connection.execution_options(write=True)
                rows = Rows(connection, OWNER, utc_now, CursorSigner(b""))
                with connection.begin():
                    receipts = intake.add_all(rows, batch)
                    named = project_rows.ensure_projects(rows, (item.project or "" for item in batch))
                    changed = update(captures).where(captures.c.tokens.is_(None), captures.c.owner == OWNER)
                    rows.run(changed.values(tokens=1, due_at=None))
                    found = rows.select(captures.c.id, captures.c.seq, of=captures).where(
                        captures.c.id.in_([receipt.id for receipt in receipts])
                    )
                    seqs = {each.id: each.seq for each in rows.run(found)}
                    began_s = time.process_time()
                    index.put(
                        rows,
                        [
                            _entry(item, seqs[receipt.id], named[item.project or ""])
                            for receipt, item in zip(receipts, batch, strict=True)
                        ],
                    )
                indexing_s += time.process_time() - began_s
            done += len(batch)
            progress(done)
    finally:
        engine.dispose()
    return indexing_s / size * 1e3


def _entry(item: CaptureCreate, seq: int, project_id: int) -> index.Entry:
    filed_under = " ".join((item.title or "", item.source or "", item.project or "", *item.tags))
    scope = scopes.scope(
        OWNER,
        project_id=project_id,
        kind=item.kind.value,
        tags=item.tags,
        created_at=item.created_at or BEGIN,
    )
    found = Enrichment(title="", tokens=1, terms=terms(item.content), meta_terms=terms(filed_under))
    return index.Entry(seq, scope, found)


class Asked(NamedTuple):
    """One search: its class, its words and its filter."""

    sort: str
    query: str
    where: CaptureFilter


def searches(size: int, *, per_class: int, seed: int) -> Iterator[Asked]:
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose, secret to nobody.
    newest = BEGIN + timedelta(minutes=size * MINUTES_APART)
    filters = {
        "": CaptureFilter(),
        ", one project": CaptureFilter(project="project 7"),
        ", a rare tag": CaptureFilter(tags=("rare",)),
        ", a frequent tag": CaptureFilter(tags=("often",)),
        ", one kind": CaptureFilter(kinds=(Kind.DECISION,)),
        ", the last week": CaptureFilter(since=newest - timedelta(days=7)),
        ", an early week": CaptureFilter(since=BEGIN, until=BEGIN + timedelta(days=7)),
    }
    classes: dict[str, Callable[[], Sequence[str]]] = {
        "rare": lambda: [chance.choice(RARE)],
        "medium": lambda: [chance.choice(MEDIUM)],
        "common": lambda: [chance.choice(COMMON)],
        "five terms": lambda: [
            *chance.sample(RARE + MEDIUM, 2),
            *chance.sample(COMMON, 2),
            word(chance.randrange(2000)),
        ],
        "five common": lambda: [*COMMON, word(chance.randrange(20))],
    }
    for sort, draw in classes.items():
        for name, where in filters.items():
            # Without a filter is what people do most; the bare classes weigh more.
            for _ in range(per_class if not name else max(3, per_class // 5)):
                yield Asked(f"{sort}{name}", " ".join(draw()), where)


class Took(NamedTuple):
    wall_ms: float
    computed_ms: float
    hits: int


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(began: tuple[float, float], *, hits: int) -> Took:
    wall_s, computed_s = (now - then for now, then in zip(_now(), began, strict=True))
    return Took(wall_s * 1e3, computed_s * 1e3, hits)


async def ask(find: Find, asked: Asked) -> Took:
    began = _now()
    found = await find.search(OWNER, asked.query, asked.where)
    return _since(began, hits=len(found.hits))


async def list_pages(find: Find, size: int) -> dict[str, list[Took]]:
    """Pages that follow one another, from the newest capture on and from the middle one."""
    middle = BEGIN + timedelta(minutes=size // 2 * MINUTES_APART)
    took: dict[str, list[Took]] = {}
    for name, where in LISTS.items():
        for start in (where, where.model_copy(update={"until": middle})):
            cursor: str | None = None
            for _ in range(PAGES):
                began = _now()
                page = await find.page(OWNER, start, cursor=cursor)
                took.setdefault(name, []).append(_since(began, hits=len(page.items)))
                if (cursor := page.next_cursor) is None:
                    break
    return took


async def measure(
    url: str, size: int, *, per_class: int, seed: int, meaning: Meaning | None
) -> tuple[dict[str, list[Took]], dict[str, list[Took]]]:
    """By class of queries, and by filter of lists."""
    every = list(searches(size, per_class=per_class, seed=seed))
    random.Random(seed).shuffle(every)  # noqa: S311 - repeatable on purpose, secret to nobody.
    searched: dict[str, list[Took]] = {sort: [] for sort, _, _ in searches(size, per_class=1, seed=seed)}
    async with open_store(url) as store:
        if meaning is not None:
            await _read(store, meaning)
        find = Find(store, read=meaning.read if meaning else None)
        # As a server does once it is open.
        gc.freeze()
        first = [await ask(find, asked) for asked in every[:5]]
        print(f"the first search took {first[0].wall_ms:.0f} ms", file=sys.stderr)
        for asked in every:
            searched[asked.sort].append(await ask(find, asked))
        return searched, await list_pages(find, size)


async def _read(store: Store, meaning: Meaning) -> None:
    """Has the model read all that it has not read yet."""
    await meaning.load()
    if meaning.failure:
        sys.exit(meaning.failure)
    embed = Embed(store, meaning)
    began_s = time.perf_counter()
    while await embed.step():
        pass
    print(f"the model read the captures in {time.perf_counter() - began_s:.0f} s", file=sys.stderr)


def _cut(values: Sequence[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]


def report(searched: dict[str, list[Took]], listed: dict[str, list[Took]], out: Console) -> None:
    bare = {name: values for name, values in searched.items() if "," not in name}
    rows = {
        **searched,
        "all without filter": [each for values in bare.values() for each in values],
        "all": [each for values in searched.values() for each in values],
    }
    _show("queries", rows, out)
    _show("pages of lists", listed, out)


def _show(what: str, rows: dict[str, list[Took]], out: Console) -> None:
    table = Table(what, "asked", "p50 ms", "p95 ms", "p50 computed", "p95 computed", "hits")
    for name, values in rows.items():
        wall, computed = [each.wall_ms for each in values], [each.computed_ms for each in values]
        figures = (_cut(wall, 50), _cut(wall, 95), _cut(computed, 50), _cut(computed, 95))
        hits = sum(each.hits for each in values) / len(values)
        table.add_row(name, str(len(values)), *(f"{ms:.1f}" for ms in figures), f"{hits:.1f}")
    out.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures searches over very many captures.")
    parser.add_argument("--size", type=int, default=100_000, help="captures (default: 100000)")
    parser.add_argument("--per-class", type=int, default=40, help="searches of each class without filter")
    parser.add_argument("--database", help="a URL; left filled, and used as it is where it has captures")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--model", help="a static embedding model, to search by meaning as well")
    options = parser.parse_args()
    out = Console(highlight=False, width=100)
    with tempfile.TemporaryDirectory(prefix="komorebi-bench-") as folder:
        url = options.database or f"sqlite+aiosqlite:///{Path(folder)}/komorebi.db"
        if not anyio.run(_stored, url):

            def progress(done: int) -> None:
                print(f"\r{done:,} captures", end="", file=sys.stderr, flush=True)

            index_ms = fill(url, options.size, seed=options.seed, progress=progress)
            print(file=sys.stderr)
            out.print(f"{options.size:,} captures stored; the index took {index_ms:.2f} ms of each")
        asked = partial(
            measure,
            url,
            options.size,
            per_class=options.per_class,
            seed=options.seed,
            meaning=Meaning(options.model) if options.model else None,
        )
        report(*anyio.run(asked), out)


async def _stored(url: str) -> int:
    async with open_store(url) as store, store.read(OWNER) as transaction:
        return await transaction.captures.count(CaptureFilter())


if __name__ == "__main__":
    main()
