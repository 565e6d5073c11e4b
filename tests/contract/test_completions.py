"""What one owner may be about to type, as it is kept."""

from komorebi_mcp.domain.captures import CaptureCreate
from komorebi_mcp.domain.projects import ProjectUpdate
from komorebi_mcp.domain.summaries import Covers, Scope, Sentence, SummaryCreate
from komorebi_mcp.storage.store import Store, open_store
from support.clock import StillClock

ME = "local"


async def _add(store: Store, *items: CaptureCreate, owner: str = ME) -> list[str]:
    async with store.write(owner) as transaction:
        return [receipt.id for receipt in await transaction.captures.add_all(items)]


async def test_the_projects_offered_are_the_active_ones_last_changed_first(
    store_url: str, clock: StillClock
) -> None:
    async with open_store(store_url, clock=clock) as store:
        for name in ("old", "gone", "new"):
            await _add(store, CaptureCreate(content=name, project=name))
            clock.advance(seconds=1)
        await _add(store, CaptureCreate(content="theirs", project="theirs"), owner="other")
        async with store.write(ME) as transaction:
            await transaction.projects.update("gone", ProjectUpdate(archived=True))
            assert await transaction.completions.project_names() == ["new", "old"]


async def test_each_tag_in_use_is_offered_once_to_whom_it_belongs(store_url: str) -> None:
    async with open_store(store_url) as store:
        await _add(store, *(CaptureCreate(content=f"{n}", tags=("b", f"t{n}")) for n in range(3)))
        await _add(store, CaptureCreate(content="theirs", tags=("a", "t1", "z")), owner="other")
        async with store.read(ME) as transaction:
            assert await transaction.completions.tags() == ["b", "t0", "t1", "t2"]
        async with store.read("nobody") as transaction:
            assert await transaction.completions.tags() == []


async def test_ids_are_offered_by_their_beginning_newest_first(store_url: str) -> None:
    async with open_store(store_url) as store:
        ids = await _add(store, *(CaptureCreate(content=f"{n}") for n in range(4)))
        await _add(store, CaptureCreate(content="theirs"), owner="other")
        newest = ids[::-1]
        async with store.read(ME) as transaction:
            offer = transaction.completions.capture_ids
            assert await offer("", limit=3) == newest[:3]
            assert await offer(ids[0][:8], limit=9) == newest
            assert await offer(ids[2].upper(), limit=9) == [ids[2]]
            assert ids[2] in await offer(ids[2].replace("-", "")[:20], limit=9)
            for nothing in ("f" * 32, "not hex", "'", "\x00", "0" * 40):
                assert await offer(nothing, limit=9) == []


async def test_ids_of_summaries_are_offered_alike(store_url: str) -> None:
    async with open_store(store_url) as store:
        [capture_id] = await _add(store, CaptureCreate(content="Said."))
        made = SummaryCreate(
            scope=Scope(ids=(capture_id,)),
            sentences=(Sentence(text="Said.", sources=(capture_id,)),),
            level=1,
            covers=Covers(captures=1, since=None, until=None),
            method="extractive",
            rejected=0,
            truncated=False,
            max_tokens=9,
            children=(),
        )
        async with store.write(ME) as transaction:
            ids = [(await transaction.summaries.add(made)).id for _ in range(2)]
            assert await transaction.completions.summary_ids("", limit=9) == ids[::-1]
            assert await transaction.completions.summary_ids(ids[0], limit=9) == ids[:1]
        async with store.read("other") as transaction:
            assert await transaction.completions.summary_ids("", limit=9) == []
