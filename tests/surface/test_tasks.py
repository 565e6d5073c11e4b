"""Calls that go on as tasks, as clients of each era follow them."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp_types import ClientCapabilities, ClientTasksCapability

from komorebi_mcp.app import App, open_app
from komorebi_mcp.domain.access import ALL_SCOPES, Scope
from komorebi_mcp.domain.clock import utc_now
from komorebi_mcp.services.access import Access
from komorebi_mcp.settings import Settings
from komorebi_mcp.surface.server import open_server
from support.connections import ERAS, ask, call
from support.gateway import raw
from support.serving import client_of, serving
from support.task_clients import HANDSHAKE, MODERN, TASKS, begin, opened, until_left

RELATED = "io.modelcontextprotocol/related-task"


class Heard:
    """The notifications of a client, by method."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.arrived = anyio.Event()

    def note(self, method: str, params: Any) -> bool:
        self.messages.append((method, dict(params or {})))
        self.arrived.set()
        self.arrived = anyio.Event()
        return False

    async def until(self, method: str) -> dict[str, Any]:
        while True:
            for name, params in self.messages:
                if name == method:
                    return params
            await self.arrived.wait()


async def refused(client: Client, method: str, **params: Any) -> int:
    with pytest.raises(MCPError) as caught:
        await ask(client, method, **params)
    assert caught.value.error.message
    return caught.value.error.code


async def test_a_handshake_client_has_a_summary_made_as_a_task(tmp_path: Path) -> None:
    async with opened(tmp_path, HANDSHAKE) as (client, _):
        heard = Heard()
        client.session._dispatcher._on_notify_intercept = heard.note  # type: ignore[attr-defined]
        await call(client, "capture", content="We decided to ship on Friday.", project="Ship")
        task = await begin(client, "summarize", project="Ship")
        result = await ask(client, "tasks/result", taskId=task["taskId"])
        assert result["_meta"][RELATED] == {"taskId": task["taskId"]}
        assert result["structuredContent"]["method"] == "extractive"
        assert "resultType" not in result
        done = await ask(client, "tasks/get", taskId=task["taskId"])
        assert done["status"] == "completed"
        assert RELATED not in (done.get("_meta") or {})
        listed = await ask(client, "tasks/list")
        assert [each["taskId"] for each in listed["tasks"]] == [task["taskId"]]
        told = await heard.until("notifications/tasks/status")
        assert (told["taskId"], told["status"]) == (task["taskId"], "completed")


async def test_a_task_that_ends_in_a_tool_error_has_failed_for_handshake_clients(tmp_path: Path) -> None:
    async with opened(tmp_path, HANDSHAKE) as (client, _):
        task = await begin(client, "summarize", project="nowhere")
        result = await ask(client, "tasks/result", taskId=task["taskId"])
        assert result["isError"] is True
        ended = await ask(client, "tasks/get", taskId=task["taskId"])
        # Whoever only polls is told why (basic/utilities/tasks, "Task Execution Errors").
        assert (ended["status"], ended["statusMessage"]) == ("failed", result["content"][0]["text"])


@pytest.mark.slow
async def test_a_modern_client_that_follows_tasks_gets_one_for_a_summary(tmp_path: Path) -> None:
    async with opened(tmp_path, MODERN) as (client, _):
        await call(client, "capture", content="We decided to ship on Friday.", project="Ship")
        task = await begin(client, "summarize", project="Ship")
        done = await until_left(client, task["taskId"])
        assert (done["resultType"], done["status"]) == ("complete", "completed")
        assert done["result"]["structuredContent"]["method"] == "extractive"
        assert done["result"]["resultType"] == "complete"
        failed = await until_left(client, (await begin(client, "summarize", project="nowhere"))["taskId"])
        # The protocol did its part: only the tool did not.
        assert (failed["status"], failed["result"]["isError"]) == ("completed", True)


@pytest.mark.slow
async def test_a_client_that_cannot_follow_tasks_gets_none(tmp_path: Path) -> None:
    async with opened(tmp_path, MODERN, follows=False) as (client, app):
        await call(client, "capture", content="We decided to ship on Friday.", project="Ship")
        assert (await call(client, "summarize", project="Ship"))["method"] == "extractive"
        assert (await app.tasks.page("local")).items == ()
        for method in ("tasks/get", "tasks/cancel", "tasks/update"):
            with pytest.raises(MCPError) as caught:
                await ask(client, method, taskId="x", inputResponses={})
            assert caught.value.error.code == -32021
            assert caught.value.error.data == {"requiredCapabilities": {"extensions": {TASKS: {}}}}


