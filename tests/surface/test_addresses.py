"""The addresses by which clients reach the endpoint, directly and through a proxy, and find its metadata."""

import re
from pathlib import Path

import httpx
import pytest

from komorebi_mcp.domain.access import ALL_SCOPES
from komorebi_mcp.domain.clock import utc_now
from komorebi_mcp.services.access import Access
from support.serving import ask, bearer, initialize, serving


async def test_a_slash_behind_the_endpoint_makes_no_difference(tmp_path: Path) -> None:
    # A redirect would lead clients of a TLS proxy to http, and their tokens with them.
    async with serving(tmp_path) as (url, _), httpx.AsyncClient() as http:
        assert (await ask(http, f"{url}/", "tools/list")).status_code == 200
        opened = await initialize(http, f"{url}/")
        assert opened.status_code == 200
        session = {"mcp-session-id": opened.headers["mcp-session-id"]}
        assert (await http.delete(f"{url}/", headers=session)).status_code == 200
        assert (await http.get(url.replace("/mcp", "/health/"))).status_code == 404


async def test_a_slash_behind_the_endpoint_asks_for_a_token_too(tmp_path: Path) -> None:
    async with serving(tmp_path, auth="required") as (url, _), httpx.AsyncClient() as http:
        assert (await ask(http, f"{url}/", "tools/list")).status_code == 401


@pytest.mark.parametrize(
    "public",
    [
        "https://notes.example.org/",
        "https://Notes.Example.Org",
        "https://notes.example.org:443",
        "HTTPS://notes.example.org",
    ],
)
async def test_the_public_host_is_accepted_and_others_are_not(tmp_path: Path, public: str) -> None:
    async with (
        serving(tmp_path, auth="required", public_url=public) as (url, app),
        httpx.AsyncClient() as http,
    ):
        headers = bearer((await Access(app.store, clock=utc_now).new("alice", ALL_SCOPES))[0])
        for host, status in (
            ("notes.example.org", 200),
            ("evil.example", 421),
            ("notes.example.org.evil", 421),
        ):
            assert (await ask(http, url, "tools/list", {**headers, "host": host})).status_code == status
        origins = (("https://notes.example.org", 200), ("http://notes.example.org", 403))
        for origin, status in origins:
            answer = await ask(http, url, "tools/list", {**headers, "origin": origin})
            assert answer.status_code == status
        answer = await ask(http, url, "tools/list")
        assert (
            'resource_metadata="https://notes.example.org/.well-known/oauth-protected-resource/mcp"'
            in answer.headers["www-authenticate"]
        )


async def test_under_a_prefix_the_metadata_is_where_clients_look_for_it(tmp_path: Path) -> None:
    public = "https://example.org/notes"
    async with (
        serving(tmp_path, auth="required", public_url=public) as (url, _),
        httpx.AsyncClient() as http,
    ):
        challenge = (await ask(http, url, "tools/list")).headers["www-authenticate"]
        told = re.search(r'resource_metadata="https://example\.org([^"]+)"', challenge)
        assert told is not None
        assert told[1] == "/.well-known/oauth-protected-resource/notes/mcp"
        # The proxy has no prefix to take off here, since none begins the path.
        found = await http.get(url.replace("/mcp", told[1]), headers={"host": "example.org"})
        assert found.json()["resource"] == f"{public}/mcp"
