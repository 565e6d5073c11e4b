"""Several servers on one file: one enriches, and another one within seconds when it is killed or stopped."""

import os
import signal
from pathlib import Path
from typing import Any

import anyio
import pytest

from komorebi_mcp.storage.locks import try_lock
from support.processes import START_S, Conversation, capture_request, conversation, request

pytestmark = pytest.mark.process

TAKEOVER_S = 10
"""A second until the lock is tried, and what a busy machine adds."""


async def captured(server: Conversation, content: str) -> str:
    answer = await server.ask(capture_request(content))
    return str(answer["result"]["structuredContent"]["id"])


async def status(server: Conversation, capture_id: str) -> Any:
    ask = request("tools/call", name="read_captures", arguments={"ids": capture_id})
    answer = await server.ask(ask)
    return answer["result"]["structuredContent"]["captures"][0]["status"]


async def processed(server: Conversation, capture_id: str) -> None:
    with anyio.fail_after(TAKEOVER_S):
        while await status(server, capture_id) != "processed":
            await anyio.lowlevel.checkpoint()


async def led(home: Path) -> None:
    """Returns once a server leads."""
    lock = home / "komorebi.db.leader"
    with anyio.fail_after(START_S):
        while not lock.exists():
            await anyio.lowlevel.checkpoint()
        while (free := try_lock(lock)) is not None:
            free.close()
            await anyio.lowlevel.checkpoint()


async def test_what_a_follower_takes_in_is_enriched_by_the_leader_and_after_its_death_by_the_follower(
    tmp_path: Path,
) -> None:
    async with conversation(tmp_path) as leader:
        await leader.shake_hands()
        await led(tmp_path)
        async with conversation(tmp_path) as follower:
            await follower.shake_hands()
            await processed(follower, await captured(follower, "first"))
            os.kill(leader.process.pid, signal.SIGKILL)
            await processed(follower, await captured(follower, "second"))


@pytest.mark.slow
async def test_a_stopped_leader_is_stood_in_for_and_spoils_nothing_when_it_goes_on(tmp_path: Path) -> None:
    async with conversation(tmp_path) as leader:
        await leader.shake_hands()
        await led(tmp_path)
        async with conversation(tmp_path) as follower:
            await follower.shake_hands()
            os.kill(leader.process.pid, signal.SIGSTOP)
            try:
                capture_id = await captured(follower, "while it stands still")
                with anyio.fail_after(30):
                    while await status(follower, capture_id) != "processed":
                        await anyio.lowlevel.checkpoint()
            finally:
                os.kill(leader.process.pid, signal.SIGCONT)
            later = await captured(leader, "and on")
            await processed(leader, later)
            assert await status(leader, capture_id) == "processed"
