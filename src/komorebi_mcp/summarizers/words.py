"""The words of a sentence, and what they say of its subject."""

import re
from collections.abc import Iterable
from itertools import chain

from komorebi_mcp.text.stopwords import ASKING_WORDS, STOP_WORDS, TALK_WORDS
from komorebi_mcp.text.terms import TERM_CHARS_MAX, fold, ordered_terms, stem

_LIGHT_WORDS = STOP_WORDS | TALK_WORDS
LIGHT_STEMS = frozenset(stem(word) for word in _LIGHT_WORDS | ASKING_WORDS)
"""Words too light to tell sentences apart, as they stand among index terms."""
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[\u2600-\u27bf\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff]")
"""Letters and digits, apostrophes between them; or an emoji."""
_LETTERS = bytes(
    ord(char.lower()) if char.isascii() and (char.isalnum() or char == "'") else ord(" ")
    for char in map(chr, range(256))
)
"""Makes capitals small and spaces of whatever stands between words."""
_KNOWN_MAX = 1 << 14


def words_of(text: str) -> tuple[str, ...]:
    """The words in their order, folded and case-folded, stop words included."""
    plain = text if text.isascii() else fold(text)
    if not plain.isascii() or "''" in plain:
        return tuple(_WORD.findall(plain.casefold()))
    # A fifth of the time that matching takes.
    words = plain.encode().translate(_LETTERS).decode().split()
    return tuple(filter(None, [word.strip("'") for word in words])) if "'" in plain else tuple(words)


class _Terms(dict[str, tuple[str, ...]]):
    """By word its index terms, none for one that is too light; most words repeat, and need not be stemmed."""

    def __missing__(self, word: str) -> tuple[str, ...]:
        if word.isascii() and not word.isalpha() and "'" not in word:
            # Numbers and the like are their own terms, and so many that they would push the words out.
            return (word[:TERM_CHARS_MAX],)
        if word.isascii():
            terms: tuple[str, ...] = () if word in _LIGHT_WORDS else (stem(word),)
        else:
            terms = tuple([term for term in ordered_terms(word) if term not in LIGHT_STEMS])
        if len(word) <= TERM_CHARS_MAX:
            if len(self) >= _KNOWN_MAX:
                self.clear()
            self[word] = terms
        return terms


_terms_of = _Terms().__getitem__


def content_of(words: Iterable[str]) -> tuple[str, ...]:
    """The stems of the words that say what a sentence is about, in order."""
    return tuple(chain.from_iterable(map(_terms_of, words)))
