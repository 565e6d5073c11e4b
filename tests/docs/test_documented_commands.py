"""What the documentation shows is run, in a home of its own."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from komorebi_mcp.cli.serve import serve
from komorebi_mcp.upstream.config import load_upstreams
from support.documents import ROOT, Block, Step, blocks, steps

COMMAND_TIMEOUT_S = 60
START_TIMEOUT_S = 15
WRITTEN_FOR_PEOPLE = re.compile(r"\./scripts/(?P<name>[a-z]+)( --?\w+)*")


def environment(home: Path) -> dict[str, str]:
    """A newcomer's: the product on the PATH, an empty home, no settings of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KOMOREBI_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return {
        **kept,
        "PATH": path,
        "HOME": str(home),
        "KOMOREBI_HOME": str(home / "komorebi"),
        "COLUMNS": "200",
        "TZ": "UTC",
    }


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("page", sorted({block.file for block in blocks("console")}), ids=named)
def test_what_a_page_shows_from_top_to_bottom_is_what_happens(page: Path, tmp_path: Path) -> None:
    for step in (step for block in blocks("console") if block.file == page for step in steps(block)):
        if script := WRITTEN_FOR_PEOPLE.fullmatch(step.command):
            # Run by a test of their own, by whoever runs this, or by CI.
            assert os.access(ROOT / "scripts" / script["name"], os.X_OK), step.command
            continue
        if step.command.startswith("komorebi-mcp serve"):
            assert_serves(step, environment(tmp_path))
            continue
        done = subprocess.run(
            ["/bin/sh", "-c", step.command], cwd=ROOT, env=environment(tmp_path), capture_output=True,
            encoding="utf-8", timeout=COMMAND_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"{step.command}\n{done.stderr}"
        assert step.describes(done.stdout), f"{step.command} printed\n{done.stdout}\nand not\n{step.output}"


def assert_serves(step: Step, variables: dict[str, str]) -> None:
    """Starts the server, on a free port, and stops it once it has said where it listens."""
    command = [*shlex.split(step.command), "--port", "0"]
    with subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, encoding="utf-8") as server:
        assert server.stderr is not None
        said = server.stderr.readline()
        server.terminate()
        server.wait(COMMAND_TIMEOUT_S)
    assert re.sub(r":\d+/", ":8000/", said).strip() == step.output.strip()


def configured_servers(block: Block) -> dict[str, Any]:
    document = json.loads(block.body)
    servers: dict[str, Any] = document.get("mcpServers") or document.get("servers") or {}
    return servers


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_a_shown_configuration_names_a_server(block: Block) -> None:
    assert configured_servers(block)


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("block", blocks("json"), ids=str)
async def test_a_shown_configuration_starts_what_it_names(block: Block, tmp_path: Path) -> None:
    for entry in configured_servers(block).values():
        if "command" not in entry:
            assert_is_where_the_server_listens(entry["url"])
            continue
        variables = environment(tmp_path) | {k: v for k, v in entry.get("env", {}).items() if "${" not in v}
        parameters = StdioServerParameters(
            command=entry["command"],
            args=[argument.replace("${env:HOME}", str(tmp_path)) for argument in entry.get("args", [])],
            env=variables,
            cwd=entry.get("cwd", ROOT),
        )
        with anyio.fail_after(START_TIMEOUT_S):
            async with Client(stdio_client(parameters), cache=None) as client:
                tools = (await client.list_tools()).tools
        assert tools, f"{shlex.join([entry['command'], *entry.get('args', [])])} has no tools"


def assert_is_where_the_server_listens(url: str) -> None:
    assert serve.__defaults__ is not None
    _, host, port = serve.__defaults__
    assert url == f"http://{host}:{port}/mcp" or "example" in url


@pytest.mark.parametrize("block", [b for b in blocks("json") if "mcpServers" in b.body], ids=str)
def test_a_shown_configuration_can_be_read_as_upstreams(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "upstreams.json"
    file.write_text(block.body, encoding="utf-8")
    config = load_upstreams(file)
    assert not config.problems
    # This server itself is left out, but for one with a store of its own.
    others = [
        name
        for name, entry in configured_servers(block).items()
        if entry.get("command") != "komorebi-mcp" or "KOMOREBI_HOME" in entry.get("env", {})
    ]
    assert [upstream.name for upstream in config.upstreams] == others
