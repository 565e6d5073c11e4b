"""What is asked of a model, whichever it is and however it is reached."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from komorebi_mcp.domain.captures import Kind
from komorebi_mcp.domain.model import Model


class Item(Model):
    """A text the model may cite: a capture, or a sentence of a node."""

    handle: str
    """What the model calls it."""
    text: str
    sources: tuple[str, ...]
    """Ids of the captures it comes from."""
    kind: Kind
    who: str | None
    when: datetime


class Prompt(Model):
    """One question to a model."""

    system: str
    user: str
    answer_tokens_max: int


Complete = Callable[[Prompt], Awaitable[str]]
"""A model's whole answer to a prompt. Raises `ModelFailed` where there is none."""


@dataclass(frozen=True, slots=True)
class Writer:
    """A model that writes summaries."""

    method: str
    """How summaries name it: `openai:MODEL` or `client`."""
    complete: Complete
    context_tokens: int
    """What it can read and write in one go, prompt and answer together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a summary is to be like."""

    max_tokens: int
    goal: str = ""
    """What the project is about."""
    query: str | None = None
    focus: str | None = None
