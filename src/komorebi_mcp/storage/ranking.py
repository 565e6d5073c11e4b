"""Puts the captures that match in order: by what they say, what is said around them, and how they say it.

Every part is a share of what the best capture reaches in it, or a constant, and they are added: fusing scores
keeps how far apart two captures are, which fusing ranks forgets. The words are weighed by BM25 (Robertson and
Zaragoza, 2009). Nothing here knows a database: both give the same order for the same captures.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import nlargest
from math import exp, log1p
from types import MappingProxyType
from typing import NamedTuple

from komorebi_mcp.storage.matching import LENGTH_WEIGHT, META_WEIGHT, SATURATION, Match, Wanted
from komorebi_mcp.text.likeness import LIKE_MIN, similarity, stripes

# Fitted on half of a set of chats and meetings with questions about them, and checked on the other half.
NEARBY_WEIGHT = 0.6
"""A word said right before or after a capture, against one in it."""
FADES_OVER = 38.0
"""Terms of talk in between that leave a third of that weight."""
REACH = 6
"""How far is looked to either side, in arrival numbers. More costs, and what is said there has faded."""
UNREAD_LENGTH = 10.0
"""Terms that a capture in between takes which holds no word of the query and therefore is not read."""
NEARBY_MIN = 0.15
"""A word that is said further away than this leaves of it does not count as said."""

SESSION_WEIGHT = 0.5
"""The matches of the whole session the capture is from."""
SESSION_SATURATION = 1.0
COVER_WEIGHT = 0.35
"""How much of the query occurs in the capture or beside it."""
STATES_WEIGHT = 0.15
"""For a capture that is not itself a question."""
TELLS_WHEN_WEIGHT = 0.45
"""For a capture with a time in it, where the query asks when."""
NAMED_WEIGHT = 0.5
"""For a capture whose source the query names."""
ANSWERS_WEIGHT = 0.4
"""The words of the capture before, where that is a question."""
SPAN_WEIGHT = 0.5
"""For a capture from the stretch of time that the query speaks of."""
REPEATS_SEEN = 100
"""Of so many of the best it is looked at whether they say almost what a better one says."""
REPEATS_FOLDED_MAX = 5
"""So many of those are folded under it; more would crowd its place as they would crowd the page."""
REPEATS_COST = 1.0
"""For each of the rest, so that it comes behind what says something else."""
MEANING_WEIGHT = 0.1
"""The cosine between what the query means and what the capture means, where a model has read both."""
LENGTH_BONUS = 0.12
"""Times the logarithm of a capture's length, up to `LENGTH_BONUS_MAX`: a nod answers nothing."""
LENGTH_BONUS_MAX = 4.0

MEAN_LENGTH = 40.0
"""Terms of a usual short capture. The true mean moves with each new one, and later pages would move too."""

SESSION_GAP = timedelta(hours=1)
"""A longer silence divides sessions."""


class Place(NamedTuple):
    """Where a capture stands: captures of one project that are titled alike belong together."""

    project_id: int | None
    title: str | None
    """Only where the caller gave it."""
    created_at: datetime


