"""A model writes each node of a pyramid once, and only what is full."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest

from komorebi_mcp.domain.captures import CaptureCreate, CaptureUpdate
from komorebi_mcp.domain.nodes import Node
from komorebi_mcp.domain.pyramid import Place, above
from komorebi_mcp.domain.summaries import Scope
from komorebi_mcp.summarizers.openai import open_endpoint
from komorebi_mcp.summarizers.writer import Writer
from support.model_server import Answer, Asked, ModelServer, honest, says, serve_model, tells
from support.rooms import Rooms, open_rooms

pytestmark = pytest.mark.slow

OWNER = "local"
PROJECT = "harbour"
METHOD = "openai:small"


def remark(number: int) -> str:
    return f"The crane at berth {number} was inspected by the harbour crew in week {number % 52}."


async def fill(rooms: Rooms, count: int, *, start: int = 0) -> list[str]:
    made = [CaptureCreate(content=remark(start + n), project=PROJECT) for n in range(count)]
    rooms.clock.advance(seconds=60)
    async with rooms.store.write(OWNER) as transaction:
        ids = [receipt.id for receipt in await transaction.captures.add_all(made)]
    rooms.clock.advance(seconds=60)
    await rooms.settle()
    return ids


async def nodes(rooms: Rooms) -> dict[Place, Node]:
    async with rooms.store.read(OWNER) as transaction:
        shape = await transaction.pyramid.shape(PROJECT)
        assert shape is not None
        assert not shape.due
        return await transaction.pyramid.nodes(shape.project_id, shape.places)


@asynccontextmanager
async def rooms_with(
    folder: Path, answer: Callable[[Asked], Answer], *, calls_per_hour: int = 600
) -> AsyncIterator[tuple[Rooms, ModelServer]]:
    with serve_model(answer) as server:
        async with open_endpoint(server.url, "small", None) as endpoint:
            writer = Writer(METHOD, endpoint.complete, 4_096)
            async with open_rooms(
                folder, summarizer="openai", endpoint=writer, calls_per_hour=calls_per_hour
            ) as rooms:
                yield rooms, server


def by_method(found: dict[Place, Node]) -> dict[str, set[Place]]:
    return {
        method: {place for place, node in found.items() if node.method == method}
        for method in {node.method for node in found.values()}
    }


async def test_each_full_node_is_written_by_one_call_and_the_open_edge_by_none(tmp_path: Path) -> None:
    async with rooms_with(tmp_path, honest) as (rooms, server):
        ids = await fill(rooms, 123)
        found = await nodes(rooms)
        full = {*(Place(1, n) for n in range(12)), Place(2, 0)}
        assert by_method(found) == {METHOD: full, "extractive": set(found) - full}
        assert len(server.asked) == len(full)
        cited = {source for line in found[Place(2, 0)].sentences for source in line.sources}
        assert cited <= set(ids[:100])
        assert all(line.text.startswith("It was noted") for line in found[Place(2, 0)].sentences)


async def test_an_unchanged_node_costs_no_call_and_a_changed_capture_one_a_level(tmp_path: Path) -> None:
    async with rooms_with(tmp_path, honest) as (rooms, server):
        ids = await fill(rooms, 100)
        before, calls = await nodes(rooms), len(server.asked)
        assert calls == 11
        await rooms.organize.update(OWNER, ids, CaptureUpdate(add_tags=("seen",)))
        await rooms.settle()
        assert len(server.asked) == calls
        await rooms.organize.update(OWNER, [ids[57]], CaptureUpdate(content="The lighthouse is white now."))
        await rooms.settle()
        assert len(server.asked) == calls + len(above(57, 100))
        after = await nodes(rooms)
        assert {place for place in after if after[place] != before[place]} == set(above(57, 100))
        await fill(rooms, 5, start=500)
        assert len(server.asked) == calls + len(above(57, 100))


async def test_a_node_that_no_model_wrote_is_written_when_it_is_next_due(tmp_path: Path) -> None:
    broken = [True]

    def answer(asked: Asked) -> Answer:
        return says("no") if broken[0] else honest(asked)

    async with rooms_with(tmp_path, answer) as (rooms, server):
        ids = await fill(rooms, 20)
        assert by_method(await nodes(rooms)).keys() == {"extractive"}
        assert len(server.asked) == 2
        broken[0] = False
        await rooms.organize.update(OWNER, [ids[3]], CaptureUpdate(add_tags=("seen",)))
        await rooms.settle()
        assert by_method(await nodes(rooms))[METHOD] == {Place(1, 0)}


async def test_what_a_model_makes_up_is_in_no_node(tmp_path: Path) -> None:
    async with rooms_with(tmp_path, lambda _: tells(("Berth 99 burned down.", ["bcdf"]))) as (rooms, server):
        ids = await fill(rooms, 10)
        [node] = (await nodes(rooms)).values()
        assert (node.method, node.rejected) == ("extractive", 1)
        assert all("burned" not in line.text for line in node.sentences)
        await rooms.organize.update(OWNER, ids, CaptureUpdate(add_tags=("seen",)))
        await rooms.settle()
        assert len(server.asked) == 1


async def test_a_backlog_is_told_without_the_model(tmp_path: Path) -> None:
    async with rooms_with(tmp_path, honest) as (rooms, server):
        await fill(rooms, 200)
        assert by_method(await nodes(rooms)).keys() == {"extractive"}
        assert server.asked == []


async def test_beyond_the_hourly_calls_nodes_are_verbatim(tmp_path: Path) -> None:
    async with rooms_with(tmp_path, honest, calls_per_hour=3) as (rooms, server):
        await fill(rooms, 50)
        assert len(server.asked) == 3
        assert len(by_method(await nodes(rooms))[METHOD]) == 3
        rooms.clock.advance(seconds=4_000)
        await fill(rooms, 10, start=100)
        assert len(server.asked) == 4


async def test_enrichment_does_not_wait_for_the_model(tmp_path: Path) -> None:
    servers: list[ModelServer] = []
    asked, enriched = anyio.Event(), anyio.Event()

    def hangs(_: Asked) -> Answer:
        anyio.from_thread.run_sync(asked.set, token=token)
        servers[0].hanging.wait()
        return Answer(b"")

    token = anyio.lowlevel.current_token()
    async with rooms_with(tmp_path, hangs) as (rooms, server):
        servers.append(server)
        async with anyio.create_task_group() as background:
            background.start_soon(rooms.worker.run)
            for number in range(10):
                await rooms.capture.capture(OWNER, CaptureCreate(content=remark(number), project=PROJECT))
            with anyio.fail_after(5):
                await asked.wait()
            rooms.events.subscribe(lambda _: enriched.set())
            await rooms.capture.capture(OWNER, CaptureCreate(content=remark(11)))
            with anyio.fail_after(5):
                await enriched.wait()
            background.cancel_scope.cancel()
        server.hanging.set()


async def test_a_brief_of_a_large_project_is_written_from_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("komorebi_mcp.services.view.WHOLE_MAX", 20)
    async with rooms_with(tmp_path, honest) as (rooms, server):
        ids = await fill(rooms, 104)
        calls = len(server.asked)
        rooms.clock.advance(seconds=60)
        brief = await rooms.summarize.summarize(OWNER, Scope(project=PROJECT))
        assert brief.method == METHOD
        assert brief.covers.captures == 104
        assert len(server.asked) == calls + 1
        assert {source for line in brief.sentences for source in line.sources} <= set(ids)
