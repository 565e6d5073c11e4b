"""Ranked full-text search, alike on both databases.

Scores follow BM25 (Robertson and Zaragoza, 2009). Captures in the index are matched by the database; those
still waiting for enrichment by their terms, here, so that an acknowledged capture is found at once.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func

from komorebi_mcp.domain.captures import CaptureFilter
from komorebi_mcp.domain.pages import Page
from komorebi_mcp.domain.search import Hit, SearchQuery
from komorebi_mcp.storage import search_postgres, search_sqlite
from komorebi_mcp.storage.filters import digest, folded
from komorebi_mcp.storage.hydrate import WITH_PROJECT
from komorebi_mcp.storage.matching import LENGTH_WEIGHT, MEAN_LENGTH, META_WEIGHT, SATURATION, Match, Wanted
from komorebi_mcp.storage.owned import Rows, among
from komorebi_mcp.storage.tables import capture_tags, captures, projects
from komorebi_mcp.text.snippets import mark
from komorebi_mcp.text.terms import TERM_CHARS_MAX
from komorebi_mcp.text.terms import terms as terms_of

WAITING_MAX = 500
WAITING_CHARS_MAX = 1_000_000
"""How much unindexed text a search reads, newest captures first; the very first whatever its size."""

COMMON_SHARE = 0.1
COMMON_MIN = 2_000
"""A term in more captures than both of these is left out where a rarer one is there, for speed."""


def find(
    rows: Rows, query: SearchQuery, where: CaptureFilter, *, limit: int, cursor: str | None
) -> Page[Hit]:
    """A page of hits, best first, then newest first."""
    asked = digest(query, where)
    before: Match | None = None
    if cursor is not None:
        before = Match(*rows.cursors.open(cursor, owner=rows.owner, list_of="search", asked=asked))
    query = query.model_copy(
        update={
            "terms": tuple(filter(_is_indexable, query.terms)),
            "excluded": tuple(filter(_is_indexable, query.excluded)),
        }
    )
    # A phrase with a term that no index holds occurs nowhere.
    if not _sought(query) or not all(map(_is_indexable, _sought(query))):
        return Page[Hit](items=())
    dialect = search_postgres if rows.connection.dialect.name == "postgresql" else search_sqlite
    stored = _stored(rows)
    frequencies = dialect.frequencies(rows, _sought(query))
    wanted = Wanted(
        terms=_telling(query, frequencies, stored),
        phrases=query.phrases,
        excluded=query.excluded,
        weights={term: dialect.weight(frequencies.get(term, 0), stored) for term in _sought(query)},
    )
    matches = [
        *dialect.matches(rows, wanted, where, limit=limit + 1, before=before),
        *(match for match in _waiting(rows, wanted, where) if before is None or match < before),
    ]
    best = sorted(matches, reverse=True)[: limit + 1]
    next_cursor = None
    if len(best) > limit:
        last = best[limit - 1]
        next_cursor = rows.cursors.seal(
            [last.score, last.seq], owner=rows.owner, list_of="search", asked=asked
        )
    return Page[Hit](items=_hits(rows, query, best[:limit]), next_cursor=next_cursor)


def _is_indexable(term: str) -> bool:
    return bool(term) and len(term) <= TERM_CHARS_MAX and "\x00" not in term


def _sought(query: SearchQuery) -> list[str]:
    return list(dict.fromkeys((*query.terms, *(term for phrase in query.phrases for term in phrase))))


def _stored(rows: Rows) -> int:
    # Arrival numbers only grow: their greatest is near the number of captures and costs nothing to read.
    return int(rows.run(rows.select(func.max(captures.c.seq), of=captures)).scalar() or 0)


def _telling(query: SearchQuery, frequencies: Mapping[str, int], stored: int) -> tuple[str, ...]:
    """The query's terms without the common ones, where rarer ones are there."""
    if query.phrases:
        # A phrase must match in any case and is rare itself.
        return query.terms
    common = {
        term for term in query.terms if frequencies.get(term, 0) > max(stored * COMMON_SHARE, COMMON_MIN)
    }
    if any(frequencies.get(term, 0) for term in query.terms if term not in common):
        return tuple(term for term in query.terms if term not in common)
    return query.terms


@dataclass(frozen=True)
class _Candidate:
    seq: int
    terms: Sequence[str]
    meta: Sequence[str]


def _waiting(rows: Rows, wanted: Wanted, where: CaptureFilter) -> Iterable[Match]:
    for candidate in _candidates(rows, where):
        score = _score(wanted, candidate)
        if score > 0:
            yield Match(score, candidate.seq)


def _candidates(rows: Rows, where: CaptureFilter) -> Iterable[_Candidate]:
    row = captures.c
    unindexed = rows.select(row.seq, row.chars, of=captures).where(row.tokens.is_(None), folded(rows, where))
    seqs: list[int] = []
    chars = 0
    for seq, length in rows.run(unindexed.order_by(row.seq.desc()).limit(WAITING_MAX)):
        chars += length
        if seqs and chars > WAITING_CHARS_MAX:
            break
        seqs.append(seq)
    if not seqs:
        return
    tag = capture_tags.c
    tags: dict[int, list[str]] = {}
    for seq, name in rows.run(rows.select(tag.seq, tag.tag, of=capture_tags).where(among(tag.seq, seqs))):
        tags.setdefault(seq, []).append(name)
    columns = (row.seq, row.content, row.title, row.title_given, row.source, projects.c.name.label("project"))
    for each in rows.run(
        rows.select(*columns, of=captures).select_from(WITH_PROJECT).where(among(row.seq, seqs))
    ):
        title = each.title if each.title_given else ""
        about = " ".join((title, each.source or "", each.project or "", *tags.get(each.seq, ())))
        yield _Candidate(each.seq, terms_of(each.content), terms_of(about))


def _score(wanted: Wanted, candidate: _Candidate) -> float:
    """BM25 of the candidate as the index would have it; 0 where it does not match."""
    counts, meta = Counter(candidate.terms), Counter(candidate.meta)
    if any(term in counts or term in meta for term in wanted.excluded):
        return 0.0
    for phrase in wanted.phrases:
        if not (_has_run(candidate.terms, phrase) or _has_run(candidate.meta, phrase)):
            return 0.0
    norm = 1 - LENGTH_WEIGHT + LENGTH_WEIGHT * (len(candidate.terms) + len(candidate.meta)) / MEAN_LENGTH
    score = 0.0
    for term in wanted.ranked:
        count = counts[term] + META_WEIGHT * meta[term]
        score += wanted.weights[term] * count * (SATURATION + 1) / (count + SATURATION * norm)
    return score


def _has_run(terms: Sequence[str], phrase: Sequence[str]) -> bool:
    return f" {' '.join(phrase)} " in f" {' '.join(terms)} "


def _hits(rows: Rows, query: SearchQuery, matches: Sequence[Match]) -> tuple[Hit, ...]:
    if not matches:
        return ()
    row = captures.c
    columns = (row.seq, row.id, row.title, row.content, row.created_at, projects.c.name.label("project"))
    statement = rows.select(*columns, of=captures).select_from(WITH_PROJECT)
    found = {
        each.seq: each for each in rows.run(statement.where(among(row.seq, [match.seq for match in matches])))
    }
    return tuple(
        Hit(
            id=each.id,
            title=each.title,
            snippet=mark(each.content, query),
            score=match.score,
            project=each.project,
            created_at=each.created_at,
        )
        for match in matches
        if (each := found.get(match.seq)) is not None
    )
