"""A process is killed while it keeps a pyramid up, and what is left of it is as though it had not been."""

import sys
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from komorebi_mcp.domain.captures import CaptureCreate, CaptureUpdate, Kind
from komorebi_mcp.domain.nodes import Node
from komorebi_mcp.domain.pyramid import Place
from support import compacting
from support.processes import START_S
from support.rooms import Rooms, open_rooms

pytestmark = [pytest.mark.process, pytest.mark.slow]

OWNER = "local"
PROJECT = "harbour"
CAPTURES = 430
"""More than a step sees to, so that upper nodes are left to later ones."""


def capture_id(number: int) -> str:
    return str(UUID(int=0x0192_0000_0000_7000_8000_0000_0000_0000 + number))


async def fill(rooms: Rooms) -> None:
    made = [
        CaptureCreate(
            id=capture_id(number),
            content=f"The crane at berth {number} was inspected by crew {number % 7} in week {number % 52}.",
            project=PROJECT,
            created_at=rooms.clock(),
        )
        for number in range(CAPTURES)
    ]
    async with rooms.store.write(OWNER) as transaction:
        await transaction.captures.add_all(made)
    await enrich(rooms)


async def enrich(rooms: Rooms) -> None:
    rooms.clock.advance(seconds=60)
    while await rooms.worker.work_once():
        pass


async def change(rooms: Rooms, turn: int) -> None:
    """Some captures here and there are edited, and one is forgotten."""
    edit = CaptureUpdate(content=f"We decided in turn {turn} to paint the lighthouse.", kind=Kind.DECISION)
    for number in range(turn, CAPTURES, 41):
        await rooms.organize.update(OWNER, [capture_id(number)], edit)
    await rooms.organize.forget(OWNER, [capture_id(100 + turn)])
    await enrich(rooms)


async def killed_at(database: Path, said: str, times: int) -> None:
    """Has another process keep pyramids up, and kills it once it has said that so many times."""
    url = f"sqlite+aiosqlite:///{database}"
    with anyio.fail_after(START_S):
        async with await anyio.open_process(
            [sys.executable, compacting.__file__, url], stderr=None
        ) as process:
            assert process.stdout is not None
            lines = BufferedByteReceiveStream(process.stdout)
            while times:
                line = await lines.receive_until(b"\n", 100)
                times -= line == said.encode()
            process.kill()


async def pyramid(rooms: Rooms) -> dict[Place, Node]:
    while await rooms.compact.step():
        pass
    async with rooms.store.read(OWNER) as transaction:
        shape = await transaction.pyramid.shape(PROJECT)
        assert shape is not None
        assert not shape.due
        nodes = await transaction.pyramid.nodes(shape.project_id, shape.places)
        return {place: node.model_copy(update={"id": ""}) for place, node in nodes.items()}


async def test_a_pyramid_whose_keeper_was_killed_becomes_what_it_would_have_been(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        folders = [tmp_path / name for name in ("killed", "spared")]
        for folder in folders:
            folder.mkdir()
        killed, spared = [await stack.enter_async_context(open_rooms(folder)) for folder in folders]
        for rooms in (killed, spared):
            await fill(rooms)
        for turn, (said, times) in enumerate((("keep", 1), ("take", 2), ("keep", 2))):
            await killed_at(folders[0] / "test.db", said, times)
            await pyramid(spared)
            for rooms in (killed, spared):
                await change(rooms, turn)
        assert await pyramid(killed) == await pyramid(spared)
