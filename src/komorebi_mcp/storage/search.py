"""Ranked full-text search, page by page, alike on both databases.

The best matches come first, as `search_head` ranks them; behind them pages go on in the database's own order.
"""

import secrets
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from heapq import nlargest

from sqlalchemy import func, select

from komorebi_mcp.domain.captures import CaptureFilter
from komorebi_mcp.domain.search import Hit, HitPage, SearchQuery
from komorebi_mcp.storage.filters import digest, still_fitting
from komorebi_mcp.storage.hydrate import WITH_PROJECT
from komorebi_mcp.storage.matching import Match
from komorebi_mcp.storage.owned import Rows, of_owner
from komorebi_mcp.storage.prepared import Prepared, in_list
from komorebi_mcp.storage.search_head import Asked, Head, Start, dialect_of, head_of, matches_of
from komorebi_mcp.storage.tables import captures, projects
from komorebi_mcp.storage.wording import Sought, forms, in_query, look_up, spellings, weigh
from komorebi_mcp.text.snippets import mark
from komorebi_mcp.text.terms import TERM_CHARS_MAX

_FIRST_BEHIND_HEAD = Match(sys.float_info.max, 0)

_NEWEST = Prepared(select(func.max(captures.c.seq).label("seq")).where(of_owner(captures)))
_STORED = Prepared(select(func.count().label("stored")).select_from(captures).where(of_owner(captures)))
_HITS = Prepared(
    select(
        *(captures.c.seq, captures.c.id, captures.c.title, captures.c.content, captures.c.created_at),
        projects.c.name.label("project"),
    )
    .select_from(WITH_PROJECT)
    .where(of_owner(captures), in_list(captures.c.seq, "seqs"))
)

_IDS = Prepared(
    select(captures.c.seq, captures.c.id).where(of_owner(captures), in_list(captures.c.seq, "seqs"))
)


def find(rows: Rows, query: SearchQuery, where: CaptureFilter, *, limit: int, cursor: str | None) -> HitPage:
    """A page of hits, best first, then newest first."""
    # A span moves with the clock; later pages take that of the first. A model may come or go meanwhile.
    bound_to = digest(query.model_copy(update={"span": None, "meaning": None}), where)
    start = None
    if cursor is not None:
        start, span = _opened(rows, cursor, bound_to)
        query = query.model_copy(update={"span": span})
    query = _indexable(query)
    terms = in_query(query)
    # A phrase with a term that no index holds occurs nowhere.
    if not terms or not all(map(_is_indexable, terms)):
        return HitPage(items=())
    asked = _asked(rows, query, where, start)
    loosened = query.has_bare_words and not _occur(rows, asked)
    if loosened:
        # Later pages find the same: captures that came after the first one are no part of it.
        asked = _asked(rows, query.model_copy(update={"phrases": ()}), where, start)
    # Words that were meant otherwise are shown and named as they were meant.
    meant = tuple(each.term for each in asked.start.sought)
    asked = replace(asked, query=asked.query.model_copy(update={"terms": meant}))
    page = _tail if asked.start.behind_head else _head
    shown = page(rows, asked, limit)
    fit = None if cursor is None else still_fitting(rows, where, [match.seq for match in shown.matches])
    return HitPage(
        items=_hits(rows, asked.query, shown, fit),
        next_cursor=_next_cursor(rows, asked, shown, bound_to),
        capped=shown.head.capped,
        loosened=loosened,
    )


def _asked(rows: Rows, query: SearchQuery, where: CaptureFilter, start: Start | None) -> Asked:
    """The search from `start` on, or from its first page."""
    start = start or _first(rows, query)
    return Asked(query, look_up(query, start.sought), where, start)


def _first(rows: Rows, query: SearchQuery) -> Start:
    """The start of the first page, with what each term is worth."""
    # Arrival numbers only grow: their greatest is near the number of captures and costs nothing to read.
    # Where others store captures too it is not, and a score made with it would tell how many.
    newest_seq = rows.fetch(_NEWEST)[0].seq or 0
    stored = rows.fetch(_STORED)[0].stored if rows.has_others() else newest_seq
    dialect = dialect_of(rows)
    frequencies = dialect.frequencies(rows, [*in_query(query), *forms(query)], stored=stored)
    meant = {
        term: dialect.known(rows, ways, stored=stored) or dialect.begun(rows, term, stored=stored)
        for term, ways in spellings(query, frequencies).items()
    }
    return Start(newest_seq, weigh(query, frequencies, meant, stored=stored))


