"""Requests of handshake clients over HTTP: answered by JSON or by a stream, with as few writes as may be."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp_types import JSONRPCMessage, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse
from starlette.types import Message, Scope

from komorebi_mcp.surface import session_posts
from komorebi_mcp.surface.bodies import MESSAGE
from komorebi_mcp.surface.resuming import Allowance, SessionEvents
from komorebi_mcp.surface.session_posts import SessionTransport
from support.asgi import AsgiClient

SESSION = "s1"


@dataclass
class Session:
    """A session, of which the test is the server."""

    transport: SessionTransport
    asked: Any
    way_out: Any
    tasks: anyio.abc.TaskGroup

    async def post(
        self,
        method: str = "tools/call",
        *,
        request_id: int | str = 1,
        version: str = "2025-11-25",
        client: AsgiClient | None = None,
    ) -> AsgiClient:
        """The client of a request that has come in."""
        client = client or AsgiClient()
        headers = {
            "accept": "application/json, text/event-stream",
            "content-type": "application/json",
            "mcp-session-id": SESSION,
            "mcp-protocol-version": version,
        }
        message = JSONRPCRequest(jsonrpc="2.0", id=request_id, method=method, params={})
        scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": "/mcp",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            MESSAGE: message,
        }
        self.tasks.start_soon(self.transport.handle_request, scope, client.receive, client.send)
        received = await self.asked.receive()
        assert received.message is message
        return client

    async def answer(self, request_id: int | str = 1, **result: Any) -> None:
        await self.send(JSONRPCResponse(jsonrpc="2.0", id=request_id, result=result))

    async def tell(self, data: str, *, about: int | str | None = 1) -> None:
        told = JSONRPCNotification(jsonrpc="2.0", method="notifications/message", params={"data": data})
        await self.send(told, ServerMessageMetadata(related_request_id=about))

    async def send(self, message: JSONRPCMessage, metadata: ServerMessageMetadata | None = None) -> None:
        await self.way_out.send(SessionMessage(message, metadata))


@asynccontextmanager
async def session() -> AsyncIterator[Session]:
    transport = SessionTransport(SESSION, event_store=SessionEvents(Allowance()))
    with anyio.fail_after(5):
        async with transport.connect() as (asked, way_out), anyio.create_task_group() as tasks:
            yield Session(transport, asked, way_out, tasks)
            tasks.cancel_scope.cancel()


def events_in(body: bytes) -> list[tuple[str, Any]]:
    """The ids and messages of the events."""
    found = []
    for event in body.decode().split("\r\n\r\n"):
        fields = dict(
            line.split(": ", 1) for line in event.split("\r\n") if line and not line.startswith(":")
        )
        if fields:
            found.append((fields.get("id", ""), json.loads(fields["data"]) if fields["data"] else None))
    return found


async def test_a_result_with_nothing_ahead_of_it_is_json() -> None:
    async with session() as opened:
        client = await opened.post()
        await opened.answer(text="\ud800", done=True)
        await client.until(lambda received: len(received) == 2)
    assert client.headers[b"content-type"] == b"application/json"
    assert client.headers[b"mcp-session-id"] == SESSION.encode()
    assert b"connection" not in client.headers
    # A lone surrogate travels on as the escape that it came as.
    assert client.body == b'{"jsonrpc": "2.0", "id": 1, "result": {"text": "\\ud800", "done": true}}'
    assert client.has_ended


async def test_answers_to_other_requests_are_events_with_head_and_end_in_one() -> None:
    async with session() as opened:
        client = await opened.post("tools/list")
        await opened.answer(tools=[])
        await client.until(lambda received: len(received) == 2)
    assert client.headers[b"content-type"] == b"text/event-stream"
    assert [message for _, message in events_in(client.body)] == [
        {"jsonrpc": "2.0", "id": 1, "result": {"tools": []}}
    ]
    assert client.has_ended


async def test_what_is_said_before_the_result_does_not_wait_for_it() -> None:
    async with session() as opened:
        client = await opened.post()
        await opened.tell("half")
        await client.until(lambda _: b"half" in client.body)
        assert not client.has_ended
        await opened.answer()
        await client.until(lambda _: client.has_ended)
    (first_id, _), (last_id, last) = events_in(client.body)
    assert (first_id, last_id) == ("1.1", "1.2")
    assert last["result"] == {}


async def test_what_is_said_at_once_goes_out_at_once() -> None:
    async with session() as opened:
        client = await opened.post()
        for word in "ab":
            await opened.tell(word)
        await opened.answer()
        await client.until(lambda _: client.has_ended)
    assert len(client.received) == 2
    assert len(events_in(client.body)) == 3


async def test_each_message_goes_to_its_own_request_and_what_belongs_to_none_to_nobody_here() -> None:
    async with session() as opened:
        one, two = await opened.post(request_id=1), await opened.post(request_id="two")
        await opened.tell("for two", about="two")
        await opened.tell("for nobody", about=None)
        await opened.answer("two")
        await opened.answer(1)
        await two.until(lambda _: two.has_ended)
        await one.until(lambda _: one.has_ended)
    assert b"for two" in two.body
    assert b"for" not in one.body
    assert b"nobody" not in two.body


@pytest.mark.parametrize(("version", "begins_with"), [("2025-11-25", [("1.0", None)]), ("2025-06-18", [])])
async def test_a_silent_request_gets_a_place_to_come_back_to_where_its_client_can_and_is_kept_open(
    version: str, begins_with: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PATIENCE_S", "HEAD_WAIT_S", "PING_S"):
        monkeypatch.setattr(session_posts, name, 0.01)
    async with session() as opened:
        client = await opened.post(version=version)
        await client.until(lambda _: client.body.endswith(b": ping\r\n\r\n: ping\r\n\r\n"))
        await opened.answer()
        await client.until(lambda _: client.has_ended)
    *ahead, (_, answer) = events_in(client.body)
    assert ahead == begins_with
    assert answer["result"] == {}


async def test_a_client_that_does_not_read_holds_up_no_other_request() -> None:
    class Stuck(AsgiClient):
        async def send(self, _: Message) -> None:
            await anyio.sleep_forever()

    async with session() as opened:
        await opened.post(request_id=1, client=Stuck())
        other = await opened.post(request_id=2)

        async def flood() -> None:
            for number in range(1000):
                await opened.tell(str(number), about=1)

        opened.tasks.start_soon(flood)
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        await opened.answer(2)
        await other.until(lambda _: other.has_ended)


async def test_a_request_in_a_session_that_ends_is_not_left_waiting() -> None:
    async with session() as opened:
        client = await opened.post()
        await opened.transport.terminate()
        await client.until(lambda received: bool(received) and client.has_ended)
        with pytest.raises(anyio.ClosedResourceError):
            await opened.answer()


async def test_the_answer_is_kept_for_a_client_that_lost_its_connection() -> None:
    async with session() as opened:
        client = await opened.post()
        client.gone.set()
        await opened.answer(done=True)
        await client.until(lambda _: client.has_ended)
        kept: list[Any] = []

        async def take(event: Any) -> None:
            kept.append(event.message)

        assert opened.transport._event_store is not None
        await opened.transport._event_store.replay_events_after("1.0", take)
    assert [message.result for message in kept] == [{"done": True}]
