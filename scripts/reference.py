"""Writes what is made from the code: docs/reference/, the list of decisions, server.json, new files' schema.

`--check` writes nothing and ends with status 1 if a file is not what it would write.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from importlib import import_module
from importlib.metadata import version
from inspect import Parameter, cleandoc, signature
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import sqlite_schema
from pydantic import SecretStr, TypeAdapter
from pydantic.fields import FieldInfo
from typer.models import ArgumentInfo

from komorebi_mcp.cli.commands import COMMANDS, Command
from komorebi_mcp.settings import Settings
from komorebi_mcp.storage.migrate import NEW_FILE
from komorebi_mcp.surface.tools.own import OWN_TOOLS
from komorebi_mcp.surface.tools.record import Tool

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
DECISIONS = ROOT / "docs" / "decisions"
_MADE = "<!-- Made by scripts/reference.py; change what it is made from, and run it. -->"
_TOOLS = """\
What an MCP client sees in `tools/list`. Arguments are passed by name, and an unknown one is refused, never
ignored. If several ids are given and some do not exist, the result lists those under `missing`. Tools of
upstreams appear beside these as `UPSTREAM__TOOL`."""
_SETTINGS = """\
Environment variables, or lines `NAME=value` in the file `komorebi.env` in the home. Variables win over the
file; an empty one counts as unset. `komorebi-mcp doctor` shows the settings in force, and names variables
that are set but are no setting."""
_CLI = """\
Without arguments `komorebi-mcp` is the stdio server if a client has started it, and shows its help in a
terminal. An error is one line on stderr; the exit status is 1 if something could not be done and 2 if the
command line was wrong. `komorebi-mcp COMMAND --help` shows the same as this page."""

_DECISIONS = """\
Choices that somebody will ask about, each on a short page: what it was about, what was decided, and what
follows from it. A number is never given twice; 12 was taken back along with its code."""


def tools_page() -> str:
    parts = [
        "# Tools",
        _MADE,
        _TOOLS,
    ]
    parts += [_tool(tool) for tool in OWN_TOOLS.values()]
    return "\n\n".join(parts) + "\n"


def _tool(tool: Tool[Any]) -> str:
    required = tool.demands.get("required", ())
    rows = [
        (
            f"`{name}`" + ("" if name in required else "?"),
            _type(schema),
            _default(schema),
            schema.get("description", ""),
        )
        for name, schema in tool.demands["properties"].items()
    ]
    output = tool.definition.output_schema or {}
    results = [
        (f"`{name}`" + ("" if name in output.get("required", ()) else "?"), _type(schema))
        for name, schema in output.get("properties", {}).items()
    ]
    hints = tool.annotations.model_dump(exclude_none=True)
    said = ", ".join(
        f"{name.removesuffix('_hint').replace('_', ' ')}: {'yes' if on else 'no'}"
        for name, on in hints.items()
    )
    return "\n\n".join(
        [
            f"## `{tool.name}`",
            f"{tool.description}",
            _table(("argument", "type", "default", ""), rows),
            _table(("result", "type"), results),
            f"Hints: {said}.",
        ]
    )


def _type(schema: dict[str, Any]) -> str:
    """A JSON Schema in few words: 'list of texts, at most 32'."""
    if "enum" in schema:
        return " ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        return " or ".join(_type({**schema, "type": one}) for one in kind)
    match kind:
        case "string":
            words = "text"
        case "array":
            return f"list{_limits(schema).replace(',', ' of', 1)}: {_type(schema.get('items', {}))}"
        case "object":
            fields = schema.get("properties") or dict.fromkeys(schema.get("required", ()))
            words = f"object of {', '.join(f'`{name}`' for name in fields)}" if fields else "object"
        case _:
            words = str(kind)
    return words + _limits(schema)


def _limits(schema: dict[str, Any]) -> str:
    least = schema.get("minimum", schema.get("minItems", schema.get("minLength")))
    most = schema.get("maximum", schema.get("maxItems", schema.get("maxLength")))
    unit = " characters" if "maxLength" in schema else ""
    if least is not None and most is not None:
        return f", {least:,} to {most:,}{unit}"
    return (
        f", at most {most:,}{unit}"
        if most is not None
        else f", at least {least:,}{unit}"
        if least is not None
        else ""
    )


def _default(schema: dict[str, Any]) -> str:
    default = schema.get("default")
    return (
        ""
        if default in (None, [], "")
        else f"`{str(default).lower() if isinstance(default, bool) else default}`"
    )


def settings_page() -> str:
    prefix = Settings.model_config["env_prefix"]
    rows = [
        (f"`{prefix}{name.upper()}`", _choices(field), _setting_default(field), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    return (
        "\n\n".join(
            [
                "# Settings",
                _MADE,
                _SETTINGS,
                _table(("variable", "values", "default", ""), rows),
            ]
        )
        + "\n"
    )


def _choices(field: FieldInfo) -> str:
    if values := get_args(field.annotation):
        return " ".join(f"`{value}`" for value in values)
    if field.annotation is int:
        schema = TypeAdapter(Annotated[int, field]).json_schema()
        return "number" + _limits({name: schema[name] for name in ("minimum", "maximum") if name in schema})
    return "path" if field.annotation is Path else "text"


def _setting_default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "the system's folder for user data, on Linux `~/.local/share/komorebi-mcp`"
    return f"`{field.default}`" if _has_default(field) else ""


def _has_default(field: FieldInfo) -> bool:
    return field.default_factory is None and field.default not in ("", Path(), SecretStr(""))


def decisions_page() -> str:
    pages = [page for page in sorted(DECISIONS.glob("*.md")) if page.name != "README.md"]
    rows = [_decision(page) for page in pages]
    return "\n\n".join(["# Decisions", _MADE, _DECISIONS, _table(("", "decision", "taken"), rows)]) + "\n"


def _decision(page: Path) -> tuple[str, str, str]:
    heading, _, dated, *_ = page.read_text(encoding="utf-8").splitlines()
    number, title = heading.removeprefix("# ").split(". ", 1)
    return number, f"[{title}]({page.name})", dated.split(" · ")[0]


ENTRY_NAME = "io.github.komorebi-mcp/komorebi-mcp"
"""In the MCP registry. Its part before the slash belongs to whoever publishes; the README repeats it."""
ENTRY_SETTINGS = ("home", "upstreams", "secrets", "summarizer", "openai_base_url", "openai_api_key", "model")
"""What somebody may want to set before the first start; all settings have defaults."""


def registry_entry() -> str:
    """The server.json of schema 2025-12-11, by which clients find and start the published package."""
    released = version("komorebi-mcp")
    entry = {
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": ENTRY_NAME,
        "title": "Komorebi",
        "description": "Capture anything, find it again, get cited summaries; a gateway to your MCP servers.",
        "version": released,
        "packages": [
            {
                "registryType": "pypi",
                "identifier": "komorebi-mcp",
                "version": released,
                "runtimeHint": "uvx",
                "transport": {"type": "stdio"},
                "packageArguments": [{"type": "positional", "value": "serve"}],
                "environmentVariables": [_variable(name) for name in ENTRY_SETTINGS],
            }
        ],
    }
    return json.dumps(entry, ensure_ascii=False, indent=2) + "\n"


def _variable(name: str) -> dict[str, Any]:
    field = Settings.model_fields[name]
    variable: dict[str, Any] = {
        "name": f"{Settings.model_config['env_prefix']}{name.upper()}",
        "description": field.description,
    }
    if choices := get_args(field.annotation):
        variable["choices"] = list(choices)
    if field.annotation is Path:
        variable["format"] = "filepath"
    if field.annotation is SecretStr:
        variable["isSecret"] = True
    if _has_default(field):
        variable["default"] = str(field.default)
    return variable


def cli_page() -> str:
    parts = [
        "# Command line",
        _MADE,
        _CLI,
    ]
    parts += [_command(name, command) for name, command in COMMANDS.items()]
    return "\n\n".join(parts) + "\n"


def _command(name: str, command: Command) -> str:
    module, function_name = command.place.split(":")
    function = getattr(import_module(module), function_name)
    hints = get_type_hints(function, include_extras=True)
    usage = [f"komorebi-mcp {name}"]
    rows: list[tuple[str, str, str]] = []
    for parameter in signature(function).parameters.values():
        annotation, about = get_args(hints[parameter.name])[:2]
        if isinstance(about, ArgumentInfo):
            shown = about.metavar or parameter.name.upper()
            several = "..." if _takes_several(annotation) else ""
            usage.append((shown if parameter.default is Parameter.empty else f"[{shown}]") + several)
            rows.append((f"`{shown}`", about.help or "", _values(annotation, None)))
        else:
            # Typer takes the first name of an annotated option for its default.
            named = [flag for flag in (about.default, *(about.param_decls or ())) if isinstance(flag, str)]
            flags = " ".join(f"`{flag}`" for flag in named or [f"--{parameter.name.replace('_', '-')}"])
            rows.append((flags, about.help or "", _values(annotation, parameter.default)))
    usage.append("[OPTIONS]")
    about_it = cleandoc(function.__doc__ or "")
    parts = [f"## `{name}`", about_it, f"    {' '.join(usage)}", _table(("", "", "values"), rows)]
    if command.examples:
        parts.append("\n".join(f"    komorebi-mcp {example}" for example in command.examples))
    return "\n\n".join(parts)


def _takes_several(annotation: Any) -> bool:
    return any(get_origin(one) is list for one in (annotation, *get_args(annotation)))


def _values(annotation: Any, default: Any) -> str:
    """What may be given, for a type such as `Kind`, `int | None` or `list[str] | None`."""
    options = [one for one in get_args(annotation) or (annotation,) if one is not NoneType]
    kind = get_args(options[0])[0] if get_args(options[0]) else options[0]
    shown = f"; default `{getattr(default, 'value', default)}`" if default not in (None, False) else ""
    if default is Parameter.empty:
        shown = "; needed"
    if kind is bool:
        return ""
    if issubclass(kind, Enum):
        return " ".join(f"`{choice.value}`" for choice in kind) + shown
    return ("number" if kind is int else "text") + shown


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in lines)


FILES: dict[Path, Callable[[], str]] = {
    REFERENCE / "tools.md": tools_page,
    REFERENCE / "settings.md": settings_page,
    REFERENCE / "cli.md": cli_page,
    DECISIONS / "README.md": decisions_page,
    ROOT / "server.json": registry_entry,
    NEW_FILE: sqlite_schema.script,
}


def stale_files() -> Iterator[Path]:
    """Files that are missing or not what the code says."""
    for file, make in FILES.items():
        if not file.exists() or file.read_text(encoding="utf-8") != make():
            yield file


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes the files that are made from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing, tell what is stale")
    if parser.parse_args().check:
        stale = list(stale_files())
        for file in stale:
            print(f"{file} is stale; run scripts/reference.py")
        return 1 if stale else 0
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for file, make in FILES.items():
        file.write_text(make(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