class Beside(NamedTuple):
    """What a capture lends to those that arrived next to it."""

    seq: int
    place: Place
    counts: Mapping[str, int]
    """How often the content has each of the query's terms."""
    length: int
    """In terms, metadata included."""
    asks: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """What ranking reads of a capture that matches."""

    seq: int
    place: Place
    counts: Mapping[str, int]
    """How often the content has each of the query's terms."""
    meta: Mapping[str, int]
    """The same of title, tags, project and source."""
    length: int
    """In terms, metadata included."""
    asks: bool
    tells_when: bool
    named: bool
    """The query names its source."""
    signature: bytes | None = None
    """Of `text.likeness`."""
    score: float | None = None
    """The database's own, for a text too long to be read here."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """Captures in the order in which they answer the query."""

    matches: list[Match]
    """Best first, then newest first."""
    folded: Mapping[int, Sequence[int]]
    """Those that say almost the same as one of these and stand under it, the best first."""


def rank(
    wanted: Wanted,
    heads: Sequence[Reading],
    around: Mapping[int, Reading | Beside],
    close: Mapping[int, float] = MappingProxyType({}),
) -> Ranked:
    """All `heads` in their order. `around` has them and those that arrived near them.

    `close` tells of some how near they are in meaning to the query.
    """
    scored = sorted(_scored(wanted, heads, around, close), reverse=True) if heads else []
    return _folded(scored, {head.seq: head.signature for head in heads})


def by_own_words(wanted: Wanted, heads: Iterable[Reading], limit: int) -> list[int]:
    """The `limit` of them that fit best as far as their own words tell, by arrival number."""
    own = (Match(_words(wanted, head, {}), head.seq) for head in heads)
    return [match.seq for match in nlargest(limit, own)]


def _scored(
    wanted: Wanted,
    heads: Sequence[Reading],
    around: Mapping[int, Reading | Beside],
    close: Mapping[int, float],
) -> list[Match]:
    nearby = [_nearby(head, around) for head in heads]
    words = [_words(wanted, head, near) for head, near in zip(heads, nearby, strict=True)]
    if close and not any(words):
        # Nothing holds a word of the query, so that only the meaning tells.
        return [Match(close.get(head.seq, 0.0), head.seq) for head in heads]
    best = max(words) or 1.0
    sessions = _sessions(wanted, around.values())
    best_session = max(sessions.values()) or 1.0
    every = sum(wanted.weights.values()) or 1.0
    matches = []
    for head, own, near in zip(heads, words, nearby, strict=True):
        covered = sum(
            weight
            for term, weight in wanted.weights.items()
            if term in head.counts or term in head.meta or near.get(term, 0.0) >= NEARBY_MIN
        )
        score = own / best
        score += SESSION_WEIGHT * sessions[head.seq] / best_session
        score += COVER_WEIGHT * (own / best if head.score is not None else covered / every)
        score += LENGTH_BONUS * min(log1p(head.length), LENGTH_BONUS_MAX)
        score += STATES_WEIGHT * (not head.asks)
        score += TELLS_WHEN_WEIGHT * (wanted.asks_when and head.tells_when)
        score += NAMED_WEIGHT * head.named
        score += MEANING_WEIGHT * close.get(head.seq, 0.0)
        score += SPAN_WEIGHT * (wanted.span is not None and _is_within(head.place.created_at, wanted.span))
        if (question := _question(head, around)) is not None:
            score += ANSWERS_WEIGHT * _bm25(wanted, question.counts, question.length) / best
        matches.append(Match(score, head.seq))
    return matches


def _is_within(moment: datetime, span: tuple[datetime, datetime]) -> bool:
    return span[0] <= moment < span[1]


def _question(head: Reading, around: Mapping[int, Reading | Beside]) -> Reading | Beside | None:
    """The question that was asked right before."""
    before = around.get(head.seq - 1)
    return before if before and before.asks and same_session(head.place, before.place) else None


def _folded(ranked: Sequence[Match], signatures: Mapping[int, bytes | None]) -> Ranked:
    """Those that say almost the same as a better one folded under it, as far as there is room there."""
    matches: list[Match] = []
    folded: dict[int, list[int]] = {}
    told: dict[bytes, list[tuple[int, bytes]]] = {}
    for match in ranked[:REPEATS_SEEN]:
        signature = signatures[match.seq] or b""
        held = stripes(signature) if signature else ()
        told_alike = (other for stripe in held for other in told.get(stripe, ()))
        first = next((seq for seq, other in told_alike if similarity(signature, other) >= LIKE_MIN), None)
        if first is None:
            matches.append(match)
            for stripe in held:
                told.setdefault(stripe, []).append((match.seq, signature))
        elif len(under := folded.setdefault(first, [])) < REPEATS_FOLDED_MAX:
            under.append(match.seq)
        else:
            matches.append(Match(match.score - REPEATS_COST, match.seq))
    return Ranked(sorted((*matches, *ranked[REPEATS_SEEN:]), reverse=True), folded)


def _words(wanted: Wanted, head: Reading, nearby: Mapping[str, float]) -> float:
    """What the query's words come to in the capture and near it together, where twice is not two words."""
    if head.score is not None:
        return head.score
    counts: dict[str, float] = {**head.counts}
    for others, worth in ((head.meta, META_WEIGHT), (nearby, NEARBY_WEIGHT)):
        for term, count in others.items():
            counts[term] = counts.get(term, 0.0) + worth * count
    return _bm25(wanted, counts, head.length)


def _bm25(wanted: Wanted, counts: Mapping[str, float], length: float) -> float:
    norm = SATURATION * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * length / MEAN_LENGTH)
    score = 0.0
    # A loop, since all that ranking computes comes by here.
    for term, count in counts.items():
        score += wanted.weights[term] * count * (SATURATION + 1) / (count + norm)
    return score


def _nearby(head: Reading, around: Mapping[int, Reading | Beside]) -> dict[str, float]:
    """How often each word is said near the capture in its session, less the more is said in between."""
    counts: dict[str, float] = {}
    for way in (-1, 1):
        between = head.length / 2
        for step in range(1, REACH + 1):
            reading = around.get(head.seq + way * step)
            if reading is None:
                between += UNREAD_LENGTH
            elif same_session(head.place, reading.place):
                left = exp(-(between + reading.length / 2) / FADES_OVER)
                between += reading.length
                for term, count in reading.counts.items():
                    counts[term] = counts.get(term, 0.0) + left * count
    return counts


def same_session(one: Place, other: Place) -> bool:
    """Whether two captures near each other belong together."""
    return (
        one.project_id == other.project_id
        and one.title == other.title
        and abs(one.created_at - other.created_at) <= SESSION_GAP
    )


def _sessions(wanted: Wanted, read: Iterable[Reading | Beside]) -> dict[int, float]:
    """For each capture, how well all that was read of its session fits the query together."""
    groups: dict[Hashable, list[Reading | Beside]] = {}
    for reading in read:
        groups.setdefault(reading.place[:2], []).append(reading)
    scores: dict[int, float] = {}
    for group in groups.values():
        group.sort(key=lambda reading: (reading.place.created_at, reading.seq))
        start = 0
        for end in range(1, len(group) + 1):
            if (
                end == len(group)
                or group[end].place.created_at - group[end - 1].place.created_at > SESSION_GAP
            ):
                session = group[start:end]
                score = _session(wanted, session)
                scores |= {reading.seq: score for reading in session}
                start = end
    return scores


def _session(wanted: Wanted, session: Sequence[Reading | Beside]) -> float:
    counts: dict[str, int] = {}
    for reading in session:
        for term, count in reading.counts.items():
            counts[term] = counts.get(term, 0) + count
    return sum(wanted.weights[term] * count / (count + SESSION_SATURATION) for term, count in counts.items())
