"""The upstreams file: `{"mcpServers": {name: {command, args, env, cwd | url, headers, type}}}`.

The shape is that of the desktop clients, whose own extra keys are let pass. Nothing in the file stops the
program: a wrong entry is reported by its name, and the others work.
"""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from komorebi_mcp.domain.captures import ProjectName
from komorebi_mcp.domain.model import Model
from komorebi_mcp.upstream.names import prefix_of

CALL_TIMEOUT_S = 300.0
RESULT_TOKENS_MAX = 25_000
"""A longer result is stored whole and answered with its head, unless the entry says otherwise."""

Transport = Literal["stdio", "http", "sse"]
TrustPolicy = Literal["quarantine", "warn", "allow"]

_TRANSPORTS: Mapping[str, Transport] = {
    "stdio": "stdio",
    "http": "http",
    "streamable-http": "http",
    "streamable_http": "http",
    "streamablehttp": "http",
    "sse": "sse",
}


class UpstreamConfig(Model):
    """How one upstream is reached. References to secrets are still unresolved."""

    name: str
    """As the file has it."""
    prefix: str
    """What the names of its tools begin with, those of a bare one where they have to."""
    bare: bool = False
    """Its names go without the prefix as far as they can."""
    transport: Transport
    command: str = ""
    args: tuple[str, ...] = Field(default=(), repr=False)
    env: Mapping[str, str] = Field(default_factory=dict, repr=False)
    cwd: str | None = None
    """Absolute, unless it begins with a reference."""
    url: str = Field(default="", repr=False)
    headers: Mapping[str, str] = Field(default_factory=dict, repr=False)
    timeout_s: float = CALL_TIMEOUT_S
    """A call ends when the upstream says nothing about it for so long."""
    allow: tuple[str, ...] | None = None
    """Patterns of the tools let through; None lets all."""
    deny: tuple[str, ...] = ()
    """Patterns of tools kept out, whatever is allowed."""
    trust: TrustPolicy = "quarantine"
    """What happens to a definition that is no longer as it was pinned."""
    capture: tuple[str, ...] = ()
    """Patterns of the tools whose results are captured."""
    project: str | None = None
    """Where they are captured."""
    result_tokens_max: int = RESULT_TOKENS_MAX
    """A result estimated above this is stored whole and answered with its head; 0 lets any pass."""

    def reaches_like(self, other: "UpstreamConfig") -> bool:
        """Whether a connection made for the other one serves this one too."""
        return all(getattr(self, name) == getattr(other, name) for name in _REACH)


_REACH = ("name", "transport", "command", "args", "env", "cwd", "url", "headers", "timeout_s")
"""What a connection is made from; the rest says what to do with what comes over it."""


class Problem(Model):
    """What is wrong in the file."""

    upstream: str | None
    """None when it concerns the whole file."""
    message: str
    line: int | None = None
    """Counted from 1."""


class UpstreamsConfig(Model):
    """The usable entries of the file, and what is wrong with the others."""

    path: Path
    upstreams: tuple[UpstreamConfig, ...] = ()
    problems: tuple[Problem, ...] = ()
    environment: Mapping[str, str] = Field(default_factory=dict, repr=False)
    """Where `${env:NAME}` is looked up, and what child processes inherit a few variables from."""
    stamp: tuple[int, ...] | None = None
    """Of the file as it was read; see `stamp_of`."""


def _listed(value: Any) -> Any:
    """One pattern stands for a list of one."""
    return [value] if isinstance(value, str) else value


_Patterns = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class _Entry(BaseModel):
    model_config = ConfigDict(
        extra="allow", hide_input_in_errors=True, coerce_numbers_to_str=True, populate_by_name=True
    )

    kind: str | None = Field(default=None, alias="type")
    command: str | None = None
    args: list[str] = []
    env: dict[str, str] = {}
    cwd: str | None = None
    url: str | None = None
    headers: dict[str, str] = {}
    timeout_s: float = Field(default=CALL_TIMEOUT_S, gt=0, le=24 * 3600)
    disabled: bool = False
    prefix: Literal[""] | None = None
    allow: _Patterns | None = None
    deny: _Patterns = ()
    trust: TrustPolicy = "quarantine"
    capture: bool | _Patterns = False
    project: ProjectName | None = None
    result_tokens_max: int = Field(default=RESULT_TOKENS_MAX, ge=0)


def matches(patterns: Iterable[str], tool: str) -> bool:
    """Whether a pattern fits the tool's own name; `*`, `?` and `[…]` mean what they do in a shell."""
    return any(fnmatchcase(tool, pattern) for pattern in patterns)


