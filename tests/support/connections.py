"""A client of the SDK, in memory, on the real application over a real SQLite file."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from mcp import Client
from mcp.client.session import ElicitationFnT, SamplingFnT
from mcp.shared.dispatcher import CallOptions
from mcp_types import CallToolResult, TextContent

from komorebi_mcp.app import App, open_app
from komorebi_mcp.settings import Settings
from komorebi_mcp.surface.server import open_server
from support.databases import put_sqlite_file

ERAS: Final = ("legacy", "auto")
"""The SDK's words for the handshake era and, with a server that has it, the modern one."""

MODES: Final = (ERAS[0], pytest.param(ERAS[1], marks=pytest.mark.slow))
"""Both, as parameters; the quick tests make do with the one that every client speaks."""


@asynccontextmanager
async def open_application(folder: Path, **settings: Any) -> AsyncIterator[App]:
    put_sqlite_file(folder / "test.db")
    url = f"sqlite+aiosqlite:///{folder}/test.db"
    async with open_app(Settings(home=folder, database_url=url, **settings)) as app:
        yield app


@asynccontextmanager
async def open_client(
    folder: Path,
    *,
    mode: str = "auto",
    elicitation: ElicitationFnT | None = None,
    sampling: SamplingFnT | None = None,
    **settings: Any,
) -> AsyncIterator[Client]:
    async with (
        open_application(folder, **settings) as app,
        open_server(app) as server,
        Client(
            server, mode=mode, cache=None, elicitation_callback=elicitation, sampling_callback=sampling
        ) as client,
    ):
        yield client


async def call(client: Client, tool: str, /, **arguments: Any) -> dict[str, Any]:
    """The structured result of a call that must succeed."""
    result = await client.call_tool(tool, arguments)
    assert isinstance(result, CallToolResult)
    assert not result.is_error, text_of(result)
    assert isinstance(result.structured_content, dict)
    return result.structured_content


async def refused(client: Client, tool: str, /, **arguments: Any) -> str:
    """The text of a call that must be answered with a tool error."""
    result = await client.call_tool(tool, arguments)
    assert isinstance(result, CallToolResult)
    assert result.is_error, text_of(result)
    assert result.structured_content is None
    return text_of(result)


def text_of(result: CallToolResult) -> str:
    (text,) = [block.text for block in result.content if isinstance(block, TextContent)]
    return text


async def ask(client: Client, method: str, /, **params: Any) -> dict[str, Any]:
    """The raw result of a request that the SDK's client has no method for, or cannot read the answer to."""
    data: dict[str, Any] = {"method": method, "params": params}
    options: CallOptions = {}
    client.session._stamp(data, options)
    return await client.session._dispatcher.send_raw_request(method, data["params"], options)
