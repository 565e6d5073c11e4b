"""A server enters a client's file, and nothing else in it changes."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komorebi_mcp.errors import InvalidInput
from komorebi_mcp.services.clients import Client, document, entry_for, merged, place_of, write

COMMAND = ["/opt/bin/komorebi-mcp", "serve"]


@pytest.mark.parametrize("client", Client)
def test_each_client_has_a_place_and_a_shape(client: Client, tmp_path: Path) -> None:
    assert place_of(client).is_absolute()
    entry = entry_for(client, COMMAND, {})
    assert (entry["command"], entry["args"]) == (COMMAND[0], ["serve"])
    path = tmp_path / "new" / "config.json"
    assert write(path, merged(path, client, "komorebi", entry)) is None
    assert json.loads(path.read_text()) == document(client, "komorebi", entry)


def test_other_servers_and_settings_stay_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    before = (
        '{"theme": "däm", "mcpServers": {"z": {"command": "z", "x": null}, "a": {"url": "u"}}, "last": 1.50}'
    )
    path.write_text(before, encoding="utf-8")
    path.chmod(0o640)
    entry = entry_for(Client.CURSOR, COMMAND, {})
    kept = write(path, merged(path, Client.CURSOR, "komorebi", entry))
    assert kept is not None
    assert kept.read_text(encoding="utf-8") == before
    whole = json.loads(path.read_text(encoding="utf-8"))
    assert list(whole) == ["theme", "mcpServers", "last"]
    assert list(whole["mcpServers"]) == ["z", "a", "komorebi"]
    assert whole["mcpServers"]["z"] == {"command": "z", "x": None}
    assert path.stat().st_mode & 0o777 == 0o640
    assert not merged(path, Client.CURSOR, "komorebi", entry).is_needed


def test_variables_that_somebody_gave_the_entry_stay(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    old = {"command": "old", "args": [], "env": {"KOMOREBI_LOG_LEVEL": "DEBUG"}, "autoApprove": ["capture"]}
    path.write_text(json.dumps(document(Client.CURSOR, "komorebi", old)))
    entry = entry_for(Client.CURSOR, COMMAND, {"KOMOREBI_HOME": "/k"})
    first = write(path, merged(path, Client.CURSOR, "komorebi", entry))
    now = json.loads(path.read_text())["mcpServers"]["komorebi"]
    assert now["command"] == COMMAND[0]
    assert now["env"] == {"KOMOREBI_LOG_LEVEL": "DEBUG", "KOMOREBI_HOME": "/k"}
    assert now["autoApprove"] == ["capture"]
    second = write(path, merged(path, Client.CURSOR, "other", entry))
    assert {first, second} == {tmp_path / "config.json.bak", tmp_path / "config.json.bak1"}


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "dotfiles.json", tmp_path / "config.json"
    real.write_text("{}")
    link.symlink_to(real)
    write(link, merged(link, Client.CURSOR, "komorebi", entry_for(Client.CURSOR, COMMAND, {})))
    assert link.is_symlink()
    assert "komorebi" in real.read_text()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{\n  "mcpServers": {},\n}', "where no comment or trailing comma may be"),
        (b'{\n  // mine\n  "mcpServers": {}}', "is not JSON at line 2, column 3"),
        (b"[]", "does not hold a JSON object"),
        (b'{"mcpServers": []}', "something other than servers under 'mcpServers'"),
        (b'{"a": "\xff"}', "is not UTF-8 at its byte 8"),
    ],
)
def test_a_file_that_cannot_be_understood_is_left_alone(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=reason.replace(".", r"\.")):
        merged(path, Client.CURSOR, "komorebi", entry_for(Client.CURSOR, COMMAND, {}))
    assert path.read_bytes() == content


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(max_size=6), JSON, max_size=4),
    st.dictionaries(st.text(max_size=6), JSON, max_size=3),
)
def test_nothing_else_ever_changes(
    tmp_path_factory: pytest.TempPathFactory, others: dict[str, object], servers: dict[str, object]
) -> None:
    path = tmp_path_factory.mktemp("client") / "config.json"
    whole = {**others, "mcpServers": servers}
    path.write_text(json.dumps(whole))
    change = merged(path, Client.CURSOR, "komorebi", entry_for(Client.CURSOR, COMMAND, {}))
    after = json.loads(change.after)
    after["mcpServers"].pop("komorebi")
    servers.pop("komorebi", None)
    assert after == whole


def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not UTF-8"):
        merged(tmp_path / "mcp.json", Client.CURSOR, "name\udcff", {"command": "x"})
