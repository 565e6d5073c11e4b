"""The migrations, the tables and the queries agree."""

import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, event, inspect, make_url, text

import komorebi_mcp.storage.migrations
from komorebi_mcp.domain.captures import (
    CaptureCreate,
    CaptureFilter,
    CaptureUpdate,
    Enrichment,
    Kind,
    Order,
    Status,
)
from komorebi_mcp.domain.timeline import Bucket
from komorebi_mcp.domain.vectors import Coverage, Vector
from komorebi_mcp.services.enrich import enrich
from komorebi_mcp.storage import migrate, sqlite
from komorebi_mcp.storage.store import open_store
from komorebi_mcp.storage.tables import OWNED, metadata, tokens
from komorebi_mcp.text.terms import parse_query
from support.databases import PostgresServer, Told, put_sqlite_file, read_all
from support.nodes import a_node


def test_the_newest_migration_is_the_one_a_start_asks_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(komorebi_mcp.storage.migrations.__file__).parent))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_current_head() == migrate.HEAD
    assert {script.revision for script in scripts.walk_revisions()} == migrate.KNOWN


async def test_the_migrated_schema_is_the_one_of_the_tables(store_url: str) -> None:
    def is_ours(_item: Any, name: str | None, *_: Any) -> bool:
        return not str(name).startswith(("capture_search", "capture_vocabulary", "ix_capture_index_vector"))

    def compare(connection: Connection) -> tuple[list[Any], dict[str | None, Any]]:
        options = {"include_object": is_ours, "compare_type": True}
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
        return differences, {index["name"]: index for index in inspect(connection).get_indexes("captures")}

    async with open_store(store_url) as store, store.look() as queue:
        differences, indexes = await queue._session.run(compare)
    assert differences == []
    partial = [f"ix_captures_{name}" for name in ("unindexed", "due", "set_aside", "uncovered")]
    assert all(f"{store.dialect}_where" in indexes[name]["dialect_options"] for name in partial)


def test_a_new_file_is_what_the_migrations_would_have_made(tmp_path: Path) -> None:
    created, migrated = tmp_path / "created.db", tmp_path / "migrated.db"
    for path, make in ((created, migrate.create), (migrated, migrate.upgrade)):
        engine = sqlite.make_engine(make_url(f"sqlite:///{path}"))
        make(engine)
        engine.dispose()
    assert _made_of(created) == _made_of(migrated)


def _made_of(path: Path) -> dict[str, list[list[str]]]:
    queries = {
        "objects": "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name",
        "statistics": "SELECT tbl, idx, stat FROM sqlite_stat1 ORDER BY tbl, idx",
        "version": "SELECT version_num FROM alembic_version",
        "meta": "SELECT name, length(value) FROM meta",
        "journal": "PRAGMA journal_mode",
    }
    with closing(sqlite3.connect(path)) as connection:
        found = {what: connection.execute(query).fetchall() for what, query in queries.items()}
    # White space is of no account.
    return {what: [" ".join(map(str, row)).split() for row in rows] for what, rows in found.items()}


def test_every_table_with_an_owner_is_watched_for_statements_that_do_not_name_one() -> None:
    assert {table for table in metadata.sorted_tables if "owner" in table.c} - OWNED == {tokens}


async def test_each_database_has_its_full_text_index(store_url: str) -> None:
    queries = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT indexname FROM pg_indexes WHERE strpos(indexdef, 'USING gin (vector)') > 0",
    }
    async with open_store(store_url) as store:
        found = {name for (name,) in await read_all(store, text(queries[store.dialect]))}
    assert found == (migrate.TRIGGERS if store.dialect == "sqlite" else {"ix_capture_index_vector"})


@pytest.mark.postgres
async def test_an_empty_postgresql_database_is_migrated_once_by_whoever_comes_first(
    postgres_of_session: PostgresServer,
) -> None:
    url = postgres_of_session.empty_database()
    async with open_store(url) as store, open_store(url):
        await store.check()


