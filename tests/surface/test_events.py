"""A modern client that listens is told which resources a call has changed."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.subscriptions import ResourceUpdated

from komorebi_mcp.surface.server import build_server
from support.connections import call, open_application


@pytest.mark.parametrize(
    ("tool", "arguments", "subscribed"),
    [
        ("capture", {"content": "New.", "project": "P"}, "komorebi://inbox"),
        ("capture", {"content": "New.", "project": "P"}, "komorebi://projects/P/brief"),
        ("update_captures", {"add_tags": ["t"]}, "{uri}"),
        ("forget_captures", {"confirm": True}, "{uri}"),
        ("update_project", {"name": "P", "goal": "g"}, "komorebi://projects/P"),
    ],
)
async def test_a_change_is_announced(
    tmp_path: Path, tool: str, arguments: dict[str, Any], subscribed: str
) -> None:
    async with open_application(tmp_path) as app, Client(build_server(app), cache=None) as client:
        first = await call(client, "capture", content="First.", project="P")
        uri = subscribed.format(uri=first["uri"])
        if tool in {"update_captures", "forget_captures"}:
            arguments = {**arguments, "ids": first["id"]}
        with anyio.fail_after(5):
            async with client.listen(resource_subscriptions=[uri]) as events:
                await call(client, tool, **arguments)
                assert await anext(aiter(events)) == ResourceUpdated(uri=uri)
