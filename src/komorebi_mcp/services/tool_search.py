"""Toolsearch: which of many tools do what a query says."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from komorebi_mcp.text.terms import terms

_WEIGHTS = {"name": 4.0, "title": 3.0, "description": 1.0, "parameters": 0.6}
"""How much a word counts by where it stands: a tool's name says in a word what it does."""
_SATURATION = 1.2
_LENGTH_SHARE = 0.5
"""k1 and b of BM25F (Robertson and Zaragoza, 2009); descriptions differ in length more than in relevance."""
_QUERY_CHARS_MAX = 2_000
_TEXT_CHARS_MAX = 20_000
"""Of a description; what comes after is not looked at."""


class ToolIndex:
    """Tools by the words in their names, titles, descriptions and parameters."""

    def __init__(self, definitions: Mapping[str, Mapping[str, Any]]) -> None:
        """Definitions by the names they appear by."""
        self._names = list(definitions)
        self._weights: list[Mapping[str, float]] = []
        self._postings: dict[str, list[int]] = {}
        lengths: list[float] = []
        for number, (name, definition) in enumerate(definitions.items()):
            weights: defaultdict[str, float] = defaultdict(float)
            for field, text in _fields(name, definition):
                for term in terms(text[:_TEXT_CHARS_MAX]):
                    weights[term] += _WEIGHTS[field]
            for term in weights:
                self._postings.setdefault(term, []).append(number)
            self._weights.append(weights)
            lengths.append(sum(weights.values()))
        mean = sum(lengths) / len(lengths) if lengths else 1.0
        self._norms = [1 - _LENGTH_SHARE + _LENGTH_SHARE * length / (mean or 1.0) for length in lengths]

    def search(self, query: str) -> Sequence[str]:
        """The names of the tools that share a word with the query, the best first."""
        scores: dict[int, float] = {}
        # Unlike in a search for captures, "find" and "show" say something here: they name what a tool does.
        for term in dict.fromkeys(terms(query[:_QUERY_CHARS_MAX])):
            holding = self._postings.get(term, ())
            rarity = math.log(1 + (len(self._names) - len(holding) + 0.5) / (len(holding) + 0.5))
            for number in holding:
                weight = self._weights[number][term]
                gain = weight * (_SATURATION + 1) / (weight + _SATURATION * self._norms[number])
                scores[number] = scores.get(number, 0.0) + rarity * gain
        return [self._names[number] for number in sorted(scores, key=lambda each: (-scores[each], each))]


def _fields(name: str, definition: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "name", name.replace("__", " ")
    for field in ("title", "description"):
        if isinstance(text := definition.get(field), str):
            yield field, text
    schema = definition.get("inputSchema")
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if isinstance(properties, Mapping):
        for parameter, about in properties.items():
            yield "parameters", parameter
            if isinstance(about, Mapping) and isinstance(text := about.get("description"), str):
                yield "parameters", text
