"""Owners apart, changes whole, processes side by side."""

import threading

import anyio
import pytest
from sqlalchemy import Connection, select, text

from komorebi_mcp.domain.captures import (
    CaptureCreate,
    CaptureFilter,
    CaptureUpdate,
    Enrichment,
    Entity,
    EntityType,
    Receipt,
)
from komorebi_mcp.domain.projects import ProjectUpdate
from komorebi_mcp.domain.summaries import Covers, Scope, Sentence, SummaryCreate
from komorebi_mcp.errors import NotFound, StorageError
from komorebi_mcp.storage.owned import Rows
from komorebi_mcp.storage.store import Store, open_store
from komorebi_mcp.storage.tables import captures
from komorebi_mcp.storage.transaction import Transaction
from komorebi_mcp.text.terms import parse_query, terms

MINE, THEIRS = "mine", "theirs"
FOUND = Enrichment(
    title="t",
    tokens=1,
    terms=terms("shared secret"),
    entities=(Entity(type=EntityType.NAME, value="s", start=0, end=1),),
)


async def _count(store: Store, owner: str = MINE) -> int:
    async with store.read(owner) as transaction:
        return await transaction.captures.count(CaptureFilter())


async def _fill(store: Store, owner: str) -> tuple[Receipt, str]:
    item = CaptureCreate(content="shared secret", key="k", project="p", tags=("t",))
    async with store.write(owner) as transaction:
        [receipt] = await transaction.captures.add_all([item])
        summary = await transaction.summaries.add(
            SummaryCreate(
                scope=Scope(project="p"),
                sentences=(Sentence(text="s", sources=(receipt.id,)),),
                level=1,
                covers=Covers(captures=1, since=None, until=None),
                method="extractive",
                max_tokens=10,
            )
        )
    return receipt, summary.id


async def _see_nothing(transaction: Transaction, capture_id: str, summary_id: str) -> None:
    rows, projects, summaries = transaction.captures, transaction.projects, transaction.summaries
    anything = CaptureFilter(ids=(capture_id,))
    assert await rows.get([capture_id]) == []
    assert (await rows.page(anything)).items == ()
    assert (await rows.search(parse_query("shared secret"), anything)).items == ()
    assert (await rows.sample(anything, most=9)).captures == []
    assert await rows.count(anything) == 0
    assert await rows.update([capture_id], CaptureUpdate(content="taken over", add_tags=("x",))) == []
    assert await rows.forget([capture_id]) == []
    assert (await projects.page()).items == ()
    assert await projects.get("p") is None
    with pytest.raises(NotFound):
        await projects.update("p", ProjectUpdate(goal="taken over"))
    assert await summaries.get(summary_id) is None
    assert await summaries.newest("p", max_tokens=100) is None
    assert await summaries.forget_citing([capture_id]) == 0


@pytest.mark.parametrize("enriched", [False, True])
async def test_owners_never_see_each_other(store_url: str, enriched: bool) -> None:
    async with open_store(store_url) as store:
        receipt, summary_id = await _fill(store, MINE)
        async with store.work() as queue:
            [job] = await queue.claim(limit=1, lease_s=60)
        assert not await store.enrich(THEIRS, [(job, FOUND)])
        if enriched:
            assert await store.enrich(MINE, [(job, FOUND)])
        async with store.write(THEIRS) as transaction:
            await _see_nothing(transaction, receipt.id, summary_id)
        # The same key, text and project name are somebody else's own.
        theirs, _ = await _fill(store, THEIRS)
        assert (theirs.created, theirs.duplicate_of) == (True, None)
        async with store.read(MINE) as transaction:
            [mine] = await transaction.captures.get([receipt.id])
            assert (mine.content, mine.tags) == ("shared secret", ("t",))
            hits = await transaction.captures.search(parse_query("shared"), CaptureFilter())
            assert [hit.id for hit in hits.items] == [receipt.id]
            assert [(p.name, p.captures, p.goal) for p in (await transaction.projects.page()).items] == [
                ("p", 1, "")
            ]
            assert await transaction.summaries.get(summary_id) is not None


async def test_the_guard_of_these_tests_sees_a_statement_without_owner(store_url: str) -> None:
    async with open_store(store_url) as store, store.read(MINE) as transaction:
        with pytest.raises(AssertionError, match="reads rows of any owner"):
            await transaction.captures._session.run(lambda rows: rows.run(select(captures.c.id)))


async def test_an_exception_leaves_nothing_of_the_change(store_url: str) -> None:
    async def change(store: Store) -> None:
        async with store.write(MINE) as transaction:
            await transaction.captures.add_all([CaptureCreate(content="x", project="p")])
            raise ZeroDivisionError

    async with open_store(store_url) as store:
        with pytest.raises(ZeroDivisionError):
            await change(store)
        assert await _count(store) == 0
        async with store.read(MINE) as transaction:
            assert (await transaction.projects.page()).items == ()


