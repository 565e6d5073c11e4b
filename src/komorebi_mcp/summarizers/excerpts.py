"""The parts of a long text that a sentence could rest on, so that checking it takes no longer than needed."""

import re
from functools import lru_cache

from komorebi_mcp.text.stopwords import STOP_WORDS

WHOLE_CHARS_MAX = 20_000
"""A text up to so long is read whole."""
_PART_CHARS = 2_000
_OVERLAP_CHARS = 300
_BEST_MAX = 4
_WORD = re.compile(r"[^\W_]+")


def excerpt(text: str, sentence: str) -> str:
    """Of a long text the parts with most of the sentence's words, and for each word one that holds it."""
    if len(text) <= WHOLE_CHARS_MAX:
        return text
    parts, folded = _parts(text)
    words = set(_WORD.findall(sentence.casefold())) - STOP_WORDS
    holding = {word: [at for at, part in enumerate(folded) if word in part] for word in words}
    hits = [0] * len(parts)
    for places in holding.values():
        for at in places:
            hits[at] += 1
    best = sorted(range(len(parts)), key=lambda at: -hits[at])
    chosen = set(best[:_BEST_MAX])
    chosen |= {max(places, key=lambda at: (hits[at], -at)) for places in holding.values() if places}
    return "\n".join(parts[at] for at in sorted(chosen))


@lru_cache(maxsize=8)
def _parts(text: str) -> tuple[list[str], list[str]]:
    """Parts of the text that overlap a little, as they are and case-folded."""
    parts = [text[at : at + _PART_CHARS + _OVERLAP_CHARS] for at in range(0, len(text), _PART_CHARS)]
    return parts, [part.casefold() for part in parts]
