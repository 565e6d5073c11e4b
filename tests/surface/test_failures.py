"""When something breaks inside, the client is told so in one sentence and the server goes on."""

import sqlite3
from contextlib import closing
from pathlib import Path

import anyio.to_thread
import pytest
from mcp import MCPError

from support.connections import MODES, open_client, refused

pytestmark = pytest.mark.parametrize("mode", MODES)

INSIDES = ("SELECT", "sqlite", "Traceback", "projects.", "sqlalche")


async def break_database(folder: Path) -> None:
    await anyio.to_thread.run_sync(_lose_projects, folder / "test.db")


def _lose_projects(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("ALTER TABLE projects RENAME TO gone")


async def test_a_tool_that_breaks_says_so_without_its_insides(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        await break_database(tmp_path)
        text = await refused(client, "list_projects")
        assert text.endswith(".")
        assert not [inside for inside in INSIDES if inside in text]
        assert len((await client.list_tools()).tools) >= 9


async def test_a_resource_that_breaks_says_so_without_its_insides(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        await break_database(tmp_path)
        with pytest.raises(MCPError) as caught:
            await client.read_resource("komorebi://projects")
        assert caught.value.error.code == -32603
        assert not [inside for inside in INSIDES if inside in caught.value.error.message]
        with pytest.raises(MCPError) as caught:
            await client.list_resources()
        assert caught.value.error.code == -32603
