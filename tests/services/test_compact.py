"""Each project's pyramid follows its captures, and no further than they changed."""

from pathlib import Path

import anyio
import pytest

from komorebi_mcp.domain.captures import CaptureCreate, CaptureFilter, CaptureUpdate, Kind, Status
from komorebi_mcp.domain.changes import Change
from komorebi_mcp.domain.nodes import Node, NodeCreate, Work
from komorebi_mcp.domain.pyramid import Place, above
from komorebi_mcp.domain.summaries import Scope, Summary
from komorebi_mcp.errors import NotFound
from komorebi_mcp.services import compact, view
from komorebi_mcp.services.nodes import make_nodes
from support.rooms import Rooms, open_rooms

pytestmark = pytest.mark.slow

OWNER = "local"
PROJECT = "harbour"
FACT = "We decided to move the billing service to port 8417."


def remark(number: int) -> str:
    return f"The crane at berth {number} was inspected by the harbour crew in week {number % 52}."


async def fill(rooms: Rooms, count: int, *, start: int = 0, project: str | None = PROJECT) -> list[str]:
    made = [CaptureCreate(content=remark(start + n), project=project) for n in range(count)]
    rooms.clock.advance(seconds=60)
    async with rooms.store.write(OWNER) as transaction:
        ids = [receipt.id for receipt in await transaction.captures.add_all(made)]
    rooms.clock.advance(seconds=60)
    await rooms.settle()
    return ids


async def nodes(rooms: Rooms, project: str = PROJECT) -> dict[Place, Node]:
    async with rooms.store.read(OWNER) as transaction:
        shape = await transaction.pyramid.shape(project)
        assert shape is not None
        assert not shape.due
        return await transaction.pyramid.nodes(shape.project_id, shape.places)


def changed(before: dict[Place, Node], after: dict[Place, Node]) -> set[Place]:
    return {place for place in {*before, *after} if before.get(place) != after.get(place)}