async def test_a_database_of_the_first_schema_is_brought_up_to_date_with_what_is_in_it(
    dialect: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/k.db"
    if dialect == "postgresql":
        url = request.getfixturevalue("postgres_of_session").empty_database()
    with monkeypatch.context() as earlier:
        earlier.setattr(migrate, "HEAD", "0001")
        async with open_store(url) as store:
            [kept] = await store.take_in("a", [CaptureCreate(content="The car.", key="k", project="p")])
            async with store.work() as queue:
                jobs = await queue.claim(limit=5, lease_s=5)
            await store.enrich("a", [(job, enrich(job.capture)) for job in jobs])
    async with open_store(url) as store:
        [again] = await store.take_in("a", [CaptureCreate(content="The car.", key="k", project="p")])
        assert (again.id, again.created) == (kept.id, False)
        async with store.read("a") as transaction:
            assert [
                hit.id
                for hit in (await transaction.captures.search(parse_query("car"), CaptureFilter())).items
            ]
        async with store.look() as queue:
            [[unread], _] = await queue.unread("tiny:1", behind=0, limit=5)
        vector = Vector(model="tiny:1", values=b"\x01\x02")
        async with store.write("a") as transaction:
            await transaction.captures.keep_vectors([(unread, vector)])
            await transaction.captures.forget([kept.id])
        async with store.look() as queue:
            assert await queue.coverage("tiny:1") == Coverage(read=0, indexed=0)


async def test_every_statistic_is_of_an_index_that_exists(tmp_path: Path) -> None:
    async with open_store(f"sqlite+aiosqlite:///{tmp_path}/k.db") as store:
        statistics = "SELECT tbl, idx FROM sqlite_stat1 WHERE idx IS NOT NULL"
        told = set(await read_all(store, text(statistics)))
        indexes = (
            "SELECT tbl_name, name FROM sqlite_master WHERE type = 'index' "
            "UNION SELECT name, name FROM pragma_table_list WHERE type = 'table' AND wr AND schema = 'main'"
        )
        there = set(await read_all(store, text(indexes)))
    assert told == {row for row in there if not row[0].startswith(("capture_search", "meta", "alembic"))}


async def test_no_query_reads_a_whole_table(tmp_path: Path, told: list[Told]) -> None:  # noqa: C901, PLR0915 - every query there is.
    seen: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        seen.append((statement, parameters[0] if many else parameters))

    def note_traced(statement: str) -> None:
        # With its values in it; FTS5's own statements name the schema.
        if "'main'." not in statement:
            seen.append((statement, ()))

    def trace(_c: Any, driver: sqlite3.Connection | None, *_: Any) -> None:
        if driver is not None:
            driver.set_trace_callback(note_traced)

    now = datetime(2026, 3, 1, tzinfo=UTC)
    vector = Vector(model="tiny:1", values=b"\x01\x02")
    async with open_store(f"sqlite+aiosqlite:///{tmp_path}/k.db") as store:
        told.append(trace)
        event.listen(Engine, "before_cursor_execute", note)
        try:
            async with store.write("a") as transaction:
                captures, summaries = transaction.captures, transaction.summaries
                item = CaptureCreate(content="word", key="k", project="p", tags=("t",))
                [receipt] = await captures.add_all([item])
                for order in Order:
                    for where in (
                        CaptureFilter(),
                        CaptureFilter(project="p", since=now),
                        CaptureFilter(statuses=(Status.INBOX,)),
                        CaptureFilter(tags=("t",)),
                        CaptureFilter(tags=("t", "absent")),
                        CaptureFilter(kinds=(Kind.ERROR,)),
                        CaptureFilter(source="s"),
                    ):
                        await captures.page(where, order=order)
                await captures.get([receipt.id])
                await captures.versions([receipt.id])
                await captures.overviews([receipt.id])
                for query in ("word", "absent"):
                    where = CaptureFilter(project="p", tags=("t",), since=now, until=now)
                    for filtered in (CaptureFilter(), where):
                        await captures.search(parse_query(query), filtered)
                        meant = parse_query(query).model_copy(update={"meaning": vector})
                        await captures.search(meant, filtered)
                await captures.passages([receipt.id])
                assert (await captures.sample(CaptureFilter(project="p"), most=9)).captures
                await captures.update([receipt.id], CaptureUpdate(content="new", project="q"))
                for archived in (False, True):
                    await transaction.projects.page(archived=archived)
                await summaries.newest("p", max_tokens=100)
                for project in (None, "p"):
                    await transaction.recall.recent(CaptureFilter(project=project, since=now), limit=5)
                    await transaction.recall.remember_resume(project, at=now)
                    await transaction.recall.last_resume(project)
                    await transaction.recall.timeline(
                        project=project, bucket=Bucket.DAY, since=None, until=None, zone=UTC, buckets_max=5
                    )
                await summaries.forget_citing([receipt.id])
                completions = transaction.completions
                await completions.project_names()
                await completions.tags()
                for start in ("", "01"):
                    await completions.capture_ids(start, limit=5)
                    await completions.summary_ids(start, limit=5)
                await captures.forget([receipt.id])
            async with store.write("a") as transaction:
                await transaction.captures.add_all(
                    [CaptureCreate(content=text) for text in ("like", "alike")]
                )
            async with store.work() as queue:
                jobs = await queue.claim(limit=5, lease_s=5)
            found = Enrichment(title="t", tokens=1, terms=("t",), signature=bytes(129), vector=vector)
            like, other = await store.enrich("a", [(job, found) for job in jobs])
            async with store.write("a") as transaction:
                assert set(await transaction.captures.near_duplicates([like])) == {like}
                meant = parse_query("t").model_copy(update={"meaning": vector})
                await transaction.captures.search(meant, CaptureFilter())
                await transaction.captures.forget([like, other])
            async with store.work() as queue:
                await queue.next_due()
                await queue.take_over()
                await queue.backlog()
                await queue.lagging(limit=5)
                await queue.unread("tiny:2", behind=0, limit=5)
            async with store.write("a") as transaction:
                captures, pyramid = transaction.captures, transaction.pyramid
                [receipt] = await captures.add_all([CaptureCreate(content="n", project="p")])
                await pyramid.unplaced(1, limit=5)
                await captures.update([receipt.id], CaptureUpdate(status=Status.PROCESSED))
                work = await pyramid.take(1, leaves_max=5)
                assert work is not None
                await pyramid.keep(work, [a_node(receipt.id)], gone=[])
                await pyramid.shape("p")
                await pyramid.captures_at(1, [0])
                await transaction.summaries.forget_citing([receipt.id])
        finally:
            event.remove(Engine, "before_cursor_execute", note)
        plans = []
        with closing(sqlite3.connect(tmp_path / "k.db")) as connection:
            for statement, parameters in seen:
                if re.match(r"SELECT|UPDATE|DELETE", statement):
                    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
                    plans += [(row[3], statement) for row in rows]
    in_order = re.compile(r"ORDER BY|(min|max)\(captures\.(seq|created_at)\)")
    # An index used for the owner alone reads all of an owner, which only a list in its order may do.
    scans = [
        (plan, statement)
        for plan, statement in plans
        if re.match(r"SCAN (?!CONSTANT)", plan)
        or (plan.endswith("(owner=?)") and not in_order.search(statement))
    ]
    allowed = re.compile(
        # Counts over time read nothing but the index.
        r"SEARCH captures USING COVERING INDEX ix_(captures_in_time|captures_owner_seq)"
        r"|SCAN (newest|probed|(capture_search|capture_vocabulary|json_each|listed) VIRTUAL"
        r"|captures USING (COVERING )?INDEX ix_captures_(due|set_aside|uncovered)"
        r"|leaves USING (COVERING )?INDEX ix_leaves_due)"
    )
    assert sorted(f"{plan}: {statement}" for plan, statement in scans if not allowed.match(plan)) == []


@pytest.mark.parametrize(
    ("where", "index"),
    [
        (CaptureFilter(), "ix_captures_in_time"),
        (CaptureFilter(project="p"), "ix_captures_of_project"),
        (CaptureFilter(statuses=(Status.INBOX,)), "ix_captures_owner_status_created_at_seq"),
        (CaptureFilter(kinds=(Kind.ERROR,)), "ix_captures_of_kind"),
        (CaptureFilter(source="s"), "ix_captures_of_source"),
        (CaptureFilter(tags=("t",)), "ix_capture_tags_tag_owner_created_at_seq"),
        (CaptureFilter(tags=("t", "u")), "ix_capture_tags_tag_owner_created_at_seq"),
    ],
)
async def test_a_list_reads_its_page_and_no_more(tmp_path: Path, where: CaptureFilter, index: str) -> None:
    """Each filter has an index in the order of lists, so a page takes no sorting and no looking around."""
    seen: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "snippet" in statement:
            seen.append((statement, parameters))

    put_sqlite_file(tmp_path / "k.db")
    async with open_store(f"sqlite+aiosqlite:///{tmp_path}/k.db") as store:
        event.listen(Engine, "before_cursor_execute", note)
        try:
            async with store.read("a") as transaction:
                for order in Order:
                    await transaction.captures.page(where, order=order)
        finally:
            event.remove(Engine, "before_cursor_execute", note)
        for statement, parameters in seen:
            explain = partial(_plan, statement=statement, parameters=parameters)
            async with store.look() as queue:
                plan = await queue._session.run(explain)
            assert f"INDEX {index} " in plan[0], plan
            assert not [step for step in plan if "TEMP B-TREE" in step or step.startswith("SCAN")], plan
    assert len(seen) == len(Order)


def _plan(connection: Connection, *, statement: str, parameters: Any) -> list[str]:
    return [str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
