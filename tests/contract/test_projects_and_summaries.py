"""Projects and summaries as they are kept."""

from datetime import timedelta

import pytest

from komorebi_mcp.domain.captures import CaptureCreate, CaptureFilter
from komorebi_mcp.domain.projects import ProjectUpdate
from komorebi_mcp.domain.summaries import Covers, Scope, Sentence, SummaryCreate
from komorebi_mcp.errors import InvalidInput, NotFound
from komorebi_mcp.storage.store import Store, open_store
from support.clock import StillClock

ME = "local"


async def _add(store: Store, *projects: str | None) -> list[str]:
    made = [CaptureCreate(content=f"{number}", project=project) for number, project in enumerate(projects)]
    async with store.write(ME) as transaction:
        return [receipt.id for receipt in await transaction.captures.add_all(made)]


def _summary(*sources: str, scope: Scope, level: int = 1, children: tuple[str, ...] = ()) -> SummaryCreate:
    return SummaryCreate(
        scope=scope,
        sentences=(
            Sentence(text="It \x00 works 👍.", sources=sources),
            Sentence(text="Twice.", sources=sources[:1]),
        ),
        level=level,
        covers=Covers(captures=len(sources), since=None, until=None),
        method="extractive",
        rejected=1,
        truncated=True,
        max_tokens=100,
        children=children,
    )


async def test_projects_come_into_being_with_their_first_capture(store_url: str, clock: StillClock) -> None:
    async with open_store(store_url, clock=clock) as store:
        began = clock()
        await _add(store, "a", "b", None, "b")
        clock.advance(seconds=1)
        await _add(store, "a")
        async with store.read(ME) as transaction:
            first, second = (await transaction.projects.page()).items
            assert await transaction.projects.get("a") == first
            assert await transaction.projects.get("A") is None
    assert [(p.name, p.captures, p.created_at) for p in (first, second)] == [("a", 2, began), ("b", 2, began)]
    assert (first.updated_at, second.updated_at) == (clock(), began)


async def test_pages_of_projects_go_from_the_latest_change_to_the_earliest(
    store_url: str, clock: StillClock
) -> None:
    async with open_store(store_url, clock=clock) as store:
        for number in range(7):
            await _add(store, f"p{number // 2}", f"q{number}")
            clock.advance(seconds=number % 2)
        async with store.read(ME) as transaction:
            whole = [project.name for project in (await transaction.projects.page(limit=100)).items]
            paged: list[str] = []
            cursor = None
            while True:
                page = await transaction.projects.page(limit=2, cursor=cursor)
                paged += [project.name for project in page.items]
                if (cursor := page.next_cursor) is None:
                    break
    assert paged == whole
    assert len(set(paged)) == 11


async def test_a_project_is_renamed_described_and_archived(store_url: str, clock: StillClock) -> None:
    async with open_store(store_url, clock=clock) as store:
        [capture_id, _] = await _add(store, "old", "other")
        clock.advance(seconds=1)
        async with store.write(ME) as transaction:
            change = ProjectUpdate(new_name="new", description="d\x00", goal="g")
            changed = await transaction.projects.update("old", change)
            assert (changed.name, changed.description, changed.goal) == ("new", "d\x00", "g")
            assert (changed.captures, changed.updated_at, changed.archived) == (1, clock(), False)
            assert await transaction.projects.get("old") is None
            [capture] = await transaction.captures.get([capture_id])
            assert capture.project == "new"
            assert await transaction.captures.count(CaptureFilter(project="new")) == 1
            with pytest.raises(InvalidInput, match="already has that name"):
                await transaction.projects.update("new", ProjectUpdate(new_name="other"))
            with pytest.raises(NotFound, match="list_projects"):
                await transaction.projects.update("old", ProjectUpdate(goal="x"))
            same = await transaction.projects.update(
                "new", ProjectUpdate(new_name="new", goal="", archived=True)
            )
            assert (same.goal, same.description, same.archived) == ("", "d\x00", True)
            active, archived = (
                await transaction.projects.page(),
                await transaction.projects.page(archived=True),
            )
    assert [[p.name for p in page.items] for page in (active, archived)] == [["other"], ["new"]]


