"""How commands print: JSON for programs, text for people."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.text import Text

_VISIBLE = {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\n\t"}
_VISIBLE |= {0x7F: "\u2421"} | dict.fromkeys(range(0x80, 0xA0), "\ufffd")
"""Control characters as pictures of themselves: a captured escape sequence must not steer a terminal."""

_MARK = "**"


def as_json(result: BaseModel | Mapping[str, Any]) -> None:
    """Prints the result as one indented JSON document, escaped where stdout is not of Unicode."""
    plain = result.model_dump(mode="json") if isinstance(result, BaseModel) else result
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    typer.echo(json.dumps(plain, ensure_ascii=not unicode, indent=2))


def console() -> Console:
    return Console(highlight=False, markup=False, emoji=False)


def line(out: Console, *parts: tuple[str, str] | str) -> None:
    """Prints parts, each a text or a text and its style, on one line; a narrow terminal wraps it."""
    text = Text()
    for part in parts:
        words, style = (part, "") if isinstance(part, str) else part
        text.append(words.translate(_VISIBLE), style)
    out.print(text, soft_wrap=not out.is_terminal)


def marked(snippet: str) -> list[tuple[str, str]]:
    """A snippet whose matches stand between ** and **, as parts for `line`."""
    pieces = snippet.split(_MARK)
    if len(pieces) % 2 == 0:
        # An odd number of marks: the text has some of its own, and none can be told apart.
        return [(snippet, "dim")]
    return [(piece, "bold yellow" if index % 2 else "dim") for index, piece in enumerate(pieces)]


def moment(value: datetime) -> str:
    """In the reader's own time zone, to the minute."""
    return f"{value.astimezone():%Y-%m-%d %H:%M}"


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def filed(project: str | None, *details: str, tags: Sequence[str] = ()) -> str:
    """Where something is filed and what else is known of it, as one short line."""
    return "  ".join([project or "unfiled", *details, *(f"#{tag}" for tag in tags)])
