"""Ranked full-text search, alike on both databases.

The database finds the captures that match, the newest few thousand of them, and the best few hundred by its
own ranking; `ranking` then puts these in order. Captures still waiting for enrichment are matched by their
terms, here, so that an acknowledged capture is found at once.
"""

import secrets
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from heapq import nlargest
from typing import Any

from sqlalchemy import func, select

from komorebi_mcp.domain.captures import CaptureFilter
from komorebi_mcp.domain.search import Hit, HitPage, SearchQuery
from komorebi_mcp.storage import readings, search_postgres, search_sqlite
from komorebi_mcp.storage.filters import digest, still_fitting
from komorebi_mcp.storage.hydrate import WITH_PROJECT
from komorebi_mcp.storage.matching import HEAD_MAX, Match, Matches, Wanted
from komorebi_mcp.storage.owned import Rows, of_owner
from komorebi_mcp.storage.prepared import Prepared, in_list
from komorebi_mcp.storage.ranking import REACH, Beside, Ranked, Reading, by_own_words, rank, same_session
from komorebi_mcp.storage.tables import captures, projects
from komorebi_mcp.storage.wording import Sought, forms, in_query, look_up, spellings, weigh
from komorebi_mcp.text.snippets import mark
from komorebi_mcp.text.terms import TERM_CHARS_MAX

_BESIDE_MAX = 50
"""Of so many matches those beside them are read, where a filter hides which of these hold a term."""

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


@dataclass(frozen=True)
class _Place:
    """Where a page begins, and all that its score depends on beside the captures themselves."""

    newest_seq: int
    """Captures that came later are not part of this search's pages."""
    sought: tuple[Sought, ...]
    before: Match | None = None
    behind_head: bool = False
    """The ranked head has been shown; `before` is a match in the database's own order."""
    head: str = ""
    """The name under which memory may have the head."""


@dataclass(frozen=True)
class _Asked:
    """A search, as its pages need it."""

    query: SearchQuery
    wanted: Wanted
    where: CaptureFilter
    place: _Place


def find(rows: Rows, query: SearchQuery, where: CaptureFilter, *, limit: int, cursor: str | None) -> HitPage:
    """A page of hits, best first, then newest first."""
    # A span moves with the clock; later pages take that of the first. A model may come or go meanwhile.
    asked = digest(query.model_copy(update={"span": None, "meaning": None}), where)
    place = None
    if cursor is not None:
        score, seq, newest_seq, behind_head, head, sought, span_s = rows.cursors.open(
            cursor, owner=rows.owner, list_of="search", asked=asked
        )
        found = tuple(Sought(*each) for each in sought)
        place = _Place(newest_seq, found, Match(score, seq), behind_head, head)
        span = span_s and tuple(datetime.fromtimestamp(second, UTC) for second in span_s)
        query = query.model_copy(update={"span": span})
    query = query.model_copy(
        update={
            "terms": tuple(filter(_is_indexable, query.terms)),
            "excluded": tuple(filter(_is_indexable, query.excluded)),
        }
    )
    terms = in_query(query)
    # A phrase with a term that no index holds occurs nowhere.
    if not terms or not all(map(_is_indexable, terms)):
        return HitPage(items=())
    begin = place or _start(rows, query)
    wanted = look_up(query, begin.sought)
    loosened = query.has_bare_words and not _occur(rows, _Asked(query, wanted, where, begin))
    if loosened:
        # Later pages find the same: captures that came after the first one are no part of it.
        query = query.model_copy(update={"phrases": ()})
        begin = place or _start(rows, query)
        wanted = look_up(query, begin.sought)
    place = begin
    # Words that were meant otherwise are shown and named as they were meant.
    query = query.model_copy(update={"terms": tuple(each.term for each in place.sought)})
    page = _tail if place.behind_head else _head
    shown = page(rows, _Asked(query, wanted, where, place), limit)
    next_cursor = None
    if shown.following is not None:
        last, behind_head = shown.following
        span_s = query.span and [moment.timestamp() for moment in query.span]
        head = place.head or secrets.token_urlsafe(6)
        rows.memory.keep_head(head, shown.head)
        position = [last.score, last.seq, place.newest_seq, behind_head, head, place.sought, span_s]
        next_cursor = rows.cursors.seal(position, owner=rows.owner, list_of="search", asked=asked)
    fit = None if cursor is None else still_fitting(rows, where, [match.seq for match in shown.matches])
    return HitPage(
        items=_hits(rows, query, shown, fit),
        next_cursor=next_cursor,
        capped=shown.head.capped,
        loosened=loosened,
    )


