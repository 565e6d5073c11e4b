"""However much is stored, no answer floods a model, and what was left out is named with the next call."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import CallToolResult, TextContent, TextResourceContents

from komorebi_mcp.app import App
from komorebi_mcp.domain.captures import CaptureCreate, Kind
from komorebi_mcp.domain.projects import ProjectUpdate
from komorebi_mcp.surface.prompt_texts import PROMPTS
from komorebi_mcp.surface.server import open_server
from komorebi_mcp.surface.tools.own import OWN_TOOLS
from komorebi_mcp.text.tokens import estimate_tokens
from support.connections import open_application

TOKENS_MAX = 25_000
CAPTURES = 110
PROJECTS = 55
NOT_ASKED = {"capture", "update_project", "list_upstreams", "find_tools", "call_tool"}
"""Their answers tell of one thing, or of upstreams, which this store does not fill."""


@asynccontextmanager
async def full(folder: Path) -> AsyncIterator[tuple[Client, App, list[str]]]:
    """A client of a store where everything is as long as it may be; the ids, the newest last."""
    async with (
        open_application(folder) as app,
        open_server(app) as server,
        Client(server, cache=None) as client,
    ):
        began = datetime(2015, 1, 1, tzinfo=UTC)
        made = [
            CaptureCreate(
                content=f"Decision {n}: the pump {n % 9} is replaced. "
                + f"长い文章{n}。 " * (20_000 if n == 0 else 30),
                title=f"{n:03} " + "試" * 296,
                project=f"{n % PROJECTS:02} " + "計" * 90,
                tags=tuple(f"{t:02}" + "標" * 60 for t in range(20)),
                kind=Kind.DECISION if n % 3 else Kind.ERROR,
                source="s" * 500,
                created_at=began + timedelta(days=34 * n),
            )
            for n in range(CAPTURES)
        ]
        async with app.store.write("local") as transaction:
            ids = [receipt.id for receipt in await transaction.captures.add_all(made)]
            for project in (await transaction.projects.page(limit=100)).items:
                change = ProjectUpdate(description="説" * 2_000, goal="目" * 2_000)
                await transaction.projects.update(project.name, change)
        yield client, app, ids


def tokens_of(result: CallToolResult) -> int:
    """What the longer of its two forms costs: clients hand a model one of them."""
    texts = "".join(block.text for block in result.content if isinstance(block, TextContent))
    whole = json.dumps(result.structured_content, ensure_ascii=False, separators=(",", ":"))
    return max(estimate_tokens(texts), estimate_tokens(whole))


def calls(ids: list[str]) -> dict[str, list[dict[str, Any]]]:
    """For every tool, calls that ask for as much as may be, and by default."""
    return {
        "list_captures": [{}, {"limit": 100}],
        "search_captures": [{"query": "pump"}, {"query": "pump", "limit": 100}],
        "read_captures": [{"ids": ids[:1]}, {"ids": ids[:100], "related": True}],
        "update_captures": [{"ids": ids[:100], "remove_tags": ["x"], "kind": "note"}],
        "summarize": [{}, {"project": f"00 {'計' * 90}"}],
        "resume": [{}, {"project": f"00 {'計' * 90}"}],
        "list_projects": [{}, {"limit": 100}],
        "timeline": [{}, {"bucket": "day"}, {"bucket": "month"}],
        "forget_captures": [{"ids": ids[:100], "confirm": True}],
    }


@pytest.mark.slow
async def test_no_answer_of_a_tool_is_longer_than_a_model_can_take(tmp_path: Path) -> None:
    async with full(tmp_path) as (client, _, ids):
        asked = calls(ids)
        assert set(asked) == set(OWN_TOOLS) - NOT_ASKED
        sizes: dict[str, int] = {}
        for tool, each in asked.items():
            for arguments in each:
                result = await client.call_tool(tool, arguments)
                assert isinstance(result, CallToolResult)
                assert not result.is_error, (tool, arguments, result.content)
                shown = {name: value for name, value in arguments.items() if name != "ids"}
                sizes[f"{tool} {shown}"] = tokens_of(result)
        assert {call: size for call, size in sizes.items() if size > TOKENS_MAX} == {}


@pytest.mark.slow
async def test_no_resource_or_prompt_is_longer_than_a_model_can_take(tmp_path: Path) -> None:
    async with full(tmp_path) as (client, _, ids):
        uris = ["komorebi://inbox", "komorebi://projects", f"komorebi://captures/{ids[0]}"]
        cursor: str | None = None
        while True:
            page = await client.list_resources(cursor=cursor)
            listed = page.model_dump_json(by_alias=True, exclude_none=True)
            assert estimate_tokens(listed) <= TOKENS_MAX
            uris += [str(resource.uri) for resource in page.resources][:5]
            cursor = page.next_cursor
            if cursor is None:
                break
        sizes: dict[str, int] = {}
        for uri in dict.fromkeys(uris):
            (content,) = (await client.read_resource(uri)).contents
            assert isinstance(content, TextResourceContents)
            sizes[uri] = estimate_tokens(content.text)
        for name in PROMPTS:
            got = await client.get_prompt(name, {})
            sizes[name] = estimate_tokens(got.model_dump_json(by_alias=True, exclude_none=True))
        assert {what: size for what, size in sizes.items() if size > TOKENS_MAX} == {}
