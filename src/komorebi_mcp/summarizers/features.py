"""What can be seen of a sentence that tells how much a summary would want it.

Twenty numbers a sentence; the scorer weighs them. Concept weights are counts over the whole scope,
relative to it, so that the same weights serve scopes of any size.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt

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
        own = Counter({concept: max(n, counts.get(concept, 0)) for concept, n in own.items()})
    weights = {concept: (n / max(1, captures)) ** CONCEPT_POWER for concept, n in own.items()}
    norm = sqrt(sum(w * w for concept, w in weights.items() if " " not in concept)) or 1.0
    return Scope(captures, own, weights, norm)


def add_counts(nodes: Iterable[NodeContent]) -> Counter[str]:
    """In how many captures below all the nodes each concept occurs."""
    counts: Counter[str] = Counter()
    for node in nodes:
        counts.update(node.counts)
    return counts


def describe(one: Candidate, scope: Scope, place: float) -> tuple[float, ...]:
    """The features of one sentence, in the order of `FEATURES`; `place` runs from 0 to 1 over the scope."""
    words, weights = one.words, scope.weights
    n = len(words) or 1
    stems = set(one.content)
    summed = sum(weights[concept] for concept in one.concepts)
    pairs = one.concepts - stems
    repeated = sum(scope.counts[pair] > 1 for pair in pairs)
    along = sum(weights[word] for word in stems) / (sqrt(len(stems) or 1) * scope.centroid_norm)
    return (
        log(1 + n),
        min(n, 60) / 60,
        float(n > 45),
        along,
        summed / (len(one.concepts) or 1),
        summed,
        repeated / (len(pairs) or 1),
        float(repeated),
        place,
        float(place < 0.05),
        float(place > 0.95),
        float(one.text.endswith("?")),
        float(_DIGIT.search(one.text) is not None),
        len(_INNER_CAPITAL.findall(one.text)) / n,
        sum(word in _CUES for word in words) / n,
        sum(word in _PRONOUNS for word in words) / n,
        len(one.content) / n,
        sum(map(len, words)) / n / 10,
        sum(word in _FILLERS for word in words) / n,
        len(set(words)) / n,
    )
