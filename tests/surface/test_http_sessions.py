"""Sessions of handshake clients over HTTP: how many there can be, and what old ones are spared."""

from pathlib import Path

import anyio
import httpx
import pytest

from komorebi_mcp.domain.access import ALL_SCOPES
from komorebi_mcp.domain.clock import utc_now
from komorebi_mcp.services.access import Access
from komorebi_mcp.surface import http_sessions
from support.processes import capture_request, request
from support.serving import JSON_AND_SSE, bearer, initialize, serving


async def test_a_session_too_many_ends_the_one_that_was_idle_for_the_longest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_sessions, "SESSIONS_MAX", 3)
    async with serving(tmp_path, auth="required") as (url, app), httpx.AsyncClient() as http:
        access = Access(app.store, clock=utc_now)
        alice, bob = [bearer((await access.new(name, ALL_SCOPES))[0]) for name in ("alice", "bob")]

        async def opened(owner: dict[str, str]) -> dict[str, str]:
            answer = await initialize(http, url, **owner)
            return {**JSON_AND_SSE, **owner, "mcp-session-id": answer.headers["mcp-session-id"]}

        async def status_of(session: dict[str, str]) -> int:
            return (await http.post(url, headers=session, json=request("ping"))).status_code

        bobs = await opened(bob)
        first, second = await opened(alice), await opened(alice)
        async with http.stream("GET", url, headers=await opened(alice)) as standing:
            assert await status_of(first) == 200
            fourth = await opened(alice)
            with anyio.fail_after(5):
                while await status_of(second) != 404:
                    await anyio.lowlevel.checkpoint()
            assert [await status_of(session) for session in (bobs, first, fourth)] == [200, 200, 200]
            assert not standing.is_closed


@pytest.mark.parametrize(
    ("version", "kinds"),
    [
        ("2024-11-05", ["text"]),
        ("2025-03-26", ["text"]),
        ("2025-06-18", ["text", "resource_link"]),
        ("2025-11-25", ["text", "resource_link"]),
    ],
)
async def test_clients_get_links_and_the_promise_of_tasks_only_where_their_revision_has_them(
    tmp_path: Path, version: str, kinds: list[str]
) -> None:
    async with serving(tmp_path) as (url, _), httpx.AsyncClient() as http:
        hello = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        opened = await http.post(url, headers=JSON_AND_SSE, json=request("initialize", **hello))
        assert ('"tasks":{' in opened.text) is (version == "2025-11-25")
        session = {"mcp-session-id": opened.headers["mcp-session-id"], "mcp-protocol-version": version}
        headers = {**JSON_AND_SSE, **session}
        await http.post(url, headers=headers, json={"jsonrpc": "2.0", "method": "notifications/initialized"})
        answer = await http.post(url, headers=headers, json=capture_request("Old but gold."))
        assert [block["type"] for block in answer.json()["result"]["content"]] == kinds
