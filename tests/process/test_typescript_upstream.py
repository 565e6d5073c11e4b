"""An upstream on the TypeScript SDK, in a real Node process, through the gateway and over both transports."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client._memory import InMemoryTransport
from mcp.shared.exceptions import MCPError
from mcp_types import URL_ELICITATION_REQUIRED, ElicitResult, ErrorData

from support.documents import ROOT
from support.eras import CLIENTS, TRANSPORTS, text_of
from support.gateway import FIXTURES, all_tools, gateway

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning"),
]

SETUP_TIMEOUT_S = 600
WAIT_S = 20
NODE = ROOT / ".cache/node"
COMMAND = [str(NODE / "node_modules/.bin/node"), str(FIXTURES / "typescript_server.mjs")]
PACKAGES = {"NODE_PACKAGES": str(NODE)}


@contextmanager
def upstream(transport: str) -> Iterator[dict[str, Any]]:
    """Its entry; Node and the packages are fetched on first use."""
    subprocess.run([ROOT / "scripts/setup-node"], check=True, timeout=SETUP_TIMEOUT_S, stderr=sys.stderr)
    if transport == "stdio":
        yield {"command": COMMAND[0], "args": COMMAND[1:], "env": PACKAGES}
        return
    environment = {**os.environ, **PACKAGES}
    with subprocess.Popen([*COMMAND, "--http"], env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield {"url": f"http://127.0.0.1:{server.stdout.readline().strip()}/mcp"}
        finally:
            server.kill()


async def paint(_ctx: Any, params: Any) -> ElicitResult | ErrorData:
    assert params.message == "Which colour?"
    return ElicitResult(action="accept", content={"colour": "green"})


CALLBACKS: dict[str, Any] = {"elicitation_callback": paint}


@asynccontextmanager
async def connected(folder: Path, transport: str, mode: Any) -> AsyncIterator[Client]:
    with upstream(transport) as entry, anyio.fail_after(WAIT_S):
        async with (
            gateway(folder, {"ts": entry}) as (server, opened),
            Client(InMemoryTransport(server), mode=mode, cache=None, **CALLBACKS) as client,
        ):
            await all_tools(opened)
            yield client


@CLIENTS
@TRANSPORTS
async def test_its_tools_are_listed_with_their_schemas_and_give_structured_results(
    tmp_path: Path, transport: str, mode: Any
) -> None:
    async with connected(tmp_path, transport, mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        result = await client.call_tool("ts__add", {"a": 1, "b": 2})
        wrong = await client.call_tool("ts__add", {"a": "one"})
    assert tools["ts__add"].input_schema["required"] == ["a", "b"]
    assert tools["ts__add"].output_schema is not None
    assert result.structured_content == {"sum": 3}
    assert wrong.is_error


@CLIENTS
@TRANSPORTS
async def test_its_progress_arrives_in_order_and_ahead_of_the_result(
    tmp_path: Path, transport: str, mode: Any
) -> None:
    steps: list[tuple[float, str | None]] = []

    async def step(progress: float, total: float | None, message: str | None) -> None:
        assert total == 3
        steps.append((progress, message))

    async with connected(tmp_path, transport, mode) as client:
        assert text_of(await client.call_tool("ts__climb", {"steps": 3}, progress_callback=step)) == "top"
        while len(steps) < 3:
            await anyio.lowlevel.checkpoint()
    assert steps == [(1, "step 1"), (2, "step 2"), (3, "step 3")]


@CLIENTS
@TRANSPORTS
async def test_its_questions_reach_the_client(tmp_path: Path, transport: str, mode: Any) -> None:
    async with connected(tmp_path, transport, mode) as client:
        assert text_of(await client.call_tool("ts__paint")) == "accept green"


@CLIENTS
@TRANSPORTS
async def test_a_tool_that_it_adds_can_be_called(tmp_path: Path, transport: str, mode: Any) -> None:
    async with connected(tmp_path, transport, mode) as client:
        await client.call_tool("ts__grow")
        while "ts__grown" not in {tool.name for tool in (await client.list_tools()).tools}:
            await anyio.lowlevel.checkpoint()
        assert text_of(await client.call_tool("ts__grown")) == "here"


@TRANSPORTS
async def test_its_demand_for_a_visit_passes_to_a_handshake_client(tmp_path: Path, transport: str) -> None:
    async with connected(tmp_path, transport, "legacy") as client:
        with pytest.raises(MCPError) as refused:
            await client.call_tool("ts__locked")
    assert refused.value.error.code == URL_ELICITATION_REQUIRED
    assert refused.value.error.data["elicitations"][0]["url"] == "https://example.com/in"
