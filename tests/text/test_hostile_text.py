"""One mebibyte of the worst: each call must come back, which takes a backtracking pattern hours."""

from collections.abc import Callable
from typing import Any

import pytest

from komorebi_mcp.domain.captures import CONTENT_BYTES_MAX
from komorebi_mcp.text.entities import find_entities
from komorebi_mcp.text.keywords import find_keywords
from komorebi_mcp.text.language import detect_language
from komorebi_mcp.text.secrets import redact
from komorebi_mcp.text.sentences import split_sentences
from komorebi_mcp.text.snippets import head, mark
from komorebi_mcp.text.terms import parse_query, terms
from komorebi_mcp.text.titles import make_title

UNITS = [
    "a",
    " ",
    "\n",
    "\0",
    "a.",
    "a. ",
    "a_",
    "Ab",
    "a'",
    "🎉",
    "北",
    "a\u0315\u0300",
    "\ufdfa",
    "eyJ",
    "sk-",
    "a://b:",
    "glpat-",
    "secretaccesskey     ",
    "-----BEGIN PRIVATE KEY-----\n",
    "authorization: bearer ",
    "1:",
    "[",
    "<a",
    "* ",
    "(a. ",
    "We decided ",
    "Error",
    "A b ",
    "/a",
    "`",
    '"-',
]


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS)
def test_a_mebibyte_of_anything_is_read_in_linear_time(unit: str) -> None:
    text = unit * (CONTENT_BYTES_MAX // len(unit.encode()))
    query = parse_query(f"a 北 {text}")
    calls: list[Callable[[str], Any]] = [
        terms,
        head,
        make_title,
        split_sentences,
        find_entities,
        find_keywords,
        detect_language,
        redact,
        lambda content: mark(content, query),
    ]
    for call in calls:
        call(text)
