"""What the HTTP server logs of each request: who, what and how long, and nothing of what was said."""

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import anyio
import httpx
import pytest
from anyio.abc import Process

from support.processes import COMMAND, START_S, environment, http_server, modern
from support.serving import MODERN, ask, bearer

pytestmark = pytest.mark.process

SECRETS: Final = ("a confidential sentence", "confidential title", "in-the-address")


async def made_token(home: Path) -> str:
    command = [*COMMAND, "token", "new", "--owner", "mei", "--scopes", "read,write", "--json"]
    done = await anyio.run_process(command, env=environment(home))
    return str(json.loads(done.stdout)["token"])


async def logged(process: Process) -> list[Mapping[str, Any]]:
    """What was logged of requests, once it has been told to end."""
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    with anyio.fail_after(START_S):
        lines = b"".join([chunk async for chunk in process.stderr]).decode().splitlines()
    told = [json.loads(line) for line in lines]
    return [line for line in told if line["event"] == "http.request"]


async def test_a_request_is_a_line_without_its_content_its_token_and_its_query(tmp_path: Path) -> None:
    token = await made_token(tmp_path)
    wanted = {"KOMOREBI_LOG_LEVEL": "INFO", "KOMOREBI_LOG_FORMAT": "json"}
    content, title, query = SECRETS
    async with (
        http_server(tmp_path, variables=wanted) as (process, url),
        httpx.AsyncClient(timeout=START_S, headers=bearer(token)) as http,
    ):
        arguments = {"content": content, "title": title}
        captured = await ask(http, url, "tools/call", name="capture", arguments=arguments)
        assert captured.json()["result"]["structuredContent"]["created"]
        await http.get(f"{url}?token={query}")
        # Whatever a client calls a method is its own text, too.
        odd = f"{content}\n" * 10_000
        await http.post(url, headers={**MODERN, "mcp-method": "odd"}, json=modern(odd))
        lines = await logged(process)
    first, *others = lines
    assert [first[name] for name in ("method", "path", "status", "rpc", "owner")] == [
        "POST",
        "/mcp",
        200,
        "tools/call",
        "mei",
    ]
    assert first["ms"] > 0
    assert [(line["method"], line["path"]) for line in others] == [("GET", "/mcp"), ("POST", "/mcp")]
    assert [line["rpc"] for line in others] == [None, "another"]
    said = json.dumps(lines)
    assert not [secret for secret in (*SECRETS, token) if secret in said]


async def test_a_status_is_a_number_in_lines_for_people_too(tmp_path: Path) -> None:
    token = await made_token(tmp_path)
    async with (
        http_server(tmp_path, variables={"KOMOREBI_LOG_LEVEL": "INFO"}) as (process, url),
        httpx.AsyncClient(timeout=START_S, headers=bearer(token)) as http,
    ):
        await ask(http, url, "tools/list")
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        with anyio.fail_after(START_S):
            said = b"".join([chunk async for chunk in process.stderr]).decode()
    assert " status=200 " in said
