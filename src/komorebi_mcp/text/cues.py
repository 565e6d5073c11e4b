"""What a text gives away about itself: whether it asks, and whether it tells when."""

import re

from komorebi_mcp.text.dates import DATE

_READ_CHARS = 4_000
"""How much of a text is looked at; what it is shows early."""

_ASKS = re.compile(r"[?\uff1f\u061f]['\"\u201d\u2019)\]]*\s*(?:\[[^\[\]]*\]\s*)?\Z")
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d{1,9})?\s*(?:[ap]\.?m\.?)?"
_STAMP = re.compile(
    rf"[\[(\s]*(?:{_CLOCK})?[\s,]*(?:on )?(?:{DATE.pattern}|\d{{1,2}}[./]\d{{1,2}}[./]\d\d(?=,? \d))?[\s,]*"
    rf"(?:{_CLOCK})?",
    re.IGNORECASE,
)
_SPEAKER = re.compile(r"[\s\])\-\u2013]*(?:[^\W\d_][\w .'\-]{0,40}:\s)?")
"""Behind a stamp: "] Mei: "."""

_MONTH = (
    r"january|february|april|june|july|august|september|october|november|december|"
    r"(?:in|of|since|last|next) (?:march|may)"
)
_SPAN = (
    r"(?:day|night|week|weekend|month|year|spring|summer|autumn|fall|winter|morning|afternoon|evening|"
    r"quarter)s?"
)
_WHEN = re.compile(
    rf"\b(?:yesterday|today|tonight|tomorrow|ago|recently|since|{_MONTH}|(?:19|20)\d\d"
    rf"|(?:mon|tues|wednes|thurs|fri|satur|sun)days?"
    rf"|(?:last|next|this|past|previous|coming) (?:\w{{1,12}} )?{_SPAN}"
    rf"|(?:\d{{1,4}}|one|two|three|four|five|six|seven|eight|nine|ten|few|several|many|couple of) {_SPAN})\b",
    re.IGNORECASE,
)
_ASKS_WHEN = re.compile(
    r"\s*(?:(?:since|until|by|and) )?(?:when|how long|how (?:many|much) (?:day|week|month|year)s?|"
    r"(?:(?:in|on|at|during) )?(?:what|which) (?:date|day|week|month|year|time|weekday))\b",
    re.IGNORECASE,
)


def asks(content: str) -> bool:
    """Whether the text ends in a question, a remark in brackets apart: it wants an answer, gives none."""
    return _ASKS.search(content[-_READ_CHARS:]) is not None


def tells_when(content: str) -> bool:
    """Whether the text says when something happens. A stamp at its start says only when it was written."""
    read = content[:_READ_CHARS]
    start = stamp_end(read)
    return _WHEN.search(read, start) is not None or DATE.search(read, start) is not None


def stamp_end(content: str) -> int:
    """Where the stamp ends that says when the text was written; 0 where it begins with none."""
    stamp = _STAMP.match(content)
    return stamp.end() if stamp else 0


def said(content: str) -> str:
    """The text without a stamp at its start and without who the stamp says has written it."""
    end = stamp_end(content)
    return content[_SPEAKER.match(content, end).end() :] if end else content  # type: ignore[union-attr]


def asks_when(query: str) -> bool:
    """Whether the query wants a time."""
    return _ASKS_WHEN.match(query) is not None
