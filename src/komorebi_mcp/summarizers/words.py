"""The words of a sentence, and what they say of its subject."""

import re
from collections.abc import Callable, Iterable
from itertools import chain
from typing import TypeVar

from komorebi_mcp.text.stopwords import ASKING_WORDS, STOP_WORDS, TALK_WORDS
from komorebi_mcp.text.terms import TERM_CHARS_MAX, fold, ordered_terms, stem

_LIGHT_WORDS = STOP_WORDS | TALK_WORDS
LIGHT_STEMS = frozenset(stem(word) for word in _LIGHT_WORDS | ASKING_WORDS)
"""Words too light to tell sentences apart, as they stand among index terms."""
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[\u2600-\u27bf\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff]")
"""Letters and digits, apostrophes between them; or an emoji."""
_LETTERS = bytes(ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else 32 for code in range(256))
"""Makes capitals small and spaces of whatever stands between words."""
_KNOWN_MAX = 1 << 14

V = TypeVar("V")


def words_of(text: str) -> tuple[str, ...]:
    """The words in their order, folded and case-folded, stop words included."""
    plain = fold(text)
    if plain.isascii() and "'" not in plain:
        # A fifth of the time that matching takes.
        return tuple(plain.encode().translate(_LETTERS).decode().split())
    return tuple(_WORD.findall(plain.casefold()))


class Table(dict[str, V]):
    """By word what a function makes of it. Words repeat, so that most are looked up rather than made."""

    def __init__(self, make: Callable[[str], V]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, word: str) -> V:
        made = self._make(word)
        if len(word) <= TERM_CHARS_MAX:
            if len(self) >= _KNOWN_MAX:
                self.clear()
            self[word] = made
        return made


def _terms(word: str) -> tuple[str, ...]:
    """The word's index terms; none where it is too light."""
    if word.isascii():
        return () if word in _LIGHT_WORDS else (stem(word),)
    return tuple([term for term in ordered_terms(word) if term not in LIGHT_STEMS])


_terms_of = Table(_terms).__getitem__


def content_of(words: Iterable[str]) -> tuple[str, ...]:
    """The stems of the words that say what a sentence is about, in order."""
    return tuple(chain.from_iterable(map(_terms_of, words)))
