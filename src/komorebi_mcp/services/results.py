"""Results: what upstream tools return, kept with its provenance.

A kept result is a capture of kind `tool_result` whose source is the upstream. Its first line names the tool
and the arguments it was called with; when it was called is when it was captured.
"""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from komorebi_mcp.domain.captures import (
    SOURCE_CHARS_MAX,
    TITLE_CHARS_MAX,
    CaptureCreate,
    Kind,
    ProjectName,
    Receipt,
)
from komorebi_mcp.domain.summaries import Scope
from komorebi_mcp.errors import InvalidInput, KomorebiError
from komorebi_mcp.services.passages import Passages, Progress
from komorebi_mcp.services.summarize import Summarize

SUMMARY_TOKENS_MAX = 400
ARGUMENTS_CHARS_MAX = 20_000
"""Longer arguments are kept only as far as this, and marked."""
SUMMARY_CHARS_MAX = 4_000_000
"""A longer result is not summarized while its caller waits."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a result is from."""

    upstream: str
    """As the upstreams file has it."""
    tool: str
    """As the upstream has it."""
    arguments: Mapping[str, Any]


class Results:
    """Keeps results of upstream tools."""

    def __init__(self, passages: Passages, summarize: Summarize) -> None:
        self._passages = passages
        self._summarize = summarize

    async def keep(
        self, owner: str, origin: Origin, text: str, *, project: ProjectName | None = None
    ) -> Receipt:
        """The receipt of the whole text with its provenance; one too long for a capture becomes passages.

        Raises:
            InvalidInput: It holds what no capture can hold.
            StorageError: It could not be stored.
        """
        about = CaptureCreate(
            content="-",
            title=_printable(f"{origin.tool} of {origin.upstream}", TITLE_CHARS_MAX),
            source=_printable(origin.upstream, SOURCE_CHARS_MAX),
            kind=Kind.TOOL_RESULT,
            project=project,
        )
        content = f"{_first_line(origin)}\n\n{text}"
        try:
            raw = content.encode()
        except UnicodeEncodeError:
            raise InvalidInput(
                "It holds a lone surrogate, which is not valid Unicode. Call the tool without capturing."
            ) from None
        progress = Progress(stored=lambda _: None)
        await self._passages.take_in(owner, about, _at_once(raw), progress)
        assert progress.receipt is not None  # noqa: S101  # It raises rather than keep nothing.
        return progress.receipt.model_copy(update={"redactions": progress.redactions})

    async def summary(self, owner: str, receipt: Receipt, text: str) -> str | None:
        """A few sentences of a kept result, each word for word; None where there is nothing to tell."""
        if len(text) > SUMMARY_CHARS_MAX:
            return None
        try:
            made = await self._summarize.summarize(
                owner, Scope(ids=(receipt.id,)), max_tokens=SUMMARY_TOKENS_MAX
            )
        except KomorebiError as error:
            # The result itself is kept and answered; its summary is the least of it.
            _log.warning("result.not_summarized", reason=str(error))
            return None
        return made.text or None


def text_of(result: Mapping[str, Any]) -> str:
    """All that a raw result says, as text; what is no text is named in its place."""
    content = result.get("content")
    parts = [_block(block) for block in content] if isinstance(content, list) else []
    structured = result.get("structuredContent")
    if structured is not None and not any(_is_json_of(part, structured) for part in parts):
        parts.append(json.dumps(structured, ensure_ascii=False))
    return "\n".join(part for part in parts if part)


def is_surely_within(result: Mapping[str, Any], tokens: int) -> bool:
    """Whether a look at the lengths is enough to tell that the result's text has at most so many tokens."""
    content = result.get("content")
    if not isinstance(content, list):
        return False
    structured = result.get("structuredContent")
    chars = 0 if structured is None else len(json.dumps(structured, ensure_ascii=False))
    for block in content:
        match block:
            case {"type": "text", "text": str(text)}:
                chars += len(text)
            case _:
                return False
    # A character is at most four bytes, and four bytes are a token.
    return chars <= tokens


def _block(block: Any) -> str:
    match block:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "resource", "resource": {"text": str(text)}}:
            return text
        case {"type": "resource", "resource": {"uri": uri}}:
            return f"[resource {uri}]"
        case {"type": "resource_link", "uri": uri}:
            return f"[{block.get('title') or block.get('name') or 'link'}]({uri})"
        case {"type": kind, "data": str(data)}:
            return f"[{kind} {block.get('mimeType', '')}, {len(data) * 3 // 4:,} bytes, not kept]"
        case _:
            return json.dumps(block, ensure_ascii=False)


def _is_json_of(part: str, structured: Any) -> bool:
    """Whether the text is the structured content once more, as servers are asked to send it."""
    if part[:1] not in "{[":
        return False
    try:
        return bool(json.loads(part) == structured)
    except ValueError:
        return False


def _first_line(origin: Origin) -> str:
    arguments = json.dumps(origin.arguments, ensure_ascii=False)
    if len(arguments) > ARGUMENTS_CHARS_MAX:
        left_out = len(arguments) - ARGUMENTS_CHARS_MAX
        arguments = f"{arguments[:ARGUMENTS_CHARS_MAX]}… ({left_out:,} more characters)"
    return f"Result of the tool {origin.tool} of the upstream {origin.upstream}, called with {arguments}:"


def _printable(text: str, chars_max: int) -> str:
    return "".join(char if char.isprintable() else " " for char in text)[:chars_max].strip() or "upstream"


async def _at_once(raw: bytes) -> AsyncIterator[bytes]:
    yield raw