async def test_only_what_may_take_long_can_be_a_task(tmp_path: Path) -> None:
    async with opened(tmp_path, HANDSHAKE) as (client, app):
        wish = {"name": "capture", "arguments": {"content": "Now."}, "task": {}}
        assert await refused(client, "tools/call", **wish) == -32601
        assert (await call(client, "list_captures"))["captures"] == []
        assert await refused(client, "tools/call", name="sumarize", arguments={}, task={}) == -32602
        assert (await app.tasks.page("local")).items == ()


@pytest.mark.parametrize("mode", [HANDSHAKE, pytest.param(MODERN, marks=pytest.mark.slow)])
async def test_a_task_that_is_not_there_is_an_invalid_param(tmp_path: Path, mode: str) -> None:
    methods = {"tasks/get", "tasks/cancel"} | ({"tasks/result"} if mode == HANDSHAKE else {"tasks/update"})
    async with opened(tmp_path, mode) as (client, _):
        for method in methods:
            for task_id in ("0192d4e8-0000-7000-8000-000000000000", "x", ""):
                assert await refused(client, method, taskId=task_id) == -32602
            assert await refused(client, method) == -32602
        elsewhere = {"tasks/result", "tasks/list", "tasks/update"} - methods
        if mode == HANDSHAKE:
            elsewhere -= {"tasks/list"}
            assert await refused(client, "tasks/list", cursor="made up") == -32602
        for method in elsewhere:
            assert await refused(client, method, taskId="x") == -32601


async def test_a_handshake_client_cannot_cancel_what_has_ended(tmp_path: Path) -> None:
    async with opened(tmp_path, HANDSHAKE) as (client, _):
        task = await begin(client, "summarize", project="nowhere")
        await ask(client, "tasks/result", taskId=task["taskId"])
        assert await refused(client, "tasks/cancel", taskId=task["taskId"]) == -32602


