"""Quoting: what a resume says of single captures, in their own words."""

import re
from collections.abc import Iterable, Sequence

from komorebi_mcp.domain.captures import EntityType, Kind
from komorebi_mcp.domain.resume import Glimpse, ResumeItem
from komorebi_mcp.text.cuts import one_line, shorten
from komorebi_mcp.text.markup import without_markup
from komorebi_mcp.text.notable import Sort, notable, only_replies
from komorebi_mcp.text.sentences import split_sentences
from komorebi_mcp.text.terms import terms

SOURCES_MAX = 3
"""Of one item."""
_ITEM_CHARS_MAX = 300
_DIGITS = re.compile(r"\d+")
_SAID_SHARE = 0.7
_PROSE = frozenset({Kind.NOTE, Kind.DECISION, Kind.ERROR, Kind.LINK})
"""Kinds whose questions are questions."""


def notable_of(capture: Glimpse, *, read: bool) -> Iterable[tuple[Sort, str]]:
    """At most one decision or error of a capture kept as such, and of a log its first and last error."""
    found = list(notable(capture.content)) if read and not capture.named else []
    if capture.named:
        sorts = {EntityType.DECISION: Sort.DECISION, EntityType.ERROR: Sort.ERROR}
        found = [(sorts[type_], text) for type_, text in capture.named]
    decisions = [text for sort, text in found if sort is Sort.DECISION and capture.kind in _PROSE]
    errors = [text for sort, text in found if sort is Sort.ERROR]
    if capture.kind is Kind.DECISION:
        yield Sort.DECISION, gist_of(capture).text
    else:
        yield from ((Sort.DECISION, text) for text in decisions)
    if capture.kind in _PROSE:
        yield from ((sort, text) for sort, text in found if sort is Sort.OPEN)
    if capture.kind is Kind.ERROR:
        yield Sort.ERROR, errors[0] if errors else gist_of(capture).text
    elif errors:
        yield Sort.ERROR, errors[0]
        if not _says_no_more(errors[-1], than=errors[0]):
            yield Sort.ERROR, errors[-1]


def _says_no_more(error: str, *, than: str) -> bool:
    """Whether most words of an error are in the other: a log tells it, and again in a traceback."""
    said, before = set(terms(error)), set(terms(than))
    return len(said & before) >= len(said) * _SAID_SHARE


def saying_something(captures: Sequence[Glimpse]) -> Sequence[Glimpse]:
    """Without those that only reply, such as "ok", unless there are no others."""
    return [each for each in captures if not only_replies(each.content[:_ITEM_CHARS_MAX])] or captures


def gist_of(capture: Glimpse) -> ResumeItem:
    """How the capture begins: its first sentences, of code and logs the first line."""
    beginning = capture.content[: 4 * _ITEM_CHARS_MAX]
    if capture.kind in _PROSE:
        shown = without_markup(beginning)
        beginning = beginning if shown.isspace() else shown
    spans = split_sentences(beginning)
    if not spans:
        return ResumeItem(text=line_of(beginning) or capture.title, sources=(capture.id,))
    start, end = spans[0]
    if capture.kind not in _PROSE:
        start, end = beginning.rfind("\n", 0, start) + 1, (beginning.find("\n", start) + 1) or len(beginning)
    for _, behind in spans[1:] if capture.kind in _PROSE else ():
        if behind - start > _ITEM_CHARS_MAX:
            break
        end = behind
    return ResumeItem(text=line_of(beginning[start:end]), sources=(capture.id,))


def line_of(text: str) -> str:
    return shorten(one_line(text), _ITEM_CHARS_MAX)


def distinct(items: Iterable[ResumeItem]) -> list[ResumeItem]:
    """Each text once, with those who say it."""
    kept: dict[str, ResumeItem] = {}
    for item in items:
        key = item.text.casefold()
        before = kept.get(key, item)
        sources = tuple(dict.fromkeys((*before.sources, *item.sources)))[:SOURCES_MAX]
        kept[key] = ResumeItem(text=before.text, sources=sources)
    return list(kept.values())


def one_of_alike(errors: Iterable[ResumeItem]) -> list[ResumeItem]:
    """Of errors that differ in figures alone the first: it cannot cite the others, whose figures differ."""
    kept: dict[str, ResumeItem] = {}
    for error in errors:
        kept.setdefault(_DIGITS.sub("0", error.text.casefold()), error)
    return list(kept.values())