@dataclass(frozen=True)
class _Head:
    """The best matches in their order, as the first page found it: enrichment changes scores meanwhile."""

    ranked: Ranked
    capped: bool
    is_all: bool
    """Nothing else matches."""

    def __contains__(self, seq: int) -> bool:
        return seq in self.seqs

    @cached_property
    def seqs(self) -> frozenset[int]:
        """All that is on its pages, also under others."""
        shown = {match.seq for match in self.ranked.matches}
        return frozenset(shown.union(*self.ranked.folded.values()))


@dataclass(frozen=True)
class _Shown:
    """A page of matches."""

    matches: list[Match]
    following: tuple[Match, bool] | None
    """Where the next page begins: a match, and whether that is in the database's own order."""
    head: _Head
    folded: Mapping[int, Sequence[int]] = field(default_factory=dict)
    """What says almost the same as one of these, by that one's arrival number."""


def _head(rows: Rows, asked: _Asked, limit: int) -> _Shown:
    """A page of the best matches as `ranking` orders them."""
    before = asked.place.before
    head = _head_of(rows, asked)
    rest = [match for match in head.ranked.matches if before is None or match < before]
    if len(rest) > limit:
        return _Shown(rest[:limit], (rest[limit - 1], False), head, head.ranked.folded)
    return _Shown(rest, None if head.is_all else (_FIRST_BEHIND_HEAD, True), head, head.ranked.folded)


def _head_of(rows: Rows, asked: _Asked) -> _Head:
    kept: _Head | None = rows.memory.head(asked.place.head)
    if kept is not None:
        return kept
    waiting, indexed, found = _matches(rows, asked)
    head = _promising(found)
    meant = _meant(rows, asked)
    heads = _heads(rows, asked, waiting, head, meant)
    near = _near(asked, heads, indexed).difference(heads)
    around: dict[int, Reading | Beside] = {**heads, **readings.beside(rows, asked.wanted, near)}
    ranked = rank(asked.wanted, list(heads.values()), around, _closeness(rows, asked, heads))
    return _Head(ranked, indexed.capped, is_all=len(found) <= len(head))


def _tail(rows: Rows, asked: _Asked, limit: int) -> _Shown:
    """A page of the matches behind the head, in the database's order. Their scores are below the head's."""
    before = asked.place.before
    head = _head_of(rows, asked)
    _, _, found = _matches(rows, asked)
    behind = (m for m in found if (before is None or m < before) and m.seq not in head)
    best = nlargest(limit + 1, behind)
    shown = [Match(-1 - 1 / (1 + max(match.score, 0.0)), match.seq) for match in best[:limit]]
    return _Shown(shown, (best[limit - 1], True) if len(best) > limit else None, head)


def _meant(rows: Rows, asked: _Asked) -> Iterable[int]:
    """The captures nearest in meaning to the query, whatever their words."""
    meaning = asked.query.meaning
    if meaning is None or asked.query.phrases or asked.query.excluded:
        return ()
    found: Iterable[int] = _meanings().closest(rows, meaning, asked.where, newest_seq=asked.place.newest_seq)
    return found


def _closeness(rows: Rows, asked: _Asked, seqs: Collection[int]) -> dict[int, float]:
    meaning = asked.query.meaning
    return {} if meaning is None else _meanings().closeness(rows, meaning, seqs)


def _meanings() -> Any:
    from komorebi_mcp.storage import closest  # noqa: PLC0415 - numpy is there where a query has a meaning.

    return closest


def _promising(found: Sequence[Match]) -> list[Match]:
    """The `HEAD_MAX` matches that are likely to rank first: beside them talk about the matter goes on."""
    score_of = {match.seq: match.score for match in found}.get

    def promise(match: Match) -> tuple[float, int]:
        score, seq = match
        # Written out: it is told of some hundred matches in every search.
        before = 0.3 * score_of(seq - 1, 0.0) + 0.2 * score_of(seq - 2, 0.0)
        after = 0.2 * score_of(seq + 1, 0.0) + 0.1 * score_of(seq + 2, 0.0)
        return score + before + after, seq

    return nlargest(HEAD_MAX, nlargest(2 * HEAD_MAX, found), key=promise)


