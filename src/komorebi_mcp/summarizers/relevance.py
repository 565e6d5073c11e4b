"""How well sentences answer a query: BM25 over sentences, each lending some of it to its neighbours."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import timedelta
from itertools import chain, pairwise
from math import log

from komorebi_mcp.domain.captures import Kind
from komorebi_mcp.summarizers.candidates import Candidate
from komorebi_mcp.summarizers.draft import Passage
from komorebi_mcp.text.forms import other_forms
from komorebi_mcp.text.spelling import MISSPELT_MAX, may_be_misspelt, one_letter_away
from komorebi_mcp.text.terms import ordered_terms

_SATURATION = 1.2
"""BM25's k1. Its b is 0: a long sentence that answers is as good as a short one."""
_FADING = 0.6
_SPEAKER_GAIN = 2.0
"""So many times more count the words of whom the query names."""
_SESSION_GAP_MAX = timedelta(minutes=10)
_TAKES_UP = re.compile(
    r"\W{0,8}(?:it|this|that|these|those|they|he|she|and|but|so|because|then|also|answer|fixed|yes|no)\b",
    re.IGNORECASE,
)
"""How a note begins that goes on with the one before."""
_RECORDS = frozenset({Kind.LOG, Kind.CODE, Kind.LINK, Kind.TOOL_RESULT})
"""What was written by no one who heard what stands beside it."""
_SHARE_MIN = 0.2
"""Of the best score; less is the echo of an answer far away."""


def answers(
    candidates: Sequence[Candidate],
    passages: Sequence[Passage],
    asked: Sequence[str],
    names: Collection[str] = (),
) -> list[float]:
    """How well each candidate answers what is asked; 0 where it does not.

    What stands near an answer in the same session counts as well, and so does who said it. `names` are those
    of the terms asked for that may be a part of somebody's name.
    """
    named = _named(passages, set(asked), set(names))
    speakers = set[str]().union(*named.values())
    # The name of a speaker tells whose words are wanted, not which of them.
    direct = relevance(candidates, [term for term in asked if term not in speakers] or asked)
    if named and not any(direct):
        return [1.0 if passages[one.passage].source in named else 0.0 for one in candidates]
    smoothed: list[float] = []
    start = 0
    for place in range(1, len(candidates) + 1):
        if place == len(candidates) or not _goes_on(
            passages[candidates[place - 1].passage], passages[candidates[place].passage]
        ):
            smoothed += smooth(direct[start:place], _FADING)
            start = place
    scores = [
        value * (_SPEAKER_GAIN if passages[one.passage].source in named else 1.0)
        for value, one in zip(smoothed, candidates, strict=True)
    ]
    enough = _SHARE_MIN * max(scores, default=0.0)
    return [value if value >= enough else 0.0 for value in scores]


def _named(passages: Sequence[Passage], asked: set[str], names: set[str]) -> dict[str, set[str]]:
    """The sources asked for, and the words by which: all of their words, or a name that is no one else's."""
    words = {source: set(ordered_terms(source)) for source in {one.source for one in passages} if source}
    of_whom = Counter(term for terms in words.values() for term in terms)
    named = {source: terms for source, terms in words.items() if terms and terms <= asked}
    others = names.difference(*named.values())
    for source, terms in words.items():
        own = {term for term in terms & others if of_whom[term] == 1}
        if own and source not in named:
            named[source] = own
    return named


def _goes_on(before: Passage, after: Passage) -> bool:
    """Whether both belong to one session, such as two turns of a talk; records belong to none.

    Notes that somebody keeps one after the other may be of anything, unless one takes up the one before.
    """
    if before is after:
        return True
    if not _RECORDS.isdisjoint((before.kind, after.kind)):
        return False
    if before.title == after.title != "":
        return True
    is_talk = bool(before.source and after.source and before.source != after.source)
    return abs(after.created_at - before.created_at) <= _SESSION_GAP_MAX and (
        is_talk or _TAKES_UP.match(after.text) is not None
    )


def as_written(
    asked: Sequence[str], candidates: Sequence[Candidate], passages: Sequence[Passage]
) -> tuple[str, ...]:
    """The words asked for; one that nobody wrote is taken for those one letter away that somebody did."""
    sources = {passage.source for passage in passages if passage.source}
    written = {*chain.from_iterable(one.reading.stems for one in candidates)}
    written.update(chain.from_iterable(map(ordered_terms, sources)))
    unknown = [term for term in asked if term not in written and written.isdisjoint(other_forms(term))]
    meant = {
        term: sorted(written.intersection(one_letter_away(term)))[:MISSPELT_MAX]
        for term in list(filter(may_be_misspelt, unknown))[:MISSPELT_MAX]
    }
    return tuple(dict.fromkeys(word for term in asked for word in meant.get(term) or [term]))


def holding(candidates: Sequence[Candidate], asked: Sequence[str]) -> list[Candidate]:
    """Those that hold a word asked for, in any of its forms."""
    words = _forms(asked).keys()
    return [one for one in candidates if not words.isdisjoint(one.reading.content)]


def _forms(wanted: Sequence[str]) -> dict[str, str]:
    """The words wanted and their other forms, and which of them each is: bought for buy."""
    forms = {form: word for word in wanted for form in other_forms(word)}
    return forms | {word: word for word in wanted}


def relevance(candidates: Sequence[Candidate], wanted: Sequence[str]) -> list[float]:
    """BM25 of each candidate, each taken as a document of its own.

    Two words that stand side by side in both what is wanted and a candidate count as one word more.
    """
    forms, pairs = _forms(wanted), frozenset(f"{first} {second}" for first, second in pairwise(wanted))
    found = [
        Counter(
            [forms[word] for word in one.reading.content if word in forms]
            + sorted(pairs & one.reading.concepts)
        )
        for one in candidates
    ]
    holders = Counter(concept for counts in found for concept in counts)
    n = len(candidates)
    idf = {concept: log(1 + (n - count + 0.5) / (count + 0.5)) for concept, count in holders.items()}
    return [
        sum(
            idf[concept] * times * (_SATURATION + 1) / (times + _SATURATION)
            for concept, times in counts.items()
        )
        for counts in found
    ]


def smooth(scores: Sequence[float], fading: float) -> list[float]:
    """Each score plus its neighbours', times `fading` to the power of their distance."""
    forward: list[float] = []
    lent = 0.0
    for score in scores:
        forward.append(lent)
        lent = (lent + score) * fading
    backward: list[float] = []
    lent = 0.0
    for score in reversed(scores):
        backward.append(lent)
        lent = (lent + score) * fading
    backward.reverse()
    return [score + f + b for score, f, b in zip(scores, forward, backward, strict=True)]
