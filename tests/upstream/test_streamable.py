"""Streamable HTTP to upstreams that do what the transport allows, or what it does not."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from aiohttp import web
from mcp.shared.dispatcher import CallOptions

from komorebi_mcp.errors import UpstreamUnavailable
from komorebi_mcp.upstream import streamable
from komorebi_mcp.upstream.allowance import NOTIFICATIONS_AT_ONCE
from komorebi_mcp.upstream.streamable import over_http
from komorebi_mcp.upstream.wire import Ears, Ended, NotSent, Refused, SessionExpired, Wire

pytestmark = pytest.mark.process

HANDSHAKE = {"mcp-protocol-version": "2025-11-25"}
MODERN = {"mcp-protocol-version": "2026-07-28"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Heard:
    """What came in besides answers."""

    notifications: list[tuple[str, Any]] = field(default_factory=list)
    closed: int = 0

    def hear(self, method: str, params: Any) -> None:
        self.notifications.append((method, params))

    async def answer(self, method: str, params: Any) -> dict[str, Any]:
        return {"answered": method, "with": params}

    def close(self) -> None:
        self.closed += 1


@asynccontextmanager
async def serve(handler: Handler) -> AsyncIterator[str]:
    """The URL of a server that answers every request so."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/mcp"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def wire_to(handler: Handler, heard: Heard | None = None) -> AsyncIterator[Wire]:
    taking = heard or Heard()
    ears = Ears(hear=taking.hear, answer=taking.answer, closed=taking.close)
    # A wire that is of no more use says so again when it is closed.
    with anyio.fail_after(5), suppress(NotSent):
        async with serve(handler) as url, over_http(url, headers={}, read_timeout_s=5)(ears) as wire:
            yield wire


def result_for(asked: dict[str, Any], **result: Any) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result})


async def stream_to(request: web.Request) -> web.StreamResponse:
    stream = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await stream.prepare(request)
    return stream


async def test_calls_in_turn_use_one_connection_and_calls_at_once_one_each() -> None:
    peers = set()
    together = anyio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        asked = await request.json()
        if asked["method"] == "together":
            if len(peers) == 3:
                together.set()
            await together.wait()
        return web.Response(text=result_for(asked), content_type="application/json")

    async with wire_to(handler) as wire:
        for _ in range(5):
            await wire.send_raw_request("in turn", None)
        assert len(peers) == 1
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(wire.send_raw_request, "together", None)
        assert len(peers) == 3


async def test_what_comes_on_the_stream_is_heard_and_answered_ahead_of_the_result() -> None:
    answers: list[Any] = []
    answered = anyio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        if "method" not in asked:
            answers.append(asked)
            answered.set()
            return web.Response(status=202)
        stream = await stream_to(request)
        await stream.write(
            b'data: {"jsonrpc": "2.0", "method": "notifications/x", "params": {"n": 1}}\r\n\r\n'
        )
        await stream.write(b'data: {"jsonrpc": "2.0", "id": "q", "method": "roots/list"}\n\n')
        await answered.wait()
        await stream.write(f"data: {result_for(asked, done=True)}\n\n".encode())
        return stream

    heard = Heard()
    async with wire_to(handler, heard) as wire:
        assert await wire.send_raw_request("tools/call", None) == {"done": True}
    assert heard.notifications == [("notifications/x", {"n": 1})]
    assert answers == [{"jsonrpc": "2.0", "id": "q", "result": {"answered": "roots/list", "with": None}}]


async def test_an_upstream_that_asks_too_much_takes_no_more_connections_than_it_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streamable, "ASKED_MAX", 3)
    at_once, most, answered = 0, 0, 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal at_once, most, answered
        asked = await request.json()
        if "method" not in asked:
            at_once += 1
            most = max(most, at_once)
            for _ in range(10):
                await anyio.lowlevel.checkpoint()
            at_once -= 1
            answered += 1
            return web.Response(status=202)
        stream = await stream_to(request)
        question = 'data: {"jsonrpc": "2.0", "id": %d, "method": "roots/list"}\n\n'
        await stream.write("".join(question % number for number in range(50)).encode())
        await stream.write(f"data: {result_for(asked, done=True)}\n\n".encode())
        return stream

    async with wire_to(handler) as wire:
        assert await wire.send_raw_request("tools/call", None) == {"done": True}
        assert answered >= 47
    assert most == 3


