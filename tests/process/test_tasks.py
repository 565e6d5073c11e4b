"""A task whose process is killed is told to have failed by the next one."""

import json
from pathlib import Path

import anyio
import pytest

from support.gateway import raw
from support.processes import Conversation, conversation, request

pytestmark = pytest.mark.process


async def answer(
    client: Conversation, request_id: int, method: str, /, **params: object
) -> dict[str, object]:
    await client.send(request(method, request_id=request_id, **params))
    while (message := await client.receive()).get("id") != request_id:
        pass
    result: dict[str, object] = message["result"]
    return result


async def test_a_task_of_a_killed_server_has_failed_and_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "upstreams.json").write_text(json.dumps({"mcpServers": {"up": raw()}}))
    async with conversation(tmp_path) as client:
        await client.shake_hands()
        called = {"name": "up__wait", "arguments": {}, "task": {"ttl": 60_000}}
        created = await answer(client, 1, "tools/call", **called)
        task_id = created["task"]["taskId"]  # type: ignore[index]
        assert (await answer(client, 2, "tasks/get", taskId=task_id))["status"] == "working"
        client.process.kill()
        await client.wait()
    async with conversation(tmp_path) as client:
        await client.shake_hands()
        with anyio.fail_after(20):
            number = 10
            while (task := await answer(client, number, "tasks/get", taskId=task_id))["status"] == "working":
                number += 1
                await anyio.sleep(0.3)
        assert task["status"] == "failed"
        assert "Call the tool again." in str(task["statusMessage"])
        assert await client.hang_up() == 0
