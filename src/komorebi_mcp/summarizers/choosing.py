"""Which of the scored sentences are told, within a budget."""

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from math import pow as power

from komorebi_mcp.domain.captures import Kind
from komorebi_mcp.summarizers.candidates import Candidate
from komorebi_mcp.text.tokens import BYTES_PER_TOKEN, byte_length

_MARKED_SHARE = {Kind.DECISION: 0.6, Kind.ERROR: 0.25}
"""At most so much of the budget goes first to what a user marked as a decision or an error."""
_MARKED_TOKENS_MIN = 40
"""What one of them usually takes."""
_KEPT_SHARE = 0.3
"""At most so much goes before that to what of it was told before."""


@dataclass(frozen=True, slots=True)
class Taste:
    """What makes one sentence better than another of the same score."""

    discount: float
    """The share of its score a sentence loses that says nothing new."""
    length_power: float
    """Scores are divided by the number of words to this power."""


TASTE_MARKED = Taste(discount=0.8, length_power=0.25)
"""A decision counts for what it says that no other does, however many others are like one another."""


class Budget:
    """Tokens, counted so that neither the joined text nor the sum over its sentences takes more of them."""

    def __init__(self, tokens: int) -> None:
        # The last sentence has no space behind it, but is counted with one.
        self.bytes_left = BYTES_PER_TOKEN * max(0, tokens) + 1
        self.tokens_left = max(0, tokens)

    @property
    def bytes_max(self) -> int:
        """How many bytes of UTF-8 the longest text has that still fits."""
        # One is for the space that joins it to the next sentence.
        return min(self.bytes_left - 1, BYTES_PER_TOKEN * self.tokens_left)

    def fits(self, text: str) -> bool:
        return byte_length(text) <= self.bytes_max

    def take(self, text: str) -> None:
        self.take_bytes(byte_length(text))

    def take_bytes(self, length: int) -> None:
        """Takes a text of so many bytes of UTF-8, which fits."""
        self.tokens_left -= -(-length // BYTES_PER_TOKEN)
        self.bytes_left -= length + 1

    def takes(self, text: str) -> bool:
        """Whether the text fits; where it does, it is taken."""
        if not self.fits(text):
            return False
        self.take(text)
        return True

    def reserve(self, share: float, *, tokens_min: int = 0) -> "Budget":
        """A part of what is left, taken out of it until it is given back.

        Of a small budget it is more than the share, at most half: `tokens_min`.
        """
        part = Budget(max(int(self.tokens_left * share), min(tokens_min, self.tokens_left // 2)))
        self.tokens_left -= part.tokens_left
        self.bytes_left -= part.bytes_left
        return part

    def give_back(self, part: "Budget") -> None:
        """Adds what was not taken of a reserved part."""
        self.tokens_left += part.tokens_left
        self.bytes_left += part.bytes_left


def choose(
    scored: Sequence[tuple[Candidate, float]],
    budget: Budget,
    taste: Taste,
    *,
    weights: Mapping[str, float],
    told: set[str],
) -> list[Candidate]:
    """Greedily the best candidates with a score above 0 that fit; their concepts are added to `told`.

    `weights` has all their concepts. The share of them that is told already only grows, so what was computed
    earlier is an upper bound of a candidate's gain, and most need not be computed again (lazy greedy,
    Minoux 1978).
    """
    bytes_min = min([one.text_bytes for one, _ in scored], default=0)
    chosen: list[Candidate] = []
    if not scored or bytes_min > budget.bytes_max:
        return chosen
    weight = weights.__getitem__
    bare = [score / power(len(one.reading.words) or 1, taste.length_power) for one, score in scored]
    heap = [(-bound, place) for place, bound in enumerate(bare) if bound > 0]
    heapq.heapify(heap)
    masses: dict[int, float] = {}
    # Those whose gain was computed since the last one was chosen.
    exact = set[int]()
    bytes_max = budget.bytes_max
    while heap and bytes_min <= bytes_max:
        place = heap[0][1]
        one = scored[place][0]
        if one.text_bytes > bytes_max:
            heapq.heappop(heap)
            continue
        if place not in exact and ((repeated := one.reading.concepts & told) or not one.reading.concepts):
            if place not in masses:
                masses[place] = fsum(map(weight, one.reading.concepts))
            share = fsum(map(weight, repeated)) / masses[place] if masses[place] else 1.0
            heapq.heapreplace(heap, (-bare[place] * (1.0 - taste.discount * share), place))
            exact.add(place)
            continue
        heapq.heappop(heap)
        budget.take_bytes(one.text_bytes)
        bytes_max = budget.bytes_max
        told |= one.reading.concepts
        chosen.append(one)
        exact.clear()
    return chosen


def choose_marked_first(
    scored: Sequence[tuple[Candidate, float]],
    budget: Budget,
    taste: Taste,
    *,
    weights: Mapping[str, float],
    known: Collection[str] = (),
) -> list[Candidate]:
    """The best candidates that fit; decisions and errors go first, up to their share of the budget.

    Those whose texts are `known` from the summary before go before all, the oldest first: what was told all
    along does not give way to whatever is decided next. `taste` is for the others; the scores of decisions
    and errors are compared with one another alone.
    """
    told: set[str] = set()
    chosen: list[Candidate] = []
    kept = [one for one, _ in scored if one.marked and one.text in known] if known else []
    if kept:
        reserved = budget.reserve(_KEPT_SHARE)
        for one in kept:
            if reserved.takes(one.text):
                told |= one.reading.concepts
                chosen.append(one)
        budget.give_back(reserved)
        scored = _without(scored, chosen)
    of_kind: dict[Kind | None, list[tuple[Candidate, float]]] = {}
    for pair in scored:
        kind = pair[0].kind
        of_kind.setdefault(kind if kind in _MARKED_SHARE else None, []).append(pair)
    others = of_kind.pop(None, [])
    for kind, share in _MARKED_SHARE.items():
        if kind in of_kind:
            reserved = budget.reserve(share, tokens_min=_MARKED_TOKENS_MIN)
            chosen += choose(of_kind[kind], reserved, TASTE_MARKED, weights=weights, told=told)
            budget.give_back(reserved)
    chosen += choose(others, budget, taste, weights=weights, told=told)
    if not of_kind:
        return chosen
    # What else was marked waits until the rest has been heard.
    marked = _without([pair for pair in scored if pair[0].kind in _MARKED_SHARE], chosen)
    return chosen + choose(marked, budget, TASTE_MARKED, weights=weights, told=told)


def _without(
    scored: Sequence[tuple[Candidate, float]], chosen: Sequence[Candidate]
) -> list[tuple[Candidate, float]]:
    orders = {one.order for one in chosen}
    return [pair for pair in scored if pair[0].order not in orders]