async def test_a_stream_that_breaks_off_is_taken_up_where_it_was() -> None:
    waiting: dict[str, Any] = {}

    async def handler(request: web.Request) -> web.StreamResponse:
        stream = await stream_to(request)
        if request.method == "POST":
            waiting.update(await request.json())
            await stream.write(b"id: 41\nretry: 1\ndata:\n\n")
        elif request.headers["last-event-id"] == "41":
            await stream.write(b"id: 42\ndata:\n\n")
        else:
            await stream.write(
                f"data: {result_for(waiting, at=request.headers['last-event-id'])}\n\n".encode()
            )
        return stream

    async with wire_to(handler) as wire:
        assert await wire.send_raw_request("tools/call", None) == {"at": "42"}


async def test_a_redirect_is_followed_within_the_server_and_no_further() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        match request.path:
            case "/mcp":
                raise web.HTTPTemporaryRedirect("/mcp/")
            case "/mcp/":
                asked = await request.json()
                if asked["method"] == "away":
                    raise web.HTTPTemporaryRedirect("http://mcp.example.com/mcp")
                return web.Response(text=result_for(asked, ok=True), content_type="application/json")
            case _:
                raise AssertionError(request.path)

    async with wire_to(handler) as wire:
        assert await wire.send_raw_request("here", None) == {"ok": True}
        with pytest.raises(Refused, match=r"redirects to 'http://mcp\.example\.com/mcp'"):
            await wire.send_raw_request("away", None)


