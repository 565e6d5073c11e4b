"""Each session of a client has its own at an upstream that keeps state, and hears of its own calls alone."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client._memory import InMemoryTransport
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitResult, ErrorData

from komorebi_mcp.errors import UpstreamRefused
from komorebi_mcp.upstream import bridge
from komorebi_mcp.upstream.caller import Caller
from komorebi_mcp.upstream.status import Era
from support.eras import CLIENTS, TRANSPORTS, WAIT_S, text_of, upstream
from support.gateway import (
    all_tools,
    call,
    everything,
    gateway,
    http_server,
    over_http,
    raw,
    raw_client,
    upstreams,
)

pytestmark = pytest.mark.process


def named(name: str) -> Any:
    async def elicit(_ctx: Any, _params: Any) -> ElicitResult | ErrorData:
        return ElicitResult(action="accept", content={"name": name})

    return elicit


@TRANSPORTS
async def test_clients_do_not_share_what_an_upstream_keeps_for_a_session(
    tmp_path: Path, transport: str
) -> None:
    with anyio.fail_after(WAIT_S), upstream(Era.HANDSHAKE, transport) as entry:
        async with (
            gateway(tmp_path, {"up": entry}) as (server, opened),
            over_http(server) as url,
            Client(url, mode="legacy", cache=None) as one,
            Client(url, mode="legacy", cache=None) as other,
        ):
            await all_tools(opened)
            counted = [
                text_of(await client.call_tool("up__count")) for client in (one, one, other, one, other)
            ]
    assert counted == ["1", "2", "1", "3", "2"]


@CLIENTS
@TRANSPORTS
async def test_each_of_many_clients_is_asked_what_its_own_call_asks(
    tmp_path: Path, mode: Any, transport: str
) -> None:
    names = [f"client {number}" for number in range(4)]
    answers: dict[str, list[str]] = {}
    with anyio.fail_after(2 * WAIT_S), upstream(Era.HANDSHAKE, transport) as entry:
        async with gateway(tmp_path, {"up": entry}) as (server, opened), over_http(server) as url:
            await all_tools(opened)

            async def consult(name: str) -> None:
                async with Client(url, mode=mode, cache=None, elicitation_callback=named(name)) as client:
                    asked = [await client.call_tool("up__consult", {"of": "elicitation"}) for _ in range(3)]
                answers[name] = [json.loads(text_of(each))["content"]["name"] for each in asked]

            async with anyio.create_task_group() as tasks:
                for name in names:
                    tasks.start_soon(consult, name)
    assert answers == {name: [name] * 3 for name in names}


async def test_one_client_alone_costs_one_upstream_process(tmp_path: Path) -> None:
    with anyio.fail_after(WAIT_S):
        async with gateway(tmp_path, {"up": raw()}) as (server, opened):
            async with raw_client(
                server, Era.HANDSHAKE, capabilities={"elicitation": {}, "roots": {}}
            ) as client:
                await client.request("tools/list", {}, timeout_s=5)
                first = (await call(client, "up__look"))["structuredContent"]["pid"]
                then = (await call(client, "up__look"))["structuredContent"]["pid"]
            shared = opened.links["up"]
            assert first == then
            assert not shared.seats.sessions()


async def test_an_upstream_is_told_what_the_client_can_do_and_no_more(tmp_path: Path) -> None:
    entry = everything("--era", "handshake")
    with anyio.fail_after(WAIT_S):
        async with gateway(tmp_path, {"up": entry}) as (server, opened):
            await all_tools(opened)
            async with Client(InMemoryTransport(server), mode="legacy", cache=None) as client:
                # It says so itself, and the client was not bothered.
                with pytest.raises(MCPError, match="The client has no sampling"):
                    await client.call_tool("up__consult", {"of": "sampling"})


async def test_a_parked_call_is_its_owners_alone_and_ends_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "PARKED_S", 0.3)
    entry = everything("--era", "handshake")
    params = {"name": "up__consult", "arguments": {"of": "elicitation"}}
    mine = Caller(owner="me", capabilities={"elicitation": {}})
    with anyio.fail_after(WAIT_S):
        async with upstreams(tmp_path, {"up": entry}) as opened:
            asked = await opened.call("up__consult", params, caller=mine)
            (key,) = asked["inputRequests"]
            again = {
                **params,
                "requestState": asked["requestState"],
                "inputResponses": {key: {"action": "accept", "content": {"name": "Ada"}}},
            }
            with pytest.raises(UpstreamRefused, match="not known") as foreign:
                await opened.call("up__consult", again, caller=Caller(owner="other"))
            answered = await opened.call("up__consult", again, caller=mine)
            with pytest.raises(UpstreamRefused, match="not known"):
                await opened.call("up__consult", again, caller=mine)

            late = await opened.call("up__consult", params, caller=mine)
            await anyio.sleep(0.4)
            with pytest.raises(UpstreamRefused, match="not known"):
                await opened.call("up__consult", {**again, "requestState": late["requestState"]}, caller=mine)
    assert foreign.value.code == -32602
    assert "Ada" in answered["content"][0]["text"]


@pytest.mark.parametrize(("tool", "repeats"), [("die-reading", True), ("die", False)])
async def test_a_call_cut_off_is_repeated_only_where_that_does_no_harm(
    tmp_path: Path, tool: str, repeats: bool
) -> None:
    with anyio.fail_after(WAIT_S):
        async with gateway(tmp_path, {"up": raw("--state", str(tmp_path / "state"))}) as (server, opened):
            await all_tools(opened)
            async with raw_client(server, Era.MODERN) as client:
                result = await call(client, f"up__{tool}")
    assert (result.get("isError") is not True) == repeats
    assert (tmp_path / "state").read_text() == ("xx" if repeats else "x")


async def test_an_http_upstream_that_names_no_session_is_shared(tmp_path: Path) -> None:
    with anyio.fail_after(WAIT_S), http_server(script="everything_server.py") as (url, _):
        async with gateway(tmp_path, {"up": {"url": url}}) as (server, opened):
            await all_tools(opened)
            for _ in range(2):
                async with raw_client(server, Era.HANDSHAKE) as client:
                    await call(client, "up__test_simple_text")
            assert not opened.links["up"].seats.sessions()