ENDLESS = text(
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000000) "
    "SELECT count(*) FROM n"
)


async def test_a_cancellation_ends_the_statement_of_a_reader(store_url: str) -> None:
    async with open_store(store_url) as store:
        begun = threading.Event()

        def read(connection: Connection) -> None:
            begun.set()
            connection.execute(ENDLESS)

        async def read_on() -> None:
            async with store.look() as queue:
                await queue._session.run(read)

        with anyio.fail_after(5):
            # As many as there are connections to read with, so that none is lost by it.
            for _ in range(12):
                begun.clear()
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(read_on)
                    assert await anyio.to_thread.run_sync(begun.wait, 5)
                    tasks.cancel_scope.cancel()
            assert await _count(store) == 0


async def test_a_cancellation_leaves_nothing_of_the_change_and_the_store_usable(store_url: str) -> None:
    async with open_store(store_url) as store:
        with anyio.CancelScope() as scope:
            async with store.write(MINE) as transaction:
                await transaction.captures.add_all([CaptureCreate(content="x")])
                scope.cancel()
                await transaction.captures.add_all([CaptureCreate(content="y")])
        assert scope.cancelled_caught
        with anyio.fail_after(5):
            assert await _count(store) == 0
            async with store.write(MINE) as transaction:
                await transaction.captures.add_all([CaptureCreate(content="z")])
        assert await _count(store) == 1


async def test_what_is_written_in_a_read_is_not_kept(store_url: str) -> None:
    async with open_store(store_url) as store:
        async with store.read(MINE) as transaction:
            await transaction.captures.add_all([CaptureCreate(content="x")])
        assert await _count(store) == 0


async def test_a_change_goes_unacknowledged_after_a_statement_in_it_failed(store_url: str) -> None:
    def fail(rows: Rows) -> None:
        rows.insert(captures, [{"id": None}])

    async def change(store: Store) -> None:
        async with store.write(MINE) as transaction:
            await transaction.captures.add_all([CaptureCreate(content="x")])
            with pytest.raises(Exception, match=r"(?i)not.null"):
                await transaction.captures._session.run(fail)

    async with open_store(store_url) as store:
        with pytest.raises(StorageError, match="nothing was written"):
            await change(store)
        assert await _count(store) == 0


@pytest.mark.process
async def test_two_processes_with_the_same_keys_store_each_once(store_url: str) -> None:
    # Two stores on one database share nothing but the database, as two processes do.
    forth = [CaptureCreate(content=f"{n}", key=f"k{n}", project=f"p{n % 3}") for n in range(40)]
    receipts: list[Receipt] = []

    async def add(store: Store, items: list[CaptureCreate]) -> None:
        for start in range(0, len(items), 5):
            async with store.write(MINE) as transaction:
                receipts.extend(await transaction.captures.add_all(items[start : start + 5]))

    async with open_store(store_url) as one, open_store(store_url) as two:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                for store in (one, two):
                    tasks.start_soon(add, store, forth)
                    tasks.start_soon(add, store, forth[::-1])
        assert await _count(one) == 40
    assert len(receipts) == 160
    assert len({receipt.id for receipt in receipts}) == sum(receipt.created for receipt in receipts) == 40


@pytest.mark.process
async def test_two_processes_never_claim_the_same_capture(store_url: str) -> None:
    claimed: list[str] = []

    async def work(store: Store) -> None:
        while True:
            async with store.work() as queue:
                jobs = await queue.claim(limit=3, lease_s=60)
            if not jobs:
                return
            for job in jobs:
                claimed.append(job.capture.id)
                assert await store.enrich(job.owner, [(job, FOUND)])

    async with open_store(store_url) as one, open_store(store_url) as two:
        for owner in (MINE, THEIRS):
            async with one.write(owner) as transaction:
                await transaction.captures.add_all([CaptureCreate(content=str(n)) for n in range(20)])
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                for store in (one, two, one, two):
                    tasks.start_soon(work, store)
    assert len(claimed) == len(set(claimed)) == 40


async def test_readers_see_the_state_before_a_change_until_it_commits(store_url: str) -> None:
    async with open_store(store_url) as store:
        with anyio.fail_after(5):
            async with store.write(MINE) as transaction:
                await transaction.captures.add_all([CaptureCreate(content="x")])
                assert await _count(store) == 0
        assert await _count(store) == 1


async def test_an_open_store_answers_and_is_there_again_after_closing(store_url: str, dialect: str) -> None:
    async with open_store(store_url) as store:
        assert store.dialect == dialect
        await store.check()
        await _fill(store, MINE)
    async with open_store(store_url) as store:
        assert await _count(store) == 1
