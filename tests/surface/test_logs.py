"""Clients hear how their requests went once they ask to, and nothing of what was in them."""

from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp_types import LoggingMessageNotificationParams

from komorebi_mcp.surface.server import open_server
from support.connections import ERAS, call, open_application, refused

HANDSHAKE, MODERN = ERAS


class Heard:
    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []
        self.arrived = anyio.Event()

    async def __call__(self, params: LoggingMessageNotificationParams) -> None:
        self.messages.append((params.level, params.data["message"]))
        assert params.logger == "komorebi"
        assert params.data["duration_ms"] >= 0
        self.arrived.set()
        self.arrived = anyio.Event()

    async def until(self, count: int) -> None:
        with anyio.fail_after(5):
            while len(self.messages) < count:
                await self.arrived.wait()


async def test_a_handshake_client_hears_from_the_level_it_set_upwards(tmp_path: Path) -> None:
    heard = Heard()
    async with (
        open_application(tmp_path) as app,
        open_server(app) as server,
        Client(server, mode=HANDSHAKE, cache=None, logging_callback=heard) as client,
    ):
        await call(client, "capture", content="Before anything was asked for.")
        await client.set_logging_level("debug")
        await call(client, "capture", content="tr0mbone")
        await refused(client, "read_captures", ids=["tr0mbone"])
        await heard.until(2)
        await client.set_logging_level("warning")
        await call(client, "list_captures")
        await refused(client, "list_captures", limit=0)
        await heard.until(3)
    assert heard.messages == [
        ("debug", "tools/call capture was answered"),
        ("warning", "tools/call read_captures failed"),
        ("warning", "tools/call list_captures failed"),
    ]


async def test_a_modern_client_hears_of_the_requests_that_ask_for_it(tmp_path: Path) -> None:
    heard = Heard()
    async with (
        open_application(tmp_path) as app,
        open_server(app) as server,
        Client(server, cache=None, logging_callback=heard) as client,
    ):
        await client.call_tool("list_captures", {})
        asking: Any = {"io.modelcontextprotocol/logLevel": "debug"}
        await client.call_tool("list_projects", {}, meta=asking)
        await heard.until(1)
    assert heard.messages == [("debug", "tools/call list_projects was answered")]
