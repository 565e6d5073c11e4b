"""The examples work as they stand."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from komorebi_mcp.upstream.config import load_upstreams
from komorebi_mcp.upstream.pool import open_upstreams
from support.gateway import upstreams

pytestmark = pytest.mark.process

EXAMPLES = Path(__file__).parents[2] / "examples"
SERVER = EXAMPLES / "workspace_server.py"


async def ask(folder: Path, tool: str, **arguments: Any) -> Any:
    started = StdioServerParameters(command=sys.executable, args=[str(SERVER), "--root", str(folder)])
    async with Client(started) as client:
        return await client.call_tool(tool, arguments)


@contextmanager
def serving() -> Iterator[str]:
    """The URL of a workspace server over HTTP."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(SERVER), "--http", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            while "running on" not in (line := process.stderr.readline()).lower():
                assert line
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.kill()


async def test_the_workspace_counts_words(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        result = await ask(tmp_path, "word_count", text="light through leaves,\nleaves through light")
    assert result.structured_content == {
        "words": 6,
        "lines": 2,
        "characters": 42,
        "most_common": {"light": 2, "through": 2, "leaves": 2},
    }


async def test_the_workspace_reads_inside_its_folder_and_nowhere_else(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "note.txt").write_text("komorebi", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    (inside / "link.txt").symlink_to(tmp_path / "secret.txt")
    started = StdioServerParameters(command=sys.executable, args=[str(SERVER), "--root", str(inside)])
    with anyio.fail_after(5):
        async with Client(started) as client:
            assert (await client.call_tool("read_text", {"path": "note.txt"})).structured_content == {
                "result": "komorebi"
            }
            for path in ("../secret.txt", "link.txt", str(tmp_path / "secret.txt"), "none.txt", "."):
                assert (await client.call_tool("read_text", {"path": path})).is_error


async def test_the_workspace_lists_commits_and_says_when_there_are_none(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        assert (await ask(tmp_path, "git_log")).is_error
    commit = ["commit", "-q", "--allow-empty", "-m", "first light"]
    with anyio.fail_after(5):
        await anyio.run_process(["git", "init", "-q"], cwd=tmp_path)
        await anyio.run_process(["git", "-c", "user.name=A", "-c", "user.email=a@b", *commit], cwd=tmp_path)
        (line,) = (await ask(tmp_path, "git_log")).structured_content["result"]
    assert line.endswith(" first light")


async def test_the_workspace_serves_http_to_the_gateway(tmp_path: Path) -> None:
    params = {"name": "web__word_count", "arguments": {"text": "one two"}}
    with anyio.fail_after(10), serving() as url:
        async with upstreams(tmp_path, {"web": {"url": url}}) as opened:
            result = await opened.call("web__word_count", params)
    assert result["structuredContent"]["words"] == 2


async def test_the_example_file_configures_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("found", encoding="utf-8")
    # `python` is whichever the reader has; here it is the one that runs the tests.
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    config = load_upstreams(EXAMPLES / "upstreams.json", environment={"HOME": str(tmp_path), "PATH": path})
    assert (config.problems, [upstream.name for upstream in config.upstreams]) == ((), ["workspace"])
    with anyio.fail_after(5):
        async with open_upstreams(config) as opened:
            params = {"name": "workspace__read_text", "arguments": {"path": "a.txt"}}
            result = await opened.call("workspace__read_text", params)
    assert result["structuredContent"] == {"result": "found"}


def test_the_example_file_holds_no_secret() -> None:
    servers = json.loads((EXAMPLES / "upstreams.json").read_text())["mcpServers"]
    assert all("${env:" in value for value in servers["remote"]["headers"].values())
