"""The product and its clients, started as users start them: for the demo, the hammer and the benchmark."""

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.abc
from mcp import Client, StdioServerParameters
from mcp.client.session import SamplingFnT
from mcp.client.stdio import stdio_client
from mcp_types import CallToolResult, TextContent

Transport = Literal["stdio", "http"]
Era = Literal["handshake", "modern"]
Command = tuple[str, ...]

KOMOREBI: Command = (str(Path(sys.executable).with_name("komorebi-mcp")), "serve")
START_TIMEOUT_S = 20.0
NO_SETTINGS: Mapping[str, str] = {}
_MODES: Mapping[Era, str] = {"handshake": "legacy", "modern": "auto"}


class CallFailed(Exception):
    """A tool answered with an error; its text says which."""


@asynccontextmanager
async def connect_stdio(
    command: Command,
    *,
    home: Path,
    era: Era = "modern",
    settings: Mapping[str, str] = NO_SETTINGS,
    model: SamplingFnT | None = None,
) -> AsyncIterator[Client]:
    """A client of a server process of its own, which works in `home` and ends with the block.

    `model` is what the client lends for sampling.
    """
    parameters = StdioServerParameters(
        command=command[0], args=list(command[1:]), env={**settings, "KOMOREBI_HOME": str(home)}
    )
    async with Client(
        stdio_client(parameters), mode=_MODES[era], cache=None, sampling_callback=model
    ) as client:
        yield client


@asynccontextmanager
async def connect_http(
    url: str, *, era: Era = "modern", model: SamplingFnT | None = None
) -> AsyncIterator[Client]:
    """A client of the server at `url`, in a session of its own."""
    async with Client(url, mode=_MODES[era], cache=None, sampling_callback=model) as client:
        yield client


@asynccontextmanager
async def serve_http(
    command: Command, *, home: Path, settings: Mapping[str, str] = NO_SETTINGS
) -> AsyncIterator[str]:
    """The URL of a server process on a free loopback port; `--port PORT` is added to its command."""
    port = _free_port()
    # The settings of whoever runs this stay out: they may name a database that is not ours to fill.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KOMOREBI_")}
    process = await anyio.open_process(
        [*command, "--port", str(port)],
        env={**kept, **settings, "KOMOREBI_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        stderr=None,
    )
    try:
        with anyio.fail_after(START_TIMEOUT_S):
            await _answers(port, process)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The structured result of a tool.

    Raises:
        CallFailed: The tool answered with an error.
    """
    result = await client.call_tool(tool, arguments)
    if result.is_error:
        raise CallFailed(f"{tool}: {text_of(result)}")
    if not isinstance(result.structured_content, dict):
        raise CallFailed(f"{tool} answered without a structured result.")
    return result.structured_content


def text_of(result: CallToolResult) -> str:
    """What a person or a model reads of a result."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _answers(port: int, process: anyio.abc.Process) -> None:
    """Returns once something listens; what it answers is the caller's business."""
    while True:
        if process.returncode is not None:
            raise CallFailed(f"The server ended with status {process.returncode} before it listened.")
        try:
            async with await anyio.connect_tcp("127.0.0.1", port):
                return
        except OSError:
            await anyio.sleep(0.02)
