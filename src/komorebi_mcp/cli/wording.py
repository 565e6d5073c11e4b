"""Errors in the words of the command line."""

import re
from typing import Final

_COMMANDS: Final = {
    "capture": "capture",
    "list_captures": "list",
    "search_captures": "search",
    "summarize": "summarize",
    "list_projects": "projects",
    "resume": "resume",
    "timeline": "timeline",
}
"""The command that does what an MCP tool does."""

_NEXT_MOVE: Final = re.compile(
    rf"\b(?P<verb>[Cc])all (?P<first>{'|'.join(_COMMANDS)})\b(?: or (?P<second>{'|'.join(_COMMANDS)})\b)?"
)


def for_people(message: str) -> str:
    """The message on one line, which names a command where it would have a model call a tool."""
    return _NEXT_MOVE.sub(_command, " ".join(message.split()))


def _command(move: re.Match[str]) -> str:
    verb = "Run" if move["verb"] == "C" else "run"
    tools = [tool for tool in (move["first"], move["second"]) if tool]
    return f"{verb} {' or '.join(f'`komorebi-mcp {_COMMANDS[tool]}`' for tool in tools)}"
