"""The MCP Inspector, an independent client in another language, accepts the server's tools in both eras."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from komorebi_mcp.surface.tools.own import OWN_TOOLS
from support.documents import ROOT
from support.processes import COMMAND, environment, http_server

pytestmark = [pytest.mark.process, pytest.mark.slow]

ERAS = ("legacy", "modern")
SETUP_TIMEOUT_S = 600
INSPECT_TIMEOUT_S = 60


@pytest.fixture(scope="session")
def node() -> Path:
    """The folder with `node` and `mcp-inspector`, filled on first use."""
    subprocess.run([ROOT / "scripts" / "setup-node"], check=True, timeout=SETUP_TIMEOUT_S)
    return ROOT / ".cache" / "node" / "node_modules" / ".bin"


def inspect(node: Path, home: Path, era: str, *target: str) -> dict[str, Any]:
    """What the Inspector makes of `tools/list`; it ends with status 6 if a schema is not portable."""
    # Options that come behind the target are the target's.
    options = ["--method", "tools/list", "--strict", "--quiet", "--format", "json", "--protocol-era", era]
    path = f"{node}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [node / "mcp-inspector", "--cli", *target, *options],
        env={**environment(home), "PATH": path, "HOME": str(home)},
        capture_output=True, encoding="utf-8", timeout=INSPECT_TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    listed: dict[str, Any] = json.loads(done.stdout)
    return listed


def names(listed: dict[str, Any]) -> list[str]:
    return [tool["name"] for tool in listed.get("result", listed)["tools"]]


def with_an_upstream(home: Path) -> None:
    """Has the tools about upstreams listed, too."""
    server = ROOT / "examples" / "workspace_server.py"
    entry = {"command": sys.executable, "args": [str(server), "--root", str(home)]}
    (home / "upstreams.json").write_text(json.dumps({"mcpServers": {"workspace": entry}}))


@pytest.mark.parametrize("era", ERAS)
def test_the_inspector_accepts_the_tools_over_stdio(node: Path, tmp_path: Path, era: str) -> None:
    with_an_upstream(tmp_path)
    # The Inspector hands on none of our variables.
    found = names(inspect(node, tmp_path, era, "env", f"KOMOREBI_HOME={tmp_path}", *COMMAND))
    assert found[: len(OWN_TOOLS)] == list(OWN_TOOLS)


@pytest.mark.parametrize("era", ERAS)
async def test_the_inspector_accepts_the_tools_over_http(node: Path, tmp_path: Path, era: str) -> None:
    async with http_server(tmp_path) as (_, url):
        with anyio.fail_after(INSPECT_TIMEOUT_S):
            listed = await anyio.to_thread.run_sync(inspect, node, tmp_path, era, url, "--transport", "http")
        assert names(listed) == [tool.name for tool in OWN_TOOLS.values() if not tool.with_upstreams]
