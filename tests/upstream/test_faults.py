"""An upstream that fails costs its own tools and nothing else, and says why."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from komorebi_mcp.errors import NotFound, UpstreamRefused, UpstreamUnavailable
from komorebi_mcp.upstream import handshake, stdio
from komorebi_mcp.upstream.pool import Upstreams
from komorebi_mcp.upstream.status import Era, UpstreamState, UpstreamStatus
from support.gateway import LIST_TTL_MS, all_tools, call, gateway, http_server, raw, raw_client, upstreams
from support.processes import is_running

pytestmark = pytest.mark.process


async def settle(opened: Upstreams, name: str) -> UpstreamStatus:
    """How the upstream is doing after its next attempt to connect."""
    await opened.tools()
    await opened.links[name].settled(until=float("inf"))
    return next(status for status in opened.status() if status.name == name)


async def ask(opened: Upstreams, name: str) -> Any:
    return await opened.call(name, {"name": name, "arguments": {}})


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (raw("--kind", "crash"), "no such database"),
        ({"command": "/no/such/command"}, "was not found"),
        ({"command": "true"}, "ended the connection"),
        ({"url": "http://127.0.0.1:1/mcp"}, "cannot be reached"),
        ({"url": "${env:NOWHERE}"}, "NOWHERE is not set"),
        ({"url": "ftp://x"}, "does not begin with http"),
        ({"type": "sse", "url": "http://127.0.0.1:1/sse"}, "cannot be reached"),
    ],
    ids=["crash", "no-command", "ends-at-once", "refused", "no-secret", "no-url", "no-sse"],
)
async def test_an_upstream_that_cannot_start_says_why(tmp_path: Path, entry: Any, said: str) -> None:
    with anyio.fail_after(5):
        async with upstreams(tmp_path, {"bad": entry, "good": raw()}) as opened:
            status = await settle(opened, "bad")
            await opened.links["good"].settled(until=float("inf"))
            assert (await ask(opened, "good__plain"))["content"]
            with pytest.raises(UpstreamUnavailable, match="'bad' is not available"):
                await ask(opened, "bad__tool")
    assert (status.state, status.tools, status.era) == (UpstreamState.FAILED, 0, None)
    assert said in (status.last_error or "")


@pytest.mark.parametrize("kind", ["silent", "mute"])
async def test_a_silent_upstream_holds_up_neither_lists_nor_the_calls_of_others(
    tmp_path: Path, kind: str
) -> None:
    with anyio.fail_after(5):
        servers = {"silent": raw("--kind", kind), "good": raw()}
        async with gateway(tmp_path, servers) as (server, opened):
            await opened.tools()
            await opened.links["good"].settled(until=float("inf"))
            async with raw_client(server, Era.MODERN) as client:
                # By now the silent one has had its moment, so nothing waits for it.
                with anyio.fail_after(0.5):
                    listed = await client.request("tools/list", {}, timeout_s=5)
                    result = await call(client, "good__plain")
    assert result["content"]
    assert {tool["name"].partition("__")[0] for tool in listed["tools"]} == {"own", "good"}
    assert listed["ttlMs"] == 0


async def test_a_complete_list_keeps_the_time_it_may_be_cached(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with gateway(tmp_path, {"up": raw()}) as (server, opened):
            await all_tools(opened)
            async with raw_client(server, Era.MODERN) as client:
                listed = await client.request("tools/list", {}, timeout_s=5)
    assert listed["ttlMs"] == LIST_TTL_MS


async def test_a_silent_http_upstream_is_left_behind_when_we_close(tmp_path: Path) -> None:
    async def say_nothing(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await anyio.sleep_forever()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610  # Not Django.
    with anyio.fail_after(5):
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, say_nothing)
            async with upstreams(tmp_path, {"mute": {"url": f"http://127.0.0.1:{port}/mcp"}}) as opened:
                assert not await opened.tools()
                assert opened.status()[0].state is UpstreamState.CONNECTING
            tasks.cancel_scope.cancel()


async def test_an_upstream_that_hangs_up_on_the_modern_question_is_asked_the_old_one(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with upstreams(tmp_path, {"old": raw("--kind", "hangup")}) as opened:
            await all_tools(opened)
            (status,) = opened.status()
    assert (status.state, status.era) == (UpstreamState.READY, Era.HANDSHAKE)


async def test_an_upstream_that_dies_in_a_call_is_there_again_for_the_next(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with upstreams(tmp_path, {"up": raw(), "other": raw()}) as opened:
            before = await all_tools(opened)
            with pytest.raises(UpstreamUnavailable, match="'up' is not available: It ended the connection"):
                await ask(opened, "up__die")
            assert (await ask(opened, "other__plain"))["content"]
            assert list(await opened.tools()) == before
            assert (await ask(opened, "up__plain"))["content"]


async def test_tools_of_a_lost_upstream_are_listed_as_stale(tmp_path: Path) -> None:
    with anyio.fail_after(10), http_server() as (url, process):
        async with upstreams(tmp_path, {"web": {"url": url}}) as opened:
            before = await all_tools(opened)
            process.kill()
            process.wait()
            with pytest.raises(UpstreamUnavailable):
                await ask(opened, "web__add")
            assert list(await opened.tools()) == before
            (status,) = opened.status()
    assert (status.stale, status.tools) == (True, 3)


@pytest.mark.parametrize("options", [(), ("--handshake-only",)], ids=["modern", "handshake"])
async def test_a_restarted_http_upstream_is_used_as_if_nothing_had_been(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    params = {"name": "web__add", "arguments": {"a": 1, "b": 2}}
    with anyio.fail_after(30), http_server(*options) as (url, process):
        async with upstreams(tmp_path, {"web": {"url": url}}) as opened:
            assert (await opened.call("web__add", params))["structuredContent"] == {"result": 3}
            process.kill()
            process.wait()
            with http_server(*options, port=int(url.split(":")[2].split("/")[0])):
                assert (await opened.call("web__add", params))["structuredContent"] == {"result": 3}


async def test_a_call_without_an_answer_ends_at_its_deadline_and_the_next_one_works(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with upstreams(tmp_path, {"up": raw(timeout_s=0.1)}) as opened:
            with pytest.raises(UpstreamUnavailable, match=r"did not answer within 0\.1 seconds"):
                await ask(opened, "up__wait")
            events = (await ask(opened, "up__events"))["structuredContent"]["events"]
    assert [event.split()[0] for event in events] == ["waiting", "cancelled"]


async def test_a_definition_no_client_could_read_is_left_out_and_the_rest_stays(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with upstreams(tmp_path, {"liar": raw("--kind", "lying"), "good": raw()}) as opened:
            names = await all_tools(opened)
            status = opened.status()[0]
    assert [name.replace("liar", "good") for name in names if name.startswith("liar")] == [
        name for name in names if name.startswith("good")
    ]
    assert "'schemaless' was left out" in (status.last_error or "")


async def test_a_list_without_end_is_cut(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with upstreams(tmp_path, {"endless": raw("--kind", "endless")}) as opened:
            assert len(await all_tools(opened)) == 16
            assert "no end" in (opened.status()[0].last_error or "")
            assert (await ask(opened, "endless__events"))["structuredContent"]["events"] == ["listed"] * 2


async def test_an_upstream_without_tools_is_no_failure(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with upstreams(tmp_path, {"prompts": raw("--kind", "toolless")}) as opened:
            assert await all_tools(opened) == []
            assert opened.status()[0].last_error is None


async def test_an_answer_that_is_none_ends_the_call_at_once(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with upstreams(tmp_path, {"up": raw()}) as opened:
            with pytest.raises(UpstreamUnavailable, match="not valid JSON-RPC"):
                await ask(opened, "up__garble")
            assert (await ask(opened, "up__plain"))["content"]


@pytest.mark.parametrize("how", ["deep", "nan"])
async def test_json_that_nobody_could_read_costs_one_answer(tmp_path: Path, how: str) -> None:
    with anyio.fail_after(5):
        async with upstreams(tmp_path, {"up": raw(timeout_s=0.3)}) as opened:
            before = (await opened.call("up__look", {"name": "up__look"}))["structuredContent"]["pid"]
            with pytest.raises(UpstreamUnavailable):
                await opened.call("up__garble", {"name": "up__garble", "arguments": {"how": how}})
            after = (await opened.call("up__look", {"name": "up__look"}))["structuredContent"]["pid"]
    assert before == after


async def test_half_of_a_pair_of_escapes_is_answered_as_it_came(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with upstreams(tmp_path, {"up": raw()}) as opened:
            result = await opened.call("up__garble", {"name": "up__garble", "arguments": {"how": "half"}})
    assert result["odd"] == "cut \ud83d"


async def test_answers_to_what_nobody_asked_reach_nobody(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with upstreams(tmp_path, {"up": raw()}) as opened:
            await all_tools(opened)
            for _ in range(2):
                assert (await ask(opened, "up__stray"))["content"] == [{"type": "text", "text": "yours"}]


async def test_a_line_that_is_too_long_ends_the_connection_and_the_next_one_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdio, "MESSAGE_BYTES_MAX", 1_000_000)
    with anyio.fail_after(15):
        async with upstreams(tmp_path, {"up": raw(), "good": raw()}) as opened:
            with pytest.raises(UpstreamUnavailable, match="ended the connection"):
                await ask(opened, "up__heap")
            assert (await ask(opened, "good__plain"))["content"]
            assert (await ask(opened, "up__plain"))["content"]


@pytest.mark.parametrize(
    ("options", "era"),
    [(("--kind", "late", "--era", "modern"), Era.MODERN), (("--kind", "dated"), Era.HANDSHAKE)],
    ids=["late", "dated"],
)
async def test_the_era_is_found_out_by_a_detour(
    tmp_path: Path, options: tuple[str, ...], era: Era, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, "PROBE_TIMEOUT_S", 0.2)
    with anyio.fail_after(5):
        async with upstreams(tmp_path, {"up": raw(*options)}) as opened:
            assert (await ask(opened, "up__plain"))["content"]
            assert opened.status()[0].era is era


async def test_a_locked_upstream_is_told_with_what_it_lacks(tmp_path: Path) -> None:
    with anyio.fail_after(10), http_server("--locked") as (url, _):
        async with upstreams(tmp_path, {"web": {"url": url}}) as opened:
            status = await settle(opened, "web")
    told = 'It answered with HTTP status 401. Give it a token: "headers": {"Authorization": "Bearer'
    assert (status.last_error or "").startswith(told)


async def test_an_upstream_over_sse_is_called(tmp_path: Path) -> None:
    params = {"name": "old__add", "arguments": {"a": 1, "b": 2}}
    with anyio.fail_after(10), http_server("--sse") as (url, _):
        entry = {"type": "sse", "url": url.replace("/mcp", "/sse")}
        async with upstreams(tmp_path, {"old": entry}) as opened:
            result = await opened.call("old__add", params)
    assert result["structuredContent"] == {"result": 3}


async def test_chatter_on_stdout_does_no_harm(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with upstreams(tmp_path, {"chatty": raw("--kind", "chatty")}) as opened:
            assert (await ask(opened, "chatty__plain"))["content"]


async def test_a_tool_nobody_has_is_not_found(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with upstreams(tmp_path, {"up": raw()}) as opened:
            for name in ("up__nothing", "nobody__plain", "plain"):
                with pytest.raises(NotFound, match="tools/list"):
                    await ask(opened, name)


async def test_a_child_sees_few_of_our_variables_and_those_of_its_entry(tmp_path: Path) -> None:
    entry = raw(env={"RAW_TOKEN": "${env:KEEP_ME}", "PLAIN": "1"}, cwd="work")
    (tmp_path / "work").mkdir()
    environment = {"KEEP_ME": "kept-secret", "AWS_SECRET_ACCESS_KEY": "not for children"}
    with anyio.fail_after(5):
        async with upstreams(tmp_path, {"up": entry}, environment) as opened:
            seen = (await ask(opened, "up__look"))["structuredContent"]
    assert {"RAW_TOKEN", "PLAIN", "PATH"} <= set(seen["environment"])
    assert not {"KEEP_ME", "AWS_SECRET_ACCESS_KEY"} & set(seen["environment"])
    assert seen["cwd"] == str(tmp_path / "work")


@pytest.mark.parametrize("value", ["${env:TOKEN}", "written-out-secret"])
async def test_a_secret_in_an_error_or_on_stderr_is_masked(
    tmp_path: Path, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = {"TOKEN": "written-out-secret"}
    with anyio.fail_after(5):
        async with upstreams(tmp_path, {"up": raw(env={"RAW_TOKEN": value})}, environment) as opened:
            with pytest.raises(UpstreamRefused) as caught:
                await ask(opened, "up__leak")
            with pytest.raises(UpstreamUnavailable) as died:
                await ask(opened, "up__die")
            (status,) = opened.status()
    assert str(caught.value) == "the token [secret] is old"
    assert caught.value.data == {"header": "Bearer [secret]"}
    shown = f"{died.value} {status} {''.join(capsys.readouterr())}"
    assert "written-out-secret" not in shown


@pytest.mark.skipif(os.name == "nt", reason="process groups are POSIX")
async def test_closing_ends_a_child_and_what_it_started(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with upstreams(tmp_path, {"up": raw("--kind", "parent")}) as opened:
            pid = (await ask(opened, "up__look"))["structuredContent"]["pid"]
            (grandchild,) = (await ask(opened, "up__events"))["structuredContent"]["events"]
            assert is_running(int(grandchild))
    assert not is_running(pid)
    assert not is_running(int(grandchild))


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
async def test_closing_does_not_wait_for_a_child_that_is_stopped(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with upstreams(tmp_path, {"up": raw()}) as opened:
            pid = (await ask(opened, "up__look"))["structuredContent"]["pid"]
            os.kill(pid, signal.SIGSTOP)
    assert not is_running(pid)


async def test_status_tells_of_every_entry_of_the_file(tmp_path: Path) -> None:
    servers: Mapping[str, Any] = {"up": raw(), "wrong": {"type": "pigeon"}}
    with anyio.fail_after(5):
        async with upstreams(tmp_path, servers) as opened:
            at_first = opened.status()
            await ask(opened, "up__plain")
            then = opened.status()
    assert [(status.name, status.state) for status in at_first] == [("up", "configured"), ("wrong", "failed")]
    assert (then[0].state, then[0].era, then[0].tools) == ("ready", "handshake", 16)
    assert then[0].p50_ms is not None
    said = 'upstreams.json, line 1: Its "type" is not known. Use stdio, http or sse.'
    assert then[1].last_error == said


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["flood", "heap"])
async def test_an_upstream_that_says_too_much_holds_up_nobody(tmp_path: Path, tool: str) -> None:
    """200,000 notifications, and a result of 50 MB."""
    answered: list[float] = []
    with anyio.fail_after(30):
        async with gateway(tmp_path, {"wild": raw(), "good": raw()}) as (server, opened):
            await all_tools(opened)
            async with raw_client(server, Era.MODERN) as client, anyio.create_task_group() as tasks:

                async def call_the_good_one() -> None:
                    while True:
                        began = anyio.current_time()
                        await call(client, "good__plain")
                        answered.append(anyio.current_time() - began)

                tasks.start_soon(call_the_good_one)
                params = {"name": f"wild__{tool}", "arguments": {}}
                result = await client.request("tools/call", params, timeout_s=30)
                tasks.cancel_scope.cancel()
    assert not result.get("isError")
    # It was answered many times over meanwhile, or at least was not kept for long.
    assert len(answered) > 5 or max(answered, default=0) < 1


async def test_an_upstream_that_stops_reading_costs_its_own_calls_alone(tmp_path: Path) -> None:
    servers = {"deaf": raw("--kind", "deaf", timeout_s=0.5), "good": raw()}
    with anyio.fail_after(15):
        async with gateway(tmp_path, servers) as (server, opened):
            await all_tools(opened)
            async with raw_client(server, Era.MODERN) as client, anyio.create_task_group() as tasks:
                results: list[Any] = []

                async def call_the_deaf_one() -> None:
                    results.append(await call(client, "deaf__plain", {"text": "x" * 1_000_000}))

                for _ in range(5):
                    tasks.start_soon(call_the_deaf_one)
                assert (await call(client, "good__plain"))["content"]
    assert [result["isError"] for result in results] == [True] * 5
