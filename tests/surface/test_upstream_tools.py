"""Upstreams as a client of the whole server sees them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.client._memory import InMemoryTransport
from mcp.client.subscriptions import ResourceUpdated
from mcp_types import (
    CallToolResult,
    ElicitResult,
    ResourceLink,
    ResourceUpdatedNotification,
    TextContent,
    ToolListChangedNotification,
)

from komorebi_mcp.app import App, open_app
from komorebi_mcp.settings import Settings
from komorebi_mcp.surface.server import open_server
from support.connections import ERAS, call, open_client, refused, text_of
from support.databases import put_sqlite_file
from support.gateway import a_tool, everything, offer, raw, told

pytestmark = [pytest.mark.process, pytest.mark.parametrize("mode", ERAS)]

ECHO = a_tool("echo", "Says what it is told.")
MANY = [a_tool(f"tool_{number}", f"Makes thing number {number}.") for number in range(61)]


@asynccontextmanager
async def opened(
    folder: Path, mode: str, servers: dict[str, Any], client: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[tuple[Client, App]]:
    """A client of the application over these upstreams, all of which have answered."""
    put_sqlite_file(folder / "test.db")
    (folder / "upstreams.json").write_text(json.dumps({"mcpServers": servers}))
    url = f"sqlite+aiosqlite:///{folder}/test.db"
    with anyio.fail_after(20):
        async with (
            open_app(Settings(home=folder, database_url=url, **settings)) as app,
            open_server(app) as server,
            Client(InMemoryTransport(server), mode=mode, cache=None, **(client or {})) as connected,
        ):
            while not app.aggregate.is_complete:
                await app.aggregate.tools()
                await anyio.sleep(0.01)
            yield connected, app


async def names(client: Client) -> list[str]:
    return [tool.name for tool in (await client.list_tools()).tools]


async def run(client: Client, tool: str, meta: Any = None, /, **arguments: Any) -> CallToolResult:
    result = await client.call_tool(tool, arguments, meta=meta)
    assert isinstance(result, CallToolResult)
    return result


async def captured(client: Client, capture_id: str) -> dict[str, Any]:
    read = await call(client, "read_captures", ids=[capture_id], max_tokens=8_000)
    found: dict[str, Any] = read["captures"][0]
    return found


async def test_without_upstreams_there_is_nothing_to_say_of_them(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        assert {"list_upstreams", "find_tools", "call_tool"}.isdisjoint(await names(client))
        assert (await call(client, "list_upstreams"))["upstreams"] == []
        assert "call find_tools" in (await refused(client, "call_tool", tool="x__y", arguments={})).lower()


async def test_an_upstream_is_listed_with_what_the_design_says(tmp_path: Path, mode: str) -> None:
    async with opened(tmp_path, mode, {"up": told(tmp_path, ECHO), "bad": {}}) as (client, _):
        assert {"list_upstreams", "find_tools", "call_tool", "up__echo"} <= set(await names(client))
        await run(client, "up__echo")
        up, bad = (await call(client, "list_upstreams"))["upstreams"]
        read = await client.read_resource("komorebi://upstreams")
    fields = {"name", "state", "era", "tools", "stale", "quarantined", "last_error", "p50_ms"}
    assert set(up) == set(bad) == fields
    assert (up["name"], up["state"], up["era"], up["tools"]) == ("up", "ready", "handshake", 1)
    assert (up["stale"], up["quarantined"], up["last_error"]) == (False, [], None)
    assert up["p50_ms"] > 0
    assert (bad["state"], bad["tools"]) == ("failed", 0)
    assert bad["last_error"].startswith('upstreams.json, line 1: It has no "command".')
    assert json.loads(read.contents[0].text)["upstreams"][0]["name"] == "up"  # type: ignore[union-attr]


async def test_a_tool_is_found_by_what_it_does_and_run(tmp_path: Path, mode: str) -> None:
    schema = {"type": "object", "properties": {"path": {"type": "string", "description": "A folder."}}}
    tools = [*MANY, a_tool("list_directory", "Shows what a folder holds.", inputSchema=schema), ECHO]
    async with opened(tmp_path, mode, {"up": told(tmp_path, *tools)}) as (client, _):
        # More than 60: none of them is listed, and all can be run.
        assert not [name for name in await names(client) if name.startswith("up__")]
        found = (await call(client, "find_tools", query="look into a folder", limit=1))["tools"]
        assert found == [
            {
                "name": "up__list_directory",
                "description": "Shows what a folder holds.",
                "input_schema": schema,
            }
        ]
        result = await run(client, "call_tool", tool="up__echo", arguments={"a": 1})
        assert json.loads(text_of(result)) == {"a": 1}
        assert json.loads(text_of(await run(client, "up__echo", a=2))) == {"a": 2}


@pytest.mark.parametrize(("expose", "tools", "listed"), [("search", [ECHO], 0), ("tools", MANY, 61)])
async def test_what_is_listed_can_be_settled(
    tmp_path: Path, mode: str, expose: str, tools: list[Any], listed: int
) -> None:
    async with opened(tmp_path, mode, {"up": told(tmp_path, *tools)}, expose=expose) as (client, _):
        assert sum(name.startswith("up__") for name in await names(client)) == listed


async def test_tools_of_one_upstream_are_found_alone(tmp_path: Path, mode: str) -> None:
    servers = {"a": told(tmp_path, ECHO, name="a"), "b": told(tmp_path, ECHO, name="b")}
    async with opened(tmp_path, mode, servers) as (client, _):
        found = (await call(client, "find_tools", query="says", upstream="b"))["tools"]
        assert [tool["name"] for tool in found] == ["b__echo"]
        assert "There are: a, b." in await refused(client, "find_tools", query="says", upstream="c")
        assert (await call(client, "find_tools", query="zeppelin"))["tools"] == []


async def test_a_result_is_captured_with_where_it_is_from(tmp_path: Path, mode: str) -> None:
    async with opened(tmp_path, mode, {"up": told(tmp_path, ECHO)}) as (client, _):
        result = await run(
            client, "call_tool", tool="up__echo", arguments={"city": "Oslo"}, capture=True, project="Trips"
        )
        assert isinstance(result.structured_content, dict)
        receipt = result.structured_content["capture"]
        (link,) = [block for block in result.content if isinstance(block, ResourceLink)]
        assert link.uri == receipt["uri"]
        kept = await captured(client, receipt["id"])
    assert (kept["kind"], kept["source"], kept["project"]) == ("tool_result", "up", "Trips")
    assert kept["title"] == "echo of up"
    first, _, rest = kept["content"].partition("\n\n")
    assert "tool echo of the upstream up" in first
    assert '{"city": "Oslo"}' in first
    assert json.loads(rest) == {"city": "Oslo"}


async def test_a_call_by_name_asks_for_the_capture_in_its_meta(tmp_path: Path, mode: str) -> None:
    async with opened(tmp_path, mode, {"up": told(tmp_path, ECHO)}) as (client, _):
        result = await run(client, "up__echo", {"komorebi/capture": "Trips"}, a=1)
        assert result.structured_content is None
        assert result.meta is not None
        kept = await captured(client, result.meta["komorebi/capture"]["id"])
        assert kept["project"] == "Trips"
        unasked = await run(client, "up__echo", a=1)
        assert "komorebi/capture" not in (unasked.meta or {})


async def test_the_file_says_whose_results_are_captured(tmp_path: Path, mode: str) -> None:
    tools = [ECHO, a_tool("fail"), a_tool("structured")]
    entry = told(tmp_path, *tools, capture=["e*", "fail"], project="Kept")
    async with opened(tmp_path, mode, {"up": entry}) as (client, _):
        await run(client, "up__echo", a=1)
        await run(client, "up__fail")
        await run(client, "up__structured", a=1)
        await run(client, "up__echo", {"komorebi/capture": False}, a=2)
        kept = (await call(client, "list_captures", kind="tool_result"))["captures"]
    assert [(each["title"], each["project"]) for each in kept] == [("echo of up", "Kept")]


async def test_a_secret_in_a_result_or_its_arguments_is_not_kept(tmp_path: Path, mode: str) -> None:
    secret = "ghp_" + "a1B2" * 9
    async with opened(tmp_path, mode, {"up": told(tmp_path, ECHO)}) as (client, _):
        result = await run(client, "up__echo", {"komorebi/capture": True}, token=secret)
        assert secret in next(block.text for block in result.content if isinstance(block, TextContent))
        assert result.meta is not None
        receipt = result.meta["komorebi/capture"]
        assert receipt["redactions"] == 2
        assert secret not in (await captured(client, receipt["id"]))["content"]


async def test_structured_content_is_handed_on_beside_the_receipt(tmp_path: Path, mode: str) -> None:
    async with opened(tmp_path, mode, {"up": told(tmp_path, a_tool("structured"))}) as (client, _):
        plain = await call(client, "call_tool", tool="up__structured", arguments={"a": 1})
        kept = await call(client, "call_tool", tool="up__structured", arguments={"a": 1}, capture=True)
        receipt = kept.pop("capture")
        assert plain == kept == {"a": 1}
        assert '{"a": 1}' in (await captured(client, receipt["id"]))["content"]


async def test_an_oversized_result_is_kept_whole_and_answered_with_its_head(
    tmp_path: Path, mode: str
) -> None:
    async with opened(tmp_path, mode, {"up": told(tmp_path, a_tool("long"))}) as (client, _):
        result = await run(client, "up__long", findings=6_000)
        texts = [block.text for block in result.content if isinstance(block, TextContent)]
        assert texts[0].startswith("Finding 0 of many.")
        assert len(texts[0]) < 10_000
        (link,) = [block for block in result.content if isinstance(block, ResourceLink)]
        assert link.uri.removeprefix("komorebi://captures/") in texts[1]
        assert "What stands out in it:" in texts[1]
        rest = await call(client, "read_captures", ids=[link.uri], offset=120_000)
        assert rest["captures"][0]["content"].endswith("Finding 5999 of many.")
        whole = await run(client, "up__long", {"komorebi/whole": True}, findings=6_000)
        assert text_of(whole).endswith("Finding 5999 of many.")


async def test_a_result_too_long_for_one_capture_is_kept_in_passages(tmp_path: Path, mode: str) -> None:
    async with opened(tmp_path, mode, {"up": told(tmp_path, a_tool("long"))}) as (client, _):
        result = await run(client, "call_tool", tool="up__long", arguments={"findings": 60_000})
        assert isinstance(result.structured_content, dict)
        capture_id = result.structured_content["capture"]["id"]
        read = await call(client, "read_captures", ids=[capture_id], offset=1_300_000)
        assert "Finding 5" in read["captures"][0]["content"]


async def test_a_project_that_cannot_be_is_refused_before_the_tool_is_run(tmp_path: Path, mode: str) -> None:
    async with opened(tmp_path, mode, {"up": everything()}) as (client, _):
        result = await run(client, "up__count", {"komorebi/capture": "x" * 101})
        assert result.is_error
        assert "at most 100 characters" in text_of(result)
        # The first that it counts.
        assert text_of(await run(client, "up__count")) == "1"


async def test_a_limit_of_none_lets_any_result_pass(tmp_path: Path, mode: str) -> None:
    entry = told(tmp_path, a_tool("long"), result_tokens_max=0)
    async with opened(tmp_path, mode, {"up": entry}) as (client, _):
        assert text_of(await run(client, "up__long", findings=6_000)).endswith("Finding 5999 of many.")


async def test_what_is_wrong_with_a_call_is_said_in_a_sentence(tmp_path: Path, mode: str) -> None:
    async with opened(tmp_path, mode, {"up": told(tmp_path, ECHO)}) as (client, _):
        assert "needs tool and arguments" in await refused(client, "call_tool")
        assert "no argument 'args'" in await refused(client, "call_tool", tool="up__echo", args={})
        assert "find_tools" in await refused(client, "call_tool", tool="up__nothing", arguments={})
        assert "find_tools" in await refused(client, "call_tool", tool="capture", arguments={"content": "x"})
        with pytest.raises(MCPError, match="up__nothing"):
            await client.call_tool("up__nothing", {})


@pytest.mark.parametrize("era", ["both", "handshake"])
async def test_a_tool_run_through_another_asks_the_client_all_the_same(
    tmp_path: Path, mode: str, era: str
) -> None:
    async def answer(_context: Any, _params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"name": "Ada"})

    callbacks = {"elicitation_callback": answer}
    async with opened(tmp_path, mode, {"up": everything("--era", era)}, callbacks) as (client, _):
        result = await run(client, "call_tool", tool="up__consult", arguments={}, capture=True)
        assert "Ada" in next(block.text for block in result.content if isinstance(block, TextContent))
        (kept,) = (await call(client, "list_captures"))["captures"]
        assert kept["title"] == "consult of up"


async def test_progress_of_a_tool_run_through_another_arrives(tmp_path: Path, mode: str) -> None:
    seen: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async with opened(tmp_path, mode, {"up": raw()}) as (client, _):
        await client.call_tool("call_tool", {"tool": "up__climb", "arguments": {}}, progress_callback=note)
    assert seen == [0, 1, 2, 3, 4]


async def test_what_is_said_to_us_is_not_said_to_the_upstream(tmp_path: Path, mode: str) -> None:
    async with opened(tmp_path, mode, {"up": raw()}) as (client, _):
        meta = {"komorebi/capture": True, "komorebi/whole": True, "vendor.example/x": 1}
        result = await run(client, "up__look", meta)
        assert isinstance(result.structured_content, dict)
        told_of = result.structured_content["params"]["_meta"]
    assert told_of["vendor.example/x"] == 1
    assert not [key for key in told_of if key.startswith("komorebi/")]


async def test_those_who_follow_the_upstreams_hear_of_a_quarantine(tmp_path: Path, mode: str) -> None:
    heard: list[str] = []
    arrived = anyio.Event()

    async def hear(message: Any) -> None:
        heard.append(type(message).__name__)
        if isinstance(message, ResourceUpdatedNotification):
            arrived.set()

    async with opened(tmp_path, mode, {"up": told(tmp_path, ECHO)}, {"message_handler": hear}) as (client, _):
        offer(tmp_path, {**ECHO, "description": "Says something else."})
        uri = "komorebi://upstreams"
        if mode == "legacy":
            await client.subscribe_resource(uri)
            await run(client, "up__echo", again=True)
            await arrived.wait()
            assert "ToolListChangedNotification" in heard
        else:
            async with client.listen(resource_subscriptions=[uri]) as events:
                await run(client, "up__echo", again=True)
                assert await anext(aiter(events)) == ResourceUpdated(uri=uri)
        (up,) = (await call(client, "list_upstreams"))["upstreams"]
        assert up["quarantined"] == ["up__echo"]
        assert "upstream diff up" in await refused(client, "up__echo")


async def test_an_added_upstream_appears_in_a_running_server(tmp_path: Path, mode: str) -> None:
    changed = anyio.Event()

    async def hear(message: Any) -> None:
        if isinstance(message, ToolListChangedNotification):
            changed.set()

    async with opened(tmp_path, mode, {}, {"message_handler": hear}) as (client, app):
        assert "list_upstreams" not in await names(client)
        (tmp_path / "upstreams.json").write_text(json.dumps({"mcpServers": {"up": told(tmp_path, ECHO)}}))
        if mode == "legacy":
            await changed.wait()
        while "up__echo" not in app.aggregate.upstreams.known():  # noqa: ASYNC110  # No event in both eras.
            await anyio.sleep(0.01)
        assert {"list_upstreams", "up__echo"} <= set(await names(client))
