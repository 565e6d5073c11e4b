"""What a summarizer reads and what it hands back."""

from dataclasses import dataclass
from datetime import datetime

from komorebi_mcp.domain.captures import Kind
from komorebi_mcp.domain.model import Model
from komorebi_mcp.domain.summaries import Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A capture, or a slice of one, to be summarized."""

    capture_id: str
    text: str
    title: str = ""
    source: str | None = None
    kind: Kind = Kind.NOTE
    language: str | None = None
    """ISO 639-1; None where it is not known."""
    created_at: datetime


class Draft(Model):
    """A summary before it is kept."""

    sentences: tuple[Sentence, ...]
    kinds: tuple[Kind, ...] = ()
    """Of each sentence: that of the capture it comes from."""
    truncated: bool
    """Whether something worth telling did not fit."""