def _opened(rows: Rows, cursor: str, bound_to: str) -> tuple[Start, tuple[datetime, datetime] | None]:
    """Where the cursor's page begins, and the span of the first page.

    Raises:
        InvalidInput: The cursor belongs to another search.
    """
    score, seq, newest_seq, behind_head, head, sought, span_s = rows.cursors.open(
        cursor, owner=rows.owner, list_of="search", asked=bound_to
    )
    start = Start(newest_seq, tuple(Sought(*each) for each in sought), Match(score, seq), behind_head, head)
    if span_s is None:
        return start, None
    begin_s, end_s = span_s
    return start, (datetime.fromtimestamp(begin_s, UTC), datetime.fromtimestamp(end_s, UTC))


def _next_cursor(rows: Rows, asked: Asked, shown: "_Shown", bound_to: str) -> str | None:
    """The cursor of the page behind what is shown, whose head is remembered for it; None on the last page."""
    if shown.following is None:
        return None
    last, behind_head = shown.following
    start, span = asked.start, asked.query.span
    head = start.head or secrets.token_urlsafe(6)
    rows.memory.keep_head(head, shown.head)
    span_s = span and [moment.timestamp() for moment in span]
    position = [last.score, last.seq, start.newest_seq, behind_head, head, start.sought, span_s]
    return rows.cursors.seal(position, owner=rows.owner, list_of="search", asked=bound_to)


@dataclass(frozen=True)
class _Shown:
    """A page of matches."""

    matches: list[Match]
    following: tuple[Match, bool] | None
    """Where the next page begins: a match, and whether that is in the database's own order."""
    head: Head
    folded: Mapping[int, Sequence[int]] = field(default_factory=dict)
    """What says almost the same as one of these, by that one's arrival number."""


def _head(rows: Rows, asked: Asked, limit: int) -> _Shown:
    """A page of the best matches as `ranking` orders them."""
    before = asked.start.before
    head = head_of(rows, asked)
    rest = [match for match in head.ranked.matches if before is None or match < before]
    if len(rest) > limit:
        return _Shown(rest[:limit], (rest[limit - 1], False), head, head.ranked.folded)
    return _Shown(rest, None if head.is_all else (_FIRST_BEHIND_HEAD, True), head, head.ranked.folded)


def _tail(rows: Rows, asked: Asked, limit: int) -> _Shown:
    """A page of the matches behind the head, in the database's order. Their scores are below the head's."""
    before = asked.start.before
    head = head_of(rows, asked)
    _, _, found = matches_of(rows, asked)
    behind = (m for m in found if (before is None or m < before) and m.seq not in head)
    best = nlargest(limit + 1, behind)
    shown = [Match(-1 - 1 / (1 + max(match.score, 0.0)), match.seq) for match in best[:limit]]
    return _Shown(shown, (best[limit - 1], True) if len(best) > limit else None, head)


def _occur(rows: Rows, asked: Asked) -> bool:
    """Whether some capture has the query's phrases; all have them where there are none."""
    return not asked.query.phrases or bool(matches_of(rows, asked)[2])


def _indexable(query: SearchQuery) -> SearchQuery:
    """The query without words that the index cannot hold."""
    return query.model_copy(
        update={
            "terms": tuple(filter(_is_indexable, query.terms)),
            "excluded": tuple(filter(_is_indexable, query.excluded)),
        }
    )


def _is_indexable(term: str) -> bool:
    return bool(term) and len(term) <= TERM_CHARS_MAX and "\x00" not in term


def _hits(rows: Rows, query: SearchQuery, shown: _Shown, fit: Collection[int] | None) -> tuple[Hit, ...]:
    """Of what is shown those in `fit`: what was changed since the first page may fit the filter no more."""
    if not shown.matches:
        return ()
    found = {each.seq: each for each in rows.fetch(_HITS, seqs=[match.seq for match in shown.matches])}
    under = {seq: shown.folded[seq] for seq in found if seq in shown.folded}
    folded = [seq for seqs in under.values() for seq in seqs]
    ids = {each.seq: each.id for each in rows.fetch(_IDS, seqs=folded)} if folded else {}
    return tuple(
        Hit(
            id=each.id,
            title=each.title,
            snippet=mark(each.content, query),
            score=match.score,
            project=each.project,
            created_at=each.created_at,
            also=tuple(ids[seq] for seq in under.get(match.seq, ()) if seq in ids),
        )
        for match in shown.matches
        if (each := found.get(match.seq)) is not None and (fit is None or match.seq in fit)
    )
