#!/usr/bin/env python3
"""How often what a model would write is rejected: of true sentences, and of the same ones bent.

    scripts/measure_gate.py FILE.jsonl

Each line of FILE is {"title": "...", "texts": [...], "sources": [...], "claims": [{"text": "...", "cites":
[0, 1, ...]}]}: texts in their order, who said each, and sentences that a person wrote about some of them.
True are these claims, and sentences of the texts that cite themselves and two neighbours on either side. The
same seed bends the same ones.
"""

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from komorebi_mcp.summarizers.claims import misstated
from komorebi_mcp.summarizers.grounding import proper_words, unsupported
from komorebi_mcp.summarizers.topic import Usage
from komorebi_mcp.text.sentences import split_sentences

ELSEWHERE = 3
"""So many texts in a row are cited wrongly."""
AROUND = 2
OWN_MAX = 6_000
"""Of the texts' own sentences, drawn at random."""
WORDS_MIN, WORDS_MAX = 6, 40
NUMBER = re.compile(r"(?<![\w.])(?:\d+|twelve|fifteen|twenty|thirty|forty|fifty|sixty|eighty)(?![\w.])")
OTHERS = ("twelve", "fifteen", "twenty", "thirty", "forty", "fifty", "sixty", "eighty")
AUXILIARY = re.compile(r"\b(is|are|was|were|will|should|can) ")
DENIED = re.compile(r"\bnot\b|n['\u2019]t\b|\bno\b|\bnever\b")


@dataclass
class Scope:
    """What a summary could be made from."""

    title: str
    texts: Sequence[str]
    sources: Sequence[str]

    @cached_property
    def usage(self) -> Usage:
        return Usage(self.texts)

    @cached_property
    def names(self) -> frozenset[str]:
        return proper_words(self.texts)

    def rejects(self, sentence: str, cited: Iterable[int]) -> str | None:
        """Why the gate stops a sentence that cites these texts; None where it lets it pass."""
        places = [at for at in cited if self.texts[at]]
        told = [self.texts[at] for at in places]
        filed = sorted({self.title, *(self.sources[at] for at in places)})
        if unsupported(sentence, [*told, *filed], self.names):
            return "unsupported"
        return misstated(sentence, told, filed, self.usage)


Case = tuple[Scope, str, Sequence[int]]


def show(name: str, cases: Sequence[Case]) -> None:
    reasons = Counter(reason for scope, text, cited in cases if (reason := scope.rejects(text, cited)))
    share = 100 * reasons.total() / max(1, len(cases))
    told = ", ".join(f"{reason} {100 * n / len(cases):.1f}" for reason, n in reasons.most_common())
    print(f"{name:32s} {share:5.1f} % of {len(cases):,} rejected ({told})")


def own_sentences(scope: Scope) -> Iterable[Case]:
    there = [at for at, text in enumerate(scope.texts) if text]
    for place, at in enumerate(there):
        near = there[max(0, place - AROUND) : place + AROUND + 1]
        for start, end in split_sentences(scope.texts[at]):
            text = scope.texts[at][start:end]
            if WORDS_MIN <= len(text.split()) <= WORDS_MAX:
                yield scope, text, near


def elsewhere(chance: random.Random, scope: Scope) -> range:
    at = chance.randrange(max(1, len(scope.texts) - ELSEWHERE))
    return range(at, min(len(scope.texts), at + ELSEWHERE))


def other_number(chance: random.Random, text: str) -> str:
    return NUMBER.sub(lambda found: chance.choice([n for n in OTHERS if n != found[0]]), text, count=1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    chance = random.Random(args.seed)  # noqa: S311  # Repeatable on purpose.
    claims: list[Case] = []
    own: list[Case] = []
    for line in args.file.read_text("utf-8").splitlines():
        item = json.loads(line)
        scope = Scope(item["title"], item["texts"], item["sources"])
        claims += [(scope, claim["text"], claim["cites"]) for claim in item["claims"]]
        own += own_sentences(scope)
    own = chance.sample(own, min(OWN_MAX, len(own)))
    show("claims, true", claims)
    show("claims, citing elsewhere", [(scope, text, elsewhere(chance, scope)) for scope, text, _ in claims])
    show("own sentences, true", own)
    numbered = [case for case in own if NUMBER.search(case[1])]
    show("  another number", [(scope, other_number(chance, text), at) for scope, text, at in numbered])
    denied = [case for case in own if re.search(r"\bnot ", case[1])]
    show(
        "  without its not", [(scope, re.sub(r"\bnot ", "", text, count=1), at) for scope, text, at in denied]
    )
    stated = [case for case in own if AUXILIARY.search(case[1]) and not DENIED.search(case[1])]
    show(
        "  with a not", [(scope, AUXILIARY.sub(r"\1 not ", text, count=1), at) for scope, text, at in stated]
    )


if __name__ == "__main__":
    main()
