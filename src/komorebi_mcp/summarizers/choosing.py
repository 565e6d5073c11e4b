"""Which of the scored sentences are told, within a budget."""

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from math import fsum
from math import pow as power

from komorebi_mcp.domain.captures import Kind
from komorebi_mcp.summarizers.candidates import Candidate
from komorebi_mcp.text.tokens import byte_length, estimate_tokens

_MARKED_SHARE = {Kind.DECISION: 0.6, Kind.ERROR: 0.25}
"""At most so much of the budget goes first to what a user marked as a decision or an error."""
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
        self.bytes_left = 4 * max(0, tokens) + 1
        self.tokens_left = max(0, tokens)

    def fits(self, text: str) -> bool:
        return estimate_tokens(text) <= self.tokens_left and _joined_bytes(text) <= self.bytes_left

    def take(self, text: str) -> None:
        self.tokens_left -= estimate_tokens(text)
        self.bytes_left -= _joined_bytes(text)

    @property
    def spent(self) -> bool:
        return self.tokens_left <= 0 or self.bytes_left <= 1

    def reserve(self, share: float) -> "Budget":
        """A part of what is left, taken out of it until it is given back."""
        part = Budget(int(self.tokens_left * share))
        self.tokens_left -= part.tokens_left
        self.bytes_left -= part.bytes_left
        return part

    def give_back(self, part: "Budget") -> None:
        """Adds what was not taken of a reserved part."""
        self.tokens_left += part.tokens_left
        self.bytes_left += part.bytes_left


def _joined_bytes(text: str) -> int:
    """With the space that joins it to the next sentence."""
    return byte_length(text) + 1


def choose(
    scored: Sequence[tuple[Candidate, float]],
    budget: Budget,
    taste: Taste,
    *,
    weights: Mapping[str, float],
    told: set[str],
) -> list[Candidate]:
    """Greedily the best candidates with a score above 0 that fit; their concepts are added to `told`.

    The share of a candidate's concepts that is told already, by `weights`, only grows, so a gain computed
    earlier is an upper bound and most need not be computed again (lazy greedy, Minoux 1978).
    """
    bare = [score / power(max(1, len(one.words)), taste.length_power) for one, score in scored]
    weight = weights.get

    def gain(place: int) -> float:
        one = scored[place][0]
        repeated = one.concepts & told
        if not repeated and one.concepts:
            return bare[place]
        mass = fsum(map(weight, one.concepts, repeat(0.0)))
        share = fsum(map(weight, repeated, repeat(0.0))) / mass if mass else 1.0
        return bare[place] * (1.0 - taste.discount * share)

    heap = [(-gain(place), place) for place, (_, score) in enumerate(scored) if score > 0]
    heapq.heapify(heap)
    chosen: list[Candidate] = []
    while heap and not budget.spent:
        _, place = heapq.heappop(heap)
        one = scored[place][0]
        if not budget.fits(one.text):
            continue
        now = -gain(place)
        if heap and now > heap[0][0]:
            heapq.heappush(heap, (now, place))
            continue
        budget.take(one.text)
        told |= one.concepts
        chosen.append(one)
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
    kept = [one for one, _ in scored if one.marked and one.text in known]
    if kept:
        reserved = budget.reserve(_KEPT_SHARE)
        for one in kept:
            if reserved.fits(one.text):
                reserved.take(one.text)
                told |= one.concepts
                chosen.append(one)
        budget.give_back(reserved)
        scored = _without(scored, chosen)
    for kind, share in _MARKED_SHARE.items():
        marked = [(one, value) for one, value in scored if one.kind is kind]
        if marked:
            reserved = budget.reserve(share)
            chosen += choose(marked, reserved, TASTE_MARKED, weights=weights, told=told)
            budget.give_back(reserved)
    # What else was marked waits until the rest has been heard.
    for marked_too in (False, True):
        rest = [pair for pair in _without(scored, chosen) if pair[0].marked is marked_too]
        mine = TASTE_MARKED if marked_too else taste
        chosen += choose(rest, budget, mine, weights=weights, told=told)
    return chosen


def _without(
    scored: Sequence[tuple[Candidate, float]], chosen: Sequence[Candidate]
) -> list[tuple[Candidate, float]]:
    orders = {one.order for one in chosen}
    return [pair for pair in scored if pair[0].order not in orders]
