"""Code and logs, which are told by their lines rather than as prose."""

import re
from collections import Counter
from typing import NamedTuple

_LINES_MAX = 8
"""Of one passage."""
_LINE_CHARS_MAX = 400
_ERROR = (
    r"\b(?:error|exception|fatal|panic|fail(?:ed|ure)?|critical|traceback|denied|refused|timed out|timeout)\b"
    r"|[a-z](?:error|exception)\b"
)
_ERROR_IN_LOW = re.compile(_ERROR)
_ERROR_IN_ANY = re.compile(_ERROR, re.IGNORECASE)
_ERROR_SIGNS = (
    "error",
    "exception",
    "fatal",
    "panic",
    "fail",
    "critical",
    "traceback",
    "denied",
    "refused",
    "timed out",
    "timeout",
)
"""One of them is in whatever ASCII text `_ERROR` matches, without regard to case."""
_VARYING = re.compile(r"0x[0-9a-fA-F]+|[0-9a-f]{8}-[0-9a-f-]{27}|\d+")
_UUID_END = re.compile(r"-[0-9a-f-]{27}")
_DIGITS = dict.fromkeys(map(ord, "0123456789"), "\x00")
_FRAME = re.compile(r"([=_\-*#])\1{2,}(?: [^\n]* \1{3,})?|[.FEsxX]{1,200}\s{1,200}\[\s{0,3}\d{1,3}%\]")
"""Headings between rules, and dots for the tests that ran."""
_SAYS = re.compile(r"[^\W_]")
_SIGNATURE = re.compile(
    r"\s*(?:export |public |private |protected |static |async |abstract |pub |default ){0,4}"
    r"(?:def|class|function|fn|func|interface|struct|enum|trait|impl|type|module|package|namespace|"
    r"CREATE TABLE|SELECT)\b"
)
_HASHES = re.compile(r"index [0-9a-f]{4,64}\.\.")
_REMARK = re.compile(r"\s*(?:#(?!!)|//|/\*|\*|--|\"\"\"|''')\s*\w")


def _lines(text: str) -> list[str]:
    """The lines that say something; all but blank ones where none does."""
    lines = list(filter(None, map(str.strip, text.splitlines())))
    return [line for line in lines if _SAYS.search(line) and not _FRAME.fullmatch(line)] or lines


class LogLine(NamedTuple):
    """A line of a log."""

    text: str
    shape: str
    """It without the numbers in it, which lines about the same share."""
    is_error: bool


def log_lines(text: str) -> list[LogLine]:
    """What a log tells: its first line, its first and last errors, its commonest and its last line, in order.

    Lines that differ in numbers alone count as one, told by the first of them; the last error is told by
    the last.
    """
    lines = _lines(text)
    if not lines:
        return []
    beginnings = "\n".join([line[:_LINE_CHARS_MAX] for line in lines])
    shapes = _shapes(beginnings)
    places = range(len(lines))
    # The first line of a shape is the last to be put down.
    first_of = dict(zip(reversed(shapes), reversed(places), strict=True))
    errors = _errors(beginnings)
    kept = dict.fromkeys([*errors[:1], *errors[-1:], 0, len(lines) - 1])
    distinct_errors = [first_of[shape] for shape in dict.fromkeys(shapes[place] for place in errors)]
    kept |= dict.fromkeys(distinct_errors[:_LINES_MAX])
    kept |= dict.fromkeys(first_of[shape] for shape, _ in Counter(shapes).most_common(_LINES_MAX))
    chosen: list[int] = []
    seen: set[str] = set()
    for place in kept:
        if place in errors[-1:] or shapes[place] not in seen:
            chosen.append(place)
            seen.add(shapes[place])
        if len(chosen) >= _LINES_MAX:
            break
    telling = frozenset(errors)
    return [LogLine(lines[place], shapes[place], place in telling) for place in sorted(chosen)]


def shape(line: str) -> str:
    """The line without the numbers in it."""
    return _shapes(line[:_LINE_CHARS_MAX])[0]


def _errors(lines: str) -> list[int]:
    """The places of the lines that tell of an error."""
    if not lines.isascii():
        return [place for place, line in enumerate(lines.split("\n")) if _ERROR_IN_ANY.search(line)]
    # Far faster than looking for the words, which most lines do not hold.
    low = lines.lower()
    signs = [sign for sign in _ERROR_SIGNS if sign in low]
    if not signs:
        return []
    low_lines = low.split("\n")
    places = {place for sign in signs for place, line in enumerate(low_lines) if sign in line}
    return [place for place in sorted(places) if _tells_of_error(low_lines[place])]


def _tells_of_error(line: str) -> bool:
    """Whether there is more than the word in it, such as FAIL."""
    found = _ERROR_IN_LOW.search(line)
    return found is not None and _SAYS.search(line[: found.start()] + line[found.end() :]) is not None


def _shapes(lines: str) -> list[str]:
    """The lines without the numbers in them."""
    if not lines.isascii() or "0x" in lines or _UUID_END.search(lines):
        return _VARYING.sub("#", lines).split("\n")
    # Most logs have decimal numbers alone, and replacing is far faster than matching each.
    lines = lines.translate(_DIGITS)
    while "\x00\x00" in lines:
        lines = lines.replace("\x00\x00", "\x00")
    return lines.replace("\x00", "#").split("\n")


def code_lines(text: str) -> list[str]:
    """What code tells: its remarks and signatures, or else its first lines."""
    lines = text.splitlines()
    telling = [line.strip() for line in lines if _REMARK.match(line) or _SIGNATURE.match(line)]
    if telling:
        return list(dict.fromkeys(telling))[:_LINES_MAX]
    lines = _lines(text)
    # "services:" only says that what it says comes next, and a line of hashes nothing.
    return [line for line in lines if line[-1] not in ":{[(" and not _HASHES.match(line)][:2] or lines[:2]
