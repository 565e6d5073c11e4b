"""What is looked for and what is found."""

from datetime import datetime

from komorebi_mcp.domain.model import Model
from komorebi_mcp.domain.pages import Page
from komorebi_mcp.domain.vectors import Vector


class SearchQuery(Model):
    """A person's query as the index understands it, made by `text.terms.parse_query`."""

    terms: tuple[str, ...]
    """Index terms, any of which may match; empty where the query holds no word at all."""
    phrases: tuple[tuple[str, ...], ...] = ()
    """Runs of terms that must occur in order, from "quoted words"."""
    has_bare_words: bool = False
    """It has words beside those phrases, which say what is looked for where nobody wrote it so."""
    excluded: tuple[str, ...] = ()
    """Terms that must not occur, from -words."""
    asks_when: bool = False
    """Captures that tell a time are wanted before others."""
    span: tuple[datetime, datetime] | None = None
    """Captures from this stretch of time, its end excluded, are wanted before others."""
    meaning: Vector | None = None
    """Captures that mean the same are wanted, whatever their words; None where there is no model."""


class Hit(Model):
    """A capture that matches."""

    id: str
    title: str
    snippet: str
    """The part of the content that matches, matching words between ** and **."""
    score: float
    """Greater is better; comparable within one query only."""
    project: str | None
    created_at: datetime
    also: tuple[str, ...] = ()
    """Ids of captures that match too and say almost the same; they are no hits of their own."""


class HitPage(Page[Hit]):
    """Some of the hits, best first."""

    capped: bool = False
    """There were more matches than a search ranks; the oldest of them are not among the pages."""
    loosened: bool = False
    """No capture has the "quoted words" in that order, so these have some words of the query."""


class Related(Model):
    """A capture that shares its main words with another one."""

    id: str
    title: str
    score: float
    shared: tuple[str, ...]
    """The other one's keywords that occur in this one, too."""
