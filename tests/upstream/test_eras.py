"""Clients and upstreams of either era, in every pair and over every transport, reach all of each other."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client._memory import InMemoryTransport
from mcp.shared.exceptions import MCPError
from mcp_types import (
    URL_ELICITATION_REQUIRED,
    CreateMessageResult,
    ElicitResult,
    ErrorData,
    ListRootsResult,
    PromptReference,
    ResourceTemplateReference,
    Root,
    TextContent,
)
from pydantic import FileUrl

from komorebi_mcp.upstream.status import Era
from support.eras import CLIENTS, TRANSPORTS, UPSTREAMS, WAIT_S, text_of, upstream
from support.gateway import all_tools, gateway

pytestmark = [pytest.mark.process, pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")]


async def elicit(_ctx: Any, params: Any) -> ElicitResult | ErrorData:
    assert params.message == "What is your name?"
    return ElicitResult(action="accept", content={"name": "Ada"})


async def sample(_ctx: Any, params: Any) -> CreateMessageResult | ErrorData:
    assert params.max_tokens == 100
    return CreateMessageResult(role="assistant", content=TextContent(text="Paris"), model="mine")


async def roots(_ctx: Any) -> ListRootsResult | ErrorData:
    return ListRootsResult(roots=[Root(uri=FileUrl("file:///work"), name="work")])


@asynccontextmanager
async def connected(
    folder: Path, entry: dict[str, Any], mode: Any, **callbacks: Any
) -> AsyncIterator[Client]:
    async with (
        gateway(folder, {"up": entry}) as (server, opened),
        Client(InMemoryTransport(server), mode=mode, cache=None, **callbacks) as client,
    ):
        await all_tools(opened)
        yield client


@CLIENTS
@UPSTREAMS
@TRANSPORTS
async def test_everything_on_offer_is_listed_and_used(
    tmp_path: Path, mode: Any, theirs: Era, transport: str
) -> None:
    with upstream(theirs, transport) as entry, anyio.fail_after(WAIT_S):
        async with connected(tmp_path, entry, mode) as client:
            tools = {tool.name for tool in (await client.list_tools()).tools}
            prompts = {prompt.name for prompt in (await client.list_prompts()).prompts}
            resources = {str(resource.uri) for resource in (await client.list_resources()).resources}
            templates = (await client.list_resource_templates()).resource_templates
            said = await client.call_tool("up__test_simple_text")
            prompt = await client.get_prompt("up__test_prompt_with_arguments", {"arg1": "a", "arg2": "b"})
            read = [
                await client.read_resource(f"test://{path}")
                for path in ("static-text", "static-binary", "template/7/data", "unlisted")
            ]
            by_prompt = await client.complete(
                PromptReference(name="up__test_prompt_with_arguments"), {"name": "arg1", "value": "par"}
            )
            by_template = await client.complete(
                ResourceTemplateReference(uri="test://template/{id}/data"), {"name": "id", "value": "pari"}
            )
    assert {"own", "up__test_simple_text"} <= tools
    assert "up__test_simple_prompt" in prompts
    assert "test://static-text" in resources
    assert [template.uri_template for template in templates] == ["test://template/{id}/data"]
    assert text_of(said).startswith("This is a simple text")
    assert "arg1='a', arg2='b'" in prompt.messages[0].content.text  # type: ignore[union-attr]
    contents = [each.contents[0].model_dump(exclude_none=True) for each in read]
    assert [sorted(each.keys() & {"text", "blob"}) for each in contents] == [
        ["text"],
        ["blob"],
        ["text"],
        ["text"],
    ]
    assert json.loads(contents[2]["text"])["id"] == "7"
    assert by_prompt.completion.values == ["paris", "park", "party"]
    assert by_template.completion.values == ["paris"]


@CLIENTS
@UPSTREAMS
@TRANSPORTS
async def test_questions_of_an_upstream_reach_the_client_that_called(
    tmp_path: Path, mode: Any, theirs: Era, transport: str
) -> None:
    callbacks = {
        "elicitation_callback": elicit,
        "sampling_callback": sample,
        "list_roots_callback": roots,
    }
    with upstream(theirs, transport) as entry, anyio.fail_after(WAIT_S):
        async with connected(tmp_path, entry, mode, **callbacks) as client:
            answers = {
                kind: json.loads(text_of(await client.call_tool("up__consult", {"of": kind})))
                for kind in ("elicitation", "sampling", "roots")
            }
    assert answers["elicitation"]["content"] == {"name": "Ada"}
    assert answers["sampling"]["content"]["text"] == "Paris"
    assert answers["roots"]["roots"] == [{"uri": "file:///work", "name": "work"}]


@CLIENTS
@UPSTREAMS
@TRANSPORTS
async def test_an_upstream_may_have_the_user_visit_a_url(
    tmp_path: Path, mode: Any, theirs: Era, transport: str
) -> None:
    asked: list[Any] = []

    async def visit(_ctx: Any, params: Any) -> ElicitResult | ErrorData:
        asked.append(params)
        return ElicitResult(action="accept")

    with upstream(theirs, transport) as entry, anyio.fail_after(WAIT_S):
        async with connected(tmp_path, entry, mode, elicitation_callback=visit) as client:
            answer = json.loads(text_of(await client.call_tool("up__consult", {"of": "visit"})))
    assert answer["action"] == "accept"
    (params,) = asked
    assert (params.url, params.message) == ("https://example.com/in", "Sign in.")
    assert (params.elicitation_id is not None) == (mode == "legacy")


@CLIENTS
@TRANSPORTS
async def test_an_upstream_that_wants_a_url_visited_first_is_called_again_once_it_was(
    tmp_path: Path, mode: Any, transport: str
) -> None:
    asked: list[Any] = []

    async def visit(_ctx: Any, params: Any) -> ElicitResult | ErrorData:
        asked.append(params.url)
        return ElicitResult(action="accept")

    with upstream(Era.HANDSHAKE, transport) as entry, anyio.fail_after(WAIT_S):
        async with connected(tmp_path, entry, mode, elicitation_callback=visit) as client:
            if mode == "legacy":
                # Its era has an error for it, which passes as it is.
                with pytest.raises(MCPError) as refused:
                    await client.call_tool("up__sign_in")
                assert refused.value.error.code == URL_ELICITATION_REQUIRED
                assert refused.value.error.data["elicitations"][0]["elicitationId"] == "v2"
                assert refused.value.error.data["x-why"] is None
            assert text_of(await client.call_tool("up__sign_in")) == "signed in"
    assert asked == ([] if mode == "legacy" else ["https://example.com/in"])


@CLIENTS
@UPSTREAMS
@TRANSPORTS
async def test_log_messages_and_progress_reach_the_client_ahead_of_the_result(
    tmp_path: Path, mode: Any, theirs: Era, transport: str
) -> None:
    logged: list[Any] = []
    steps: list[float] = []

    async def note(params: Any) -> None:
        logged.append(params.data)

    async def step(progress: float, total: float | None, message: str | None) -> None:
        steps.append(progress)

    with upstream(theirs, transport) as entry, anyio.fail_after(WAIT_S):
        async with connected(tmp_path, entry, mode, logging_callback=note) as client:
            await client.call_tool("up__test_tool_with_logging", meta=_wanting_logs(mode))
            while len(logged) < 3:
                await anyio.lowlevel.checkpoint()
            await client.call_tool("up__test_tool_with_progress", progress_callback=step)
            while len(steps) < 3:
                await anyio.lowlevel.checkpoint()
    assert logged == ["Tool execution started", "Tool processing data", "Tool execution completed"]
    assert steps == [0, 50, 100]


@CLIENTS
@UPSTREAMS
@TRANSPORTS
async def test_a_change_of_a_followed_resource_is_told(
    tmp_path: Path, mode: Any, theirs: Era, transport: str
) -> None:
    uri = "test://watched-resource"
    told = anyio.Event()

    async def note(message: Any) -> None:
        if getattr(message, "method", "") == "notifications/resources/updated":
            told.set()

    with upstream(theirs, transport) as entry, anyio.fail_after(WAIT_S):
        async with connected(tmp_path, entry, mode, message_handler=note) as client:
            if mode == "legacy":
                await client.subscribe_resource(uri)
                await _touch_until(client, uri, told)
            else:
                async with (
                    client.listen(resource_subscriptions=[uri]) as heard,
                    anyio.create_task_group() as beside,
                ):

                    async def listen() -> None:
                        async for _ in heard:
                            told.set()

                    beside.start_soon(listen)
                    await _touch_until(client, uri, told)
                    beside.cancel_scope.cancel()
    assert told.is_set()


async def _touch_until(client: Client, uri: str, told: anyio.Event) -> None:
    """Has the resource change until somebody hears of it: following it takes the upstream a moment."""
    while not told.is_set():
        await client.call_tool("up__touch", {"uri": uri})
        with anyio.move_on_after(0.2):
            await told.wait()


def _wanting_logs(mode: str) -> Any:
    return {"io.modelcontextprotocol/logLevel": "debug"} if mode == "auto" else None
