"""What can be seen of a sentence that tells how much a summary would want it.

Some twenty numbers a sentence; the scorer weighs them. Concept weights are counts over the whole scope,
relative to it, so that the same weights serve scopes of any size.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import fsum, log, sqrt

from komorebi_mcp.domain.nodes import NodeContent
from komorebi_mcp.summarizers.candidates import Candidate
from komorebi_mcp.summarizers.register import SORTS, opens_as_talk, sort_shares

FEATURES = (
    "log_words",
    "centroid_similarity",
    "concept_weight_sum",
    "repeated_pair_share",
    "position",
    "in_first_twentieth",
    "digits",
    "content_share",
    "word_length",
    "type_token_ratio",
    "opens_as_talk",
    *SORTS,
)

CONCEPT_POWER = 0.75
_DIGIT = re.compile(r"\d")


@dataclass(slots=True)
class Scope:
    """Statistics over all candidates."""

    captures: int
    counts: Counter[str]
    """In how many passages a concept occurs."""
    weights: dict[str, float]
    """`counts` to the power .75, relative to the number of captures."""
    repeated_pairs: frozenset[str]
    """The pairs that occur in more than one passage."""
    centroid_norm: float
    wider: bool
    """Whether counts are of more captures than those the candidates are from."""


def survey(
    candidates: Sequence[Candidate], captures: int, *, counts: Mapping[str, int] | None = None
) -> Scope:
    """Counts in how many passages each concept occurs; `counts` are those of a wider scope, where known."""
    own: Counter[str] = Counter()
    passage, inside = -1, set[str]()
    for one in candidates:
        if one.passage != passage:
            own.update(inside)
            passage, inside = one.passage, set()
        inside |= one.concepts
    own.update(inside)
    if counts is not None:
        # The rarest are not carried up, but have been seen here at least.
        dict.update(own, {name: counts[name] for name in own.keys() & counts if counts[name] > own[name]})
    # Few counts differ, and a power takes far longer than a look-up.
    powers = {n: (n / max(1, captures)) ** CONCEPT_POWER for n in set(own.values())}
    weights = {concept: powers[n] for concept, n in own.items()}
    repeated = frozenset([concept for concept, n in own.items() if n > 1 and " " in concept])
    return Scope(captures, own, weights, repeated, _norm(candidates, weights), wider=counts is not None)


def narrowed(scope: Scope, candidates: Sequence[Candidate]) -> Scope:
    """The scope of some of its candidates, counts still those of all."""
    return replace(scope, centroid_norm=_norm(candidates, scope.weights))


def _norm(candidates: Sequence[Candidate], weights: Mapping[str, float]) -> float:
    stems = set(chain.from_iterable([one.stems for one in candidates]))
    # Exact, as sums of fractions otherwise depend on their order, and sets have another one in each process.
    return sqrt(fsum([weights[stem] ** 2 for stem in stems])) or 1.0


def add_counts(nodes: Iterable[NodeContent]) -> Counter[str]:
    """In how many captures below all the nodes each concept occurs."""
    counts: Counter[str] = Counter()
    for node in nodes:
        # Most concepts are of one node alone, and need no addition.
        both = {concept: counts[concept] + node.counts[concept] for concept in counts.keys() & node.counts}
        dict.update(counts, node.counts)
        dict.update(counts, both)
    return counts


def describe(one: Candidate, scope: Scope, place: float) -> tuple[float, ...]:
    """The features of one sentence, in the order of `FEATURES`; `place` runs from 0 to 1 over the scope."""
    words, weight = one.words, scope.weights.__getitem__
    n = len(words) or 1
    stems = one.stems
    pairs = len(one.concepts) - len(stems)
    along = fsum(map(weight, stems)) / (sqrt(len(stems) or 1) * scope.centroid_norm)
    return (
        log(1 + n),
        along,
        fsum(map(weight, one.concepts)),
        len(one.concepts & scope.repeated_pairs) / (pairs or 1),
        place,
        float(place < 0.05),
        float(_DIGIT.search(one.text) is not None),
        len(one.content) / n,
        sum(map(len, words)) / n / 10,
        len(set(words)) / n,
        float(opens_as_talk(words)),
        *sort_shares(words),
    )
