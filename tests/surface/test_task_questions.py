"""A task that needs to know something asks its client in the way of the client's era."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.session import ClientRequestContext
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ElicitRequestParams,
    ElicitResult,
    ListToolsResult,
    TextContent,
    Tool,
)

from komorebi_mcp.app import App
from komorebi_mcp.surface.task_methods import serve_tasks
from komorebi_mcp.surface.tasks import TaskCalls
from support.connections import ask, open_application
from support.gateway import raw
from support.task_clients import HANDSHAKE, MODERN, opened, until_left

FORM: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string"}}}


async def call_tool(ctx: ServerRequestContext[App, Any], _params: CallToolRequestParams) -> CallToolResult:
    answer = await ctx.session.elicit_form("Who?", FORM, related_request_id=ctx.request_id)
    return CallToolResult(content=[TextContent(text=f"Hello {(answer.content or {})['name']}")])


async def list_tools(_ctx: Any, _params: Any) -> ListToolsResult:
    return ListToolsResult(tools=[Tool(name="greet", input_schema={"type": "object"})])


@asynccontextmanager
async def asking_server(folder: Path) -> AsyncIterator[Server[App]]:
    """A server whose one tool asks the person at the client for a name."""
    async with open_application(folder) as app:

        @asynccontextmanager
        async def lifespan(_: Server[App]) -> AsyncIterator[App]:
            yield app

        server = Server("asking", lifespan=lifespan, on_list_tools=list_tools, on_call_tool=call_tool)
        serve_tasks(server)
        server.middleware.append(TaskCalls(app.tasks, {"greet": True}, lambda _: False))
        yield server


async def test_a_handshake_client_is_asked_while_its_task_waits(tmp_path: Path) -> None:
    states: list[str] = []

    async def person(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        meta: dict[str, Any] = {**(params.meta or {})}
        related = meta["io.modelcontextprotocol/related-task"]["taskId"]
        states.append((await ask(client, "tasks/get", taskId=related))["status"])
        return ElicitResult(action="accept", content={"name": "Ada"})

    with anyio.fail_after(10):
        async with (
            asking_server(tmp_path) as server,
            Client(server, mode=HANDSHAKE, cache=None, elicitation_callback=person) as client,
        ):
            task = (await ask(client, "tools/call", name="greet", arguments={}, task={}))["task"]
            result = await ask(client, "tasks/result", taskId=task["taskId"])
    assert result["content"][0]["text"] == "Hello Ada"
    assert states == ["input_required"]


@pytest.mark.process
async def test_a_modern_client_finds_the_question_in_the_task_and_answers_it_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("komorebi_mcp.surface.tasks.PATIENCE_S", 0)
    async with opened(tmp_path, MODERN, upstream=raw("--era", "modern")) as (client, _):
        task_id = (await ask(client, "tools/call", name="up__ask", arguments={}))["taskId"]
        task = await until_left(client, task_id)
        assert task["status"] == "input_required"
        ((key, request),) = task["inputRequests"].items()
        assert request["method"] == "elicitation/create"
        answers = {"elsewhere": {}, key: {"action": "accept", "content": {"name": "Ada"}}}
        acknowledged = await ask(client, "tasks/update", taskId=task_id, inputResponses=answers)
        assert acknowledged["resultType"] == "complete"
        task = await until_left(client, task_id, "working", "input_required")
        assert task["status"] == "completed"
        seen = task["result"]["structuredContent"]["params"]
        assert seen["inputResponses"] == {"name": answers[key]}
        assert seen["requestState"] == "s-1"
        # The upstream is not told of tasks: those are ours.
        assert "tasks" not in str(seen["_meta"]["io.modelcontextprotocol/clientCapabilities"])


@pytest.mark.process
@pytest.mark.parametrize("questions", [["Who?"], "Who?", {"name": "Who?"}, {"name": {"params": {}}}], ids=str)
async def test_a_question_in_no_valid_form_is_told_as_the_upstreams_failure(
    tmp_path: Path, questions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("komorebi_mcp.surface.tasks.PATIENCE_S", 0)
    async with opened(tmp_path, MODERN, upstream=raw("--era", "modern")) as (client, _):
        begun = await ask(client, "tools/call", name="up__ask", arguments={"questions": questions})
        task = await until_left(client, begun["taskId"])
    assert task["status"] == "failed"
    assert "asked for input in a form that is not valid" in task["error"]["message"]