@pytest.mark.parametrize("kind", ["slow to open", "opened with its first event", "not there", "cut off"])
async def test_the_first_request_waits_for_the_stream_on_which_changes_are_told(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Those that open it late are waited for in vain.
    monkeypatch.setattr(streamable, "LISTEN_WAIT_S", 0.01 if kind == "opened with its first event" else 5)
    done: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            if kind == "not there":
                return web.Response(status=405)
            if kind == "cut off":
                assert request.transport is not None
                request.transport.close()
            if kind == "opened with its first event":
                await anyio.sleep_forever()
            for _ in range(100):
                await anyio.lowlevel.checkpoint()
            done.append("opened")
            await stream_to(request)
            await anyio.sleep_forever()
        asked = await request.json()
        if "id" not in asked:
            return web.Response(status=202)
        done.append("answered")
        return web.Response(text=result_for(asked), content_type="application/json")

    async with wire_to(handler) as wire:
        await wire.notify("notifications/initialized", None, CallOptions(headers=HANDSHAKE))
        with anyio.fail_after(1):
            await wire.send_raw_request("tools/list", None, CallOptions(headers=HANDSHAKE))
    assert done == (["opened", "answered"] if kind == "slow to open" else ["answered"])


async def test_a_cancelled_call_is_cancelled_upstream_as_its_era_has_it() -> None:
    told: list[Any] = []
    begun, gone = anyio.Event(), anyio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        if asked["method"] == "notifications/cancelled":
            told.append(asked["params"]["requestId"])
            return web.Response(status=202)
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            gone.set()
        raise AssertionError

    for headers in (MODERN, HANDSHAKE):
        begun, gone = anyio.Event(), anyio.Event()
        async with wire_to(handler) as wire, anyio.create_task_group() as tasks:
            tasks.start_soon(wire.send_raw_request, "tools/call", None, CallOptions(headers=headers))
            await begun.wait()
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await gone.wait()
                # The server has no event of it.
                while headers is HANDSHAKE and not told:
                    await anyio.lowlevel.checkpoint()
    assert told == [1]


@pytest.mark.parametrize(
    ("status", "kind", "body", "failure", "said"),
    [
        (200, "application/json", '{"jsonrpc": "2.0"', UpstreamUnavailable, "not valid JSON-RPC"),
        (200, "application/json", "[]", UpstreamUnavailable, "not valid JSON-RPC"),
        (
            200,
            "application/json",
            '{"jsonrpc": "2.0", "id": 99, "result": {}}',
            UpstreamUnavailable,
            "something other than the answer",
        ),
        (
            200,
            "application/json",
            '{"jsonrpc": "2.0", "method": "x"}',
            UpstreamUnavailable,
            "something other than the answer",
        ),
        (200, "text/html", "<p>Welcome", UpstreamUnavailable, "'text/html' in place of a message"),
        (202, "text/plain", "", UpstreamUnavailable, "does not answer it"),
        (200, "", "", UpstreamUnavailable, "answered with nothing in place of a message"),
        (401, "text/plain", "Who?", Refused, "HTTP status 401"),
        (429, "text/plain", "", Refused, "429. It is busy, and asks to be left alone for 7 seconds"),
        (404, "text/plain", "", Refused, "HTTP status 404"),
        (200, "text/event-stream", "data: {}\n\n", UpstreamUnavailable, "not valid JSON-RPC"),
        (200, "text/event-stream", ": nothing\n\n", Ended, "before it answered"),
    ],
)
async def test_an_answer_that_is_none_is_told_in_a_sentence(
    status: int, kind: str, body: str, failure: type[Exception], said: str
) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        answer = web.Response(status=status, body=body.encode(), headers={"retry-after": "7"})
        answer.headers["content-type"] = kind
        return answer

    async with wire_to(handler) as wire:
        with pytest.raises(failure, match=said):
            await wire.send_raw_request("tools/call", None)


async def test_half_of_a_pair_of_escapes_travels_on_as_it_came() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        text = result_for(await request.json(), text="HALF").replace("HALF", "cut \\ud83d")
        return web.Response(text=text, content_type="application/json")

    async with wire_to(handler) as wire:
        assert await wire.send_raw_request("tools/call", None) == {"text": "cut \ud83d"}


@pytest.mark.parametrize("number", ["NaN", "-Infinity"])
@pytest.mark.parametrize("beside", ["", "\\ud83d"])
async def test_what_is_no_number_in_json_is_no_answer(number: str, beside: str) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        text = result_for(await request.json(), text="BESIDE", number=7)
        text = text.replace("7}", f"{number}}}").replace("BESIDE", beside)
        return web.Response(text=text, content_type="application/json")

    async with wire_to(handler) as wire:
        with pytest.raises(UpstreamUnavailable, match="not valid JSON-RPC"):
            await wire.send_raw_request("tools/call", None)


async def test_a_notification_in_no_valid_form_costs_the_answer_nothing() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        stream = await stream_to(request)
        ids: list[Any] = [[1], {}, None, 1.5]
        for odd in ids:
            told = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": odd}}
            await stream.write(f"data: {json.dumps(told)}\n\n".encode())
        await stream.write(f"data: {result_for(asked, done=True)}\n\n".encode())
        return stream

    async with wire_to(handler) as wire:
        assert await wire.send_raw_request("tools/call", None) == {"done": True}


async def test_a_session_that_is_not_known_any_more_ends_the_wire() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        if asked["method"] != "initialize":
            return web.Response(status=404)
        return web.Response(
            text=result_for(asked), content_type="application/json", headers={"mcp-session-id": "s1"}
        )

    heard = Heard()
    async with wire_to(handler, heard) as wire:
        await wire.send_raw_request("initialize", None)
        assert wire.keeps_state
        with pytest.raises(SessionExpired):
            await wire.send_raw_request("tools/call", None)
        assert heard.closed == 1


async def test_a_request_that_nobody_took_may_be_made_again() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        raise AssertionError(request.path)

    async with serve(handler) as url:
        pass
    heard = Heard()
    ears = Ears(hear=heard.hear, answer=heard.answer, closed=heard.close)
    with suppress(NotSent):
        async with over_http(url, headers={}, read_timeout_s=5)(ears) as wire:
            with pytest.raises(NotSent, match="nobody listens there"):
                await wire.send_raw_request("initialize", None)
    assert heard.closed == 1


async def test_a_flood_of_notifications_is_cut_short_and_the_answer_arrives() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        stream = await stream_to(request)
        for _ in range(20):
            await stream.write(b'data: {"jsonrpc": "2.0", "method": "notifications/x"}\n\n' * 1000)
        await stream.write(f"data: {result_for(asked, done=True)}\n\n".encode())
        return stream

    heard = Heard()
    async with wire_to(handler, heard) as wire:
        assert await wire.send_raw_request("tools/call", None) == {"done": True}
    assert NOTIFICATIONS_AT_ONCE <= len(heard.notifications) < 10_000


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
async def test_a_message_that_is_too_long_is_given_up(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamable, "MESSAGE_BYTES_MAX", 100_000)

    async def handler(request: web.Request) -> web.StreamResponse:
        answer = result_for(await request.json(), text="x" * 200_000)
        return web.Response(text=f"data: {answer}\n\n" if "event" in kind else answer, content_type=kind)

    async with wire_to(handler) as wire:
        with pytest.raises(UpstreamUnavailable, match="more than 100000 bytes"):
            await wire.send_raw_request("tools/call", None)
