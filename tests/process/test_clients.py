"""Clients of other generations and languages do the main job, over both transports."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from komorebi_mcp.surface.prompt_texts import PROMPTS
from komorebi_mcp.surface.tools.own import OWN_TOOLS
from support.documents import ROOT
from support.processes import COMMAND, environment, http_server

pytestmark = [pytest.mark.process, pytest.mark.slow]

CLIENTS = Path(__file__).parents[1] / "support" / "clients"
SETUP_TIMEOUT_S = 600
CLIENT_TIMEOUT_S = 60


def made_ready(client: str) -> list[str]:
    """The command that starts the client, which is fetched on first use."""
    script = "setup-old-client" if client == "python-v1" else "setup-node"
    subprocess.run([ROOT / "scripts" / script], check=True, timeout=SETUP_TIMEOUT_S)
    if client == "python-v1":
        return [str(ROOT / ".cache/old-client/bin/python"), str(CLIENTS / "python_v1.py")]
    node = ROOT / ".cache/node/node_modules/.bin/node"
    return [str(node), str(CLIENTS / "typescript.mjs"), client.removeprefix("typescript-")]


def seen_by(client: str, home: Path, *target: str) -> dict[str, Any]:
    packages = str(ROOT / ".cache/node")
    done = subprocess.run(
        [*made_ready(client), *target],
        env={**os.environ, **environment(home), "NODE_PACKAGES": packages},
        capture_output=True, encoding="utf-8", timeout=CLIENT_TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def check(seen: dict[str, Any]) -> None:
    own = [tool.name for tool in OWN_TOOLS.values() if not tool.with_upstreams]
    assert seen["tools"] == own
    assert seen["prompts"] == list(PROMPTS)
    assert seen["found"] == seen["cited"] == [seen["captured"]]
    assert seen["content"] == "The owl counts ü twice."
    assert seen["refused"] is True


@pytest.mark.parametrize("client", ["python-v1", "typescript-v1", "typescript-v2"])
def test_a_client_does_the_main_job_over_stdio(tmp_path: Path, client: str) -> None:
    check(seen_by(client, tmp_path, *COMMAND, "serve"))


@pytest.mark.parametrize("client", ["python-v1", "typescript-v1", "typescript-v2"])
async def test_a_client_does_the_main_job_over_http(tmp_path: Path, client: str) -> None:
    async with http_server(tmp_path) as (_, url):
        with anyio.fail_after(CLIENT_TIMEOUT_S):
            check(await anyio.to_thread.run_sync(seen_by, client, tmp_path, url))
