"""The dashboard, for hosts of MCP Apps and for a browser."""

import json
import re
from pathlib import Path

import anyio
import httpx
import pytest

from komorebi_mcp.domain.captures import CaptureCreate
from komorebi_mcp.surface.dashboard import serve_dashboard
from komorebi_mcp.surface.dashboard_page import html
from komorebi_mcp.surface.principal import LOCAL_OWNER
from support.connections import MODES, open_application, open_client

URI = "ui://komorebi/dashboard.html"


@pytest.mark.parametrize("mode", MODES)
async def test_the_page_is_a_resource_that_timeline_points_to(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        (tool,) = (tool for tool in (await client.list_tools()).tools if tool.name == "timeline")
        assert (tool.meta or {})["ui"] == {"resourceUri": URI}
        (listed,) = (each for each in (await client.list_resources()).resources if str(each.uri) == URI)
        (content,) = (await client.read_resource(URI)).contents
        assert listed.mime_type == content.mime_type == "text/html;profile=mcp-app"
        assert content.model_dump()["text"] == html()


def test_the_page_is_small_and_needs_nothing_from_elsewhere() -> None:
    assert len(html().encode()) < 60_000
    assert not re.search(r"(?:src|href)\s*=|@import|innerHTML|insertAdjacent|eval\(", html())
    assert "://" not in html()


async def test_a_browser_gets_the_page_and_its_figures_under_a_secret_address_only(tmp_path: Path) -> None:
    async with open_application(tmp_path) as app, anyio.create_task_group() as group:
        await app.capture.capture(LOCAL_OWNER, CaptureCreate(content="a <b>bold</b> text", project="p"))
        told = anyio.Event()
        urls: list[str] = []

        def listening(url: str) -> None:
            urls.append(url)
            told.set()

        async def serve() -> None:
            await serve_dashboard(app, port=0, on_listening=listening)

        group.start_soon(serve)
        with anyio.fail_after(10):
            await told.wait()
            async with httpx.AsyncClient(trust_env=False) as http:
                page = await http.get(urls[0])
                assert page.text == html()
                assert "default-src 'none'" in page.headers["content-security-policy"]
                asked = json.dumps({"name": "timeline", "arguments": {"bucket": "month"}})
                answered = (await http.post(f"{urls[0]}call", content=asked)).json()
                assert answered["structuredContent"]["total"] == 1
                listing = json.dumps({"name": "list_captures"})
                (capture,) = (await http.post(f"{urls[0]}call", content=listing)).json()["structuredContent"][
                    "captures"
                ]
                assert capture["project"] == "p"
                for refused in (
                    '{"name": "capture", "arguments": {"content": "x"}}',
                    "[]",
                    "{",
                    '{"name": 1}',
                ):
                    answered = (await http.post(f"{urls[0]}call", content=refused)).json()
                    assert answered["isError"], refused
                assert (
                    await http.get(f"{urls[0].split('/', 3)[0]}//{urls[0].split('/')[2]}/")
                ).status_code == 404
        group.cancel_scope.cancel()
