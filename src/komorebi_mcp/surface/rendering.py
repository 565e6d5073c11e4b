"""Results as compact Markdown, for models and people; programs have the structured form."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from komorebi_mcp.domain.captures import CaptureOverview
from komorebi_mcp.domain.search import Hit
from komorebi_mcp.domain.summaries import Summary

_BACKTICKS = re.compile(r"`{3,}")


_LINKS_SINCE: Final = "2025-06-18"
"""The revision that brought links to resources; clients of earlier ones refuse a result with one whole."""


def takes_links(protocol_version: str) -> bool:
    """Whether clients of that revision know links to resources in results."""
    return protocol_version >= _LINKS_SINCE


def moment(value: datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M}Z"


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def overview(capture: CaptureOverview) -> str:
    filed = [capture.project or "unfiled", capture.kind, capture.status, moment(capture.created_at)]
    filed += [f"#{tag}" for tag in capture.tags]
    return f"- **{capture.title}** ({', '.join(filed)})\n  id {capture.id}\n  {capture.snippet}"


def hit(found: Hit) -> str:
    filed = f"{found.project or 'unfiled'}, {moment(found.created_at)}, score {found.score:.3g}"
    also = f"\n  almost the same: {', '.join(found.also)}" if found.also else ""
    return f"- **{found.title}** ({filed})\n  id {found.id}\n  {found.snippet}{also}"


def fenced(content: str) -> str:
    """The content between fences that nothing in it can close, so that it cannot pass for words of ours."""
    longest = max((len(run) for run in _BACKTICKS.findall(content)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}text\n{content}\n{fence}"


def cited(summary: Summary) -> str:
    """The summary's sentences, each with the numbers of its sources, and these below; empty without any."""
    numbers: dict[str, int] = {}
    lines: list[str] = []
    for sentence in summary.sentences:
        marks = [str(numbers.setdefault(source, len(numbers) + 1)) for source in sentence.sources]
        lines.append(f"- {sentence.text} [{', '.join(marks)}]")
    sources = [f"[{number}] {capture_id}" for capture_id, number in numbers.items()]
    return "\n".join([*lines, "", "Sources:", *sources]) if sources else ""


def paragraphs(parts: Iterable[str | None]) -> str:
    return "\n\n".join(part for part in parts if part)


def not_found(missing: Sequence[str]) -> str | None:
    return f"Not found: {', '.join(missing)}" if missing else None


def next_page(cursor: str | None) -> str | None:
    return f"There is more: repeat the call with cursor {cursor}" if cursor else None
