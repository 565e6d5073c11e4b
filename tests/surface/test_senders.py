"""Web pages that may call from a browser, which asks ahead of each request and hides its answer."""

from pathlib import Path
from typing import Final

import httpx
import pytest

from komorebi_mcp.domain.access import ALL_SCOPES
from komorebi_mcp.domain.clock import utc_now
from komorebi_mcp.services.access import Access
from support.serving import ask, bearer, initialize, serving

PAGE: Final = "https://chat.example.org"
AHEAD: Final = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,mcp-session-id,mcp-param-city",
}


async def test_a_page_that_may_call_is_let_through_by_its_browser(tmp_path: Path) -> None:
    pages = f"{PAGE}/ http://localhost:6274"
    async with (
        serving(tmp_path, auth="required", web_origins=pages) as (url, app),
        httpx.AsyncClient() as http,
    ):
        token = bearer((await Access(app.store, clock=utc_now).new("alice", ALL_SCOPES))[0])
        for page in (PAGE, "http://localhost:6274"):
            # A browser asks without the token.
            ahead = await http.options(url, headers={**AHEAD, "origin": page})
            assert ahead.status_code == 200
            assert "mcp-param-city" in ahead.headers["access-control-allow-headers"]
            for answer in (
                ahead,
                await ask(http, url, "tools/list", {**token, "origin": page}),
                await ask(http, url, "tools/list", {"origin": page}),
                await initialize(http, url, origin=page, **token),
                await http.get(
                    url.replace("/mcp", "/.well-known/oauth-protected-resource"), headers={"origin": page}
                ),
            ):
                assert answer.headers["access-control-allow-origin"] == page
                assert "access-control-allow-credentials" not in answer.headers
            assert answer.status_code == 200
            refused = await ask(http, url, "tools/list", {"origin": page})
            assert refused.status_code == 401
            shown = refused.headers["access-control-expose-headers"].lower()
            assert {"mcp-session-id", "www-authenticate"} <= set(shown.split(", "))


@pytest.mark.parametrize("pages", ["", PAGE])
async def test_other_pages_are_refused_whatever_they_ask(tmp_path: Path, pages: str) -> None:
    async with serving(tmp_path, web_origins=pages) as (url, _), httpx.AsyncClient() as http:
        for page in ("https://evil.example", f"{PAGE}.evil.example", "null", "http://chat.example.org"):
            for answer in (
                await http.options(url, headers={**AHEAD, "origin": page}),
                await ask(http, url, "tools/list", {"origin": page}),
            ):
                assert answer.status_code == 403, page
                assert "access-control-allow-origin" not in answer.headers
