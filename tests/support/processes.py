"""The product as a subprocess, spoken to line by line or over HTTP."""

import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp.client.stdio import StdioServerParameters

COMMAND: Final = [sys.executable, "-m", "komorebi_mcp.cli.main"]
LINE_BYTES_MAX: Final = 16 * 1024 * 1024
START_S: Final = 20
"""How long a start may take on a machine that is busy with other tests."""

MODERN_META: Final = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "KOMOREBI_HOME": str(home), "KOMOREBI_LOG_LEVEL": "WARNING"}


def stdio_parameters(home: Path) -> StdioServerParameters:
    return StdioServerParameters(command=COMMAND[0], args=[*COMMAND[1:], "serve"], env=environment(home))


@dataclass
class Conversation:
    """A stdio server and what it has said."""

    process: Process
    said: list[bytes] = field(default_factory=list)
    """Every line of its stdout so far."""

    def __post_init__(self) -> None:
        assert self.process.stdout is not None
        self._lines = BufferedByteReceiveStream(self.process.stdout)

    async def send(self, message: bytes | dict[str, Any]) -> None:
        line = message if isinstance(message, bytes) else json.dumps(message).encode()
        assert self.process.stdin is not None
        await self.process.stdin.send(line + b"\n")

    async def receive(self) -> dict[str, Any]:
        with anyio.fail_after(START_S):
            line = await self._lines.receive_until(b"\n", LINE_BYTES_MAX)
        self.said.append(line)
        message = json.loads(line)
        assert isinstance(message, dict)
        return message

    async def ask(self, message: bytes | dict[str, Any]) -> dict[str, Any]:
        await self.send(message)
        return await self.receive()

    async def shake_hands(self) -> None:
        answer = await self.ask(
            request(
                "initialize",
                request_id=0,
                protocolVersion="2025-11-25",
                capabilities={},
                clientInfo={"name": "test", "version": "1"},
            )
        )
        assert answer["result"]["protocolVersion"] == "2025-11-25"
        await self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    async def hang_up(self) -> int:
        """Closes stdin; the exit code."""
        assert self.process.stdin is not None
        await self.process.stdin.aclose()
        return await self.wait()

    async def wait(self) -> int:
        with anyio.fail_after(5):
            return await self.process.wait()


@asynccontextmanager
async def conversation(home: Path, *arguments: str) -> AsyncIterator[Conversation]:
    """A stdio server, with no arguments as desktop clients start it; killed at the end if still there."""
    process = await anyio.open_process([*COMMAND, *arguments], env=environment(home), stderr=None)
    async with process:
        try:
            yield Conversation(process)
        finally:
            if process.returncode is None:
                process.kill()


@asynccontextmanager
async def http_server(
    home: Path,
    *arguments: str,
    variables: Mapping[str, str] | None = None,
    through: Sequence[str] = (),
) -> AsyncIterator[tuple[Process, str]]:
    """An HTTP server on a free port, and its endpoint's URL; started by the command `through`, if any."""
    command = [*through, *COMMAND, "serve", "--transport", "http", "--port", "0", *arguments]
    process = await anyio.open_process(command, env={**environment(home), **(variables or {})})
    async with process:
        try:
            assert process.stderr is not None
            with anyio.fail_after(START_S):
                first = await BufferedByteReceiveStream(process.stderr).receive_until(b"\n", 4_096)
            told = json.loads(first)["event"] if first.startswith(b"{") else first.decode()
            assert told.startswith("Listening on "), first
            yield process, told.removeprefix("Listening on ").strip()
        finally:
            if process.returncode is None:
                process.kill()


@asynccontextmanager
async def worker(home: Path, *, database_url: str) -> AsyncIterator[Process]:
    """`komorebi-mcp worker`, at work; killed at the end if still there."""
    variables = {**environment(home), "KOMOREBI_DATABASE_URL": database_url}
    async with await anyio.open_process([*COMMAND, "worker"], env=variables) as process:
        try:
            assert process.stderr is not None
            with anyio.fail_after(START_S):
                first = await BufferedByteReceiveStream(process.stderr).receive_until(b"\n", 4_096)
            assert first == b"Working", first
            yield process
        finally:
            if process.returncode is None:
                process.kill()


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that ended stays in the table until its new parent looks.
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def request(method: str, /, *, request_id: Any = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def modern(method: str, /, *, request_id: Any = 1, **params: Any) -> dict[str, Any]:
    return request(method, request_id=request_id, _meta=MODERN_META, **params)


def capture_request(content: str, *, request_id: Any = 1) -> dict[str, Any]:
    return request("tools/call", request_id=request_id, name="capture", arguments={"content": content})