async def test_every_capture_is_covered_once_by_each_level_and_compacted(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        await fill(rooms, 123)
        found = await nodes(rooms)
        for level, count in ((1, 13), (2, 2), (3, 1)):
            of_level = [node for place, node in found.items() if place.level == level]
            assert len(of_level) == count
            assert sum(node.covers.captures for node in of_level) == 123
        async with rooms.store.read(OWNER) as transaction:
            where = CaptureFilter(project=PROJECT, statuses=(Status.COMPACTED,))
            assert await transaction.captures.count(where) == 123


async def test_unfiled_captures_have_no_pyramid_and_stay_processed(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        [capture_id] = await fill(rooms, 1, project=None)
        read = await rooms.find.read(OWNER, [capture_id])
        assert read.captures[0].status is Status.PROCESSED


async def test_one_more_capture_changes_the_nodes_above_it_and_no_others(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        await fill(rooms, 123)
        before = await nodes(rooms)
        await fill(rooms, 1, start=500)
        after = await nodes(rooms)
        assert changed(before, after) == set(above(123, 124))
        assert {place: after[place].id for place in before} == {place: before[place].id for place in before}


@pytest.mark.parametrize(
    "change",
    [
        CaptureUpdate(content="The lighthouse was painted white by two sailors on Sunday."),
        CaptureUpdate(kind=Kind.DECISION),
        CaptureUpdate(status=Status.ARCHIVED),
        CaptureUpdate(project="elsewhere"),
    ],
    ids=["content", "kind", "archived", "moved"],
)
async def test_a_changed_capture_changes_the_nodes_above_it_and_no_others(
    tmp_path: Path, change: CaptureUpdate
) -> None:
    async with open_rooms(tmp_path) as rooms:
        ids = await fill(rooms, 123)
        before = await nodes(rooms)
        await rooms.organize.update(OWNER, [ids[57]], change)
        await rooms.settle()
        after = await nodes(rooms)
        assert changed(before, after) == set(above(57, 123))
        told = {source for node in after.values() for line in node.sentences for source in line.sources}
        if change.status is Status.ARCHIVED or change.project:
            assert ids[57] not in told
            assert after[Place(3, 0)].covers.captures == 122
        if change.project:
            [moved] = (await nodes(rooms, "elsewhere")).values()
            assert moved.covers.captures == 1


async def test_a_capture_that_comes_back_stands_where_it_stood(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        ids = await fill(rooms, 25)
        before = await nodes(rooms)
        await rooms.organize.update(OWNER, [ids[3]], CaptureUpdate(status=Status.ARCHIVED))
        await rooms.settle()
        await rooms.organize.update(OWNER, [ids[3]], CaptureUpdate(status=Status.COMPACTED))
        await rooms.settle()
        assert await nodes(rooms) == before


async def test_what_is_forgotten_is_gone_from_every_node_at_once(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        ids = await fill(rooms, 45)
        await rooms.organize.update(
            OWNER, [ids[12]], CaptureUpdate(content="The zeppelin dropped a xylophone on the quay.")
        )
        await rooms.settle()
        before = await nodes(rooms)
        assert "zeppelin" in before[Place(1, 1)].counts
        await rooms.organize.forget(OWNER, [ids[12]])
        async with rooms.store.read(OWNER) as transaction:
            shape = await transaction.pyramid.shape(PROJECT)
        assert shape is not None
        assert shape.places == set(before) - set(above(12, 45))
        await rooms.settle()
        after = await nodes(rooms)
        assert {place for place in after if after[place] != before[place]} == set(above(12, 45))
        assert not any("zeppelin" in str(node) for node in after.values())
        await rooms.organize.forget(OWNER, ids)
        await rooms.settle()
        assert await nodes(rooms) == {}


async def test_nothing_is_made_twice_from_the_same_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def counting(work: Work) -> tuple[list[NodeCreate], list[Place]]:
        found = make(work)
        made.append(len(found[0]))
        return found

    make = make_nodes
    monkeypatch.setattr(compact, "make_nodes", counting)
    async with open_rooms(tmp_path) as rooms:
        ids = await fill(rooms, 35)
        # Something is to be looked at, but says the same as before.
        await rooms.organize.update(OWNER, ids, CaptureUpdate(add_tags=("seen",)))
        assert sum(made) == 4 + 1
        await rooms.settle()
        assert sum(made) == 4 + 1


async def test_work_that_was_outrun_by_a_change_is_refused(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        ids = await fill(rooms, 12)
        await rooms.organize.update(OWNER, [ids[2]], CaptureUpdate(kind=Kind.DECISION))
        async with rooms.store.work() as queue:
            [waiting] = await queue.lagging(limit=10)
        async with rooms.store.write(OWNER) as transaction:
            work = await transaction.pyramid.take(waiting.project_id, leaves_max=100)
        assert work is not None
        made, gone = make_nodes(work)
        await rooms.organize.forget(OWNER, [ids[5]])
        async with rooms.store.write(OWNER) as transaction:
            assert await transaction.pyramid.keep(work, made, gone=gone) is None
        await rooms.settle()
        assert (await nodes(rooms))[Place(2, 0)].covers.captures == 11


async def test_a_project_that_fails_does_not_hold_up_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(work: Work) -> tuple[list[NodeCreate], list[Place]]:
        if work.project == "poison":
            raise RuntimeError("the texts themselves")
        return make(work)

    make = make_nodes
    monkeypatch.setattr(compact, "make_nodes", poisoned)
    async with open_rooms(tmp_path) as rooms:
        for project in ("poison", PROJECT):
            await fill(rooms, 3, project=project)
        assert len(await nodes(rooms)) == 1


async def test_the_running_worker_keeps_pyramids_up_and_announces_it(tmp_path: Path) -> None:
    compacted = anyio.Event()
    async with open_rooms(tmp_path) as rooms, anyio.create_task_group() as background:
        receipt = await rooms.capture.capture(OWNER, CaptureCreate(content=remark(1), project=PROJECT))

        def heard(change: Change) -> None:
            heard_of.append(change)
            if len(heard_of) == 2:
                compacted.set()

        heard_of: list[Change] = []
        rooms.events.subscribe(heard)
        background.start_soon(rooms.worker.run)
        with anyio.fail_after(5):
            await compacted.wait()
        background.cancel_scope.cancel()
        # One of the enrichment, one of the brief.
        assert heard_of == [Change(OWNER, (receipt.id,), (PROJECT,), due=False)] * 2


def linked(summary: Summary, found: dict[Place, Node]) -> bool:
    top = max(found)
    return summary.children == (found[top].id,) and summary.level == top.level + 1


async def test_a_brief_leads_down_to_its_captures(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        ids = await fill(rooms, 34)
        rooms.clock.advance(seconds=60)
        brief = await rooms.summarize.brief(OWNER, PROJECT)
        assert linked(brief, await nodes(rooms))
        todo, reached, depths = [*brief.children], set[str](), set[int]()
        while todo:
            node = await rooms.summarize.get(OWNER, todo.pop())
            depths.add(node.level)
            todo += node.children
            reached |= {source for sentence in node.sentences for source in sentence.sources}
            for sentence in node.sentences:
                [cited] = (await rooms.find.read(OWNER, list(sentence.sources))).captures
                assert sentence.text in cited.content
        assert depths == {1, 2}
        assert reached == set(ids)


async def test_a_large_project_is_told_from_nodes_and_what_none_covers_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view, "WHOLE_MAX", 20)
    async with open_rooms(tmp_path) as rooms:
        ids = await fill(rooms, 130)
        rooms.clock.advance(seconds=60)
        await rooms.organize.update(OWNER, [ids[3]], CaptureUpdate(content=FACT, kind=Kind.DECISION))
        receipt = await rooms.capture.capture(
            OWNER,
            CaptureCreate(
                content="Decision: the retention period is 400 days.", project=PROJECT, kind=Kind.DECISION
            ),
        )
        rooms.clock.advance(seconds=60)
        brief = await rooms.summarize.brief(OWNER, PROJECT)
        assert {FACT, "Decision: the retention period is 400 days."} <= {s.text for s in brief.sentences}
        assert brief.covers.captures == 131
        assert len(brief.children) > 1
        await rooms.settle()
        rooms.clock.advance(seconds=60)
        again = await rooms.summarize.brief(OWNER, PROJECT)
        assert again.id != brief.id
        assert again.covers.captures == 131
        assert linked(again, await nodes(rooms))
        rooms.clock.advance(seconds=60)
        assert await rooms.summarize.brief(OWNER, PROJECT) == again
        await rooms.organize.forget(OWNER, [receipt.id])
        with pytest.raises(NotFound):
            await rooms.summarize.get(OWNER, again.id)


async def test_a_decision_of_the_first_week_is_still_told_after_all_that_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view, "WHOLE_MAX", 20)
    async with open_rooms(tmp_path) as rooms:
        await fill(rooms, 4)
        await rooms.capture.capture(OWNER, CaptureCreate(content=FACT, project=PROJECT, kind=Kind.DECISION))
        for start in range(100, 700, 200):
            await fill(rooms, 200, start=start)
            rooms.clock.advance(seconds=60)
            brief = await rooms.summarize.summarize(OWNER, Scope(project=PROJECT), max_tokens=120)
            assert FACT in brief.text
        found = await nodes(rooms)
        assert all(FACT in {line.text for line in found[place].sentences} for place in above(4, 605))
