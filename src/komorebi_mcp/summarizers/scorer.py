"""A linear scorer of sentences, its weights fitted by `scripts/train_scorer.py`."""

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from operator import mul

from komorebi_mcp.summarizers.candidates import Candidate
from komorebi_mcp.summarizers.features import FEATURES, Scope, describe

_SCORE_MIN = 0.01


@cache
def _weights() -> tuple[float, tuple[float, ...]]:
    """The constant, and one weight for each of `FEATURES`."""
    read = json.loads(files("komorebi_mcp.summarizers").joinpath("weights.json").read_text("utf-8"))
    return float(read["constant"]), tuple(float(read["weights"][name]) for name in FEATURES)


def score(candidates: Sequence[Candidate], scope: Scope, *, placed: bool = True) -> list[float]:
    """How much of a summary each candidate is expected to hold, in no unit; always above 0.

    Unless `placed`, it does not matter where in the scope they stand.
    """
    constant, weights = _weights()
    places = max(1, len(candidates) - 1)
    return [
        max(
            _SCORE_MIN,
            constant + sum(map(mul, weights, describe(one, scope, place))),
        )
        for place, one in ((at / places if placed else 0.5, one) for at, one in enumerate(candidates))
    ]
