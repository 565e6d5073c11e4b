"""Puts the captures that match in order: by what they say, what is said around them, and how they say it.

Every part is a share of what the best capture reaches in it, or a constant, and they are added: fusing scores
keeps how far apart two captures are, which fusing ranks forgets. The words are weighed by BM25 (Robertson and
Zaragoza, 2009). Nothing here knows a database: both give the same order for the same captures.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import log1p
from types import MappingProxyType
from typing import NamedTuple

from komorebi_mcp.storage.matching import LENGTH_WEIGHT, META_WEIGHT, SATURATION, Match, Wanted
from komorebi_mcp.text.likeness import LIKE_MIN, bands, similarity

# Fitted on half of a set of chats and meetings with questions about them, and checked on the other half.
AROUND_WEIGHT = 0.4
"""The words of the captures before and after, against the capture's own."""
AROUND_SATURATION = 1.2
AFTER_WEIGHT = 0.5
"""What follows against what goes before: an answer stands behind its question."""
FURTHER_WEIGHT = 0.85
"""The second neighbour against the first."""
NEIGHBOURS = 2
"""How many captures on either side count."""
REACH = 2
"""How far they are looked for, in arrival numbers. More reaches past other projects' captures, and costs."""

SESSION_WEIGHT = 0.6
"""The matches of the whole session the capture is from."""
SESSION_SATURATION = 1.0
COVER_WEIGHT = 0.6
"""How much of the query occurs in the capture or beside it."""
STATES_WEIGHT = 0.15
"""For a capture that is not itself a question."""
TELLS_WHEN_WEIGHT = 0.5
"""For a capture with a time in it, where the query asks when."""
NAMED_WEIGHT = 0.7
"""For a capture whose source the query names."""
ANSWERS_WEIGHT = 0.3
"""The words of the capture before, where that is a question."""
SPAN_WEIGHT = 0.5
"""For a capture from the stretch of time that the query speaks of."""
REPEATS_COST = 1.0
"""For a capture that says almost what a better one says."""
REPEATS_SEEN = 100
"""Of so many of the best it is looked at."""
MEANING_WEIGHT = 0.2
"""The cosine between what the query means and what the capture means, where a model has read both."""
LENGTH_BONUS = 0.08
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


def rank(
    wanted: Wanted,
    heads: Sequence[Reading],
    around: Mapping[int, Reading | Beside],
    close: Mapping[int, float] = MappingProxyType({}),
) -> list[Match]:
    """All `heads`, best first, then newest first. `around` has them and those that arrived near them.

    `close` tells of some how near they are in meaning to the query.
    """
    if not heads:
        return []
    own = [_own(wanted, head) for head in heads]
    if close and not any(own):
        # Nothing holds a word of the query, so that only the meaning tells.
        return sorted((Match(close.get(head.seq, 0.0), head.seq) for head in heads), reverse=True)
    best = max(own) or 1.0
    sessions = _sessions(wanted, heads)
    best_session = max(sessions.values()) or 1.0
    every = sum(wanted.weights.values()) or 1.0
    matches = []
    for head, words in zip(heads, own, strict=True):
        near, near_length = _near(head, around)
        covered = sum(
            wanted.weights[term]
            for term in wanted.weights
            if term in head.counts or term in head.meta or term in near
        )
        score = (words + AROUND_WEIGHT * _bm25(wanted, near, near_length, AROUND_SATURATION)) / best
        score += SESSION_WEIGHT * sessions[head.seq] / best_session
        score += COVER_WEIGHT * (words / best if head.score is not None else covered / every)
        score += LENGTH_BONUS * min(log1p(head.length), LENGTH_BONUS_MAX)
        score += STATES_WEIGHT * (not head.asks)
        score += TELLS_WHEN_WEIGHT * (wanted.asks_when and head.tells_when)
        score += NAMED_WEIGHT * head.named
        score += MEANING_WEIGHT * close.get(head.seq, 0.0)
        score += SPAN_WEIGHT * (wanted.span is not None and _is_within(head.place.created_at, wanted.span))
        if (question := _question(head, around)) is not None:
            score += ANSWERS_WEIGHT * _bm25(wanted, question.counts, question.length, SATURATION) / best
        matches.append(Match(score, head.seq))
    return _with_repeats_behind(sorted(matches, reverse=True), {head.seq: head for head in heads})


