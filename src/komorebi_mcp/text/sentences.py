"""Where the sentences of a text begin and end."""

import re

from sentencex import segment

from komorebi_mcp.text.language import detect_language
from komorebi_mcp.text.stopwords import LINKING_WORDS

_LINE = re.compile(r"[^\n\r\u2028\u2029\x0b\x0c\x85]+")
_ITEM = re.compile(r"\s{0,40}(?:[-*+•‣>|#]|\d{1,3}[.)]\s|[A-Za-z][.)]\s|npm )")
_WRAPPED_CHARS_MIN = 50
"""A line this long that goes on in the next line was broken to fit a page, not because a thought ended."""
_LINE_CHARS_MAX = 200
_OPENING = frozenset("`'\"(")
"""What a word in the middle of a sentence may stand behind."""
_LANGUAGE_CHARS = 600
_INNER_END = re.compile(r"[.!?…][\s\"')\]”’»]|[^\x00-\u06d3]")  # noqa: RUF001 - quotation marks
"""Whether there is anything to split at: most short captures hold one sentence."""
_SHORTENED = re.compile(r"(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|Hr|Fr|Sr|Sra|Mme|Mlle)\.|npm ERR!")
"""A title or an initial, which has a name behind it, or what npm writes before an error."""
_ORDINAL = re.compile(r"\b\d{1,2}\.\Z")
_MONTH = re.compile(
    r"\s{0,4}(?:Januar|Jänner|Februar|März|Marts|Mars|April|Mai|Maj|Mei|Juni|Juli|August|September|Oktober|November|"
    r"Dezember|December|Jan|Feb|Mrz|Apr|Jun|Jul|Aug|Sept?|Okt|Nov|Dez|Dec)\b",
    re.IGNORECASE,
)
"""As written behind a day in languages that put a full stop behind it."""
_MARKS = re.compile(r"[ \t]{0,40}(?:#{1,6}\s+|[-*+•‣]\s+(?:\[[ xX]\]\s+)?|\d{1,3}[.)]\s+|>\s+){1,3}")


def split_sentences(text: str, *, language: str | None = None) -> list[tuple[int, int]]:
    """Start and end of each sentence, in order, without the white space around it.

    A line break ends a sentence, unless the line is prose broken to fit a page. List and heading marks are
    left out. The language, ISO 639-1, says which abbreviations do not end a sentence; it is found out
    where it is not known.
    """
    spans: list[tuple[int, int]] = []
    if language is None and len(text) < _LANGUAGE_CHARS and text.isascii():
        language = "en"
    for start, end in _paragraphs(text):
        marks = _MARKS.match(text, start, end)
        at = marks.end() if marks and marks.end() < end else start
        may_split = _INNER_END.search(text, at, max(at, end - 1)) is not None
        if may_split and language is None:
            language = detect_language(text[:_LANGUAGE_CHARS]) or "en"
        pieces = list(segment(language or "en", text[at:end])) if may_split else [text[at:end]]
        for piece in pieces:
            behind = at + len(piece)
            stripped = piece.strip()
            if spans and spans[-1][0] >= start and stripped and _carries_on(text, *spans[-1], at):
                # "M. Tanaka" is one person, though a sentence may end in "M."
                spans[-1] = (spans[-1][0], at + len(piece.rstrip()))
            elif stripped:
                begin = at + len(piece) - len(piece.lstrip())
                spans.append((begin, begin + len(stripped)))
            at = behind
    return spans


def _carries_on(text: str, start: int, end: int, at: int) -> bool:
    """Whether what begins `at` belongs to the sentence before it: a name to its title, a month to its day."""
    in_a_word = at == end and text[end - 1] in ".!?" and not text[at].isspace()
    in_a_date = _ORDINAL.search(text, max(start, end - 6), end) and _MONTH.match(text, at)
    return bool(in_a_word or in_a_date or _SHORTENED.fullmatch(text, start, end))


def _paragraphs(text: str) -> list[tuple[int, int]]:
    """Lines, those broken to fit a page joined."""
    if text.splitlines() == [text]:
        # Most short captures are one line.
        return [] if text.isspace() else [(0, len(text))]
    joined: list[tuple[int, int]] = []
    for match in _LINE.finditer(text):
        start, end = match.span()
        if not text[start : start + 1].strip() and not text[start:end].strip():
            continue
        if joined and _goes_on(text, joined[-1], start, end):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _goes_on(text: str, before: tuple[int, int], start: int, end: int) -> bool:
    """Whether the line `before` was broken in the middle of a sentence that `start` continues."""
    last_break = text.rfind("\n", before[0], before[1])
    last_start = before[0] if last_break < 0 else last_break + 1
    length = before[1] - last_start
    if length > _LINE_CHARS_MAX or text[before[1] : start] not in ("\n", "\r\n"):
        return False
    last = text[before[1] - 1]
    if not (last.isalnum() or last in ",-–(") or _ITEM.match(text, start, end):  # noqa: RUF001 - a dash
        return False
    first = text[start:end].lstrip()[:1]
    last_word = text[last_start : before[1]].rpartition(" ")[2]
    if (first.islower() or first in _OPENING) and last_word.lower() in LINKING_WORDS:
        # "… a list of": however short the line and however deep the next one.
        return True
    if length < _WRAPPED_CHARS_MIN:
        return False
    # Prose goes on with a letter, at the same indent or that of a list item's text; code rarely does after a
    # comma.
    return (
        first.islower()
        and start + 8 >= end - len(text[start:end].lstrip())
        and "{" not in text[last_start : before[1]]
    )
