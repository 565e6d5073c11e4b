"""Export: everything captured, as JSON lines that `import` takes, or as a folder of Markdown files."""

import json
import re
from collections.abc import AsyncGenerator, Iterable
from datetime import datetime
from hashlib import blake2b
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from komorebi_mcp.domain.captures import CaptureCreate
from komorebi_mcp.domain.summaries import Summary
from komorebi_mcp.errors import NotFound
from komorebi_mcp.services.summarize import Summarize
from komorebi_mcp.storage.store import Store
from komorebi_mcp.text.cuts import one_line

SUMMARY_FILE = "_summary.md"
_UNFILED = "unfiled"
_SLUG_CHARS_MAX = 60
_UNSAFE = re.compile(r"[^\w]+")
_UNPRINTED = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""What JSON leaves as it is and YAML does not take."""
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)
"""Names that no folder can have on Windows."""


class Exported(NamedTuple):
    """A part of the export."""

    captures: int
    """How many of them are in it."""
    data: bytes


class File(NamedTuple):
    """A file of a vault."""

    path: PurePosixPath
    """Within the vault."""
    data: bytes
    captures: int
    """0 for a summary, else 1."""


async def count(store: Store, owner: str) -> int:
    """How many captures an export holds."""
    async with store.read(owner) as transaction:
        return await transaction.export.count()


async def json_lines(store: Store, owner: str) -> AsyncGenerator[Exported]:
    """All captures in the order of their arrival; memory does not grow with them.

    What arrives meanwhile is left out on SQLite, and on PostgreSQL may stand at the end.
    """
    async with store.read(owner) as transaction:
        async for batch in transaction.export.all():
            yield Exported(len(batch), b"".join(_row(each.capture) for each in batch))


async def vault(store: Store, summarize: Summarize, owner: str) -> AsyncGenerator[File]:
    """A Markdown file for every capture, in a folder for every project, and each project's summary.

    The properties of a capture stand in YAML before its text, which is as it was captured.
    """
    folders = _Folders()
    async with store.read(owner) as transaction:
        async for batch in transaction.export.all():
            for each in batch:
                folder = folders.of(each.capture.project)
                name = _file_name(each.id, each.created_at, each.title)
                yield File(PurePosixPath(folder, name), _page(each.capture, each.title), 1)
    for project in folders.projects():
        try:
            summary = await summarize.brief(owner, project)
        except NotFound:
            # All that it held is archived, or gone since.
            continue
        yield File(
            PurePosixPath(folders.of(project), SUMMARY_FILE),
            await _summary_page(store, owner, project, summary),
            0,
        )


def _row(capture: CaptureCreate) -> bytes:
    passage = capture.passage
    fields: dict[str, Any] = {
        "id": capture.id,
        "content": capture.content,
        "title": capture.title,
        "project": capture.project,
        "tags": list(capture.tags) or None,
        "kind": capture.kind,
        "source": capture.source,
        "key": capture.key,
        "created_at": _time(capture.created_at),
        "status": capture.status,
        "passage": None if passage is None else passage.model_dump(),
    }
    present = {name: value for name, value in fields.items() if value is not None}
    return json.dumps(present, ensure_ascii=False).encode() + b"\n"


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


class _Folders:
    """A folder name for each project, no two alike even where capitals do not count."""

    def __init__(self) -> None:
        self._names: dict[str | None, str] = {None: _UNFILED}
        self._taken = {_UNFILED}

    def of(self, project: str | None) -> str:
        name = self._names.get(project)
        if name is None:
            name = _slug(project or "") or "project"
            if name.casefold() in self._taken or _RESERVED.fullmatch(name):
                name = f"{name}-{blake2b((project or '').encode(), digest_size=4).hexdigest()}"
            self._taken.add(name.casefold())
            self._names[project] = name
        return name

    def projects(self) -> list[str]:
        return [project for project in self._names if project is not None]


def _slug(text: str) -> str:
    """The words of the text joined by dashes, safe as a file's name anywhere."""
    slug = _UNSAFE.sub("-", text).strip("-_")
    # File systems count bytes: at most 255, of which a letter takes up to four.
    return slug[:_SLUG_CHARS_MAX].encode()[:160].decode(errors="ignore").strip("-_")


def _file_name(capture_id: str, created_at: datetime, title: str) -> str:
    """Begins with its day and ends with the last part of its id, which makes it the only one."""
    return (
        "-".join(part for part in (f"{created_at:%Y-%m-%d}", _slug(title), capture_id[-12:]) if part) + ".md"
    )


def _page(capture: CaptureCreate, title: str) -> bytes:
    passage = capture.passage
    properties = {
        "id": capture.id,
        "title": title,
        "project": capture.project,
        "kind": capture.kind.value,
        "status": capture.status.value,
        "tags": list(capture.tags),
        "source": capture.source,
        "key": capture.key,
        "created_at": _time(capture.created_at),
        "passage_of": None if passage is None else passage.group,
        "passage": None if passage is None else passage.position,
        "summary": SUMMARY_FILE if capture.project else None,
    }
    return "\n".join([*_front_matter(properties), capture.content]).encode()


def _front_matter(properties: dict[str, Any]) -> Iterable[str]:
    """The properties as YAML, whose flow style JSON is."""
    yield "---"
    for name, value in properties.items():
        if value is not None:
            plain = json.dumps(value, ensure_ascii=False)
            yield f"{name}: {_UNPRINTED.sub(_escaped, plain)}"
    yield "---"


def _escaped(char: re.Match[str]) -> str:
    return f"\\u{ord(char[0]):04x}"


async def _summary_page(store: Store, owner: str, project: str, summary: Summary) -> bytes:
    """The project's summary, each sentence with links to the files of the captures it cites."""
    cited = tuple(dict.fromkeys(source for sentence in summary.sentences for source in sentence.sources))
    async with store.read(owner) as transaction:
        found = {capture.id: capture for capture in await transaction.captures.get(cited)}
    numbers = {capture_id: number for number, capture_id in enumerate(cited, start=1)}
    lines = [
        *_front_matter(
            {
                "title": f"Summary of {project}",
                "project": project,
                "summary_id": summary.id,
                "method": summary.method,
                "captures": summary.covers.captures,
                "created_at": _time(summary.created_at),
            }
        ),
        "",
    ]
    for sentence in summary.sentences:
        links = [
            f"[{numbers[source]}]({_file_name(source, found[source].created_at, found[source].title)})"
            for source in sentence.sources
            if source in found
        ]
        lines.append(f"- {one_line(sentence.text)} {' '.join(links)}".rstrip())
    return ("\n".join(lines) + "\n").encode()