def _is_within(moment: datetime, span: tuple[datetime, datetime]) -> bool:
    return span[0] <= moment < span[1]


def _question(head: Reading, around: Mapping[int, Reading | Beside]) -> Reading | Beside | None:
    """The question that was asked right before."""
    before = around.get(head.seq - 1)
    return before if before and before.asks and same_session(head.place, before.place) else None


def _with_repeats_behind(ranked: Sequence[Match], readings: Mapping[int, Reading]) -> list[Match]:
    """The matches, those that say almost the same as a better one moved back."""
    matches = list(ranked)
    told: dict[int, list[bytes]] = {}
    for place, match in enumerate(ranked[:REPEATS_SEEN]):
        signature = readings[match.seq].signature
        if signature is None:
            continue
        held = bands(signature)
        if any(similarity(signature, other) >= LIKE_MIN for band in held for other in told.get(band, ())):
            matches[place] = Match(match.score - REPEATS_COST, match.seq)
            continue
        for band in held:
            told.setdefault(band, []).append(signature)
    return sorted(matches, reverse=True)


def _own(wanted: Wanted, reading: Reading) -> float:
    if reading.score is not None:
        return reading.score
    return _bm25(wanted, _both(wanted, reading), reading.length, SATURATION)


def _both(wanted: Wanted, reading: Reading) -> dict[str, float]:
    return {
        term: reading.counts.get(term, 0) + META_WEIGHT * reading.meta.get(term, 0)
        for term in wanted.weights
        if term in reading.counts or term in reading.meta
    }


def _bm25(wanted: Wanted, counts: Mapping[str, float], length: float, saturation: float) -> float:
    norm = saturation * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * length / MEAN_LENGTH)
    return sum(
        wanted.weights[term] * count * (saturation + 1) / (count + norm) for term, count in counts.items()
    )


def _near(head: Reading, around: Mapping[int, Reading | Beside]) -> tuple[dict[str, float], float]:
    """The terms of the captures before and after, and their mean length; nearer ones weigh more."""
    counts: dict[str, float] = {}
    length = 0.0
    for way, way_weight in ((-1, 1.0), (1, AFTER_WEIGHT)):
        weight = way_weight
        taken = 0
        for step in range(1, REACH + 1):
            reading = around.get(head.seq + way * step)
            if reading is None or not same_session(head.place, reading.place):
                continue
            length += weight * reading.length
            for term, count in reading.counts.items():
                counts[term] = counts.get(term, 0.0) + weight * count
            weight *= FURTHER_WEIGHT
            taken += 1
            if taken == NEIGHBOURS:
                break
    return counts, length / ((1 + AFTER_WEIGHT) * (1 + FURTHER_WEIGHT))


def same_session(one: Place, other: Place) -> bool:
    """Whether two captures near each other belong together."""
    return one[:2] == other[:2] and abs(one.created_at - other.created_at) <= SESSION_GAP


def _sessions(wanted: Wanted, heads: Iterable[Reading]) -> dict[int, float]:
    """For each capture, how well all matches of its session together fit the query."""
    groups: dict[Hashable, list[Reading]] = {}
    for head in heads:
        groups.setdefault(head.place[:2], []).append(head)
    scores: dict[int, float] = {}
    for group in groups.values():
        group.sort(key=lambda head: (head.place.created_at, head.seq))
        start = 0
        for end in range(1, len(group) + 1):
            if (
                end == len(group)
                or group[end].place.created_at - group[end - 1].place.created_at > SESSION_GAP
            ):
                session = group[start:end]
                score = _session(wanted, session)
                scores |= {head.seq: score for head in session}
                start = end
    return scores


def _session(wanted: Wanted, session: Sequence[Reading]) -> float:
    score = 0.0
    for term in wanted.weights:
        count = sum(head.counts.get(term, 0) + (term in head.meta) for head in session)
        score += wanted.weights[term] * count / (count + SESSION_SATURATION)
    return score
