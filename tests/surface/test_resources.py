"""Resources as JSON, their list in pages, and the right code for one that is not there."""

import json
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp_types import TextResourceContents

from komorebi_mcp.services.find import READ_TOKENS_MAX
from support.connections import MODES, call, open_client

pytestmark = pytest.mark.parametrize("mode", MODES)

NOT_FOUND = {"legacy": -32002, "auto": -32602}


async def read(client: Client, uri: str) -> dict[str, Any]:
    (contents,) = (await client.read_resource(uri)).contents
    assert isinstance(contents, TextResourceContents)
    assert contents.mime_type == "application/json"
    assert contents.uri == uri
    value = json.loads(contents.text)
    assert isinstance(value, dict)
    return value


@pytest.mark.slow
async def test_a_capture_is_a_resource_whole(tmp_path: Path, mode: str) -> None:
    content = "ä\x00 kept as it is\n" * 500
    async with open_client(tmp_path, mode=mode) as client:
        receipt = await call(client, "capture", content=content)
        told = await read(client, receipt["uri"])
        assert (told["id"], told["content"]) == (receipt["id"], content)
        assert not {"next_offset", "more"} & told.keys()


async def test_a_resource_of_a_very_long_capture_says_how_to_read_on(tmp_path: Path, mode: str) -> None:
    content = "ä\x00" * 349_000
    async with open_client(tmp_path, mode=mode) as client:
        receipt = await call(client, "capture", content=content)
        told = await read(client, receipt["uri"])
        parts = [told["content"]]
        offset = told["next_offset"]
        assert str(offset) in told["more"]
        while offset is not None:
            page = await call(
                client, "read_captures", ids=[receipt["id"]], offset=offset, max_tokens=READ_TOKENS_MAX
            )
            parts.append(page["captures"][0]["content"])
            offset = page.get("next_offset")
        assert "".join(parts) == content


async def test_the_inbox_and_the_projects_are_resources(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        await call(client, "capture", content="One.", project="a/b ü")
        assert set(await read(client, "komorebi://inbox")) <= {"captures", "next_cursor"}
        assert (await read(client, "komorebi://projects"))["projects"][0]["name"] == "a/b ü"
        assert (await read(client, "komorebi://projects/a%2Fb%20%C3%BC"))["captures"] == 1


async def test_a_brief_and_its_summary_tell_their_sources(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        receipt = await call(client, "capture", content="We decided to use SQLite.", project="Ship")
        brief = await read(client, "komorebi://projects/Ship/brief")
        assert brief["sentences"][0]["sources"] == [receipt["id"]]
        again = await read(client, brief["uri"])
        assert again["text"] == brief["text"]
        assert again["children"] == []


@pytest.mark.slow
async def test_the_list_has_the_briefs_of_all_projects_page_by_page(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        for number in range(53):
            await call(client, "capture", content=f"In {number}.", project=f"P{number}")
        first = await client.list_resources()
        assert first.next_cursor is not None
        second = await client.list_resources(cursor=first.next_cursor)
        assert second.next_cursor is None
        uris = [resource.uri for resource in (*first.resources, *second.resources)]
        assert uris[:2] == ["komorebi://inbox", "komorebi://projects"]
        assert sorted(uris[3:]) == sorted(f"komorebi://projects/P{number}/brief" for number in range(53))


async def test_every_template_is_listed(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        templates = (await client.list_resource_templates()).resource_templates
        assert [template.uri_template for template in templates] == [
            "komorebi://captures/{id}",
            "komorebi://summaries/{id}",
            "komorebi://projects/{name}",
            "komorebi://projects/{name}/brief",
        ]


@pytest.mark.parametrize(
    "uri",
    [
        "komorebi://captures/0192d4e8-0000-7000-8000-000000000000",
        "komorebi://captures/not-an-id",
        "komorebi://summaries/0192d4e8-0000-7000-8000-000000000000",
        "komorebi://summaries/x",
        "komorebi://projects/nowhere",
        "komorebi://projects/nowhere/brief",
        "komorebi://projects/%FF",
        "komorebi://",
        "komorebi://inbox/",
        "komorebi://captures",
        "file:///etc/passwd",
        "",
    ],
)
async def test_a_resource_that_is_not_there_has_the_code_of_its_era(
    tmp_path: Path, mode: str, uri: str
) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        with pytest.raises(MCPError) as caught:
            await client.read_resource(uri)
        assert caught.value.error.code == NOT_FOUND[mode]
        assert caught.value.error.data == {"uri": uri}


async def test_a_foreign_cursor_is_refused_by_every_list(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        lists = (
            client.list_tools,
            client.list_resources,
            client.list_resource_templates,
            client.list_prompts,
        )
        for listing in lists:
            for cursor in ("x", "YXQ6MA==", "YXQ6OTk5", "é"):
                with pytest.raises(MCPError) as caught:
                    await listing(cursor=cursor)
                assert caught.value.error.code == -32602
                assert "cursor" in caught.value.error.message
