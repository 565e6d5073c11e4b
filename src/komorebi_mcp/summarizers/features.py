"""What can be seen of a sentence that tells how much a summary would want it.

Some twenty numbers a sentence; the scorer is fitted to them, and weighs them. Concept weights are counts over
the whole scope, relative to it, so that the same weights serve scopes of any size.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from math import fsum, log, sqrt
from operator import attrgetter

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
FIRST = 0.05
"""Up to where in the scope its first twentieth is."""
DIGIT = re.compile(r"\d")


@dataclass(slots=True)
class Scope:
    """Statistics over all candidates."""

    counts: Counter[str]
    """In how many passages a concept occurs."""
    weights: dict[str, float]
    """`counts` to the power .75, relative to the number of captures."""
    repeated_pairs: frozenset[str]
    """The pairs that occur in more than one passage."""
    single_weight: float
    """Of a concept that occurs in one passage."""
    centroid_norm: float
    wider: bool
    """Whether counts are of more captures than those the candidates are from."""


def count(candidates: Iterable[Candidate]) -> Counter[str]:
    """In how many passages each concept occurs."""
    of_passages = groupby(candidates, key=attrgetter("passage"))
    held = [frozenset[str]().union(*[one.reading.concepts for one in group]) for _, group in of_passages]
    return Counter(chain.from_iterable(held))


def survey(
    candidates: Sequence[Candidate],
    captures: int,
    *,
    own: Counter[str] | None = None,
    counts: Mapping[str, int] | None = None,
) -> Scope:
    """How much each concept weighs.

    `own` counts concepts of these candidates and of others from the same passages, where there are such;
    `counts` are those of a wider scope, where known.
    """
    own = count(candidates) if own is None else own
    if counts is not None:
        # The rarest are not carried up, but have been seen here at least.
        seen = own.get
        dict.update(own, [(name, n) for name, n in counts.items() if n > seen(name, n)])
    # Most concepts occur once, few counts differ, and a power takes far longer than a look-up.
    often = {concept: n for concept, n in own.items() if n > 1}
    powers = {n: (n / max(1, captures)) ** CONCEPT_POWER for n in {1, *often.values()}}
    weights = dict.fromkeys(own, powers[1]) | {concept: powers[n] for concept, n in often.items()}
    repeated = frozenset([concept for concept in often if " " in concept])
    stems = set(chain.from_iterable([one.reading.stems for one in candidates]))
    squares = [times * powers[n] ** 2 for n, times in Counter(map(own.__getitem__, stems)).items()]
    # Exact, as sums of fractions otherwise depend on their order, and sets have another one in each process.
    norm = sqrt(fsum(squares)) or 1.0
    return Scope(own, weights, repeated, powers[1], norm, wider=counts is not None)


def add_counts(nodes: Iterable[NodeContent]) -> dict[str, int]:
    """In how many captures below all the nodes each concept occurs."""
    total: dict[str, int] = {}
    known = total.get
    for concept, n in chain.from_iterable([node.counts.items() for node in nodes]):
        total[concept] = known(concept, 0) + n
    return total


def describe(one: Candidate, scope: Scope, place: float) -> tuple[float, ...]:
    """The features of one sentence, in the order of `FEATURES`; `place` runs from 0 to 1 over the scope."""
    words, stems, concepts = one.reading.words, one.reading.stems, one.reading.concepts
    weight = scope.weights.__getitem__
    n = len(words) or 1
    pairs = len(concepts) - len(stems)
    along = fsum(map(weight, stems)) / (sqrt(len(stems) or 1) * scope.centroid_norm)
    return (
        log(1 + n),
        along,
        fsum(map(weight, concepts)),
        len(concepts & scope.repeated_pairs) / (pairs or 1),
        place,
        float(place < FIRST),
        float(DIGIT.search(one.text) is not None),
        len(one.reading.content) / n,
        sum(map(len, words)) / n / 10,
        len(set(words)) / n,
        float(opens_as_talk(words)),
        *sort_shares(words),
    )