def stamp_of(path: Path) -> tuple[int, ...] | None:
    """What is different once the file is; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def load_upstreams(path: Path, *, environment: Mapping[str, str] | None = None) -> UpstreamsConfig:
    """The upstreams in the file at `path`; none when there is no such file."""
    # Taken first: what is written while we read is a change.
    found = UpstreamsConfig(path=path, environment=environment or {}, stamp=stamp_of(path))
    try:
        # Some editors on Windows begin a file with a byte order mark.
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return found
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        return _unreadable(found, f"{path} cannot be read: {reason}. No upstream is connected.")
    try:
        servers = _servers(json.loads(text))
    except json.JSONDecodeError as error:
        message = f"{path} is not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}."
        return _unreadable(found, f"{message} No upstream is connected.", line=error.lineno)
    except ValueError as error:
        return _unreadable(found, f"{path} {error}")

    upstreams: list[UpstreamConfig] = []
    problems: list[Problem] = []
    for name, raw in servers.items():
        try:
            entry = _Entry.model_validate(raw)
            if not entry.disabled and not _is_this_server(entry, path):
                upstreams.append(_upstream(name, entry, folder=path.absolute().parent))
        except ValidationError as error:
            problems.append(Problem(upstream=name, message=_say(error), line=_line_of(text, name)))
        except ValueError as error:
            problems.append(Problem(upstream=name, message=str(error), line=_line_of(text, name)))
    return found.model_copy(update={"upstreams": tuple(upstreams), "problems": tuple(problems)})


def problem_in(name: str, raw: Any, *, folder: Path) -> str | None:
    """What is wrong with an entry, in a sentence; None when it can be used."""
    try:
        _upstream(name, _Entry.model_validate(raw), folder=folder)
    except ValidationError as error:
        return _say(error)
    except ValueError as error:
        return str(error)
    return None


def _unreadable(found: UpstreamsConfig, message: str, *, line: int | None = None) -> UpstreamsConfig:
    return found.model_copy(update={"problems": (Problem(upstream=None, message=message, line=line),)})


def _servers(document: Any) -> dict[str, Any]:
    match document:
        case {"mcpServers": dict() as servers}:
            return servers
        case _:
            raise ValueError('has no "mcpServers" object. Write {"mcpServers": {"NAME": {"command": "…"}}}.')


def _upstream(name: str, entry: _Entry, *, folder: Path) -> UpstreamConfig:
    if not name.strip():
        raise ValueError("Its name is empty. Give it one, by which its tools can be told from others.")
    transport = _transport(entry)
    if transport == "stdio" and not entry.command:
        raise ValueError(
            f'It has no "command".{_meant(entry)} Add one, or a "url" for a server reached over HTTP.'
        )
    if transport != "stdio" and not entry.url:
        raise ValueError(
            f'It has no "url".{_meant(entry)} Add one, or a "command" for a server to be started.'
        )
    return UpstreamConfig(
        name=name,
        prefix=prefix_of(name),
        transport=transport,
        command=entry.command or "",
        args=tuple(entry.args),
        env=entry.env,
        cwd=_folder(entry.cwd, folder) if entry.cwd else None,
        url=entry.url or "",
        headers=entry.headers,
        timeout_s=entry.timeout_s,
        bare=entry.prefix is not None,
        allow=entry.allow,
        deny=entry.deny,
        trust=entry.trust,
        capture=_captured(entry.capture),
        project=entry.project,
        result_tokens_max=entry.result_tokens_max,
    )


def _meant(entry: _Entry) -> str:
    """What is likely to be a slip of the pen, as a question with a blank in front; else nothing."""
    for written in entry.model_extra or ():
        if near := difflib.get_close_matches(written.lower(), ("command", "url", "type"), n=1):
            return f' Is "{written[:30]}" meant to be "{near[0]}"?'
    return ""


def _captured(capture: bool | tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(capture, bool):
        return ("*",) if capture else ()
    return capture


def _is_this_server(entry: _Entry, path: Path) -> bool:
    """Whether the entry would start this server inside itself, and that one another, without end.

    A client's own file, copied whole, has such an entry. Another Komorebi is told by its home or its file.
    """
    words = [Path(word).name.removesuffix(".exe") for word in (entry.command or "", *entry.args[:3])]
    if not {"komorebi-mcp", "komorebi_mcp", "komorebi_mcp.cli.main"}.intersection(words):
        return False
    read = entry.env.get("KOMOREBI_UPSTREAMS")
    if read is None and (home := entry.env.get("KOMOREBI_HOME")):
        read = str(Path(home) / "upstreams.json")
    return read is None or Path(read).expanduser().absolute() == path.expanduser().absolute()


def _folder(cwd: str, base: Path) -> str:
    """`cwd`, counted from the folder of the upstreams file."""
    return cwd if cwd.startswith("$") or "://" in cwd else str(base / Path(cwd).expanduser())


def _transport(entry: _Entry) -> Transport:
    if entry.kind is not None:
        transport = _TRANSPORTS.get(entry.kind.lower())
        if transport is None:
            raise ValueError('Its "type" is not known. Use stdio, http or sse.')
        return transport
    if entry.command and entry.url:
        raise ValueError('It has both a "command" and a "url". Keep one of them, or add a "type".')
    return "http" if entry.url else "stdio"


def _say(error: ValidationError) -> str:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if not field:
        return 'It is not an object. Write {"command": "…"} or {"url": "…"}.'
    return f"{field}: {first['msg']}."


def _line_of(text: str, name: str) -> int | None:
    """The line on which the entry `name` begins, as far as it is written the way `json.dumps` would."""
    after = text.find('"mcpServers"')
    for written in (json.dumps(name, ensure_ascii=False), json.dumps(name)):
        if found := re.compile(re.escape(written) + r"\s*:").search(text, max(after, 0)):
            return text.count("\n", 0, found.start()) + 1
    return None
