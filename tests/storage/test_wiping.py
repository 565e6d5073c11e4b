"""Nothing of what is forgotten stays in a SQLite file, in its index or in its log."""

from pathlib import Path

import anyio
import pytest

from komorebi_mcp.domain.captures import CaptureCreate, CaptureUpdate
from support.processes import conversation, request
from support.rooms import Rooms, open_rooms

OWNER = "local"
WORD = "Xylophonist"
STEM = "xylophon"
"""What of it the index has."""


async def keep(rooms: Rooms, content: str) -> str:
    """Its id, once it is enriched."""
    receipt = await rooms.capture.capture(OWNER, CaptureCreate(content=content))
    await rooms.settle()
    return receipt.id


def files_with(folder: Path, word: str) -> list[str]:
    """Names of the files that hold the word in any case."""
    files = [file for file in folder.iterdir() if file.is_file()]
    return [file.name for file in files if word.lower().encode() in file.read_bytes().lower()]


async def wiped(rooms: Rooms) -> int:
    """How many steps it took."""
    steps = 0
    assert rooms.store.wiper is not None
    with anyio.fail_after(5):
        while await rooms.store.wiper.wipe_some():
            steps += 1
    return steps


@pytest.mark.parametrize("how", ["forgotten", "edited"])
async def test_words_that_were_taken_away_leave_the_file(tmp_path: Path, how: str) -> None:
    async with open_rooms(tmp_path) as rooms:
        for number in range(8):
            # One by one, so that the index has several segments.
            await keep(rooms, f"Something else, the number {number} of many.")
        capture_id = await keep(rooms, f"{WORD} {'and more ' * 3_000}")
        assert files_with(tmp_path, STEM)
        if how == "forgotten":
            await rooms.organize.forget(OWNER, [capture_id])
        else:
            await rooms.organize.update(OWNER, [capture_id], CaptureUpdate(content="Nothing."))
            await rooms.settle()
        assert await wiped(rooms)
        assert files_with(tmp_path, STEM) == []
        assert await wiped(rooms) == 0


async def test_wiping_is_taken_up_again_by_the_next_process(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        capture_id = await keep(rooms, WORD)
        await rooms.organize.forget(OWNER, [capture_id])
    assert files_with(tmp_path, STEM)
    async with open_rooms(tmp_path) as rooms:
        await wiped(rooms)
        assert files_with(tmp_path, STEM) == []


@pytest.mark.process
async def test_a_server_wipes_what_its_client_forgets(tmp_path: Path) -> None:
    async with conversation(tmp_path) as server:
        await server.shake_hands()

        async def call(name: str, **arguments: object) -> dict[str, object]:
            await server.send(request("tools/call", name=name, arguments=arguments))
            while "id" not in (answer := await server.receive()):
                pass
            structured = answer["result"]["structuredContent"]
            assert isinstance(structured, dict)
            return structured

        receipt = await call("capture", content=f"{WORD} of the orchestra", project="music")
        with anyio.fail_after(5):
            while (await call("list_captures", status="compacted"))["captures"] == []:
                pass
        await call("summarize", project="music")
        await call("forget_captures", ids=[receipt["id"]], confirm=True)
        with anyio.fail_after(5):
            while files_with(tmp_path, STEM):
                await anyio.lowlevel.checkpoint()
        await server.hang_up()
