"""What can be seen of a sentence that tells how much a summary would want it.

Twenty numbers a sentence; the scorer weighs them. Concept weights are counts over the whole scope,
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

FEATURES = (
    "log_words",
    "words_to_60",
    "over_45_words",
    "centroid_similarity",
    "concept_weight_mean",
    "concept_weight_sum",
    "repeated_pair_share",
    "repeated_pairs",
    "position",
    "in_first_twentieth",
    "in_last_twentieth",
    "question",
    "digits",
    "capitals",
    "cue_words",
    "pronouns",
    "content_share",
    "word_length",
    "fillers",
    "type_token_ratio",
)

CONCEPT_POWER = 0.75
_CUES = frozenset(
    [
        "decide",
        "decided",
        "decision",
        "agree",
        "agreed",
        "agreement",
        "should",
        "need",
        "needs",
        "needed",
        "must",
        "plan",
        "plans",
        "planned",
        "will",
        "propose",
        "proposed",
        "suggest",
        "suggested",
        "because",
        "therefore",
        "important",
        "problem",
        "issue",
        "result",
        "results",
        "conclusion",
        "goal",
        "main",
        "want",
        "wanted",
        "recommend",
        "idea",
        "possible",
        "different",
    ]
)
_PRONOUNS = frozenset(
    [
        "i",
        "you",
        "he",
        "she",
        "we",
        "they",
        "me",
        "him",
        "us",
        "them",
        "it",
        "my",
        "your",
        "his",
        "her",
        "our",
        "their",
        "this",
        "that",
    ]
)
_FILLERS = frozenset(
    [
        "um",
        "uh",
        "hmm",
        "mm",
        "yeah",
        "yep",
        "okay",
        "ok",
        "well",
        "like",
        "just",
        "actually",
        "basically",
        "sort",
        "kind",
        "mean",
        "know",
        "right",
        "so",
        "huh",
        "oh",
    ]
)
_CUE, _PRONOUN, _FILLER = 0, 1, 2
_SORTS: dict[str, tuple[int, ...]] = {
    word: tuple(sort for sort, known in enumerate((_CUES, _PRONOUNS, _FILLERS)) if word in known)
    for word in _CUES | _PRONOUNS | _FILLERS
}
"""Which of the three a word belongs to: one look-up for each word of a sentence rather than three."""
_INNER_CAPITAL = re.compile(r"(?<=[\w,;] )[A-Z][A-Za-z]")
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
    return Scope(captures, own, weights, repeated, _norm(candidates, weights))


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
    stems = set(one.content)
    summed = fsum(map(weight, one.concepts))
    pairs = len(one.concepts) - len(stems)
    repeated = len(one.concepts & scope.repeated_pairs)
    along = fsum(map(weight, stems)) / (sqrt(len(stems) or 1) * scope.centroid_norm)
    sorts = [sort for word in words if word in _SORTS for sort in _SORTS[word]]
    return (
        log(1 + n),
        min(n, 60) / 60,
        float(n > 45),
        along,
        summed / (len(one.concepts) or 1),
        summed,
        repeated / (pairs or 1),
        float(repeated),
        place,
        float(place < 0.05),
        float(place > 0.95),
        float(one.text.endswith("?")),
        float(_DIGIT.search(one.text) is not None),
        len(_INNER_CAPITAL.findall(one.text)) / n,
        sorts.count(_CUE) / n,
        sorts.count(_PRONOUN) / n,
        len(one.content) / n,
        sum(map(len, words)) / n / 10,
        sorts.count(_FILLER) / n,
        len(set(words)) / n,
    )
