"""Who may use the HTTP server, and what is said to those who may not."""

import json
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp_types import CallToolResult
from mcp_types.methods import CLIENT_NOTIFICATIONS, CLIENT_REQUESTS

from komorebi_mcp.app import App
from komorebi_mcp.domain.access import ALL_SCOPES, Scope
from komorebi_mcp.domain.captures import CaptureFilter
from komorebi_mcp.domain.clock import utc_now
from komorebi_mcp.errors import ConfigError
from komorebi_mcp.services.access import Access
from komorebi_mcp.surface import scopes
from komorebi_mcp.surface.prompts import prompt_names
from komorebi_mcp.surface.tools.own import OWN_TOOLS
from support.connections import call, text_of
from support.issuers import AUDIENCE, authorization_server
from support.recording_upstream import recording_upstream
from support.serving import JSON_AND_SSE, ask, bearer, client_of, initialize, serving

_EVERYTHING = CaptureFilter()
CAPTURE = {"name": "capture", "arguments": {"content": "Held."}}


async def token_for(app: App, owner: str = "alice", scopes: Iterable[Scope] = ALL_SCOPES) -> str:
    secret, _ = await Access(app.store, clock=utc_now).new(owner, scopes)
    return secret


@asynccontextmanager
async def served(folder: Path, **settings: Any) -> AsyncIterator[tuple[httpx.AsyncClient, str, App]]:
    async with serving(folder, **settings) as (url, app), httpx.AsyncClient() as http:
        yield http, url, app


async def test_the_door_is_open_until_the_first_token_is_made_and_then_stays_shut(tmp_path: Path) -> None:
    async with served(tmp_path) as (http, url, app):
        assert (await ask(http, url, "tools/list")).status_code == 200
        secret, token = await Access(app.store, clock=utc_now).new("alice", ALL_SCOPES)
        assert (await ask(http, url, "tools/list")).status_code == 401
        assert (await ask(http, url, "tools/list", bearer(secret))).status_code == 200
        await Access(app.store, clock=utc_now).revoke(token.id)
        assert (await ask(http, url, "tools/list", bearer(secret))).status_code == 401
        assert (await ask(http, url, "tools/list")).status_code == 401


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_with_a_token_works_in_either_era(tmp_path: Path, mode: str) -> None:
    async with serving(tmp_path, auth="required") as (url, app):
        async with client_of(url, await token_for(app), mode=mode) as client:
            receipt = await call(client, "capture", content="Alice's own.")
            rows = (await call(client, "list_captures"))["captures"]
            assert [row["id"] for row in rows] == [receipt["id"]]
        async with client_of(url, await token_for(app, "bob"), mode=mode) as client:
            assert (await call(client, "list_captures"))["captures"] == []


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Bearer",
        "Bearer wrong",
        "Basic YTpi",
        "kmr_x",
        "bearer kmr_" + "A" * 43,
        "Bearer a b",
    ],
)
async def test_without_a_token_that_holds_every_way_in_is_401(tmp_path: Path, header: str | None) -> None:
    async with served(tmp_path, auth="required") as (http, url, _):
        headers = {**JSON_AND_SSE, **({"authorization": header} if header else {})}
        for method, path in (("POST", "/mcp"), ("GET", "/mcp"), ("DELETE", "/mcp"), ("GET", "/nowhere")):
            answer = await http.request(method, url.replace("/mcp", path), headers=headers)
            assert answer.status_code == 401
            challenge = answer.headers["www-authenticate"]
            metadata = re.search(r'resource_metadata="([^"]+)"', challenge)
            assert metadata is not None
            assert (await http.get(metadata[1])).json()["resource"] == url
            # RFC 6750 section 3.1: who has shown no token is told of no error.
            assert ("error=" in challenge) == (header is not None)
            # Without upstreams their scope is not worth asking for.
            assert 'scope="read write"' in challenge


async def test_a_token_in_the_address_or_shown_twice_opens_nothing(tmp_path: Path) -> None:
    async with served(tmp_path, auth="required") as (http, url, app):
        secret = await token_for(app)
        assert (await ask(http, f"{url}?access_token={secret}", "tools/list")).status_code == 401
        twice = [*JSON_AND_SSE.items(), *[("authorization", f"Bearer {secret}")] * 2]
        assert (await http.get(url, headers=twice)).status_code == 401


async def test_health_and_metadata_ask_for_no_token(tmp_path: Path) -> None:
    async with served(tmp_path, auth="required") as (http, url, _):
        assert (await http.get(url.replace("/mcp", "/health"))).json()["status"] == "ok"
        assert (await http.get(url.replace("/mcp", "/ready"))).json() == {"status": "ready", "database": "ok"}
        for path in ("/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"):
            told = (await http.get(url.replace("/mcp", path))).json()
            assert told["resource"] == url
            assert told["scopes_supported"] == ["read", "write", "upstream"]
            assert "authorization_servers" not in told


SCOPES = {
    "read": [
        "list_captures", "search_captures", "read_captures", "summarize", "resume", "timeline",
        "list_projects",
    ],
    "write": ["capture", "update_captures", "forget_captures", "update_project"],
    "upstream": ["list_upstreams", "find_tools", "call_tool", "elsewhere__tool"],
}  # fmt: skip


