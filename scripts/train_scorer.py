#!/usr/bin/env python3
"""Fits the sentence scorer's weights and writes them where the product reads them.

    scripts/train_scorer.py FILE.jsonl [--ridge 100] [--out weights.json]

Each line of FILE is {"sentences": [...], "reference": "..."}: texts in order and a summary a person wrote
of them. Needs numpy, which the product itself does not.
"""

import argparse
import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from komorebi_mcp.summarizers.candidates import Candidate, gather
from komorebi_mcp.summarizers.draft import Passage
from komorebi_mcp.summarizers.features import FEATURES, describe, survey
from komorebi_mcp.text.terms import ordered_terms, stem

LENGTH_POWER = 0.3
"""Prefers the sentence that says the same in fewer words; of those tried, the best on meetings left out."""
WORDS_WEIGHT = 3.0
PHRASES_WEIGHT = 6.0
"""So much more than one shared concept counts a sentence all of whose words, or pairs of words, are shared:
of those tried, the best on meetings left out."""
WORD = re.compile(r"[^\W_]+")
WEIGHTS = Path(__file__).resolve().parent.parent / "src/komorebi_mcp/summarizers/weights.json"


def passages_of(sentences: list[str]) -> list[Passage]:
    moment = datetime(2000, 1, 1, tzinfo=UTC)
    return [Passage(capture_id=str(n), text=text, created_at=moment) for n, text in enumerate(sentences)]


@dataclass
class Reference:
    """What a person wrote, in the pieces that a sentence may share with it."""

    concepts: frozenset[str]
    """Stems of content words, and pairs of neighbouring ones."""
    words: Counter[str]
    """Stems of all words, stop words included."""
    pairs: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, text: str) -> "Reference":
        content = ordered_terms(text)
        words = stems_of(WORD.findall(text.casefold()))
        concepts = frozenset([*content, *(f"{a} {b}" for a, b in pairwise(content))])
        return cls(concepts, Counter(words), frozenset(pairwise(words)))


def stems_of(words: Sequence[str]) -> list[str]:
    return [stem(word) for word in words]


def target(one: Candidate, wanted: Reference) -> float:
    """What a sentence shares with a reference: what is spoken of, and how it is put."""
    told = len(one.reading.concepts & wanted.concepts) / math.pow(
        max(1, len(one.reading.words)), LENGTH_POWER
    )
    words = stems_of(one.reading.words)
    shared = (Counter(words) & wanted.words).total() / max(1, len(words))
    phrases = len(wanted.pairs.intersection(pairwise(words))) / max(1, len(words))
    return told + WORDS_WEIGHT * shared + PHRASES_WEIGHT * phrases


def examples(path: Path) -> tuple[Any, Any]:
    """The features and targets of all sentences."""
    rows: list[tuple[float, ...]] = []
    targets: list[float] = []
    for line in path.read_text("utf-8").splitlines():
        item = json.loads(line)
        candidates = [one for one in gather(passages_of(item["sentences"])) if one.telling]
        scope = survey(candidates, len(item["sentences"]))
        wanted = Reference.of(item["reference"])
        places = max(1, len(candidates) - 1)
        rows += (describe(one, scope, place / places) for place, one in enumerate(candidates))
        targets += (target(one, wanted) for one in candidates)
    return np.array(rows), np.array(targets)


def fit(features: Any, targets: Any, ridge: float) -> tuple[float, list[float]]:
    """Ridge regression on standardized features; the constant and the weights on the features as they are."""
    mean, deviation = features.mean(0), features.std(0)
    deviation[deviation == 0] = 1.0
    x = (features - mean) / deviation
    solved = np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ (targets - targets.mean()))
    weights = solved / deviation
    return float(targets.mean() - mean @ weights), [float(w) for w in weights]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--ridge", type=float, default=100.0)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    args = parser.parse_args()
    features, targets = examples(args.file)
    constant, weights = fit(features, targets, args.ridge)
    fitted = {
        "constant": round(constant, 6),
        "weights": {n: round(w, 6) for n, w in zip(FEATURES, weights, strict=True)},
    }
    args.out.write_text(json.dumps(fitted, indent=2) + "\n", "utf-8")
    correlation = np.corrcoef(features @ np.array(weights), targets)[0, 1]
    print(f"{len(targets)} sentences, correlation {correlation:.3f}, written to {args.out}")


if __name__ == "__main__":
    main()
