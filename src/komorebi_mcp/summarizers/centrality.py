"""Which of many similar sentences say what the others say, too (TextRank, Mihalcea and Tarau 2004).

The graph of similarities is never built: its product with a vector goes through the words, so that a step
costs time in proportion to the text. Similarity is the number of shared stems over the geometric mean of
log lengths.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import chain
from math import log, sqrt

from komorebi_mcp.summarizers.candidates import Candidate

_STEPS = 12
_DAMPING = 0.95


def likeness(candidates: Sequence[Candidate]) -> float:
    """How alike the sentences are, 0 to 1: the share of one's stems that another one holds, on average."""
    n = len(candidates)
    if n < 2:
        return 0.0
    bags = [one.stems for one in candidates]
    holders = Counter(chain.from_iterable(bags))
    shared = sum([(sum(map(holders.__getitem__, bag)) - len(bag)) / len(bag) for bag in bags if bag])
    return shared / (n * (n - 1))


def rank(candidates: Sequence[Candidate]) -> list[float]:
    """The candidates' centralities, 1 on average."""
    # In the order of their words: that of sets differs from process to process, and so would the sums.
    bags = [one.stems for one in candidates]
    scales = [1.0 / sqrt(log(2 + len(bag))) for bag in bags]
    own = [len(bag) * scale * scale for bag, scale in zip(bags, scales, strict=True)]
    degrees = _neighbours(bags, scales, own, [1.0] * len(bags))
    ranks = [1.0] * len(bags)
    for _ in range(_STEPS):
        flow = [r / d if d > 0 else 0.0 for r, d in zip(ranks, degrees, strict=True)]
        ranks = [1 - _DAMPING + _DAMPING * value for value in _neighbours(bags, scales, own, flow)]
    return ranks


def _neighbours(
    bags: Sequence[tuple[str, ...]], scales: Sequence[float], own: Sequence[float], values: Sequence[float]
) -> list[float]:
    """For each sentence, the others' values weighted by their similarity to it."""
    through: defaultdict[str, float] = defaultdict(float)
    for bag, scale, value in zip(bags, scales, values, strict=True):
        share = scale * value
        for word in bag:
            through[word] += share
    return [
        max(0.0, scale * sum(map(through.__getitem__, bag)) - itself * value)
        for bag, scale, itself, value in zip(bags, scales, own, values, strict=True)
    ]