async def test_a_summary_reads_back_as_it_was_made(store_url: str, clock: StillClock) -> None:
    async with open_store(store_url, clock=clock) as store:
        one, two = await _add(store, "p", None)
        async with store.write(ME) as transaction:
            lower = await transaction.summaries.add(_summary(one, two, scope=Scope(ids=(one, two))))
            scope = Scope(project="p", query='a "b"', since=clock(), until=clock() + timedelta(days=1))
            made = _summary(
                one, scope=scope, level=2, children=(lower.id, "01890000-0000-7000-8000-000000000000")
            )
            kept = await transaction.summaries.add(made)
        async with store.read(ME) as transaction:
            assert await transaction.summaries.get(kept.id) == kept
            assert await transaction.summaries.get(lower.id) == lower
            assert await transaction.summaries.get(one) is None
    assert kept.model_dump(exclude={"id", "created_at"}) == made.model_dump()
    assert kept.created_at == clock()


async def test_a_summary_of_an_unknown_project_is_refused(store_url: str) -> None:
    async with open_store(store_url) as store, store.write(ME) as transaction:
        with pytest.raises(NotFound, match="list_projects"):
            await transaction.summaries.add(_summary(scope=Scope(project="nowhere")))


async def test_the_newest_summary_is_one_of_the_whole_project(store_url: str) -> None:
    async with open_store(store_url) as store:
        one, _ = await _add(store, "p", "q")
        async with store.write(ME) as transaction:
            summaries = transaction.summaries
            assert await summaries.newest("p", max_tokens=100) is None
            await summaries.add(_summary(one, scope=Scope(project="p")))
            newest = await summaries.add(_summary(one, scope=Scope(project="p"), level=2))
            for narrower in (
                Scope(project="p", focus="f"),
                Scope(project="p", ids=(one,)),
                Scope(project="q"),
                Scope(),
            ):
                await summaries.add(_summary(one, scope=narrower))
            await transaction.projects.update("p", ProjectUpdate(new_name="renamed"))
            assert await summaries.newest("p", max_tokens=100) is None
            found = await summaries.newest("renamed", max_tokens=100)
            assert await summaries.newest("nowhere", max_tokens=100) is None
    assert found is not None
    assert (found.id, found.scope.project) == (newest.id, "renamed")


async def test_the_newest_summary_of_a_length_goes_before_newer_ones_of_another(store_url: str) -> None:
    async with open_store(store_url) as store:
        [one] = await _add(store, "p")
        async with store.write(ME) as transaction:
            summaries = transaction.summaries
            for max_tokens in (500, 500, 20):
                made = _summary(one, scope=Scope(project="p"))
                await summaries.add(made.model_copy(update={"max_tokens": max_tokens}))
            for asked, expected in ((500, 500), (20, 20), (7, 20)):
                found = await summaries.newest("p", max_tokens=asked)
                assert found is not None
                assert found.max_tokens == expected


async def test_summaries_that_rest_on_a_forgotten_capture_are_forgotten_to_the_top(store_url: str) -> None:
    async with open_store(store_url) as store:
        one, two = await _add(store, None, None)
        async with store.write(ME) as transaction:
            summaries = transaction.summaries
            low = await summaries.add(_summary(one, scope=Scope()))
            kept = await summaries.add(_summary(two, scope=Scope()))
            middle = await summaries.add(_summary(two, scope=Scope(), level=2, children=(low.id, kept.id)))
            top = await summaries.add(_summary(two, scope=Scope(), level=3, children=(middle.id,)))
            assert await summaries.forget_citing([]) == 0
            assert await summaries.forget_citing([one]) == 3
            assert await summaries.forget_citing([one]) == 0
            assert [await summaries.get(each.id) for each in (low, middle, top)] == [None] * 3
            assert await summaries.get(kept.id) == kept
