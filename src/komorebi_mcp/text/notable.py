"""Sentences to come back to: what was decided, what is open, what went wrong."""

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum

from komorebi_mcp.text.cues import asks, said
from komorebi_mcp.text.entities import decides, decision_start, find_errors
from komorebi_mcp.text.sentences import split_sentences
from komorebi_mcp.text.stopwords import ASKING_WORDS, STOP_WORDS, TALK_WORDS
from komorebi_mcp.text.terms import ordered_terms, stem, terms

_SENTENCE_CHARS_MAX = 400
"""A longer one is a table, a dump or a text without full stops."""
_UNTICKED = re.compile(r"\[ \]\s*\Z")
_QUOTED = re.compile(r"^[ \t]*>[> \t]*\Z", re.MULTILINE)
_ANSWER = re.compile(
    r"\**(?:a|answer|antwort|réponse|respuesta|答|回答)\**\s?[:\uff1a]|(?:because|weil|parce que|porque)\b",
    re.IGNORECASE,
)
_OPEN = re.compile(
    r"\b(?:todo|fixme|tbd|to be (?:decided|done|determined|confirmed)|open (?:question|point|issue)s?"
    r"|unresolved|undecided|unclear|not (?:yet )?(?:sure|clear|decided|known)"
    r"|(?:still|yet) (?:need|have|has|to|open|unclear|missing)"
    r"|needs? to (?:find out|decide|check|investigate|figure out|confirm|be (?:decided|checked|fixed))"
    r"|blocked (?:on|by)|wait(?:s|ing) (?:for|on)|next steps?|follow[- ]ups?|action items?|remains? open)\b"
    r"|\b(?:noch (?:offen|zu klären|unklar)|à faire|reste à \w+r(?:e\b|\b)|por (?:hacer|decidir)|pendiente)\b"
    r"|未定|未解決|待办|待定",
    re.IGNORECASE,
)


_ASKED_TERMS_MIN = 2
_ASKED_WORDS_MIN = 4
"""A question of fewer words and terms cannot be understood by who was not there: "Any objections?" """
_SAYS = re.compile(r"[^\W_](?![^<\n]{0,40}>\s*\Z)")
_REPLIES = frozenset(map(stem, TALK_WORDS))
_LIGHT_TERMS = _REPLIES | frozenset(
    map(stem, STOP_WORDS | ASKING_WORDS | {"anybody", "everybody", "everyone", "nobody", "somebody"})
)


class Sort(StrEnum):
    """Why a sentence is notable."""

    DECISION = "decision"
    OPEN = "open"
    ERROR = "error"


def notable(text: str) -> Iterator[tuple[Sort, str]]:
    """The notable sentences, letter for letter, in order; a sentence may be there for two reasons."""
    spans = split_sentences(text)
    for at, (start, end) in enumerate(spans):
        sentence = text[start:end]
        if len(sentence) > _SENTENCE_CHARS_MAX:
            continue
        if decides(sentence):
            yield Sort.DECISION, text[decision_start(text, spans, at) : end]
        elif (
            (asks(sentence) and _says_what(sentence) and not _is_answered(text, spans, at))
            or (_OPEN.search(sentence) and terms(_OPEN.sub("", sentence)))
            or _UNTICKED.search(text, max(0, start - 6), start)
        ):
            yield Sort.OPEN, sentence
    for start, end in find_errors(text):
        yield Sort.ERROR, text[start:end]


def _is_answered(text: str, spans: Sequence[tuple[int, int]], at: int) -> bool:
    """Whether the question is quoted in a reply, or what is behind it says to be its answer."""
    start = spans[at][0]
    behind = spans[at + 1][0] if at + 1 < len(spans) else len(text)
    return (
        _QUOTED.search(text, max(0, start - 6), start) is not None or _ANSWER.match(text, behind) is not None
    )


def _says_what(question: str) -> bool:
    question = said(question)
    asked = sum(term not in _LIGHT_TERMS for term in ordered_terms(question))
    return asked >= _ASKED_TERMS_MIN or (asked > 0 and len(question.split()) >= _ASKED_WORDS_MIN)


def only_replies(text: str) -> bool:
    """Whether it says nothing of its own: "ok", "Yes, great!", a smile, or "<Media omitted>"."""
    text = said(text)
    return _REPLIES.issuperset(terms(text)) or _SAYS.search(text) is None
