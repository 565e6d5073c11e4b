"""A linear scorer of sentences, its weights fitted by `scripts/train_scorer.py`."""

import json
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.resources import files
from itertools import repeat
from math import fsum, log, sqrt

from komorebi_mcp.summarizers.candidates import Candidate, Reading
from komorebi_mcp.summarizers.features import DIGIT, FEATURES, FIRST, Scope
from komorebi_mcp.summarizers.register import SORTS, SORTS_OF, opens_as_talk

_SCORE_MIN = 0.01


@cache
def _fitted() -> tuple[float, dict[str, float]]:
    """The constant, and the weight of each of `FEATURES`."""
    read = json.loads(files("komorebi_mcp.summarizers").joinpath("weights.json").read_text("utf-8"))
    return float(read["constant"]), {name: float(read["weights"][name]) for name in FEATURES}


def score(candidates: Sequence[Candidate], scope: Scope, *, placed: bool = True) -> list[float]:
    """How much of a summary each candidate is expected to hold, in no unit; always above 0.

    That is the constant and what `describe` tells times the weights, without the detour by way of a list of
    features. Unless `placed`, it does not matter where in the scope they stand.
    """
    constant, fitted = _fitted()
    of_similarity = fitted["centroid_similarity"] / scope.centroid_norm
    of_sum, of_repeats = fitted["concept_weight_sum"], fitted["repeated_pair_share"]
    of_digits = fitted["digits"]
    of_place = fitted["position"]
    digit_in = DIGIT.search
    weight, repeated, single_weight = scope.weights.__getitem__, scope.repeated_pairs, scope.single_weight
    last = max(1, len(candidates) - 1)
    scores: list[float] = []
    for at, one in enumerate(candidates):
        place = at / last if placed else 0.5
        reading = one.reading
        stems, concepts = reading.stems, reading.concepts
        of_stems = sum(map(weight, stems))
        pairs = len(concepts) - len(stems)
        # Few pairs are of several passages, and sets find these without looking at a single string.
        shared = concepts & repeated
        of_pairs = (pairs - len(shared)) * single_weight
        if shared:
            of_pairs += fsum(map(weight, shared))
        value = (
            constant
            + _of_wording(reading)
            + of_similarity * of_stems / sqrt(len(stems) or 1)
            + of_sum * (of_stems + of_pairs)
            + of_repeats * len(shared) / (pairs or 1)
            + of_place * place
        )
        if digit_in(one.text):
            value += of_digits
        if place < FIRST:
            value += fitted["in_first_twentieth"]
        scores.append(max(_SCORE_MIN, value))
    return scores


@lru_cache(maxsize=1 << 10)
def _of_wording(reading: Reading) -> float:
    """What the words add to the score by themselves.

    Remembered like the readings, as nodes of several levels tell the same sentences.
    """
    fitted, words = _fitted()[1], reading.words
    shares = (
        len(reading.content) * fitted["content_share"]
        + len(set(words)) * fitted["type_token_ratio"]
        + sum(map(len, words)) / 10 * fitted["word_length"]
        + sum(map(_of_sorts().get, words, repeat(0.0)))
    )
    n = len(words) or 1
    opening = fitted["opens_as_talk"] if opens_as_talk(words) else 0.0
    return log(1 + n) * fitted["log_words"] + opening + shares / n


@cache
def _of_sorts() -> dict[str, float]:
    """By word what it adds by the sorts it is of, times the number of words."""
    fitted = _fitted()[1]
    return {word: sum([fitted[SORTS[place]] for place in places]) for word, places in SORTS_OF.items()}
