"""Summaries: sentences that say where they come from."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from pydantic import ConfigDict

from komorebi_mcp.domain.model import Model

MAX_TOKENS_DEFAULT = 500
MAX_TOKENS_MAX = 8_000


# Pyramids hold tens of thousands, and as a model each takes four times as long to make.
@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a summary."""

    __pydantic_config__: ClassVar[ConfigDict] = Model.model_config

    text: str
    sources: tuple[str, ...]
    """Ids of the captures it comes from, the most telling first."""


class Covers(Model):
    """What a summary was made from."""

    captures: int
    since: datetime | None
    """The oldest capture's `created_at`."""
    until: datetime | None
    """The newest one's."""


class Scope(Model):
    """What a summary was asked about."""

    project: str | None = None
    ids: tuple[str, ...] = ()
    query: str | None = None
    focus: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class SummaryCreate(Model):
    """A summary to be kept."""

    scope: Scope
    sentences: tuple[Sentence, ...]
    level: int
    """1 where it was made from captures, n + 1 where from summaries of level n."""
    covers: Covers
    method: str
    """Who wrote it: `extractive`, `openai:MODEL` or `client`, joined by + where several did."""
    rejected: int = 0
    """How many sentences of a model failed the grounding check and were replaced."""
    truncated: bool = False
    """Whether something worth telling did not fit `max_tokens`."""
    max_tokens: int
    children: tuple[str, ...] = ()
    """Ids of the summaries it was made from; empty at level 1."""


class Summary(SummaryCreate):
    """A summary that is kept."""

    id: str
    created_at: datetime

    @property
    def text(self) -> str:
        """The sentences as one text, in order."""
        return " ".join(sentence.text for sentence in self.sentences)
