"""Numbers as people say them: "four thousand", "two point five", "thirty - six"."""

import re

ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *(
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ),
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}

_VALUES = {word: n for n, word in enumerate(ONES)} | {word: 10 * n for n, word in enumerate(TENS, 2)}
_NUMERAL = "|".join(sorted([*_VALUES, *SCALES], key=len, reverse=True))
_RUN = re.compile(
    rf"\b(?:{_NUMERAL})\b(?:(?: ?- ?| | and | and a | point )(?:{_NUMERAL}|half)\b)+", re.IGNORECASE
)
_WORD = re.compile(r"[a-z]+", re.IGNORECASE)


def spoken_numbers(text: str) -> set[str]:
    """The values, in digits, of the numbers in a text that take several words."""
    found: set[str] = set()
    for match in _RUN.finditer(text):
        found |= _values(_WORD.findall(match[0].casefold()))
    return found


def _values(words: list[str]) -> set[str]:
    """Of words in a row: "fifty sixty five" is two numbers."""
    found: set[str] = set()
    # What stands before a thousand or more, and what has been said since.
    before, since = 0, 0
    for at, word in enumerate(words):
        if word == "point":
            digits = [_VALUES.get(each, 10) for each in words[at + 1 :]]
            if digits and max(digits) < 10:
                return found | {f"{before + since}.{''.join(map(str, digits))}".rstrip("0").rstrip(".")}
            break
        if word == "half":
            return found | {f"{before + since}.5"}
        if word == "hundred":
            since = (since or 1) * 100
        elif word in SCALES:
            before, since = before + (since or 1) * SCALES[word], 0
        elif word in _VALUES:
            value = _VALUES[word]
            if since % 100 and not (since % 100 >= 20 and since % 10 == 0 and 0 < value < 10):
                found.add(str(before + since))
                before, since = 0, 0
            since += value
    return found | {str(before + since)}
