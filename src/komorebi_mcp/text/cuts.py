"""Places where a text may be cut: never inside a visible character, at a word where one is near."""

import re
import unicodedata

_STEPS_BACK_MAX = 64
"""Longer clusters are hostile, not writing, and are cut."""

_UNBROKEN_CHARS_MAX = 40
"""A longer run of letters and digits is cut where it must be."""

_BLANK = re.compile(
    r"(?:\x1b\[[0-9;?]{0,32}[@-~]|[\s\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff])+"
)
"""White space, terminal escapes, control characters, and marks that turn the direction of what follows."""

_ENDS_SENTENCE = re.compile(r"[.!?…]['\")\]]?(?=\s|\Z)|[。！？]|\n")  # noqa: RUF001 - full-width marks


def one_line(text: str) -> str:
    """The text without line breaks, control characters and terminal escapes; white space as single spaces."""
    return _BLANK.sub(" ", text).strip()


def _clings(char: str) -> bool:
    """Whether the character belongs to the one before it."""
    code = ord(char)
    return (
        code == 0x200D
        or 0x1F3FB <= code <= 0x1F3FF
        or 0x1160 <= code <= 0x11FF
        or 0xE0020 <= code <= 0xE007F
        or unicodedata.category(char) in ("Mn", "Mc", "Me")
    )


def _is_flag_half(char: str) -> bool:
    return 0x1F1E6 <= ord(char) <= 0x1F1FF


def whole_end(text: str, end: int) -> int:
    """The greatest place up to `end` that is not inside a visible character (UAX 29, its common cases)."""
    if end >= len(text):
        return len(text)
    at, lowest = end, max(0, end - _STEPS_BACK_MAX)
    while at > lowest and (_clings(text[at]) or text[at - 1] == "\u200d"):
        at -= 1
    if at <= lowest and lowest:
        return end
    if at and _is_flag_half(text[at]):
        first = at
        while first > lowest and _is_flag_half(text[first - 1]):
            first -= 1
        at -= (at - first) % 2
    if at and text[at] == "\n" and text[at - 1] == "\r":
        at -= 1
    return at


def _is_plain(char: str) -> bool:
    return char.isascii() and char.isalnum()


def word_end(text: str, end: int) -> int:
    """The end of the last word within `end` characters; of any whole character where no word ends near."""
    end = whole_end(text, end)
    if end == len(text) or text[end].isspace():
        return end
    for at in range(end - 1, end * 3 // 4, -1):
        if text[at].isspace():
            return at
    # No space is near, as in Chinese; a word or number cut in two would say something else.
    for at in range(end, max(0, end - _UNBROKEN_CHARS_MAX), -1):
        if not (_is_plain(text[at]) and _is_plain(text[at - 1])):
            return whole_end(text, at)
    return end


def sentence_end(text: str, end: int) -> int:
    """The end of a sentence in the last quarter of `end` characters; of a word where there is none."""
    if end >= len(text):
        return len(text)
    near = end * 3 // 4
    found = None
    for match in _ENDS_SENTENCE.finditer(text, near, end + 1):
        if match.end() <= end:
            found = match.end()
    return word_end(text, end) if found is None else whole_end(text, found)


def shorten(text: str, chars: int) -> str:
    """The text in at most `chars` characters; … at the end says that something is missing."""
    if len(text) <= chars:
        return text
    return text[: word_end(text, chars - 1)].rstrip(" ,;:-–—") + "…"  # noqa: RUF001 - a dash is meant
