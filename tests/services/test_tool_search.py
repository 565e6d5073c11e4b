"""Tools are found by what they do."""

from typing import Any

import pytest

from komorebi_mcp.services.tool_search import ToolIndex


def tool(description: str, **parameters: str) -> dict[str, Any]:
    properties = {name: {"type": "string", "description": about} for name, about in parameters.items()}
    return {"description": description, "inputSchema": {"type": "object", "properties": properties}}


TOOLS = {
    "github__create_issue": tool("Open a new issue in a repository.", title="The issue's title"),
    "github__list_issues": tool("List issues, filtered by label or state.", label="Only with this label"),
    "files__read_file": tool("Read a text file.", path="Where the file is"),
    "files__searchFiles": tool("Find files by name, recursively."),
    "mail__send": tool("Send an e-mail. Mentions: file attachments, issue links.", to="The recipient"),
    "wetter__vorhersage": tool("Wettervorhersage für eine Stadt."),
    "tenki__yohou": tool("都市の天気予報を調べる。"),
}


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("create an issue", "github__create_issue"),
        ("open issues with a label", "github__list_issues"),
        ("reading files", "files__read_file"),
        ("search files", "files__searchFiles"),
        ("who can be the recipient", "mail__send"),
        ("github__list_issues", "github__list_issues"),
        ("Vorhersage", "wetter__vorhersage"),
        ("天気", "tenki__yohou"),
    ],
)
def test_the_best_tool_comes_first(query: str, name: str) -> None:
    assert ToolIndex(TOOLS).search(query)[0] == name


@pytest.mark.parametrize("query", ["", "zeppelin", "\x00", "-", '"'])
def test_what_nothing_fits_finds_nothing(query: str) -> None:
    assert ToolIndex(TOOLS).search(query) == []
    assert ToolIndex({}).search(query) == []


def test_a_definition_of_any_shape_is_indexed_as_far_as_it_goes() -> None:
    odd: dict[str, Any] = {"a": {"description": 3, "inputSchema": {"properties": {"zip": None}}}, "b": {}}
    assert ToolIndex(odd).search("zip") == ["a"]
