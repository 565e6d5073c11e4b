"""Ranked full-text search, alike on both databases.

The database finds the captures that match, the newest few thousand of them, and the best few hundred by its
own ranking; `ranking` then puts these in order. Captures still waiting for enrichment are matched by their
terms, here, so that an acknowledged capture is found at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func

from komorebi_mcp.domain.captures import CaptureFilter
from komorebi_mcp.domain.pages import Page
from komorebi_mcp.domain.search import Hit, SearchQuery
from komorebi_mcp.storage import readings, search_postgres, search_sqlite
from komorebi_mcp.storage.filters import digest
from komorebi_mcp.storage.hydrate import WITH_PROJECT
from komorebi_mcp.storage.matching import HEAD_MAX, Match, Wanted, weight
from komorebi_mcp.storage.owned import Rows, among
from komorebi_mcp.storage.ranking import REACH, rank
from komorebi_mcp.storage.tables import captures, projects
from komorebi_mcp.text.snippets import mark
from komorebi_mcp.text.terms import TERM_CHARS_MAX

COMMON_SHARE = 0.1
COMMON_MIN = 2_000
"""A term in more captures than both of these is left out where a rarer one is there, for speed."""


@dataclass(frozen=True)
class _Place:
    """Where a page begins, and all that its score depends on beside the captures themselves."""

    newest_seq: int
    """Captures that came later are not part of this search's pages."""
    weights: tuple[float, ...]
    """Of the terms sought, in their order; 0 for one that is left out."""
    before: Match | None = None
    behind_head: bool = False
    """The ranked head has been shown; `before` is a match in the database's own order."""


@dataclass(frozen=True)
class _Asked:
    """A search, as its pages need it."""

    query: SearchQuery
    wanted: Wanted
    where: CaptureFilter
    place: _Place


def find(
    rows: Rows, query: SearchQuery, where: CaptureFilter, *, limit: int, cursor: str | None
) -> Page[Hit]:
    """A page of hits, best first, then newest first."""
    asked = digest(query, where)
    place = None
    if cursor is not None:
        score, seq, newest_seq, behind_head, weights = rows.cursors.open(
            cursor, owner=rows.owner, list_of="search", asked=asked
        )
        place = _Place(newest_seq, tuple(weights), Match(score, seq), behind_head)
    query = query.model_copy(
        update={
            "terms": tuple(filter(_is_indexable, query.terms)),
            "excluded": tuple(filter(_is_indexable, query.excluded)),
        }
    )
    sought = _sought(query)
    # A phrase with a term that no index holds occurs nowhere.
    if not sought or not all(map(_is_indexable, sought)):
        return Page[Hit](items=())
    place = place or _start(rows, query, sought)
    weights_by_term = dict(zip(sought, place.weights, strict=True))
    wanted = Wanted(
        terms=tuple(term for term in query.terms if weights_by_term[term]),
        phrases=query.phrases,
        excluded=query.excluded,
        weights={term: value for term, value in weights_by_term.items() if value},
        asks_when=query.asks_when,
    )
    page = _tail if place.behind_head else _head
    matches, following = page(rows, _Asked(query, wanted, where, place), limit)
    next_cursor = None
    if following is not None:
        last, behind_head = following
        position = [last.score, last.seq, place.newest_seq, behind_head, list(place.weights)]
        next_cursor = rows.cursors.seal(position, owner=rows.owner, list_of="search", asked=asked)
    return Page[Hit](items=_hits(rows, query, matches), next_cursor=next_cursor)


_Following = tuple[Match, bool] | None


def _head(rows: Rows, asked: _Asked, limit: int) -> tuple[list[Match], _Following]:
    """A page of the best matches as `ranking` orders them, and where the next one begins."""
    query, wanted, where, place = asked.query, asked.wanted, asked.where, asked.place
    waiting = readings.waiting(rows, query, wanted, where, newest_seq=place.newest_seq)
    indexed = _dialect(rows).matches(
        rows, wanted, where, limit=HEAD_MAX + 1, newest_seq=place.newest_seq, before=None
    )
    found = sorted((*waiting, *indexed), reverse=True)
    head = found[:HEAD_MAX]
    near = {match.seq + step for match in head for step in range(-REACH, REACH + 1)}
    unread = near.difference(match.seq for match in indexed)
    around = {reading.seq: reading for reading in waiting.values()} | readings.indexed(
        rows, query, wanted, (*indexed, *(Match(0.0, seq) for seq in unread))
    )
    ranked = rank(wanted, [around[match.seq] for match in head if match.seq in around], around)
    rest = [match for match in ranked if place.before is None or match < place.before]
    if len(rest) > limit:
        return rest[:limit], (rest[limit - 1], False)
    return rest, (head[-1], True) if len(found) > HEAD_MAX else None


def _tail(rows: Rows, asked: _Asked, limit: int) -> tuple[list[Match], _Following]:
    """A page of the matches behind the head, in the database's order. Their scores are below the head's."""
    wanted, where, place = asked.wanted, asked.where, asked.place
    waiting = readings.waiting(rows, asked.query, wanted, where, newest_seq=place.newest_seq)
    before = place.before
    matches = [
        *_dialect(rows).matches(
            rows, wanted, where, limit=limit + 1, newest_seq=place.newest_seq, before=before
        ),
        *(match for match in waiting if before is None or match < before),
    ]
    best = sorted(matches, reverse=True)[: limit + 1]
    shown = [Match(-1 / (1 + max(match.score, 0.0)), match.seq) for match in best[:limit]]
    return shown, (best[limit - 1], True) if len(best) > limit else None


def _dialect(rows: Rows) -> Any:
    return search_postgres if rows.connection.dialect.name == "postgresql" else search_sqlite


def _is_indexable(term: str) -> bool:
    return bool(term) and len(term) <= TERM_CHARS_MAX and "\x00" not in term


def _sought(query: SearchQuery) -> list[str]:
    return list(dict.fromkeys((*query.terms, *(term for phrase in query.phrases for term in phrase))))


def _start(rows: Rows, query: SearchQuery, sought: Sequence[str]) -> _Place:
    # Arrival numbers only grow: their greatest is near the number of captures and costs nothing to read.
    newest_seq = int(rows.run(rows.select(func.max(captures.c.seq), of=captures)).scalar() or 0)
    frequencies = _dialect(rows).frequencies(rows, sought)
    telling = {*_telling(query, frequencies, newest_seq), *(t for phrase in query.phrases for t in phrase)}
    return _Place(
        newest_seq,
        tuple(
            round(weight(frequencies.get(term, 0), newest_seq), 4) + 1e-4 if term in telling else 0.0
            for term in sought
        ),
    )


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