def _heads(
    rows: Rows,
    asked: _Asked,
    waiting: Mapping[int, Reading],
    head: Sequence[Match],
    meant: Iterable[int],
) -> dict[int, Reading]:
    """Readings of the best matches, and of what came right after those that ask: their answers."""
    query, wanted, where = asked.query, asked.wanted, asked.where
    scores = {match.seq: match.score for match in head if match.seq not in waiting}
    heads = readings.indexed(rows, query, wanted, scores)
    heads |= {match.seq: waiting[match.seq] for match in head if match.seq in waiting}
    heads |= readings.indexed(rows, query, wanted, {seq: 0.0 for seq in meant if seq not in heads})
    if query.phrases or query.excluded:
        # An answer has them or has them not by chance.
        return heads
    answers = {
        match.seq + 1: 0.0
        for match in head
        if (reading := heads.get(match.seq)) is not None
        and reading.asks
        # Without either, nothing says that the two belong together.
        and (reading.place.project_id is not None or reading.place.title is not None)
        and match.seq < asked.place.newest_seq
        and match.seq + 1 not in heads
    }
    if not answers:
        return heads
    found = readings.indexed(rows, query, wanted, answers, where=where)
    return heads | {
        seq: answer for seq, answer in found.items() if same_session(answer.place, heads[seq - 1].place)
    }


def _near(asked: _Asked, heads: Mapping[int, Reading], indexed: Matches) -> set[int]:
    """The captures beside the best matches that may lend these their words."""
    plain = _is_plain(asked.query, asked.where)
    # Not by the database's scores, which are not the same everywhere.
    beside = heads if plain else by_own_words(asked.wanted, heads.values(), _BESIDE_MAX)
    near = {seq + step for seq in beside for step in range(-REACH, REACH + 1)}
    if plain:
        # What holds none of the terms lends none, and all that holds one is here.
        near.intersection_update(match.seq for match in indexed.found)
    return near


def _matches(rows: Rows, asked: _Asked) -> tuple[dict[int, Reading], Matches, list[Match]]:
    """What waits for enrichment and matches, by arrival number; what the index has; and both as one list."""
    wanted, where, newest_seq = asked.wanted, asked.where, asked.place.newest_seq
    waiting = readings.waiting(rows, asked.query, wanted, where, newest_seq=newest_seq)
    indexed = _dialect(rows).matches(rows, wanted, where, newest_seq=newest_seq)
    if indexed.capped and wanted.rare:
        known = {match.seq for match in indexed.found}
        rare = _dialect(rows).matches(rows, wanted.only_rare(), where, newest_seq=newest_seq)
        indexed.found.extend(match for match in rare.found if match.seq not in known)
    return {match.seq: reading for match, reading in waiting.items()}, indexed, [*waiting, *indexed.found]


def _occur(rows: Rows, asked: _Asked) -> bool:
    """Whether some capture has the query's phrases; all have them where there are none."""
    return not asked.query.phrases or bool(_matches(rows, asked)[2])


def _is_plain(query: SearchQuery, where: CaptureFilter) -> bool:
    """Whether every capture that holds one of the terms matches, in its own project at least."""
    narrower = where.model_copy(update={"project": None})
    return not query.phrases and not query.excluded and narrower == CaptureFilter()


def _dialect(rows: Rows) -> Any:
    return search_postgres if rows.connection.dialect.name == "postgresql" else search_sqlite


def _is_indexable(term: str) -> bool:
    return bool(term) and len(term) <= TERM_CHARS_MAX and "\x00" not in term


def _start(rows: Rows, query: SearchQuery) -> _Place:
    # Arrival numbers only grow: their greatest is near the number of captures and costs nothing to read.
    # Where others store captures too it is not, and a score made with it would tell how many.
    newest_seq = rows.fetch(_NEWEST)[0].seq or 0
    stored = rows.fetch(_STORED)[0].stored if rows.has_others() else newest_seq
    dialect = _dialect(rows)
    frequencies = dialect.frequencies(rows, [*in_query(query), *forms(query)], stored=stored)
    meant = {
        term: dialect.known(rows, ways, stored=stored) for term, ways in spellings(query, frequencies).items()
    }
    return _Place(newest_seq, weigh(query, frequencies, meant, stored=stored))


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
