"""Code and logs, which are told by their lines rather than as prose."""

import re
from collections import Counter

_LINES_MAX = 8
"""Of one passage."""
_LINE_CHARS_MAX = 400
_ERROR = re.compile(
    r"\b(?:error|exception|fatal|panic|fail(?:ed|ure)?|critical|traceback|denied|refused|timed out|timeout)\b"
    r"|[a-z](?:Error|Exception)\b",
    re.IGNORECASE,
)
_VARYING = re.compile(r"0x[0-9a-fA-F]+|[0-9a-f]{8}-[0-9a-f-]{27}|\d+")
_SIGNATURE = re.compile(
    r"\s*(?:export |public |private |protected |static |async |abstract |pub |default ){0,4}"
    r"(?:def|class|function|fn|func|interface|struct|enum|trait|impl|type|module|package|namespace|"
    r"CREATE TABLE|SELECT)\b"
)
_REMARK = re.compile(r"\s*(?:#(?!!)|//|/\*|\*|--|\"\"\"|''')\s*\w")


def _lines(text: str) -> list[str]:
    """The lines that say something; all but blank ones where none does."""
    lines = [line.strip() for line in text.splitlines() if not line.isspace() and line]
    return [line for line in lines if any(char.isalnum() for char in line)] or lines


def log_lines(text: str) -> list[str]:
    """What a log tells: its first line, its first and last errors, its commonest and its last line, in order.

    Lines that differ in numbers alone count as one, told by the first of them; the last error is told by
    the last.
    """
    lines = _lines(text)
    if not lines:
        return []
    shapes = [_VARYING.sub("#", line[:_LINE_CHARS_MAX]) for line in lines]
    first_of: dict[str, int] = {}
    for place, shape in enumerate(shapes):
        first_of.setdefault(shape, place)
    errors = [place for place, line in enumerate(lines) if _ERROR.search(line[:_LINE_CHARS_MAX])]
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
    return [lines[place] for place in sorted(chosen)]


def code_lines(text: str) -> list[str]:
    """What code tells: its remarks and signatures, or else its first lines."""
    lines = text.splitlines()
    telling = [line.strip() for line in lines if _REMARK.match(line) or _SIGNATURE.match(line)]
    return list(dict.fromkeys(telling))[:_LINES_MAX] or _lines(text)[:2]


def is_error(line: str) -> bool:
    """Whether the line tells of an error."""
    return _ERROR.search(line[:_LINE_CHARS_MAX]) is not None