@pytest.mark.process
@pytest.mark.parametrize("mode", ERAS)
async def test_an_upstream_call_that_takes_long_can_be_followed_and_cancelled(
    tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = "komorebi_mcp.surface.tasks.PATIENCE_S"
    async with opened(tmp_path, mode, upstream=raw()) as (client, _):
        monkeypatch.setattr(patience, 10)
        quick = await ask(client, "tools/call", name="up__plain", arguments={})
        assert quick["content"][0]["text"] == "plain ran"
        monkeypatch.setattr(patience, 0.05)
        task = await begin(client, "up__wait")
        assert (await ask(client, "tasks/get", taskId=task["taskId"]))["status"] == "working"
        answer = await ask(client, "tasks/cancel", taskId=task["taskId"])
        if mode == HANDSHAKE:
            assert answer["status"] == "cancelled"
            assert await refused(client, "tasks/result", taskId=task["taskId"]) == -32602
        assert (await ask(client, "tasks/get", taskId=task["taskId"]))["status"] == "cancelled"
        seen = await ask(client, "tools/call", name="up__events", arguments={})
        assert any(event.startswith("cancelled") for event in seen["structuredContent"]["events"])


@pytest.mark.process
async def test_progress_of_a_task_reaches_the_client_that_began_it(tmp_path: Path) -> None:
    async with opened(tmp_path, HANDSHAKE, upstream=raw()) as (client, _):
        heard = Heard()
        client.session._dispatcher._on_notify_intercept = heard.note  # type: ignore[attr-defined]
        called = {"name": "up__wait", "arguments": {}, "_meta": {"progressToken": "mine"}}
        task = (await ask(client, "tools/call", **called, task={}))["task"]
        told = await heard.until("notifications/progress")
        assert told["progressToken"] == "mine"
        assert told["_meta"][RELATED] == {"taskId": task["taskId"]}
        assert (await ask(client, "tasks/get", taskId=task["taskId"]))["statusMessage"] == "0"


@pytest.mark.process
async def test_an_upstream_error_is_what_the_task_comes_to(tmp_path: Path) -> None:
    async with opened(tmp_path, HANDSHAKE, upstream=raw()) as (client, _):
        task = await begin(client, "up__refuse")
        with pytest.raises(MCPError) as caught:
            await ask(client, "tasks/result", taskId=task["taskId"])
        assert caught.value.error.code == -32077
        assert caught.value.error.data == {"until": None, "why": ["rain"]}
        assert (await ask(client, "tasks/get", taskId=task["taskId"]))["statusMessage"] == "Not today"


@pytest.mark.process
async def test_upstreams_tools_are_shown_as_possible_tasks_to_whom_tasks_mean_something(
    tmp_path: Path,
) -> None:
    (tmp_path / "upstreams.json").write_text(json.dumps({"mcpServers": {"up": raw()}}))
    settings = Settings(home=tmp_path, database_url=f"sqlite+aiosqlite:///{tmp_path}/test.db")
    with anyio.fail_after(20):
        async with open_app(settings) as app, open_server(app) as server:
            for knows in (True, False):
                async with Client(server, mode=HANDSHAKE, cache=None) as client:
                    if knows:
                        await initialize_with_tasks(client)
                    listed = await ask(client, "tools/list")
                (vendor,) = [tool for tool in listed["tools"] if tool["name"] == "up__vendor"]
                assert ("execution" in vendor) is knows


async def initialize_with_tasks(client: Client) -> None:
    """Introduces the client once more, as one that has tasks itself."""
    capabilities = ClientCapabilities(tasks=ClientTasksCapability())
    params = {
        "protocolVersion": "2025-11-25",
        "capabilities": capabilities.model_dump(by_alias=True, exclude_none=True),
        "clientInfo": {"name": sys.argv[0], "version": "1"},
    }
    await ask(client, "initialize", **params)


@pytest.mark.process
async def test_a_modern_client_that_listens_to_a_task_is_told_of_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("komorebi_mcp.surface.tasks.PATIENCE_S", 0)
    async with opened(tmp_path, MODERN, upstream=raw()) as (client, _), anyio.create_task_group() as tasks:
        heard = Heard()
        client.session._dispatcher._on_notify_intercept = heard.note  # type: ignore[attr-defined]
        task_id = (await begin(client, "up__wait"))["taskId"]
        wanted = {"taskIds": [task_id, "no such task"]}
        tasks.start_soon(partial(ask, client, "subscriptions/listen", notifications=wanted))
        acknowledged = await heard.until("notifications/subscriptions/acknowledged")
        assert acknowledged["notifications"]["taskIds"] == [task_id]
        await ask(client, "tasks/cancel", taskId=task_id)
        told = await heard.until("notifications/tasks")
        assert (told["taskId"], told["status"]) == (task_id, "cancelled")
        assert "io.modelcontextprotocol/subscriptionId" in told["_meta"]
        tasks.cancel_scope.cancel()


async def test_who_cannot_follow_tasks_cannot_listen_to_them(tmp_path: Path) -> None:
    async with opened(tmp_path, MODERN, follows=False) as (client, _):
        assert await refused(client, "subscriptions/listen", notifications={"taskIds": ["x"]}) == -32021


async def token_for(app: App, owner: str, *scopes: Scope) -> str:
    secret, _ = await Access(app.store, clock=utc_now).new(owner, scopes or ALL_SCOPES)
    return secret


async def test_nobody_learns_of_anothers_tasks(tmp_path: Path) -> None:
    async with serving(tmp_path, auth="required") as (url, app):
        alice, bob = await token_for(app, "alice"), await token_for(app, "bob")
        async with (
            client_of(url, alice, mode=HANDSHAKE) as hers,
            client_of(url, bob, mode=HANDSHAKE) as his,
        ):
            await call(hers, "capture", content="We decided to ship on Friday.", project="Ship")
            task_id = (await begin(hers, "summarize", project="Ship"))["taskId"]
            await ask(hers, "tasks/result", taskId=task_id)
            unknown = "0192d4e8-0000-7000-8000-000000000000"
            for method in ("tasks/get", "tasks/result", "tasks/cancel"):
                answers = []
                for each in (task_id, unknown):
                    with pytest.raises(MCPError) as caught:
                        await ask(his, method, taskId=each)
                    answers.append(caught.value.error)
                assert answers[0] == answers[1]
            assert (await ask(his, "tasks/list"))["tasks"] == []
            assert (await ask(hers, "tasks/get", taskId=task_id))["status"] == "completed"


@pytest.mark.process
async def test_a_token_that_cannot_read_gets_results_and_no_tasks(tmp_path: Path) -> None:
    (tmp_path / "upstreams.json").write_text(json.dumps({"mcpServers": {"up": raw()}}))
    async with serving(tmp_path, auth="required") as (url, app):
        secret = await token_for(app, "alice", Scope.UPSTREAM)
        async with client_of(url, secret, mode=HANDSHAKE) as client:
            assert await refused(client, "tools/call", name="up__plain", arguments={}, task={}) == -32600
            result = await ask(client, "tools/call", name="up__plain", arguments={})
            assert result["content"][0]["text"] == "plain ran"