def names_scopes(challenge: str, *scopes: str) -> bool:
    """Whether a client would ask for a token with just these, those that its token has among them."""
    named = re.search(r'scope="([^"]+)"', challenge)
    return named is not None and set(named[1].split()) == set(scopes)


@pytest.mark.parametrize("held", SCOPES)
async def test_a_tool_without_its_scope_is_403_naming_it_and_does_nothing(tmp_path: Path, held: str) -> None:
    async with served(tmp_path, auth="required") as (http, url, app):
        headers = bearer(await token_for(app, scopes=[Scope(held)]))
        for scope, names in SCOPES.items():
            for name in names:
                answer = await ask(http, url, "tools/call", headers, name=name, arguments={"content": "No."})
                if scope == held:
                    assert answer.status_code != 403, name
                    continue
                assert answer.status_code == 403, name
                challenge = answer.headers["www-authenticate"]
                assert 'error="insufficient_scope"' in challenge
                assert f"lacks the scope {scope}." in challenge
                assert names_scopes(challenge, held, scope)
                assert "resource_metadata=" in challenge
        captures = await app.find.page("alice", _EVERYTHING)
        assert len(captures.items) == (1 if held == "write" else 0)


async def test_a_handshake_session_is_held_to_its_scopes_too(tmp_path: Path) -> None:
    async with served(tmp_path, auth="required") as (http, url, app):
        headers = bearer(await token_for(app, scopes=[Scope.READ]))
        opened = await initialize(http, url, **headers)
        assert opened.status_code == 200
        session = {**JSON_AND_SSE, **headers, "mcp-session-id": opened.headers["mcp-session-id"]}
        for content_type in ("application/json", "Application/JSON; charset=utf-8"):
            body = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": CAPTURE}
            answer = await http.post(url, headers={**session, "content-type": content_type}, json=body)
            assert answer.status_code == 403
        assert (await app.find.page("alice", _EVERYTHING)).items == ()


@pytest.mark.parametrize(
    ("method", "params", "scope"),
    [
        ("resources/list", {}, "read"),
        ("resources/templates/list", {}, "read"),
        ("resources/read", {"uri": "komorebi://inbox"}, "read"),
        ("resources/read", {"uri": "komorebi://upstreams"}, "upstream"),
        ("resources/read", {"uri": "file:///elsewhere"}, "upstream"),
        ("prompts/list", {}, "read"),
        ("prompts/get", {"name": "resume"}, "read"),
        ("prompts/get", {"name": "elsewhere__prompt"}, "upstream"),
        (
            "completion/complete",
            {"ref": {"type": "ref/prompt", "name": "resume"}, "argument": {"name": "project", "value": ""}},
            "read",
        ),
        ("subscriptions/listen", {"notifications": {"resourcesListChanged": True}}, "read"),
        ("tasks/get", {"taskId": "1"}, "read"),
        ("anything/new", {}, "read write upstream"),
    ],
)
async def test_other_requests_need_their_scopes_as_well(
    tmp_path: Path, method: str, params: dict[str, Any], scope: str
) -> None:
    async with served(tmp_path, auth="required") as (http, url, app):
        headers = bearer(await token_for(app, scopes=[Scope.WRITE]))
        answer = await ask(http, url, method, headers, **params)
        assert answer.status_code == 403
        assert names_scopes(answer.headers["www-authenticate"], "write", *scope.split())


async def test_capturing_what_an_upstream_returns_needs_write_as_well(tmp_path: Path) -> None:
    async with served(tmp_path, auth="required") as (http, url, app):
        headers = bearer(await token_for(app, scopes=[Scope.UPSTREAM]))
        arguments = {"tool": "a__b", "arguments": {}, "capture": True}
        answer = await ask(http, url, "tools/call", headers, name="call_tool", arguments=arguments)
        assert answer.status_code == 403
        assert names_scopes(answer.headers["www-authenticate"], "write", "upstream")


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_callers_token_never_reaches_an_upstream(tmp_path: Path, mode: str) -> None:
    with recording_upstream() as (elsewhere, heard):
        servers = {"mcpServers": {"elsewhere": {"type": "http", "url": elsewhere}}}
        (tmp_path / "upstreams.json").write_text(json.dumps(servers))
        async with serving(tmp_path, auth="required") as (url, app):
            secret = await token_for(app)
            async with client_of(url, secret, mode=mode) as client:
                result = await client.call_tool("elsewhere__echo", {"said": "hello"})
                assert isinstance(result, CallToolResult)
                assert text_of(result) == "heard"
    assert any('"said"' in request for request in heard)
    assert not any(secret in request or "authorization" in request.lower() for request in heard)


