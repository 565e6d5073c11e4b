"""A handshake client that loses its connection over HTTP takes its streams up again where they broke off."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from mcp.server.streamable_http import GET_STREAM_KEY, EventMessage
from mcp_types import (
    ElicitResult,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCResponse,
)

from komorebi_mcp.surface import resuming
from komorebi_mcp.surface.resuming import Allowance, SessionEvents
from support.clock import StillClock
from support.connections import call
from support.cutting import line_to
from support.processes import request
from support.serving import JSON_AND_SSE, initialize, serving


def said(text: str) -> JSONRPCNotification:
    return JSONRPCNotification(jsonrpc="2.0", method="notifications/message", params={"data": text})


def answer(text: str = "") -> JSONRPCResponse:
    return JSONRPCResponse(jsonrpc="2.0", id=1, result={"text": text})


class Reader:
    """A connection on which a stream is taken up again."""

    def __init__(self) -> None:
        self.messages: list[JSONRPCMessage] = []
        self.last_id = ""

    async def __call__(self, event: EventMessage) -> None:
        # A client that reads slowly: others get their turn meanwhile.
        await anyio.lowlevel.checkpoint()
        self.messages.append(event.message)
        assert event.event_id
        self.last_id = event.event_id


@pytest.mark.slow
async def test_a_call_whose_connection_is_cut_is_answered_once_the_client_is_back(tmp_path: Path) -> None:
    asked = 0
    async with serving(tmp_path) as (url, _), line_to(url) as line:

        async def cut_and_agree(context: Any, params: Any) -> ElicitResult:
            nonlocal asked
            asked += 1
            # In the middle of the call: the question came on the connection that ends here.
            line.cut()
            return ElicitResult(action="accept", content={"confirm": True})

        async with Client(line.url, mode="legacy", cache=None, elicitation_callback=cut_and_agree) as client:
            receipt = await call(client, "capture", content="Forget me.")
            with anyio.fail_after(10):
                done = await call(client, "forget_captures", ids=[receipt["id"]])
    assert done["forgotten"] == 1
    assert asked == 1


@pytest.mark.slow
async def test_what_was_missed_on_the_standing_stream_comes_when_it_is_opened_again(tmp_path: Path) -> None:
    async with serving(tmp_path) as (url, _), httpx.AsyncClient(timeout=5) as http:
        session = await _open_session(http, url)
        async with _stream(http, url, session) as lines:
            await _capture(http, url, session, project="one")
            event_id, message = await anext(lines)
            assert message["method"] == "notifications/resources/list_changed"
        await _capture(http, url, session, project="two")
        async with _stream(http, url, session, last_event_id=event_id) as lines:
            _, message = await anext(lines)
            assert message["method"] == "notifications/resources/list_changed"
            # And it goes on as any other.
            await _capture(http, url, session, project="three")
            _, message = await anext(lines)
            assert message["method"] == "notifications/resources/list_changed"


@pytest.mark.slow
async def test_an_event_of_one_session_is_nothing_to_another(tmp_path: Path) -> None:
    async with serving(tmp_path) as (url, _), httpx.AsyncClient(timeout=5) as http:
        mine, theirs = await _open_session(http, url), await _open_session(http, url)
        async with _stream(http, url, mine) as lines:
            await _capture(http, url, mine, project="tr0mbone")
            event_id, _ = await anext(lines)
        # From the beginning of that stream.
        beginning = f"{event_id.partition('.')[0]}.0"
        async with _stream(http, url, mine, last_event_id=beginning) as lines:
            assert (await anext(lines))[0] == event_id
        foreign = await http.get(url, headers={**theirs, "last-event-id": beginning})
        assert "data" not in foreign.text


@pytest.mark.parametrize("event_id", ["", "x", "1", "1.x", "-1.0", "1." + "9" * 5_000, "٣.٣"])
async def test_a_made_up_event_id_gets_nothing_and_harms_nothing(event_id: str) -> None:
    events, reader = SessionEvents(Allowance()), Reader()
    await events.store_event("r", None)
    await events.store_event("r", answer())
    with anyio.fail_after(5):
        await events.replay_events_after(event_id, reader)
    assert reader.messages == []


@given(texts=st.lists(st.text(max_size=3), max_size=8), cuts=st.sets(st.integers(0, 9)))
async def test_whenever_a_connection_is_lost_every_message_comes_once_and_in_order(
    texts: list[str], cuts: set[int]
) -> None:
    events = SessionEvents(Allowance())
    last_id = await events.store_event("r", None)
    got: list[JSONRPCMessage] = []
    sent: list[JSONRPCMessage] = [*map(said, texts), answer()]
    coming = iter(enumerate(sent))
    with anyio.fail_after(5):
        while not got or got[-1] != sent[-1]:
            reader = Reader()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(events.replay_events_after, last_id, reader)
                for number, message in coming:
                    await events.store_event("r", message)
                    await anyio.lowlevel.checkpoint()
                    if number in cuts:
                        tasks.cancel_scope.cancel()
                        break
            got += reader.messages
            last_id = reader.last_id or last_id
    assert got == sent


async def test_a_stream_that_is_no_longer_there_whole_ends_instead_of_coming_in_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resuming, "CHARS_MAX", 5_000)
    events = SessionEvents(Allowance())
    begun = await events.store_event("r", None)
    ids = [await events.store_event("r", said(str(number))) for number in range(4)]
    whole, part = Reader(), Reader()
    with anyio.fail_after(5):
        await events.replay_events_after(begun, part)
        await events.store_event("r", answer())
        await events.replay_events_after(ids[-1], whole)
    assert part.messages == []
    assert whole.messages == [answer()]


async def test_what_is_kept_is_bounded_over_all_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming, "CHARS_MAX", 100_000)
    allowance = Allowance()
    sessions = [SessionEvents(allowance) for _ in range(50)]
    last = ""
    for number in range(2_000):
        events = sessions[number % 50]
        last = await events.store_event(f"{number}", None)
        await events.store_event(f"{number}", said("progress" * 100))
        await events.store_event(f"{number}", answer("x" * 5_000))
        await events.store_event(f"{number}", said("too late"))
        await events.store_event(GET_STREAM_KEY, said("changed"))
        assert 0 <= allowance.chars <= 100_000
    kept = sum(len(stream.events) for each in sessions for stream in each._streams.values())
    assert 0 < kept < 100
    assert sum(len(each._by_number) for each in sessions) < 50 + 100
    reader = Reader()
    with anyio.fail_after(5):
        await sessions[1_999 % 50].replay_events_after(last, reader)
    assert len(reader.messages) == 2


async def test_an_answer_is_kept_for_two_minutes() -> None:
    clock = StillClock()
    allowance = Allowance(clock=lambda: clock().timestamp())
    events, other = SessionEvents(allowance), SessionEvents(allowance)
    begun = await events.store_event("r", None)
    await events.store_event("r", answer())
    for seconds, found in ((119, 1), (2, 0)):
        clock.advance(seconds=seconds)
        await other.store_event(GET_STREAM_KEY, said("something"))
        reader = Reader()
        with anyio.fail_after(5):
            await events.replay_events_after(begun, reader)
        assert len(reader.messages) == found


async def _open_session(http: httpx.AsyncClient, url: str) -> dict[str, str]:
    opened = await initialize(http, url)
    session = {
        **JSON_AND_SSE,
        "mcp-session-id": opened.headers["mcp-session-id"],
        "mcp-protocol-version": "2025-11-25",
    }
    told = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert (await http.post(url, headers=session, json=told)).status_code == 202
    return session


async def _capture(
    http: httpx.AsyncClient, url: str, session: dict[str, str], **arguments: Any
) -> httpx.Response:
    arguments = {"content": "Something new.", **arguments}
    asked = request("tools/call", request_id=7, name="capture", arguments=arguments)
    return await http.post(url, headers=session, json=asked)


@asynccontextmanager
async def _stream(
    http: httpx.AsyncClient, url: str, session: dict[str, str], **headers: str
) -> AsyncIterator[AsyncIterator[tuple[str, dict[str, Any]]]]:
    """The ids and messages of the session's standing stream."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with http.stream("GET", url, headers={**session, **named}) as stream:

        async def messages() -> AsyncIterator[tuple[str, dict[str, Any]]]:
            event_id = ""
            async for line in stream.aiter_lines():
                if line.startswith("id: "):
                    event_id = line.removeprefix("id: ")
                elif line.startswith("data: "):
                    yield event_id, json.loads(line.removeprefix("data: "))

        yield messages()
