"""The upstreams file: what clients write into theirs works here, and what is wrong costs only itself."""

import json
from pathlib import Path
from typing import Any

import pytest

from komorebi_mcp.upstream.config import UpstreamsConfig, load_upstreams


def load(folder: Path, servers: Any) -> UpstreamsConfig:
    return load_text(folder, json.dumps({"mcpServers": servers}, indent=2))


def load_text(folder: Path, text: str) -> UpstreamsConfig:
    path = folder / "upstreams.json"
    path.write_text(text, encoding="utf-8")
    return load_upstreams(path, environment={})


def test_no_file_means_no_upstreams(tmp_path: Path) -> None:
    config = load_upstreams(tmp_path / "none.json")
    assert (config.upstreams, config.problems) == ((), ())


def test_an_entry_of_a_desktop_client_is_read_with_its_extra_keys(tmp_path: Path) -> None:
    entry = {
        "command": "npx",
        "args": ["-y", "pkg"],
        "env": {"PORT": 3000},
        "alwaysAllow": ["x"],
        "timeout": 9,
    }
    (upstream,) = load(tmp_path, {"files": entry}).upstreams
    assert (upstream.transport, upstream.command, upstream.args) == ("stdio", "npx", ("-y", "pkg"))
    assert upstream.env == {"PORT": "3000"}


@pytest.mark.parametrize(
    ("entry", "transport"),
    [
        ({"url": "http://x/mcp"}, "http"),
        ({"type": "http", "url": "http://x/mcp"}, "http"),
        ({"type": "streamable-http", "url": "http://x/mcp"}, "http"),
        ({"type": "streamableHttp", "url": "http://x/mcp"}, "http"),
        ({"type": "sse", "url": "http://x/sse"}, "sse"),
        ({"type": "stdio", "command": "x"}, "stdio"),
        ({"type": "http", "url": "http://x/mcp", "command": "left over"}, "http"),
    ],
)
def test_the_transport_follows_from_the_entry(tmp_path: Path, entry: Any, transport: str) -> None:
    (upstream,) = load(tmp_path, {"one": entry}).upstreams
    assert upstream.transport == transport


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("npx", "It is not an object"),
        ({}, 'It has no "command"'),
        ({"comand": "npx"}, 'Is "comand" meant to be "command"?'),
        ({"type": "http"}, 'It has no "url"'),
        ({"type": "http", "Url": "http://x"}, 'Is "Url" meant to be "url"?'),
        ({"command": "x", "url": "http://x"}, "Keep one of them"),
        ({"type": "carrier-pigeon", "command": "x"}, "Use stdio, http or sse"),
        ({"command": "x", "args": "not a list"}, "args: "),
        ({"command": "x", "env": {"A": None}}, "env.A: "),
    ],
)
def test_a_wrong_entry_is_named_with_its_line_and_the_others_work(
    tmp_path: Path, entry: Any, said: str
) -> None:
    config = load(tmp_path, {"before": {"command": "a"}, "wrong one": entry, "after": {"command": "b"}})
    assert [upstream.name for upstream in config.upstreams] == ["before", "after"]
    (problem,) = config.problems
    assert (problem.upstream, problem.line) == ("wrong one", 6)
    assert said in problem.message
    assert "pydantic" not in problem.message


def test_broken_json_is_reported_with_its_line(tmp_path: Path) -> None:
    config = load_text(tmp_path, '{"mcpServers": {\n  "a": {"command": "x",}\n}}')
    (problem,) = config.problems
    assert (problem.upstream, problem.line, config.upstreams) == (None, 2, ())
    assert "line 2" in problem.message


@pytest.mark.parametrize("text", ["[]", "{}", '{"mcpServers": []}', "null", ""])
def test_a_file_of_another_shape_is_reported(tmp_path: Path, text: str) -> None:
    assert len(load_text(tmp_path, text).problems) == 1


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    assert load_text(tmp_path, '\ufeff{"mcpServers": {"a": {"command": "x"}}}').upstreams


def test_a_disabled_entry_is_left_out_without_complaint(tmp_path: Path) -> None:
    config = load(tmp_path, {"off": {"command": "x", "disabled": True}})
    assert (config.upstreams, config.problems) == ((), ())


@pytest.mark.parametrize(
    "entry",
    [
        {"command": "komorebi-mcp", "args": ["serve"]},
        {"command": "/opt/bin/komorebi-mcp"},
        {"command": "uvx", "args": ["komorebi-mcp"]},
        {"command": "komorebi-mcp", "env": {"KOMOREBI_HOME": "{home}"}},
    ],
)
def test_this_server_is_not_started_inside_itself(tmp_path: Path, entry: dict[str, Any]) -> None:
    written = json.loads(json.dumps(entry).replace("{home}", str(tmp_path)))
    other = {"command": "komorebi-mcp", "env": {"KOMOREBI_HOME": "/another/home"}}
    config = load(tmp_path, {"komorebi": written, "other": other})
    assert ([upstream.name for upstream in config.upstreams], config.problems) == (["other"], ())


def test_a_relative_folder_counts_from_the_file(tmp_path: Path) -> None:
    (upstream,) = load(tmp_path, {"a": {"command": "x", "cwd": "work"}}).upstreams
    assert upstream.cwd == str(tmp_path / "work")


def test_what_may_hold_a_secret_is_not_in_the_representation(tmp_path: Path) -> None:
    entry = {"url": "http://u:hidden@x/mcp?key=hidden", "headers": {"A": "hidden"}, "env": {"B": "hidden"}}
    config = load(tmp_path, {"a": entry})
    assert "hidden" not in repr(config)
    assert "hidden" not in repr(config.upstreams)
