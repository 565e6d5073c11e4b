"""Clients: where each keeps its list of MCP servers, and how a server gets into it."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import platformdirs

from komorebi_mcp.errors import InvalidInput


class Client(StrEnum):
    """A program that starts MCP servers."""

    CLAUDE_DESKTOP = "claude-desktop"
    CLAUDE_CODE = "claude-code"
    CURSOR = "cursor"
    VSCODE = "vscode"
    WINDSURF = "windsurf"
    GEMINI_CLI = "gemini-cli"


_SERVERS_KEYS: Mapping[Client, str] = {Client.VSCODE: "servers"}
_SAYS_TYPE = frozenset({Client.VSCODE, Client.CLAUDE_CODE})


class Change(NamedTuple):
    """What is to become of a client's file."""

    before: bytes | None
    """None where there is no file yet."""
    after: bytes

    @property
    def is_needed(self) -> bool:
        return self.before != self.after


def place_of(client: Client) -> Path:
    """The file in which the client keeps the servers of this user."""
    home = Path.home()
    match client:
        case Client.CLAUDE_DESKTOP:
            return _settings_of("Claude") / "claude_desktop_config.json"
        case Client.VSCODE:
            return _settings_of("Code") / "User" / "mcp.json"
        case Client.CLAUDE_CODE:
            return home / ".claude.json"
        case Client.CURSOR:
            return home / ".cursor" / "mcp.json"
        case Client.WINDSURF:
            return home / ".codeium" / "windsurf" / "mcp_config.json"
        case Client.GEMINI_CLI:
            return home / ".gemini" / "settings.json"


def entry_for(client: Client, command: list[str], env: Mapping[str, str]) -> dict[str, Any]:
    """The server as the client's file has it."""
    entry: dict[str, Any] = {"type": "stdio"} if client in _SAYS_TYPE else {}
    entry |= {"command": command[0], "args": command[1:]}
    return entry | ({"env": dict(env)} if env else {})


def document(client: Client, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """A file that holds the server alone."""
    return {_key(client): {name: dict(entry)}}


def merged(path: Path, client: Client, name: str, entry: Mapping[str, Any]) -> Change:
    """The file with the server in it, everything else as it is; the same bytes where it is there already.

    Variables that somebody gave the server's entry stay.

    Raises:
        InvalidInput: The file cannot be read or is not what the client takes, or the entry is not UTF-8.
    """
    try:
        before = path.read_bytes() if path.exists() else None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}. Check its rights.") from error
    whole = _parsed(path, before) if before and before.strip() else {}
    servers = whole.setdefault(_key(client), {})
    if not isinstance(servers, dict):
        raise InvalidInput(
            f"{path} has something other than servers under {_key(client)!r}. Correct it, or use --print."
        )
    known = servers.get(name)
    entry = dict(entry)
    if isinstance(known, dict):
        env = known.get("env")
        if isinstance(env, dict):
            entry["env"] = {**env, **entry.get("env", {})}
        entry = {**known, **entry}
    if before is not None and known == entry:
        return Change(before, before)
    servers[name] = entry
    try:
        after = (json.dumps(whole, ensure_ascii=False, indent=2) + "\n").encode()
    except UnicodeEncodeError:
        raise InvalidInput(
            "The server's name, path or home holds bytes that are not UTF-8. Choose others."
        ) from None
    return Change(before, after)


def write(path: Path, change: Change) -> Path | None:
    """Puts the change into effect, and keeps the old file beside the new one; where, if there was one.

    Raises:
        InvalidInput: The folder or file cannot be written.
    """
    # A link to a file kept elsewhere stays a link.
    path = path.resolve()
    partial = path.with_name(f".{path.name}.part")
    kept: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o777 if change.before is not None else 0o600
        if change.before is not None:
            kept = _free(path)
            _write_as(kept, change.before, mode)
        _write_as(partial, change.after, mode)
        partial.replace(path)
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be written: {error.strerror}. Check its rights, or use --print."
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return kept


def _write_as(path: Path, data: bytes, mode: int) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:  # noqa: PTH123 - the mode.
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _key(client: Client) -> str:
    return _SERVERS_KEYS.get(client, "mcpServers")


def _settings_of(application: str) -> Path:
    return platformdirs.user_config_path(application, appauthor=False, roaming=True)


def _free(path: Path) -> Path:
    """A name beside the file that nothing has yet."""
    number = 0
    while (backup := path.with_name(f"{path.name}.bak{number or ''}")).exists():
        number += 1
    return backup


def _parsed(path: Path, data: bytes) -> dict[str, Any]:
    try:
        whole = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise _unfit(path, f"is not UTF-8 at its byte {error.start + 1}") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _unfit(path, f"is not JSON at {where}, where no comment or trailing comma may be") from error
    if not isinstance(whole, dict):
        raise _unfit(path, "does not hold a JSON object")
    return whole


def _unfit(path: Path, reason: str) -> InvalidInput:
    return InvalidInput(f"{path} {reason}. Correct it, or add by hand what --print shows.")
