"""Which terms a query is looked up by, and what each is worth."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from itertools import accumulate
from typing import NamedTuple

from komorebi_mcp.domain.search import SearchQuery
from komorebi_mcp.storage.matching import CANDIDATES_MAX, Wanted, weight
from komorebi_mcp.text.forms import other_forms
from komorebi_mcp.text.spelling import MISSPELT_MAX, may_be_misspelt, one_letter_away

COMMON_SHARE = 0.1
COMMON_MIN = 2_000
"""A term in more captures than both of these brings none by itself where a rarer one is there, for speed."""

MISSPELT_WORTH = 0.7
"""Of the weight a word would have that was written so."""


class Part(IntEnum):
    """What a term does in a search."""

    LIFTS = 0
    """Captures that match by others and hold it come earlier."""
    SEEKS = 1
    """Captures that hold it match."""
    SEEKS_ALL = 2
    """They do, old ones included: it is so rare that no limit needs to leave any out."""


class Sought(NamedTuple):
    """A term of a query; for cursors, too, since later pages must weigh it alike."""

    term: str
    weight: float
    part: int
    form_of: str = ""
    """The term that this one is another form of and counts as; empty for a term in its own right."""


def in_query(query: SearchQuery) -> list[str]:
    return list(dict.fromkeys((*query.terms, *_in_phrases(query))))


def _in_phrases(query: SearchQuery) -> Iterable[str]:
    return (term for phrase in query.phrases for term in phrase)


def forms(query: SearchQuery) -> dict[str, str]:
    """Other forms of the query's words, each with its word; what is quoted is meant as it is written."""
    written = in_query(query)
    in_phrases = frozenset(_in_phrases(query))
    looked_for = (term for term in query.terms if term not in in_phrases)
    return {form: term for term in looked_for for form in other_forms(term) if form not in written}


def spellings(query: SearchQuery, frequencies: Mapping[str, int]) -> dict[str, list[str]]:
    """Ways in which words that no capture holds may have been meant, one letter away; most are no words."""
    if query.phrases:
        # What is quoted is meant as it is written.
        return {}
    known = {term for form, term in forms(query).items() if frequencies.get(form)}
    known.update(term for term in query.terms if frequencies.get(term))
    unknown = [term for term in query.terms if term not in known and may_be_misspelt(term)]
    return {term: one_letter_away(term) for term in unknown[:MISSPELT_MAX]}


def weigh(
    query: SearchQuery,
    frequencies: Mapping[str, int],
    meant: Mapping[str, Mapping[str, int]],
    *,
    stored: int,
) -> tuple[Sought, ...]:
    """The query's terms, and what its misspelt ones were `meant` as with the number of captures of each."""
    # Those that no capture in the index holds, too: one that waits for enrichment may.
    form_of = forms(query)
    corrected: dict[str, int] = {}
    for ways in meant.values():
        likeliest = sorted(ways, key=lambda term: (-ways[term], term))[:MISSPELT_MAX]
        corrected |= {term: ways[term] for term in likeliest if term not in frequencies}
    held = {term: frequencies.get(term, 0) for term in (*in_query(query), *form_of)} | corrected
    in_phrases = frozenset(_in_phrases(query))
    seeking = [term for term in held if term in query.terms or term in form_of or term in corrected]
    if not query.phrases:
        # With phrases, all of them must match, and they are rare by themselves.
        seeking = _telling(seeking, held, stored)
    all_of = _rarest(seeking, held)
    # A word is as rare as all its forms together.
    families = Counter(held)
    for form, term in form_of.items():
        families[term] += held[form]
    return tuple(
        Sought(
            term,
            _weight(families[form_of.get(term, term)], stored, is_corrected=term in corrected),
            Part.SEEKS_ALL if term in all_of else Part.SEEKS if term in seeking or term in in_phrases else 0,
            form_of.get(term, ""),
        )
        for term in held
    )


def _weight(held: int, stored: int, *, is_corrected: bool) -> float:
    return round(weight(held, stored) * (MISSPELT_WORTH if is_corrected else 1), 4) + 1e-4


def _telling(terms: Sequence[str], held: Mapping[str, int], stored: int) -> list[str]:
    """The terms without the common ones, where rarer ones are there."""
    rarer = [term for term in terms if held[term] <= max(stored * COMMON_SHARE, COMMON_MIN)]
    return rarer if any(held[term] for term in rarer) else list(terms)


def _rarest(terms: Sequence[str], held: Mapping[str, int]) -> frozenset[str]:
    """Those whose captures all fit among the candidates, together."""
    rising = sorted((term for term in terms if held[term]), key=lambda term: held[term])
    sums = accumulate(held[term] for term in rising)
    return frozenset(term for term, total in zip(rising, sums, strict=True) if total <= CANDIDATES_MAX)


def look_up(query: SearchQuery, sought: Sequence[Sought]) -> Wanted:
    """What to match and how to weigh it."""
    in_phrases_alone = frozenset(_in_phrases(query)).difference(query.terms)
    return Wanted(
        terms=tuple(each.term for each in sought if each.part and each.term not in in_phrases_alone),
        rare=tuple(each.term for each in sought if each.part == Part.SEEKS_ALL),
        phrases=query.phrases,
        excluded=query.excluded,
        weights={each.term: each.weight for each in sought if not each.form_of},
        form_of={each.term: each.form_of for each in sought if each.form_of},
        asks_when=query.asks_when,
        span=query.span,
    )