async def test_without_the_scope_upstream_their_tools_are_not_listed(tmp_path: Path) -> None:
    with recording_upstream() as (elsewhere, _):
        servers = {"mcpServers": {"elsewhere": {"type": "http", "url": elsewhere}}}
        (tmp_path / "upstreams.json").write_text(json.dumps(servers))
        async with serving(tmp_path, auth="required") as (url, app):
            for scopes_held, shown in ((ALL_SCOPES, True), ({Scope.READ, Scope.WRITE}, False)):
                secret = await token_for(app, scopes=scopes_held)
                async with client_of(url, secret) as client:
                    names = {tool.name for tool in (await client.list_tools()).tools}
                assert ("elsewhere__echo" in names) is shown
                assert "capture" in names


async def test_a_session_belongs_to_whoever_opened_it(tmp_path: Path) -> None:
    async with served(tmp_path, auth="required") as (http, url, app):
        alice, bob = bearer(await token_for(app)), bearer(await token_for(app, "bob"))
        session = {"mcp-session-id": (await initialize(http, url, **alice)).headers["mcp-session-id"]}
        body = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
        unknown = {"mcp-session-id": "0" * 32}
        answers = []
        for headers in ({**bob, **session}, {**bob, **unknown}):
            answers += [await http.post(url, headers={**JSON_AND_SSE, **headers}, json=body)]
            answers += [await http.get(url, headers={**JSON_AND_SSE, **headers})]
            answers += [await http.delete(url, headers={**JSON_AND_SSE, **headers})]
        assert [answer.status_code for answer in answers] == [404] * 6
        assert [answer.text for answer in answers[:3]] == [answer.text for answer in answers[3:]]
        # Another token of hers will do.
        more = bearer(await token_for(app))
        answer = await http.post(url, headers={**JSON_AND_SSE, **more, **session}, json=body)
        assert answer.status_code == 200


async def test_a_stream_ends_soon_after_its_token_is_revoked(tmp_path: Path) -> None:
    async with served(tmp_path, auth="required") as (http, url, app):
        access = Access(app.store, clock=utc_now)
        secret, token = await access.new("alice", ALL_SCOPES)
        opened = await initialize(http, url, **bearer(secret))
        session = {**JSON_AND_SSE, **bearer(secret), "mcp-session-id": opened.headers["mcp-session-id"]}
        async with http.stream("GET", url, headers=session) as standing:
            assert standing.status_code == 200
            await access.revoke(token.id)
            with anyio.fail_after(5):
                async for _ in standing.aiter_raw():
                    pass


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - that it is refused is what is tested.
async def test_beyond_loopback_it_starts_with_a_token_alone(tmp_path: Path, host: str) -> None:
    for settings in ({}, {"auth": "required"}, {"auth": "off"}):
        with pytest.raises(BaseExceptionGroup) as refused:
            async with serving(tmp_path, host=host, **settings):
                pass
        assert refused.group_contains(ConfigError, match="Refusing to listen", depth=None)


async def test_beyond_loopback_nobody_comes_in_without_a_token(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, app):
        secret = await token_for(app)
    async with served(tmp_path, host="0.0.0.0") as (http, url, app):  # noqa: S104 - the token guards it.
        assert (await ask(http, url, "tools/list")).status_code == 401
        assert (await ask(http, url, "tools/list", bearer(secret))).status_code == 200


async def test_a_token_of_the_issuer_opens_what_is_its_subjects(tmp_path: Path) -> None:
    with authorization_server() as issuer:
        settings = {
            "auth_issuer": issuer.url,
            "auth_audience": AUDIENCE,
            "auth_jwks_url": f"{issuer.url}/keys",
        }
        async with served(tmp_path, **settings) as (http, url, app):
            answer = await ask(http, url, "tools/list")
            assert answer.status_code == 401
            # Whoever reads the metadata asks the issuer for a token with this audience.
            told = (await http.get(url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp"))).json()
            assert (told["resource"], told["authorization_servers"]) == (AUDIENCE, [issuer.url])
            for subject in ("u1", "u2"):
                headers = bearer(issuer.token(sub=subject))
                answer = await ask(http, url, "tools/call", headers, **CAPTURE)
                assert answer.status_code == 200
                captures = await app.find.page(f"{issuer.url}#{subject}", _EVERYTHING)
                assert len(captures.items) == 1
            answer = await ask(http, url, "tools/call", bearer(issuer.token(scope="read")), **CAPTURE)
            assert answer.status_code == 403
            # One of our own opens the door as well.
            answer = await ask(http, url, "tools/list", bearer(await token_for(app)))
            assert answer.status_code == 200


def test_every_tool_and_every_request_of_the_protocol_has_its_scope() -> None:
    assert OWN_TOOLS.keys() <= scopes.TOOLS.keys()
    assert set(prompt_names()) <= scopes.PROMPTS
    by_content = {
        "tools/call", "resources/read", "resources/subscribe", "prompts/get", "completion/complete",
        "subscriptions/listen",
    }  # fmt: skip
    known = {method for method, _ in [*CLIENT_REQUESTS, *CLIENT_NOTIFICATIONS]}
    assert known - by_content <= scopes.METHODS.keys()
    for method in by_content:
        assert scopes.needed(method, {"name": "?", "uri": "?", "ref": {"uri": "?"}}) <= {Scope.UPSTREAM}
