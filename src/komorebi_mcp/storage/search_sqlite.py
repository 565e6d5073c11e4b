"""Matching and ranking by SQLite's FTS5 (https://sqlite.org/fts5.html)."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Select,
    bindparam,
    column,
    exists,
    func,
    literal,
    literal_column,
    select,
    table,
    union_all,
)

from komorebi_mcp.domain.captures import CaptureFilter
from komorebi_mcp.storage.filters import folded
from komorebi_mcp.storage.matching import CANDIDATES_MAX, META_WEIGHT, Match, Matches, Wanted
from komorebi_mcp.storage.owned import Rows, batches
from komorebi_mcp.storage.prepared import Prepared, in_list
from komorebi_mcp.storage.scopes import asked_for, months_asked_for, owner_token
from komorebi_mcp.storage.tables import captures

_search = table("capture_search", column("rowid"))
_vocabulary = table("capture_vocabulary", column("term"), column("doc"))
# The table's own name stands for the whole row in MATCH and bm25; scope has no weight.
_row: ColumnElement[Any] = literal_column("capture_search")
_DENSE_OF = 1_000
_DENSE_SHARE = 0.5
"""A scope is dense where its newest `_DENSE_OF` captures are at least this share of all since then."""

_score = -func.bm25(_row, 1.0, META_WEIGHT, 0.0, type_=Float)


_FREQUENCY_MAX = 20_000
"""Counting among one owner's captures stops here; beyond it a term is common anyway."""
_BEGUN_MAX = 200
_COUNTS_MAX = 200
"""Counts in one statement, of which SQLite takes 500."""

_FREQUENCIES = Prepared(
    select(_vocabulary.c.term, _vocabulary.c.doc).where(in_list(_vocabulary.c.term, "terms"))
)
_BEGUN = Prepared(
    select(_vocabulary.c.term)
    .where(_vocabulary.c.term > bindparam("beginning"), _vocabulary.c.term < bindparam("behind"))
    .limit(_BEGUN_MAX)
)
_LAST = "\U0010ffff"
_NEWEST_IN_SCOPE = Prepared(
    select(_search.c.rowid)
    .where(_row.op("MATCH")(bindparam("scope")))
    .order_by(_search.c.rowid.desc())
    .limit(1)
    .offset(_DENSE_OF - 1)
)


def frequencies(rows: Rows, terms: Sequence[str], *, stored: int) -> dict[str, int]:
    """How many of the owner's captures hold each term, counted up to a limit where there are other owners."""
    del stored
    if terms and rows.has_others():
        # The vocabulary is everybody's: a score made with it would tell what others have stored.
        return _frequencies_of_owner(rows, terms)
    return {each.term: each.doc for each in rows.fetch(_FREQUENCIES, terms=terms)}


known = frequencies
"""Asked of words of which most are in no capture."""


def begun(rows: Rows, beginning: str, *, stored: int) -> dict[str, int]:
    """Longer terms that begin so, and how many captures hold each."""
    terms = [each.term for each in rows.fetch(_BEGUN, beginning=beginning, behind=f"{beginning}{_LAST}")]
    return {term: held for term, held in frequencies(rows, terms, stored=stored).items() if held}


def _frequencies_of_owner(rows: Rows, terms: Sequence[str]) -> dict[str, int]:
    held_by: dict[str, int] = {}
    for some in batches(terms, _COUNTS_MAX):
        found = rows.run(union_all(*(_counting(rows, place, term) for place, term in enumerate(some))))
        held_by |= {some[place]: count for place, count in found if count}
    return held_by


def _counting(rows: Rows, place: int, term: str) -> Select[*tuple[Any, ...]]:
    """How many captures of the owner hold the term, beside the term's place."""
    held = f"scope : {_quoted(owner_token(rows.owner))} AND {{terms meta}} : {_quoted(term)}"
    holding = select(_search.c.rowid).where(_row.op("MATCH")(literal(held))).limit(_FREQUENCY_MAX)
    return select(literal(place), func.count()).select_from(holding.subquery())


def matches(rows: Rows, wanted: Wanted, where: CaptureFilter, *, newest_seq: int) -> Matches:
    """The newest indexed matches, of captures no newer than `newest_seq`."""
    newest = (
        select(_score, _search.c.rowid)
        .where(
            _row.op("MATCH")(_expression(rows, wanted, where, newest_seq)),
            _search.c.rowid <= newest_seq,
            # Not joined: SQLite would begin with the rows of a stretch of time, and ask FTS5 about each.
            exists(select(captures.c.seq).where(captures.c.seq == _search.c.rowid, folded(rows, where))),
        )
        .order_by(_search.c.rowid.desc())
        .limit(CANDIDATES_MAX + 1)
    )
    found = [Match._make(each) for each in rows.run(newest).all()]
    return Matches(found[:CANDIDATES_MAX], capped=len(found) > CANDIDATES_MAX)


def _expression(rows: Rows, wanted: Wanted, where: CaptureFilter, newest_seq: int) -> str:
    scopes = [
        tokens
        for tokens in asked_for(rows, where)
        if len(tokens) > 1 or not _is_dense(rows, tokens[0], newest_seq)
    ]
    # Never dense: the newest captures have one month in common, and the others have not.
    if months := months_asked_for(rows, where):
        scopes.append(months)
    parts = [f"scope : ({' OR '.join(map(_quoted, tokens))})" for tokens in scopes]
    if wanted.terms:
        parts.append(f"{{terms meta}} : ({' OR '.join(_quoted(term) for term in wanted.terms)})")
    parts += [f"{{terms meta}} : {_quoted(' '.join(phrase))}" for phrase in wanted.phrases]
    expression = " AND ".join(f"({part})" for part in parts)
    for term in wanted.excluded:
        expression = f"({expression}) NOT ({{terms meta}} : {_quoted(term)})"
    return expression


def _is_dense(rows: Rows, scope: str, newest_seq: int) -> bool:
    """Whether so many captures are in the scope that looking at each match costs less than the index.

    FTS5 reads all entries of every token it is asked for, and ranking reads them once more.
    """
    back = rows.fetch(_NEWEST_IN_SCOPE, scope=f"scope : {_quoted(scope)}")
    return bool(back) and newest_seq - back[0].rowid < _DENSE_OF / _DENSE_SHARE


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
