"""Which of many similar sentences say what the others say, too (TextRank, Mihalcea and Tarau 2004).

The graph of similarities is never built: its product with a vector goes through the words, so that a step
costs time in proportion to the text. Similarity is the number of shared stems over the geometric mean of
log lengths.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from math import log, sqrt
from operator import mul

from komorebi_mcp.summarizers.candidates import Candidate, Reading

_STEPS = 2
_DAMPING = 0.95


def likeness(candidates: Sequence[Candidate]) -> float:
    """How alike the sentences are, 0 to 1: the share of one's stems that another one holds, on average."""
    n = len(candidates)
    if n < 2:
        return 0.0
    bags = [one.reading.stems for one in candidates]
    holders = Counter(chain.from_iterable(bags))
    shared = sum([(sum(map(holders.__getitem__, bag)) - len(bag)) / len(bag) for bag in bags if bag])
    return shared / (n * (n - 1))


def rank(candidates: Sequence[Candidate]) -> list[float]:
    """The candidates' centralities, 1 on average."""
    holders: dict[str, list[int]] = {}
    for place, one in enumerate(candidates):
        for word in one.reading.stems:
            holders.setdefault(word, []).append(place)
    # A word of one sentence alone likens it to no other.
    shared = {word: places for word, places in holders.items() if len(places) > 1}
    number = {word: at for at, word in enumerate(shared)}
    # In the order of their words: that of sets differs from process to process, and so would the sums.
    bags = [[number[word] for word in one.reading.stems if word in number] for one in candidates]
    scales = [1.0 / sqrt(log(2 + len(one.reading.stems))) for one in candidates]
    graph = _Graph(bags, list(shared.values()), scales)
    degrees = graph.neighbours([1.0] * len(candidates))
    linked = [degree for degree in degrees if degree > 0]
    mean = sum(linked) / (len(linked) or 1)
    # Undamped, a walk on an undirected graph ends in proportion to the degrees, and near them where it is
    # damped as little as here: from there two steps lead where a dozen do from equal ranks.
    ranks = [1 - _DAMPING + (_DAMPING * degree / mean if degree > 0 else 0.0) for degree in degrees]
    for _ in range(_STEPS):
        flow = [r / d if d > 0 else 0.0 for r, d in zip(ranks, degrees, strict=True)]
        ranks = [1 - _DAMPING + _DAMPING * value for value in graph.neighbours(flow)]
    return ranks


def wording(candidates: Sequence[Candidate]) -> Callable[[Candidate], float]:
    """How commonly any of them is put: the mean log count of its words, stop words too, and of pairs of them.

    Counted is the number of candidates that hold one. Of two sentences that are as central, the one in
    everybody's words is the one a reader would have written: "The rooms are clean."
    """
    readings = [one.reading for one in candidates]
    word_value = _log_counts([reading.words for reading in readings])
    pair_value = _log_counts(list(map(_pairs, readings)))

    def commonness(one: Candidate) -> float:
        words, pairs = one.reading.words, _pairs(one.reading)
        return (sum(map(word_value, words)) + sum(map(pair_value, pairs))) / (len(words) + len(pairs) or 1)

    return commonness


@lru_cache(maxsize=1 << 10)
def _pairs(reading: Reading) -> tuple[str, ...]:
    """The neighbouring words; as texts, which a collector of garbage need not look at."""
    return tuple(map(" ".join, pairwise(reading.words)))


def _log_counts(bags: Sequence[Sequence[str]]) -> Callable[[str], float]:
    """By word: the log of one more than the bags that hold it."""
    counts = Counter(chain.from_iterable(map(set, bags)))
    logs = [log(1 + n) for n in range(len(bags) + 1)]
    return {word: logs[n] for word, n in counts.items()}.__getitem__


class _Graph:
    """Which sentences share words: the words of each, and the sentences that hold each, by number."""

    def __init__(
        self, bags: Sequence[Sequence[int]], holders: Sequence[Sequence[int]], scales: Sequence[float]
    ) -> None:
        self._bags = bags
        self._holders = holders
        self._scales = scales
        self._own = [len(bag) * scale * scale for bag, scale in zip(bags, scales, strict=True)]

    def neighbours(self, values: Sequence[float]) -> list[float]:
        """For each sentence, the others' values weighted by their similarity to it."""
        share = list(map(mul, self._scales, values)).__getitem__
        through = [sum(map(share, places)) for places in self._holders].__getitem__
        return [
            max(0.0, scale * sum(map(through, bag)) - itself * value)
            for bag, scale, itself, value in zip(self._bags, self._scales, self._own, values, strict=True)
        ]
