"""The words a text is about."""

import re
from collections import Counter, defaultdict
from math import log

from komorebi_mcp.text.stopwords import ASKING_WORDS, STOP_WORDS, TALK_WORDS
from komorebi_mcp.text.terms import TERM_CHARS_MAX, UNSPACED, fold, stem

_SCAN_CHARS_MAX = 200_000
_WORD = re.compile(
    rf"[{UNSPACED}]{{2,12}}|(?:(?![{UNSPACED}])[^\W_])+(?:(?:_+|['.\-])(?:(?![{UNSPACED}])[^\W_])+)*"
)


def find_keywords(content: str, *, most: int = 8) -> tuple[str, ...]:
    """The words that tell best what the content is about, best first, as written most often.

    A word counts by how often and how early it occurs, names and identifiers more; word forms are taken
    together.
    """
    counts: Counter[str] = Counter()
    forms: defaultdict[str, Counter[str]] = defaultdict(Counter)
    first_at: dict[str, int] = {}
    for order, match in enumerate(_WORD.finditer(content, 0, _SCAN_CHARS_MAX)):
        word = match[0]
        folded = word.casefold().removesuffix("'s")
        if len(word) > TERM_CHARS_MAX or not _tells(word, folded):
            continue
        key = stem(fold(folded))
        counts[key] += 1
        forms[key][word.removesuffix("'s")] += 1
        first_at.setdefault(key, order)

    def weight(key: str) -> tuple[float, int]:
        form = max(forms[key], key=lambda word: forms[key][word])
        rest = form[1:]
        # islower alone settles most words at a fraction of the cost.
        inner = "_" in form or (not rest.islower() and any(c.isupper() for c in rest))
        bonus = 1.0 + 0.5 * inner + 0.4 * form[:1].isupper()
        early = 1.0 + 0.5 / (1.0 + first_at[key] / 20)
        return bonus * early * (1.0 + log(counts[key])) * min(1.0, 0.6 + len(key) / 15), -first_at[key]

    best = sorted(counts, key=weight, reverse=True)[:most]
    return tuple(forms[key].most_common(1)[0][0] for key in best)


def _tells(word: str, folded: str) -> bool:
    if not word.isalpha() and not any(char.isalpha() for char in word):
        return False
    if folded in STOP_WORDS or folded in ASKING_WORDS or folded in TALK_WORDS:
        return False
    return len(word) > 2 or not word.isascii() or (len(word) == 2 and word.isupper())
