"""How a word that nobody wrote may have been meant."""

import string

MISSPELT_CHARS_MIN = 5
"""Of shorter words, too many others are one letter away."""
MISSPELT_MAX = 3
"""So many unknown words of a query are taken for misspelt, and each for so many known ones."""

_ENDINGS = ("en", "er", "es", "em", "as", "os")


def may_be_misspelt(term: str) -> bool:
    """Whether another index term may have been meant, should this one be unknown."""
    # Of two numbers or identifiers that look alike, one is not the other misspelt.
    return len(term) >= MISSPELT_CHARS_MIN and term.isascii() and term.isalpha()


def one_letter_away(term: str) -> list[str]:
    """All that differ in one letter, or in their ending; most are no words.

    The first letter stays: it is seldom wrong, and keeping it keeps other words away. Endings of two letters
    are among them, by which German and other languages that are not stemmed inflect.
    """
    first, rest = term[0], term[1:]
    cuts = [(rest[:at], rest[at:]) for at in range(len(rest) + 1)]
    swapped = [a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1]
    dropped = [a + b[1:] for a, b in cuts if b]
    added = [a + letter + b for a, b in cuts for letter in string.ascii_lowercase]
    changed = [a + letter + b[1:] for a, b in cuts if b for letter in string.ascii_lowercase]
    ended = [rest + ending for ending in _ENDINGS]
    unended = [rest.removesuffix(ending) for ending in _ENDINGS if len(rest) > MISSPELT_CHARS_MIN]
    ways = dict.fromkeys((*swapped, *dropped, *added, *changed, *ended, *unended))
    return [first + each for each in ways if each != rest]
