"""Nothing a client sends comes back as an internal error, a traceback or its own words."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp import Client, MCPError
from mcp_types import CallToolResult

from komorebi_mcp.domain.captures import CONTENT_BYTES_MAX
from komorebi_mcp.surface.tools.own import OWN_TOOLS
from support.connections import MODES, call, open_client, refused, text_of

UNKNOWN_ID = "0192d4e8-0000-7000-8000-000000000000"
SECRET = "tr0mbone-echo-9"  # noqa: S105 - stands for whatever a caller sends, to see that it is not sent back.


CALLS: list[tuple[str, dict[str, Any], str]] = [
    ("capture", {}, "needs content"),
    ("capture", {"contnet": SECRET}, "Did you mean content?"),
    ("capture", {"content": "a", "colour": SECRET}, "It takes content, title, project"),
    ("capture", {"content": 7}, "content must be a text."),
    ("capture", {"content": [SECRET]}, "content must be a text."),
    ("capture", {"content": None}, "content must be a text."),
    ("capture", {"content": "\ud800" + SECRET}, "Unicode"),
    ("capture", {"content": "x" * (CONTENT_BYTES_MAX + 1)}, "komorebi-mcp capture -"),
    ("capture", {"content": "€" * (CONTENT_BYTES_MAX // 3 + 1)}, "komorebi-mcp capture -"),
    ("capture", {"content": "a", "kind": SECRET}, "kind must be note, decision, error, code, link, log or"),
    ("capture", {"content": "a", "title": "x" * 301}, "title must be a text of at most 300 characters."),
    ("capture", {"content": "a", "title": ""}, "title is empty"),
    ("capture", {"content": "a", "title": "a\x00b"}, "title holds a control character"),
    ("capture", {"content": "a", "project": "  "}, "project is empty"),
    (
        "capture",
        {"content": "a", "tags": ["x" * 65]},
        "tags must be a list of at most 32 texts of at most 64",
    ),
    ("capture", {"content": "a", "tags": {"a": 1}}, "tags must be a list of at most 32 texts"),
    ("capture", {"content": "a", "tags": [str(n) for n in range(33)]}, "tags must be a list of at most 32"),
    ("capture", {"content": "a", "key": "x" * 201}, "key must be a text of at most 200 characters."),
    ("summarize", {"query": "  "}, "query is empty"),
    ("summarize", {"focus": "\n"}, "focus is empty"),
    ("update_captures", {"ids": [UNKNOWN_ID], "content": ""}, "delete the capture with forget_captures"),
    ("list_captures", {"limit": 0}, "limit must be a whole number from 1 to 100."),
    ("list_captures", {"limit": 101}, "limit must be a whole number from 1 to 100."),
    ("list_captures", {"limit": 10**400}, "limit must be a whole number from 1 to 100."),
    ("list_captures", {"limit": "many"}, "limit must be a whole number from 1 to 100."),
    ("list_captures", {"limit": 1.5}, "limit must be a whole number from 1 to 100."),
    ("list_captures", {"status": "done"}, "status must be inbox, processed, compacted or archived."),
    ("list_captures", {"order": "up"}, "order must be newest or oldest."),
    ("list_captures", {"cursor": SECRET}, "cursor"),
    ("list_captures", {"cursor": "x" * 10_000}, "cursor must be"),
    ("list_captures", {"since": "last Tuesday " + SECRET}, "since must be a date or time"),
    ("list_captures", {"since": 1_700_000_000}, "since must be a date or time"),
    ("list_captures", {"until": "0001-01-01T00:00:00+14:00"}, "until must be a date or time"),
    ("list_captures", {"since": "2026-02-30"}, "since must be a date or time"),
    ("list_captures", {"since": "2026-02-02", "until": "2026-02-01"}, "since must be before until."),
    ("list_captures", {"since": "2026-02-02", "until": "2026-02-02"}, "give the day after as until."),
    ("search_captures", {}, "needs query"),
    ("search_captures", {"query": " "}, "query is empty"),
    ("search_captures", {"query": "x" * 10_001}, "over 10,000 characters"),
    (
        "search_captures",
        {"query": "a", "max_tokens": 0},
        "max_tokens must be a whole number from 1 to 25000.",
    ),
    ("search_captures", {"query": "a", "cursor": SECRET}, "cursor"),
    ("read_captures", {"ids": []}, "ids must be a list of 1 to 100 texts"),
    ("read_captures", {"ids": [UNKNOWN_ID] * 101}, "ids must be a list of 1 to 100 texts"),
    ("read_captures", {"ids": [SECRET]}, "not a capture's id"),
    ("read_captures", {"ids": [12]}, "ids must be a list of 1 to 100 texts"),
    ("read_captures", {"ids": UNKNOWN_ID}, "No capture has the id"),
    ("read_captures", {"ids": f"komorebi://summaries/{UNKNOWN_ID}"}, "not a capture's id"),
    (
        "read_captures",
        {"ids": [UNKNOWN_ID], "offset": -1},
        "offset must be a whole number from 0 on.",
    ),
    (
        "read_captures",
        {"ids": [UNKNOWN_ID, UNKNOWN_ID[:-1] + "1"], "offset": 5},
        "offset can only go with a single id",
    ),
    ("update_captures", {"ids": [UNKNOWN_ID]}, "Nothing is to change"),
    ("update_captures", {"ids": [UNKNOWN_ID], "title": "T"}, "No capture has the id"),
    ("forget_captures", {"ids": [UNKNOWN_ID], "confirm": True}, "No capture has the id"),
    ("forget_captures", {"ids": [UNKNOWN_ID], "confirm": "maybe"}, "confirm must be true or false."),
    ("summarize", {"project": "nowhere"}, "list_projects"),
    ("summarize", {"ids": [UNKNOWN_ID]}, "No capture has the id"),
    ("summarize", {"max_tokens": 8_001}, "max_tokens must be a whole number from 1 to 8000."),
    ("summarize", {"query": ""}, "query is empty"),
    ("list_projects", {"cursor": SECRET}, "cursor"),
    ("update_project", {"name": "nowhere", "goal": "g"}, "list_projects"),
    ("update_project", {"goal": "g"}, "needs name"),
    (
        "update_project",
        {"name": "n", "description": "x" * 2_001},
        "description must be a text of at most 2000",
    ),
]


@pytest.mark.parametrize("mode", MODES)
async def test_every_bad_call_is_answered_with_one_helpful_sentence(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        for tool, arguments, telling in CALLS:
            text = await refused(client, tool, **arguments)
            assert telling in text, (tool, telling, text)
            assert_fit_to_show(text)
        assert (await call(client, "list_captures"))["captures"] == []


@pytest.mark.parametrize("mode", MODES)
async def test_an_unknown_tool_is_a_protocol_error_that_suggests_a_known_one(
    tmp_path: Path, mode: str
) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        with pytest.raises(MCPError) as caught:
            await client.call_tool("search_capture", {})
        assert caught.value.error.code == -32602
        assert "Did you mean search_captures?" in caught.value.error.message


async def test_null_means_left_out_wherever_an_argument_may_be(tmp_path: Path) -> None:
    needed: dict[str, dict[str, Any]] = {
        "capture": {"content": "Nulls."},
        "search_captures": {"query": "nulls"},
        "find_tools": {"query": "nulls"},
        "call_tool": {"tool": "nobody__has_it", "arguments": {}},
    }
    changes: dict[str, dict[str, Any]] = {
        "update_captures": {"add_tags": ["t"]},
        "update_project": {"name": "p", "goal": "None."},
        "forget_captures": {"confirm": True},
    }
    async with open_client(tmp_path) as client:
        receipt = await call(client, "capture", content="Nulls.", project="p")
        # What it forgets the others need, so it comes last.
        for name, tool in sorted(OWN_TOOLS.items(), key=lambda item: item[0] == "forget_captures"):
            given = {**needed.get(name, {}), **changes.get(name, {})}
            if "ids" in tool.demands["properties"]:
                given["ids"] = [receipt["id"]]
            nulls = {argument: None for argument in tool.demands["properties"] if argument not in given}
            if name == "call_tool":
                assert "No upstream has a tool" in await refused(client, name, **given, **nulls)
            else:
                await call(client, name, **given, **nulls)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=40)
    | st.sampled_from(
        ["", "\x00", "\ud800", UNKNOWN_ID, f"komorebi://captures/{UNKNOWN_ID}", "2026-01-01", "note"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def arguments_of(tool: str) -> st.SearchStrategy[dict[str, Any]]:
    names = list(OWN_TOOLS[tool].demands["properties"])
    return st.dictionaries(st.sampled_from(names) | st.text(max_size=12), VALUES, max_size=len(names))


CALLED = st.sampled_from(sorted(OWN_TOOLS)).flatmap(lambda tool: st.tuples(st.just(tool), arguments_of(tool)))


@pytest.mark.slow
async def test_whatever_the_arguments_no_call_fails_inside(tmp_path: Path) -> None:
    async with open_client(tmp_path) as client:
        portal = anyio.from_thread.BlockingPortal()

        @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(called=CALLED)
        def law(called: tuple[str, dict[str, Any]]) -> None:
            portal.call(check_answered, client, *called)

        async with portal:
            await anyio.to_thread.run_sync(law)


async def check_answered(client: Client, tool: str, arguments: dict[str, Any]) -> None:
    try:
        result = await client.call_tool(tool, arguments)
    except MCPError as error:
        told = error.error
    else:
        assert isinstance(result, CallToolResult)
        if result.is_error:
            assert_fit_to_show(text_of(result))
        return
    assert told.code == -32602
    assert_fit_to_show(told.message)


def assert_fit_to_show(text: str) -> None:
    assert "went wrong inside" not in text
    assert "pydantic" not in text
    assert "Traceback" not in text
    assert SECRET not in text
    assert text.endswith((".", "`"))
    assert len(text) < 500
