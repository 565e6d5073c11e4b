"""Matching and ranking by PostgreSQL's tsvector.

PostgreSQL has no BM25. Its `ts_rank` of one term stands for the term's frequency: it is 0.61 of the weight
for one occurrence and grows towards the weight with more.
"""

from collections.abc import Sequence
from functools import reduce
from operator import add

from sqlalchemy import ARRAY, REAL, ColumnElement, Float, cast, func, literal, or_, select, union_all

from komorebi_mcp.domain.captures import CaptureFilter
from komorebi_mcp.storage.columns import TermQuery
from komorebi_mcp.storage.filters import folded
from komorebi_mcp.storage.index import quoted
from komorebi_mcp.storage.matching import (
    CANDIDATES_MAX,
    LENGTH_WEIGHT,
    MEAN_LENGTH,
    META_WEIGHT,
    SATURATION,
    Match,
    Matches,
    Wanted,
)
from komorebi_mcp.storage.owned import Rows
from komorebi_mcp.storage.tables import capture_index, captures

_COUNTED_MAX = 2_000
"""Counting goes so far; PostgreSQL reads a row for each that it counts."""
_SAMPLE = 2_000
"""Of how many captures more frequent terms are told."""

_KNOWN_IN = 50
"""How many captures are read to see which of many terms they hold."""

_OCCURRENCE = 1.64493406685
"""What turns `ts_rank` of a single occurrence into 1 (ts_rank.c, the sum of 1/n² it divides by)."""

# For the labels D, C, B and A, in that order.
_WEIGHTS = cast([0.0, 0.0, META_WEIGHT, 1.0], ARRAY(REAL))


def frequencies(rows: Rows, terms: Sequence[str], *, stored: int) -> dict[str, int]:
    """How many of the owner's captures hold each term; of frequent ones as the newest captures let expect."""
    if not terms:
        return {}
    counts = []
    for place, term in enumerate(terms):
        holding = rows.select(capture_index.c.seq, of=capture_index).where(_holds(quoted(term)))
        counts.append(
            select(literal(place), func.count()).select_from(holding.limit(_COUNTED_MAX).subquery())
        )
    found = {terms[place]: count for place, count in rows.run(union_all(*counts))}
    frequent = [term for term, count in found.items() if count == _COUNTED_MAX]
    return found | _expected(rows, frequent, stored)


def _expected(rows: Rows, terms: Sequence[str], stored: int) -> dict[str, int]:
    """The frequencies of terms that many captures hold, told from the newest captures."""
    if not terms:
        return {}
    vector = capture_index.c.vector
    newest = rows.select(vector, of=capture_index).order_by(capture_index.c.seq.desc()).limit(_SAMPLE)
    read = newest.subquery()
    counts = [func.count().filter(read.c.vector.bool_op("@@")(_query(quoted(term)))) for term in terms]
    sampled, *held = rows.run(select(func.count(), *counts).select_from(read)).one()
    return {
        term: max(_COUNTED_MAX, stored * count // sampled) for term, count in zip(terms, held, strict=True)
    }


def known(rows: Rows, terms: Sequence[str], *, stored: int) -> dict[str, int]:
    """The terms that the newest captures to hold any of them hold, each with how many captures hold it."""
    holding = rows.select(capture_index.c.terms, of=capture_index).where(
        _holds(" | ".join(quoted(term) for term in terms))
    )
    newest = rows.run(holding.order_by(capture_index.c.seq.desc()).limit(_KNOWN_IN)).scalars()
    held = {term for text in newest for term in set(text.split(" ")).intersection(terms)}
    return frequencies(rows, sorted(held), stored=stored)


def begun(rows: Rows, beginning: str, *, stored: int) -> dict[str, int]:
    """Longer terms that begin so, in the newest captures that hold any, and how many captures hold each."""
    holding = rows.select(capture_index.c.terms, of=capture_index).where(_holds(f"{quoted(beginning)}:*"))
    newest = rows.run(holding.order_by(capture_index.c.seq.desc()).limit(_KNOWN_IN)).scalars()
    held = {term for text in newest for term in text.split(" ") if term.startswith(beginning)}
    return frequencies(rows, sorted(held), stored=stored)


def matches(rows: Rows, wanted: Wanted, where: CaptureFilter, *, newest_seq: int) -> Matches:
    """The newest indexed matches, of captures no newer than `newest_seq`."""
    row = capture_index.c
    newest = (
        rows.select(row.seq, row.vector, row.length, of=capture_index)
        .join(captures, captures.c.seq == row.seq)
        .where(
            _holds(_expression(wanted)),
            row.seq <= newest_seq,
            folded(rows, where),
            *(_has_run(phrase) for phrase in wanted.phrases),
        )
        .order_by(row.seq.desc())
        .limit(CANDIDATES_MAX + 1)
        .subquery("newest")
    )
    norm = SATURATION * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * newest.c.length / MEAN_LENGTH)
    parts = []
    for term in dict.fromkeys((*wanted.terms, *(t for phrase in wanted.phrases for t in phrase))):
        count = _OCCURRENCE * func.ts_rank(_WEIGHTS, newest.c.vector, _query(quoted(term)), type_=Float)
        parts.append(
            wanted.weights[wanted.form_of.get(term, term)] * count * (SATURATION + 1) / (count + norm)
        )
    ranked = select(reduce(add, parts), newest.c.seq).order_by(newest.c.seq.desc())
    found = [Match._make(each) for each in rows.run(ranked).all()]
    return Matches(found[:CANDIDATES_MAX], capped=len(found) > CANDIDATES_MAX)


def _query(expression: str) -> ColumnElement[str]:
    return cast(literal(expression), TermQuery)


def _holds(expression: str) -> ColumnElement[bool]:
    return capture_index.c.vector.bool_op("@@")(_query(expression))


def _expression(wanted: Wanted) -> str:
    every = [quoted(term) for phrase in wanted.phrases for term in phrase]
    if wanted.terms:
        every.append(f"({' | '.join(quoted(term) for term in wanted.terms)})")
    every += [f"!{quoted(term)}" for term in wanted.excluded]
    return " & ".join(every)


def _has_run(phrase: Sequence[str]) -> ColumnElement[bool]:
    # A vector's positions end at 16,383; the text does not.
    run = f" {' '.join(phrase)} "
    return or_(
        *(func.strpos(" " + text + " ", run) > 0 for text in (capture_index.c.terms, capture_index.c.meta))
    )
