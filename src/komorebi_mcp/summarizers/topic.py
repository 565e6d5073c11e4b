"""Whether a sentence is about what it cites: by the words they share, rare ones before common ones.

A summing-up shares few words with what it sums up, but seldom only those that every other capture uses as
well; a sentence that cites the wrong capture shares no others.
"""

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from math import log

from komorebi_mcp.text.forms import other_forms
from komorebi_mcp.text.terms import ordered_terms

_SHARED_MIN = 0.15
"""The share of a sentence's terms that its sources must have."""
_WEIGHT_MIN = 0.16
"""The same where terms count by how rare they are."""
_UNKNOWN_SHARE = 0.5
"""A term that no capture has may be the writer's own: it counts so much of one that a single capture has."""
_TERMS_MIN = 3
"""A sentence of fewer terms is not judged."""


class Usage:
    """In how many of the captures that a summary is made from each term is used."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = 0
        self._counts: Counter[str] = Counter()
        for text in texts:
            self._texts += 1
            self._counts.update(terms_of(text))

    def weight(self, term: str) -> float:
        """The more, the fewer captures use it."""
        count = self._counts[term]
        return log((self._texts + 1) / count) if count else _UNKNOWN_SHARE * log(self._texts + 1)


def is_about_something_else(
    sentence: str, backing: Iterable[str], filed_under: Iterable[str], usage: Usage
) -> bool:
    """Whether the sentence shares too little with its sources' texts.

    Who said it and the title it stands under are in the sentence and not in what was said.
    """
    stated = terms_of(sentence).difference(*map(terms_of, filed_under))
    if len(stated) < _TERMS_MIN:
        return False
    told = frozenset[str]().union(*map(terms_of, backing))
    shared = [term for term in stated if term in told or not told.isdisjoint(other_forms(term))]
    if len(shared) < _SHARED_MIN * len(stated):
        return True
    # In an order of their own: that of sets differs from process to process, and so would the sums.
    weights = [(usage.weight(term), term in shared) for term in sorted(stated)]
    return sum(weight for weight, is_shared in weights if is_shared) < _WEIGHT_MIN * sum(
        weight for weight, _ in weights
    )


@lru_cache(maxsize=1 << 10)
def terms_of(text: str) -> frozenset[str]:
    """The terms of a text, stop words left out."""
    return frozenset(ordered_terms(text))
