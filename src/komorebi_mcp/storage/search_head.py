"""The matches of a search, and the best of them in their order: its head.

The database finds the captures that match, the newest few thousand of them, and the best few hundred by its
own ranking; `ranking` then puts these in order. Captures still waiting for enrichment are matched by their
terms, here, so that an acknowledged capture is found at once.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import nlargest
from typing import Any

from komorebi_mcp.domain.captures import CaptureFilter
from komorebi_mcp.domain.search import SearchQuery
from komorebi_mcp.storage import readings, search_postgres, search_sqlite
from komorebi_mcp.storage.matching import HEAD_MAX, Match, Matches, Wanted
from komorebi_mcp.storage.owned import Rows
from komorebi_mcp.storage.ranking import REACH, Beside, Ranked, Reading, by_own_words, rank, same_session
from komorebi_mcp.storage.wording import Sought

_BESIDE_MAX = 50
"""Of so many matches those beside them are read, where a filter hides which of these hold a term."""


@dataclass(frozen=True)
class Start:
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
class Asked:
    """A search, as its pages need it."""

    query: SearchQuery
    wanted: Wanted
    where: CaptureFilter
    start: Start


@dataclass(frozen=True)
class Head:
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


def head_of(rows: Rows, asked: Asked) -> Head:
    """The head of the search, as its first page found it where that is still known."""
    kept: Head | None = rows.memory.head(asked.start.head)
    if kept is not None:
        return kept
    waiting, indexed, found = matches_of(rows, asked)
    head = _promising(found)
    meant = _meant(rows, asked)
    heads = _heads(rows, asked, waiting, head, meant)
    near = _near(asked, heads, indexed).difference(heads)
    around: dict[int, Reading | Beside] = {**heads, **readings.beside(rows, asked.wanted, near)}
    ranked = rank(asked.wanted, list(heads.values()), around, _closeness(rows, asked, heads))
    return Head(ranked, indexed.capped, is_all=len(found) <= len(head))


def _meant(rows: Rows, asked: Asked) -> Iterable[int]:
    """The captures nearest in meaning to the query, whatever their words."""
    meaning = asked.query.meaning
    if meaning is None or asked.query.phrases or asked.query.excluded:
        return ()
    found: Iterable[int] = _meanings().closest(rows, meaning, asked.where, newest_seq=asked.start.newest_seq)
    return found


def _closeness(rows: Rows, asked: Asked, seqs: Collection[int]) -> dict[int, float]:
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
    asked: Asked,
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
        and match.seq < asked.start.newest_seq
        and match.seq + 1 not in heads
    }
    if not answers:
        return heads
    found = readings.indexed(rows, query, wanted, answers, where=where)
    return heads | {
        seq: answer for seq, answer in found.items() if same_session(answer.place, heads[seq - 1].place)
    }


def _near(asked: Asked, heads: Mapping[int, Reading], indexed: Matches) -> set[int]:
    """The captures beside the best matches that may lend these their words."""
    plain = _is_plain(asked.query, asked.where)
    # Not by the database's scores, which are not the same everywhere.
    beside = heads if plain else by_own_words(asked.wanted, heads.values(), _BESIDE_MAX)
    near = {seq + step for seq in beside for step in range(-REACH, REACH + 1)}
    if plain:
        # What holds none of the terms lends none, and all that holds one is here.
        near.intersection_update(match.seq for match in indexed.found)
    return near


def matches_of(rows: Rows, asked: Asked) -> tuple[dict[int, Reading], Matches, list[Match]]:
    """What waits for enrichment and matches, by arrival number; what the index has; and both as one list."""
    wanted, where, newest_seq = asked.wanted, asked.where, asked.start.newest_seq
    waiting = readings.waiting(rows, asked.query, wanted, where, newest_seq=newest_seq)
    indexed = dialect_of(rows).matches(rows, wanted, where, newest_seq=newest_seq)
    if indexed.capped and wanted.rare:
        known = {match.seq for match in indexed.found}
        rare = dialect_of(rows).matches(rows, wanted.only_rare(), where, newest_seq=newest_seq)
        indexed.found.extend(match for match in rare.found if match.seq not in known)
    return {match.seq: reading for match, reading in waiting.items()}, indexed, [*waiting, *indexed.found]


def _is_plain(query: SearchQuery, where: CaptureFilter) -> bool:
    """Whether every capture that holds one of the terms matches, in its own project at least."""
    narrower = where.model_copy(update={"project": None})
    return not query.phrases and not query.excluded and narrower == CaptureFilter()


def dialect_of(rows: Rows) -> Any:
    return search_postgres if rows.connection.dialect.name == "postgresql" else search_sqlite
