"""Matching and ranking by SQLite's FTS5 (https://sqlite.org/fts5.html)."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Float, column, func, literal_column, select, table, tuple_

from komorebi_mcp.domain.captures import CaptureFilter
from komorebi_mcp.storage.filters import folded
from komorebi_mcp.storage.index import owner_token, project_token
from komorebi_mcp.storage.matching import CANDIDATES_MAX, META_WEIGHT, Match, Wanted
from komorebi_mcp.storage.owned import Rows, among, equals
from komorebi_mcp.storage.tables import captures, projects

_search = table("capture_search", column("rowid"))
_vocabulary = table("capture_vocabulary", column("term"), column("doc"))
# The table's own name stands for the whole row in MATCH and bm25; scope has no weight.
_row: ColumnElement[Any] = literal_column("capture_search")
_score = -func.bm25(_row, 1.0, META_WEIGHT, 0.0, type_=Float)


def frequencies(rows: Rows, terms: Sequence[str]) -> dict[str, int]:
    """How many captures hold each term; those of other owners count too, as they do in FTS5's own ranking."""
    found = select(_vocabulary.c.term, _vocabulary.c.doc).where(among(_vocabulary.c.term, terms))
    return {each.term: each.doc for each in rows.run(found)}


def matches(
    rows: Rows, wanted: Wanted, where: CaptureFilter, *, limit: int, newest_seq: int, before: Match | None
) -> list[Match]:
    """The best indexed matches behind `before`, of captures no newer than `newest_seq`."""
    newest = (
        select(captures.c.seq, _score.label("score"))
        .select_from(_search)
        .join(captures, captures.c.seq == _search.c.rowid)
        .where(
            _row.op("MATCH")(_expression(rows, wanted, where)),
            _search.c.rowid <= newest_seq,
            folded(rows, where),
        )
        .order_by(_search.c.rowid.desc())
        .limit(CANDIDATES_MAX)
        .subquery("newest")
    )
    place = tuple_(newest.c.score, newest.c.seq)
    best = (
        select(newest.c.score, newest.c.seq).order_by(newest.c.score.desc(), newest.c.seq.desc()).limit(limit)
    )
    if before is not None:
        best = best.where(place < tuple_(before.score, before.seq, types=place.type.types))
    return [Match(score, seq) for score, seq in rows.run(best)]


def _expression(rows: Rows, wanted: Wanted, where: CaptureFilter) -> str:
    scopes = [owner_token(rows.owner)]
    if where.project is not None:
        named = rows.select(projects.c.id, of=projects).where(equals(projects.c.name, where.project))
        # No project has the number -1.
        scopes.append(project_token(rows.run(named).scalar() or -1))
    parts = [f"scope : {_quoted(scope)}" for scope in scopes]
    if wanted.terms:
        parts.append(f"{{terms meta}} : ({' OR '.join(_quoted(term) for term in wanted.terms)})")
    parts += [f"{{terms meta}} : {_quoted(' '.join(phrase))}" for phrase in wanted.phrases]
    expression = " AND ".join(f"({part})" for part in parts)
    for term in wanted.excluded:
        expression = f"({expression}) NOT ({{terms meta}} : {_quoted(term)})"
    return expression


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
