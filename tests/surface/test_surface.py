"""What a client is shown, word for word, and what it costs a model."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from inline_snapshot import external_file, snapshot
from mcp import MCPError
from mcp_types import Icon

from komorebi_mcp.surface.server import INSTRUCTIONS
from komorebi_mcp.surface.tools.own import OWN_TOOLS
from komorebi_mcp.text.tokens import estimate_tokens
from support.connections import ERAS, MODES, open_client

TOOLS_TOKENS_MAX = 2_999
"""The design promises fewer than 3,000."""


@pytest.mark.parametrize("mode", MODES)
async def test_the_tools_are_these_in_both_eras(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        listed = await client.list_tools()
        assert listed.next_cursor is None
        tools = [
            tool.model_dump(by_alias=True, mode="json", exclude_none=True, exclude={"execution"})
            for tool in listed.tools
        ]
        long = {tool.name for tool in listed.tools if tool.execution}
        assert tools == external_file("tools.json")
        # Modern clients are not told so beforehand: the server chooses call by call.
        assert long == ({"summarize"} if mode == ERAS[0] else set())


def test_the_tools_cost_a_model_few_tokens() -> None:
    definitions = [
        tool.definition.model_dump(by_alias=True, mode="json", exclude_none=True)
        for tool in OWN_TOOLS.values()
    ]
    assert estimate_tokens(json.dumps(definitions, separators=(",", ":"))) <= TOOLS_TOKENS_MAX


@pytest.mark.parametrize("mode", MODES)
async def test_the_server_says_what_it_is(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        info = client.server_info
        assert info is not None
        assert (info.name, info.title, info.version) == ("komorebi", "Komorebi", "0.1.0")
        assert_drawn(info.icons)
        assert client.instructions == INSTRUCTIONS
        assert len(INSTRUCTIONS) < 600


@pytest.mark.parametrize("mode", MODES)
async def test_what_a_person_chooses_from_has_a_picture(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        for prompt in (await client.list_prompts()).prompts:
            assert_drawn(prompt.icons)
        for resource in (await client.list_resources()).resources:
            assert_drawn(resource.icons)
        for template in (await client.list_resource_templates()).resource_templates:
            assert_drawn(template.icons)


def assert_drawn(icons: list[Icon] | None) -> None:
    """There is one icon, and it is a picture that is whole."""
    assert icons is not None
    (icon,) = icons
    kind, _, svg = icon.src.partition(",")
    assert kind == "data:image/svg+xml"
    assert icon.mime_type == "image/svg+xml"
    picture = ET.fromstring(unquote(svg))  # noqa: S314  # Our own.
    assert len(picture) > 0


async def test_each_era_is_told_only_what_it_can_use(tmp_path: Path) -> None:
    capabilities: dict[str, Any] = {}
    for mode in ERAS:
        async with open_client(tmp_path, mode=mode) as client:
            told = client.server_capabilities.model_dump(by_alias=True, mode="json", exclude_none=True)
            capabilities[mode] = told
    assert capabilities == snapshot(
        {
            "legacy": {
                "logging": {},
                "prompts": {"listChanged": True},
                "resources": {"subscribe": True, "listChanged": True},
                "tools": {"listChanged": True},
                "completions": {},
                "tasks": {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}},
            },
            "auto": {
                "logging": {},
                "prompts": {"listChanged": True},
                "resources": {"subscribe": True, "listChanged": True},
                "tools": {"listChanged": True},
                "completions": {},
                "extensions": {"io.modelcontextprotocol/tasks": {}},
            },
        }
    )


def test_every_argument_of_every_tool_is_in_the_schema_that_errors_are_told_in() -> None:
    for tool in OWN_TOOLS.values():
        shown = tool.definition.input_schema["properties"]
        assert set(shown) == set(tool.demands["properties"]) == set(tool.arguments.model_fields)
        assert tool.definition.input_schema["additionalProperties"] is False


async def test_a_modern_client_is_told_how_long_an_answer_holds(tmp_path: Path) -> None:
    async with open_client(tmp_path) as client:
        tools = await client.list_tools()
        assert (tools.ttl_ms, tools.cache_scope) == (60_000, "private")
        inbox = await client.read_resource("komorebi://inbox")
        assert (inbox.ttl_ms, inbox.cache_scope) == (0, "private")


@pytest.mark.parametrize("mode", MODES)
async def test_every_list_refuses_a_cursor_that_it_did_not_give(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        for listing in (
            client.list_tools,
            client.list_resources,
            client.list_resource_templates,
            client.list_prompts,
        ):
            with pytest.raises(MCPError) as caught:
                await listing(cursor="YXQ6MTAw")
            assert caught.value.error.code == -32602
            assert "without" in caught.value.error.message
