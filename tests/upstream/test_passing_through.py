"""What passes through the gateway arrives as it was sent, for clients and upstreams of either era."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client._memory import InMemoryTransport
from mcp_types import SERVER_INFO_META_KEY

from komorebi_mcp.errors import UpstreamRefused, UpstreamUnavailable
from komorebi_mcp.upstream.caller import Caller
from komorebi_mcp.upstream.pool import Upstreams
from komorebi_mcp.upstream.status import Era
from support.gateway import all_tools, call, gateway, http_server, listener, raw, raw_client, sdk, upstreams
from support.upstreams.raw_server import VENDOR_RESULT, VENDOR_TOOL

pytestmark = pytest.mark.process

ERAS = pytest.mark.parametrize("theirs", list(Era), ids=lambda era: f"{era}-upstream")
CLIENTS = pytest.mark.parametrize("ours", list(Era), ids=lambda era: f"{era}-client")
MODES = pytest.mark.parametrize("mode", ["legacy", "auto"])


def without_envelope(result: dict[str, Any], era: Era) -> dict[str, Any]:
    """`result` without what the modern era adds, after a look that it is there for a modern client alone."""
    meta = dict(result.get("_meta", {}))
    stamped = meta.pop(SERVER_INFO_META_KEY, None) is not None
    rest = {key: value for key, value in result.items() if key not in {"resultType", "_meta"}}
    assert ("resultType" in result) == stamped == (era is Era.MODERN)
    return {**rest, "_meta": meta} if meta else rest


@CLIENTS
@ERAS
async def test_a_result_keeps_nulls_vendor_fields_and_what_its_schema_forbids(
    tmp_path: Path, ours: Era, theirs: Era
) -> None:
    with anyio.fail_after(5):
        async with (
            gateway(tmp_path, {"up": raw("--era", theirs)}) as (server, _),
            raw_client(server, ours) as client,
        ):
            result = await call(client, "up__vendor")
    assert without_envelope(result, ours) == VENDOR_RESULT


@CLIENTS
@ERAS
async def test_a_definition_keeps_every_keyword_but_its_name(tmp_path: Path, ours: Era, theirs: Era) -> None:
    with anyio.fail_after(5):
        async with gateway(tmp_path, {"up": raw("--era", theirs)}) as (server, opened):
            await all_tools(opened)
            async with raw_client(server, ours) as client:
                listed = await client.request("tools/list", {}, timeout_s=5)
    (vendor,) = [tool for tool in listed["tools"] if tool["name"].endswith("vendor")]
    assert vendor == {**VENDOR_TOOL, "name": "up__vendor"}
    assert listed["tools"][0]["name"] == "own"
    assert ("resultType" in listed) == (ours is Era.MODERN)


@CLIENTS
@ERAS
async def test_a_protocol_error_keeps_its_code_and_data(tmp_path: Path, ours: Era, theirs: Era) -> None:
    with anyio.fail_after(5):
        async with (
            gateway(tmp_path, {"up": raw("--era", theirs)}) as (server, _),
            raw_client(server, ours) as client,
        ):
            with pytest.raises(UpstreamRefused, match="Not today") as caught:
                await call(client, "up__refuse")
    assert caught.value.code == -32077
    assert caught.value.data == {"until": None, "why": ["rain"]}


@CLIENTS
@ERAS
async def test_progress_arrives_whole_in_order_and_ahead_of_the_result(
    tmp_path: Path, ours: Era, theirs: Era
) -> None:
    seen: list[dict[str, Any]] = []

    async def note(_method: str, params: dict[str, Any]) -> None:
        for _ in range(20):
            # Slower than the result is.
            await anyio.lowlevel.checkpoint()
        seen.append(params)

    with anyio.fail_after(5):
        async with (
            gateway(tmp_path, {"up": raw("--era", theirs)}) as (server, _),
            raw_client(server, ours) as client,
        ):
            await call(client, "up__climb", caller=listener(note))
    expected = [{"progressToken": "mine", "progress": n, "total": 5, "x-mood": None} for n in range(5)]
    assert seen == expected


@CLIENTS
@ERAS
async def test_a_cancelled_call_is_cancelled_upstream(tmp_path: Path, ours: Era, theirs: Era) -> None:
    with anyio.fail_after(5):
        async with (
            gateway(tmp_path, {"up": raw("--era", theirs)}) as (server, _),
            raw_client(server, ours) as client,
        ):
            async with anyio.create_task_group() as tasks:

                async def cancel(_method: str, _params: dict[str, Any]) -> None:
                    tasks.cancel_scope.cancel()

                await call(client, "up__wait", caller=listener(cancel))
            events = (await call(client, "up__events"))["structuredContent"]["events"]
    waited, cancelled = events
    assert waited.removeprefix("waiting") == cancelled.removeprefix("cancelled")


@CLIENTS
@ERAS
async def test_the_callers_meta_goes_along_without_its_envelope(
    tmp_path: Path, ours: Era, theirs: Era
) -> None:
    with anyio.fail_after(5):
        async with (
            gateway(tmp_path, {"up": raw("--era", theirs)}) as (server, _),
            raw_client(server, ours) as client,
        ):
            params = {"name": "up__look", "arguments": {"a": None}, "_meta": {"vendor.example/x": [None]}}
            result = await client.request("tools/call", params, timeout_s=5)
    seen = result["structuredContent"]["params"]
    assert (seen["name"], seen["arguments"]) == ("look", {"a": None})
    assert seen["_meta"].pop("vendor.example/x") == [None]
    assert bool(seen["_meta"]) == (theirs is Era.MODERN)


@pytest.mark.parametrize("ours", Era)
@pytest.mark.parametrize("theirs", Era)
@pytest.mark.parametrize(
    "odd", [{"_meta": ["x"]}, {"_meta": "x"}, {"isError": "x"}, {"content": {"x": 1}}], ids=str
)
async def test_a_result_in_no_valid_form_is_the_clients_to_judge(
    tmp_path: Path, ours: Era, theirs: Era, odd: dict[str, Any]
) -> None:
    with anyio.fail_after(5):
        async with (
            gateway(tmp_path, {"up": raw("--era", theirs)}) as (server, _),
            raw_client(server, ours) as client,
        ):
            result = await call(client, "up__look", {"result": odd})
    ((key, value),) = odd.items()
    assert result[key] == value


async def test_a_modern_upstream_may_ask_a_modern_client_for_input(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with (
            gateway(tmp_path, {"up": raw("--era", "modern")}) as (server, _),
            raw_client(server, Era.MODERN) as client,
        ):
            asked = await call(client, "up__ask")
            answers = {"name": {"action": "accept", "content": {"name": "Ada"}}}
            params = {"name": "up__ask", "inputResponses": answers, "requestState": asked["requestState"]}
            result = await client.request("tools/call", params, timeout_s=5)
    assert asked["resultType"] == "input_required"
    seen = result["structuredContent"]["params"]
    assert (seen["inputResponses"], seen["requestState"]) == (answers, "s-1")


async def test_a_handshake_client_is_told_when_a_modern_upstream_asks_for_input(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with (
            gateway(tmp_path, {"up": raw("--era", "modern")}) as (server, _),
            raw_client(server, Era.HANDSHAKE) as client,
        ):
            result = await call(client, "up__ask")
    assert result["isError"] is True
    assert "asks for input" in result["content"][0]["text"]


@MODES
@pytest.mark.parametrize("options", [(), ("--handshake-only",)], ids=["modern", "handshake"])
async def test_the_sdks_client_reaches_upstreams_over_http_and_stdio(
    tmp_path: Path, mode: Any, options: tuple[str, ...]
) -> None:
    steps: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        steps.append(progress)

    with anyio.fail_after(10), http_server(*options) as (url, _):
        async with gateway(tmp_path, {"web": {"url": url}, "child": sdk()}) as (server, opened):
            await all_tools(opened)
            async with Client(InMemoryTransport(server), mode=mode) as client:
                names = [tool.name for tool in (await client.list_tools()).tools]
                sums = [await client.call_tool(f"{at}__add", {"a": 1, "b": 2}) for at in ("web", "child")]
                await client.call_tool("web__climb", {"steps": 4}, progress_callback=note)
                large = await client.call_tool("web__blob", {"size": 3_000_000})
    assert names == [
        "own",
        *(f"{at}__{name}" for at in ("child", "web") for name in ("add", "blob", "climb")),
    ]
    assert [result.structured_content for result in sums] == [{"result": 3}] * 2
    assert steps == [0, 1, 2, 3]
    assert large.structured_content == {"result": "x" * 3_000_000}


@MODES
async def test_a_long_list_is_visited_once_page_by_page(tmp_path: Path, mode: Any) -> None:
    with anyio.fail_after(10):
        async with gateway(tmp_path, {"many": raw("--tools", "600")}) as (server, opened):
            await all_tools(opened)
            async with Client(InMemoryTransport(server), mode=mode) as client:
                page = await client.list_tools()
                names, pages = [tool.name for tool in page.tools], 1
                while page.next_cursor is not None:
                    page = await client.list_tools(cursor=page.next_cursor)
                    names, pages = [*names, *(tool.name for tool in page.tools)], pages + 1
    assert pages == 3
    assert len(names) == len(set(names))
    assert {"own", *opened.known()} == set(names)


@MODES
async def test_our_own_tools_and_unknown_ones_stay_with_our_own_server(tmp_path: Path, mode: Any) -> None:
    with anyio.fail_after(5):
        async with gateway(tmp_path, {"up": raw()}) as (server, opened):
            await all_tools(opened)
            async with Client(InMemoryTransport(server), mode=mode) as client:
                results = [await client.call_tool(name) for name in ("own", "up__no_such", "other__tool")]
    texts = [block.text for result in results for block in result.content if block.type == "text"]
    assert texts == [f"own server got {name}" for name in ("own", "up__no_such", "other__tool")]


async def test_a_tool_called_before_any_listing_is_found(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with gateway(tmp_path, {"up": raw()}) as (server, _), raw_client(server, Era.MODERN) as client:
            result = await call(client, "up__plain")
    assert result["content"] == [{"type": "text", "text": "plain ran"}]


async def test_a_name_no_host_would_take_is_changed_and_still_called(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with gateway(tmp_path, {"ünder way": raw()}) as (server, opened):
            (name,) = [name for name in await all_tools(opened) if "exec" in name]
            async with raw_client(server, Era.MODERN) as client:
                result = await call(client, name)
    assert name.isascii()
    assert result["content"] == [{"type": "text", "text": "exec/uté all ran"}]


async def test_clients_hear_of_new_tools(tmp_path: Path) -> None:
    heard = anyio.Event()

    async def note(message: Any) -> None:
        if getattr(message, "method", "") == "notifications/tools/list_changed":
            heard.set()

    with anyio.fail_after(5):
        async with gateway(tmp_path, {"up": raw()}) as (server, opened):
            await all_tools(opened)
            async with Client(InMemoryTransport(server), mode="legacy", message_handler=note) as client:
                await client.call_tool("up__grow")
                await heard.wait()
                assert "up__grown" in [tool.name for tool in (await client.list_tools()).tools]


BREWING: dict[Era, tuple[str, ...]] = {
    Era.HANDSHAKE: ("--kind", "tasks"),
    Era.MODERN: ("--era", "modern", "--kind", "tasks"),
}


@pytest.mark.parametrize("theirs", Era)
async def test_a_tool_that_an_upstream_runs_as_tasks_only_is_called_like_any_other(
    tmp_path: Path, theirs: Era
) -> None:
    with anyio.fail_after(5):
        async with upstreams(tmp_path, {"up": raw(*BREWING[theirs])}) as opened:
            for what in ("tea", "more tea"):
                called = {"name": "up__brew", "arguments": {"what": what}}
                result = await opened.call("up__brew", called)
                assert result["content"] == [{"type": "text", "text": f"brewed {what}"}]
            # That it is to be told of tasks, it has to say once.
            assert (await events_of(opened)).count("insisted") == (theirs is Era.MODERN)


@pytest.mark.parametrize("theirs", Era)
async def test_a_caller_who_gives_up_has_the_task_cancelled_upstream(tmp_path: Path, theirs: Era) -> None:
    with anyio.fail_after(5):
        async with upstreams(tmp_path, {"up": raw(*BREWING[theirs])}) as opened:
            async with anyio.create_task_group() as tasks:
                called = {"name": "up__brew", "arguments": {"what": "forever"}}
                tasks.start_soon(opened.call, "up__brew", called)
                while "asked" not in await events_of(opened):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            assert "cancelled task t-1" in await events_of(opened)


async def events_of(opened: Upstreams) -> list[str]:
    told = await opened.call("up__events", {"name": "up__events"})
    return list(told["structuredContent"]["events"])


@pytest.mark.parametrize(
    ("what", "failure", "said"),
    [
        ("spilt", UpstreamRefused, "spilt"),
        ("nonsense", UpstreamUnavailable, "a task in a form that is not valid"),
        ("riddle", UpstreamUnavailable, "asked for input in a form that is not valid"),
        ("something", UpstreamUnavailable, "asks for input, which this client has no way to give"),
    ],
)
async def test_a_task_that_comes_to_nothing_says_why(
    tmp_path: Path, what: str, failure: type[Exception], said: str
) -> None:
    with anyio.fail_after(5):
        async with upstreams(tmp_path, {"up": raw(*BREWING[Era.MODERN])}) as opened:
            with pytest.raises(failure, match=said):
                await opened.call("up__brew", {"name": "up__brew", "arguments": {"what": what}})


@pytest.mark.parametrize("ours", Era)
async def test_a_question_of_a_task_upstream_is_asked_of_the_caller(tmp_path: Path, ours: Era) -> None:
    async def person(method: str, params: Any) -> dict[str, Any]:
        assert (method, params) == ("elicitation/create", {"message": "For whom?"})
        return {"action": "accept", "content": {"name": "Ada"}}

    ask = person if ours is Era.HANDSHAKE else None
    caller = Caller(capabilities={"elicitation": {}}, ask=ask)
    params: dict[str, Any] = {"name": "up__brew", "arguments": {"what": "something"}}
    with anyio.fail_after(5):
        async with upstreams(tmp_path, {"up": raw(*BREWING[Era.MODERN])}) as opened:
            result = await opened.call("up__brew", params, caller=caller)
            if ours is Era.MODERN:
                ((key, question),) = result["inputRequests"].items()
                params["inputResponses"] = {key: await person(question["method"], question["params"])}
                params["requestState"] = result["requestState"]
                result = await opened.call("up__brew", params, caller=caller)
    assert result["content"] == [{"type": "text", "text": "brewed for Ada"}]
