"""Reads what ranking needs to know of captures: of those that match, and of those beside them."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, case, null, select

from komorebi_mcp.domain.captures import CaptureFilter
from komorebi_mcp.domain.search import SearchQuery
from komorebi_mcp.storage.filters import folded
from komorebi_mcp.storage.hydrate import WITH_PROJECT, first_within, tags_of
from komorebi_mcp.storage.matching import LENGTH_WEIGHT, MEAN_LENGTH, META_WEIGHT, SATURATION, Match, Wanted
from komorebi_mcp.storage.owned import Rows, among, of_owner
from komorebi_mcp.storage.prepared import Prepared, in_list
from komorebi_mcp.storage.ranking import Beside, Place, Reading
from komorebi_mcp.storage.tables import capture_index, captures, projects
from komorebi_mcp.text.cues import asks, tells_when
from komorebi_mcp.text.terms import terms as terms_of

WAITING_MAX = 500
WAITING_CHARS_MAX = 1_000_000
"""How much unindexed text a search reads, newest captures first; the very first whatever its size."""

READ_CHARS_MAX = 8_000
"""A longer text keeps the score the database gave it, for some hundred are to be read in milliseconds."""

_ROW, _ENTRY = captures.c, capture_index.c
_IS_SHORT = _ROW.chars <= READ_CHARS_MAX
_LENT = (
    *(_ROW.seq, _ROW.project_id, case((_ROW.title_given, _ROW.title), else_=null()).label("title")),
    *(_ROW.created_at, _ENTRY.asks, case((_IS_SHORT, _ENTRY.terms), else_=null()).label("terms")),
    _ENTRY.length,
)
_OWN = (
    *(case((_IS_SHORT, _ENTRY.meta), else_=null()).label("meta"), _ROW.source),
    *(_ENTRY.tells_when, _ENTRY.signature),
)


def _reading(*columns: ColumnElement[Any]) -> Select[*tuple[Any, ...]]:
    return (
        select(*columns)
        .select_from(captures.join(capture_index, _ENTRY.seq == _ROW.seq))
        .where(of_owner(captures), of_owner(capture_index), in_list(_ROW.seq, "seqs"))
    )


_WHOLE = _reading(*_LENT, *_OWN)
_ANY_WHOLE = Prepared(_WHOLE)
_BESIDE = Prepared(_reading(*_LENT))


def waiting(
    rows: Rows, query: SearchQuery, wanted: Wanted, where: CaptureFilter, *, newest_seq: int
) -> dict[Match, Reading]:
    """The captures that match and wait for enrichment, with what they score by themselves."""
    found: dict[Match, Reading] = {}
    named = frozenset((*query.terms, *wanted.weights))
    for each, tags in _unindexed(rows, where, newest_seq):
        title = each.title if each.title_given else ""
        content = terms_of(each.content)
        meta = terms_of(" ".join((title, each.source or "", each.project or "", *tags)))
        score = _score(wanted, content, meta)
        if score > 0:
            found[Match(score, each.seq)] = Reading(
                seq=each.seq,
                place=Place(each.project_id, title or None, each.created_at),
                counts=_counts(wanted, content),
                meta=_counts(wanted, meta),
                length=len(content) + len(meta),
                asks=asks(each.content),
                tells_when=tells_when(each.content),
                named=_is_named(each.source, named),
            )
    return found


def _unindexed(rows: Rows, where: CaptureFilter, newest_seq: int) -> Iterable[tuple[Any, Sequence[str]]]:
    row = captures.c
    unindexed = rows.select(row.seq, row.chars, of=captures).where(
        row.tokens.is_(None), row.seq <= newest_seq, folded(rows, where)
    )
    sizes = rows.run(unindexed.order_by(row.seq.desc()).limit(WAITING_MAX))
    seqs = first_within(((each.seq, each.chars) for each in sizes), WAITING_CHARS_MAX)
    if not seqs:
        return
    tags = tags_of(rows, seqs)
    columns = (
        *(row.seq, row.project_id, row.content, row.title, row.title_given, row.source, row.created_at),
        projects.c.name.label("project"),
    )
    statement = rows.select(*columns, of=captures).select_from(WITH_PROJECT)
    for each in rows.run(statement.where(among(row.seq, seqs))):
        yield each, tags[each.seq]


def _score(wanted: Wanted, content: Sequence[str], meta: Sequence[str]) -> float:
    """BM25 of the capture as the index would have it; 0 where it does not match."""
    counts, meta_counts = Counter(content), Counter(meta)
    if any(term in counts or term in meta_counts for term in wanted.excluded):
        return 0.0
    for phrase in wanted.phrases:
        if not (_has_run(content, phrase) or _has_run(meta, phrase)):
            return 0.0
    if not any(counts[term] or meta_counts[term] for term in _matching(wanted)):
        return 0.0
    norm = 1 - LENGTH_WEIGHT + LENGTH_WEIGHT * (len(content) + len(meta)) / MEAN_LENGTH
    own, filed = _counts(wanted, content), _counts(wanted, meta)
    score = 0.0
    for term, weight in wanted.weights.items():
        count = own.get(term, 0) + META_WEIGHT * filed.get(term, 0)
        score += weight * count * (SATURATION + 1) / (count + SATURATION * norm)
    return score


def _matching(wanted: Wanted) -> Iterable[str]:
    return wanted.terms or (term for phrase in wanted.phrases for term in phrase)


def _has_run(terms: Sequence[str], phrase: Sequence[str]) -> bool:
    return f" {' '.join(phrase)} " in f" {' '.join(terms)} "


def indexed(
    rows: Rows,
    query: SearchQuery,
    wanted: Wanted,
    scores: Mapping[int, float],
    *,
    where: CaptureFilter | None = None,
) -> dict[int, Reading]:
    """Readings of captures in the index, by arrival number, of which `scores` has the database's scores.

    Of those only that fit `where`, if given.
    """
    named = frozenset((*query.terms, *wanted.weights))
    is_named: dict[str | None, bool] = {}
    found: dict[int, Reading] = {}
    for each in _whole(rows, scores, where):
        seq, *place, is_question, terms, length, meta, source, is_timed, signature = each
        if source not in is_named:
            is_named[source] = _is_named(source, named)
        found[seq] = Reading(
            seq=seq,
            place=Place(*place),
            counts=_counts(wanted, (terms or "").split(" ")),
            meta=_counts(wanted, (meta or "").split(" ")),
            length=length,
            asks=is_question,
            tells_when=is_timed,
            named=is_named[source],
            signature=signature,
            score=None if terms is not None else scores[seq],
        )
    return found


def _whole(rows: Rows, seqs: Collection[int], where: CaptureFilter | None) -> Iterable[Any]:
    if not seqs:
        return ()
    if where is None:
        return rows.fetch(_ANY_WHOLE, seqs=seqs)
    return rows.run(_WHOLE.where(folded(rows, where)), {"the_owner": rows.owner, "seqs": seqs})


def beside(rows: Rows, wanted: Wanted, seqs: Collection[int]) -> dict[int, Beside]:
    """What captures in the index lend to those beside them; nothing of those that are not there."""
    found = rows.fetch(_BESIDE, seqs=seqs) if seqs else ()
    return {
        seq: Beside(seq, Place(*place), _counts(wanted, (terms or "").split(" ")), length, is_question)
        for seq, *place, is_question, terms, length in found
    }


def _counts(wanted: Wanted, terms: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    weights, form_of = wanted.weights, wanted.form_of
    for term in terms:
        if term in weights:
            counts[term] = counts.get(term, 0) + 1
        elif term in form_of:
            counts[form_of[term]] = counts.get(form_of[term], 0) + 1
    return counts


def _is_named(source: str | None, named: frozenset[str]) -> bool:
    return source is not None and bool(parts := terms_of(source)) and named.issuperset(parts)
