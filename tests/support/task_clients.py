"""Clients that follow tasks, in either era."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
from mcp import Client
from mcp.client.extension import advertise

from komorebi_mcp.app import App, open_app
from komorebi_mcp.settings import Settings
from komorebi_mcp.surface.server import open_server
from support.connections import ERAS, ask

HANDSHAKE: Final = ERAS[0]
MODERN: Final = ERAS[1]
TASKS: Final = "io.modelcontextprotocol/tasks"


@asynccontextmanager
async def opened(
    folder: Path, mode: str, *, follows: bool = True, upstream: dict[str, Any] | None = None
) -> AsyncIterator[tuple[Client, App]]:
    if upstream is not None:
        (folder / "upstreams.json").write_text(json.dumps({"mcpServers": {"up": upstream}}))
    settings = Settings(home=folder, database_url=f"sqlite+aiosqlite:///{folder}/test.db")
    extensions = [advertise(TASKS)] if follows and mode == MODERN else None
    with anyio.fail_after(20):
        async with (
            open_app(settings) as app,
            open_server(app) as server,
            Client(server, mode=mode, cache=None, extensions=extensions) as client,
        ):
            yield client, app


async def begin(client: Client, name: str, /, **arguments: Any) -> dict[str, Any]:
    """The task that the call has become, in either era."""
    if client.protocol_version == "2025-11-25":
        result = await ask(client, "tools/call", name=name, arguments=arguments, task={"ttl": 60_000})
        task: dict[str, Any] = result["task"]
        assert task["ttl"] == 60_000
    else:
        task = await ask(client, "tools/call", name=name, arguments=arguments)
        assert task.pop("resultType") == "task"
        assert task["ttlMs"] == 3_600_000
    assert task["status"] == "working"
    assert task["createdAt"].endswith("Z")
    return task


async def until_left(client: Client, task_id: str, *states: str) -> dict[str, Any]:
    """The task once it is in none of these states, `working` unless told, asked for as often as it says."""
    while True:
        task = await ask(client, "tasks/get", taskId=task_id)
        if task["status"] not in (states or {"working"}):
            return task
        await anyio.sleep((task.get("pollInterval") or task["pollIntervalMs"]) / 1000)
