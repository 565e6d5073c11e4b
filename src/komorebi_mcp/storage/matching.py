"""What both databases need to know to match and rank."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from math import log
from typing import NamedTuple

CANDIDATES_MAX = 3_000
"""Matches that are ranked: the newest that fit. A query of common words alone would rank half the store."""

HEAD_MAX = 200
"""The best of them, which `ranking` then puts in their order."""

SATURATION = 1.2
LENGTH_WEIGHT = 0.75
"""BM25's k1 and b, as SQLite's own ranking has them."""

META_WEIGHT = 0.6
"""A term in title, tags, project or source against one in the content."""

MEAN_LENGTH = 60.0
"""Terms of a typical capture, where the true mean would cost a scan."""


def weight(frequency: int, stored: int) -> float:
    """BM25's weight of a term that so many captures hold, kept positive."""
    held = min(frequency, stored)
    return log(1 + (stored - held + 0.5) / (held + 0.5))


class Match(NamedTuple):
    """A capture that matches; greater is better, and newer among equals."""

    score: float
    seq: int


class Matches(NamedTuple):
    """What the index has, in no order of merit."""

    found: list[Match]
    capped: bool
    """There are more, all older than these."""


@dataclass(frozen=True)
class Wanted:
    """A query with the weight of each of its terms."""

    terms: tuple[str, ...]
    """Captures that hold any of these match; none where the phrases are all there is."""
    rare: tuple[str, ...]
    """Those of them whose captures are to be found however many newer ones match by others."""
    phrases: tuple[tuple[str, ...], ...]
    excluded: tuple[str, ...]
    weights: dict[str, float]
    """Of every term that makes the score, those included that by themselves make no match."""
    form_of: dict[str, str] = field(default_factory=dict)
    """Other forms of terms, each with the term that it counts as."""
    asks_when: bool = False
    span: tuple[datetime, datetime] | None = None

    def only_rare(self) -> "Wanted":
        return replace(self, terms=self.rare)
