"""What both databases need to know to match and rank."""

from dataclasses import dataclass
from math import log
from typing import NamedTuple

CANDIDATES_MAX = 5_000
"""Matches that are ranked: the newest that fit. A query of common words alone would rank half the store."""

HEAD_MAX = 300
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


@dataclass(frozen=True)
class Wanted:
    """A query with the weight of each of its terms."""

    terms: tuple[str, ...]
    """Any of these, or none where the phrases are all there is."""
    phrases: tuple[tuple[str, ...], ...]
    excluded: tuple[str, ...]
    weights: dict[str, float]
    asks_when: bool = False

    @property
    def ranked(self) -> tuple[str, ...]:
        """The terms that make the score."""
        inside = (term for phrase in self.phrases for term in phrase)
        return tuple(dict.fromkeys((*self.terms, *inside)))
