"""Summaries without a model: the most telling sentences, letter for letter, and where each is from.

Which sentences tell most depends on the text. Many short texts that say alike are told by the most
central ones, put as most put it; talk, which wanders, by those a fitted scorer expects in a summary; a
question by those that answer it.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from math import fsum

from komorebi_mcp.domain.captures import Kind
from komorebi_mcp.domain.nodes import NodeContent
from komorebi_mcp.domain.summaries import Sentence
from komorebi_mcp.summarizers.candidates import Candidate, gather, regather
from komorebi_mcp.summarizers.centrality import likeness, rank, wording
from komorebi_mcp.summarizers.choosing import Budget, Taste, choose, choose_marked_first
from komorebi_mcp.summarizers.draft import Draft, Passage
from komorebi_mcp.summarizers.features import Scope, add_counts, survey
from komorebi_mcp.summarizers.relevance import answers, as_written, holding
from komorebi_mcp.summarizers.scorer import score
from komorebi_mcp.summarizers.words import LIGHT_STEMS
from komorebi_mcp.text.terms import ordered_terms, parse_query
from komorebi_mcp.text.tokens import cut_to_tokens

_SHORT_WORD = re.compile(r"[\w.,:/\-]{1,40}(?![\w.,:/\-])")
_INNER_CAPITAL = re.compile(r"(?<=[^\s]\s)[^\W\d_a-z]\w*")
_ALIKE_MIN = 0.095
"""From this mean likeness of two sentences on, a scope is many texts about one thing."""
TASTE_CENTRAL = Taste(discount=0.5, length_power=0.6)
TASTE_TALK = Taste(discount=0.5, length_power=0.1)
_TASTE_ANSWER = Taste(discount=0.5, length_power=0.0)
_MARKED_GAIN = {Kind.DECISION: 2.0, Kind.ERROR: 1.5}
"""So many times more does it count among the answers to a query."""
_CENTRAL_WORDS_MIN = 6
"""The shortest of many similar sentences are common without telling much: "It is very good." """
_WORDING_POWER = 3
_TELLING_POWER = 0.6
"""How far, among the answers to a query, what a summary would want goes before what does not stand alone."""
_GOAL_GAIN = 1.5
_GAIN = {Kind.CODE: 0.3, Kind.LOG: 0.3}
"""A line of code, or of a log where it is no error, says less to a reader than prose."""


def summarize(
    passages: Sequence[Passage],
    *,
    max_tokens: int,
    query: str | None = None,
    focus: str | None = None,
    goal: str = "",
    before: Collection[str] = (),
) -> Draft:
    """Sentences of the passages in their order, together at most `max_tokens`; the same for the same input.

    `query` and `focus` say what is asked for, `goal` what the project is about, `before` what an earlier
    summary told: its decisions and errors are kept rather than others. A query nothing answers gets no
    sentences, a focus nothing speaks of an overview. Where not even one sentence fits, the
    beginning of the best one is told.
    """
    asked = _asked(query) + _asked(focus)
    candidates = gather(passages, asked=bool(asked))
    telling = [one for one in candidates if one.telling] or candidates
    budget = Budget(max_tokens)
    if asked:
        asked = as_written(asked, candidates, passages)
        names = _capitalized(f"{query or ''}\n{focus or ''}")
        answered = _answered(candidates, passages, asked, names, budget)
        if answered is not None:
            return _draft(*answered, max_tokens)
        if _asked(query):
            return Draft(sentences=(), truncated=False)
    chosen, left_out = _overview(telling, len(passages), budget, goal=_asked(goal), before=before)
    if not left_out:
        # There is room to spare, so what is too short to be worth choosing may be told as well.
        told = {one.order for one in chosen}
        short = [one for one in candidates if one.whole and one.order not in told]
        chosen += [one for one in short if budget.takes(one.text)]
    return _draft(chosen, left_out, max_tokens)


def summarize_nodes(
    nodes: Sequence[NodeContent], *, max_tokens: int, goal: str = "", before: Collection[str] = ()
) -> Draft:
    """The same from nodes of a pyramid, by what was frequent in all the captures below them."""
    candidates = regather(nodes)
    telling = [one for one in candidates if one.telling] or candidates
    captures = sum(node.covers.captures for node in nodes)
    overview = _overview(
        telling, captures, Budget(max_tokens), goal=_asked(goal), before=before, counts=add_counts(nodes)
    )
    return _draft(*overview, max_tokens)


def _asked(text: str | None) -> tuple[str, ...]:
    """The index terms of a wish, without words too light to tell sentences apart."""
    return tuple(term for term in parse_query(text or "").terms if term not in LIGHT_STEMS)


def _capitalized(text: str) -> frozenset[str]:
    """The index terms of the words with a capital, other than those that open a line."""
    return frozenset(chain.from_iterable(ordered_terms(match[0]) for match in _INNER_CAPITAL.finditer(text)))


def _overview(
    candidates: Sequence[Candidate],
    captures: int,
    budget: Budget,
    *,
    goal: Collection[str],
    before: Collection[str],
    counts: Mapping[str, int] | None = None,
) -> tuple[list[Candidate], list[Candidate]]:
    """What a scope says as a whole, and what it says beyond that, the best first.

    What was marked as a decision or an error is told before anything else, up to a share of the budget.
    """
    central = are_alike(candidates)
    if central:
        longer = [one for one in candidates if len(one.reading.words) >= _CENTRAL_WORDS_MIN or one.terse]
        candidates = longer or candidates
    scope = survey(candidates, captures, counts=counts)
    taste = TASTE_CENTRAL if central else TASTE_TALK
    wanted, known = set(goal), frozenset(before)
    scores = central_scores(candidates, scope) if central else score(candidates, scope)

    def gain(one: Candidate) -> float:
        wished = _GOAL_GAIN if wanted.intersection(one.reading.content) else 1.0
        return _GAIN.get(one.kind, 1.0) * wished

    scored = [(one, value * gain(one)) for one, value in zip(candidates, scores, strict=True)]
    chosen = choose_marked_first(scored, budget, taste, weights=scope.weights, known=known)
    return chosen, _left_out(scored, chosen)


def are_alike(candidates: Sequence[Candidate]) -> bool:
    """Whether they are many about one thing. Lines of a log always are, and do not count beside prose."""
    prose = [one for one in candidates if one.kind not in _GAIN]
    return likeness(prose or candidates) >= _ALIKE_MIN


def central_scores(candidates: Sequence[Candidate], scope: Scope, *, placed: bool = True) -> list[float]:
    """How much the others say what each says, and in its words.

    Decisions and errors, which need no others, count on their own.
    """
    commonness = wording(candidates)
    of_marked = iter(score([one for one in candidates if one.marked], scope, placed=placed))
    scores: list[float] = []
    for one, central in zip(candidates, rank(candidates), strict=True):
        if one.marked:
            scores.append(next(of_marked))
            continue
        value = central * commonness(one) ** _WORDING_POWER
        # The few sentences that are left of many captures no longer tell what most of these say.
        scores.append(value * _mean_weight(one, scope) if scope.wider else value)
    return scores


def _mean_weight(one: Candidate, scope: Scope) -> float:
    """In how many captures the words of a candidate occur, on average."""
    return fsum(map(scope.weights.__getitem__, one.reading.stems)) / (len(one.reading.stems) or 1)


def _answered(
    candidates: Sequence[Candidate],
    passages: Sequence[Passage],
    asked: Sequence[str],
    names: Collection[str],
    budget: Budget,
) -> tuple[list[Candidate], list[Candidate]] | None:
    """What answers, and what of it is left out, the best first; None where nothing does."""
    for among in ([one for one in candidates if one.telling], [one for one in candidates if one.whole]):
        scores = answers(among, passages, asked, names)
        if any(scores):
            chosen, left_out = _answer(among, passages, scores, budget)
            break
    else:
        return None
    if not left_out:
        # There is room to spare for what is too short to be worth choosing, such as "idea: garden lights".
        told = {one.order for one in chosen}
        short = [one for one in holding(candidates, asked) if one.whole and one.order not in told]
        chosen += [one for one in short if budget.takes(one.text)]
    return chosen, left_out


def _answer(
    candidates: Sequence[Candidate], passages: Sequence[Passage], scores: Sequence[float], budget: Budget
) -> tuple[list[Candidate], list[Candidate]]:
    """What is said about the words asked for and around them, and what of it is left out, the best first."""
    scope = survey(candidates, len(passages))
    telling = score(candidates, scope)
    # What is terse by nature is not judged by how it is put. What its user marked is the best there is, a
    # line of a record as good as any sentence.
    most, usual = max(telling), fsum(telling) / len(telling)

    def told_well(one: Candidate, tells: float) -> float:
        if not one.terse:
            return tells
        return most if passages[one.passage].kind in _MARKED_GAIN else usual

    scored = [
        (
            one,
            value
            * told_well(one, tells) ** _TELLING_POWER
            * _MARKED_GAIN.get(passages[one.passage].kind, 1.0),
        )
        for one, value, tells in zip(candidates, scores, telling, strict=True)
    ]
    chosen = choose(scored, budget, _TASTE_ANSWER, weights=scope.weights, told=set())
    return chosen, _left_out(scored, chosen)


def _left_out(scored: Sequence[tuple[Candidate, float]], chosen: Sequence[Candidate]) -> list[Candidate]:
    known = {one.order for one in chosen}
    others = [(value, one) for one, value in scored if value > 0 and one.order not in known]
    return [one for _, one in sorted(others, key=lambda pair: (-pair[0], pair[1].order))]


def _draft(chosen: Sequence[Candidate], left_out: Sequence[Candidate], max_tokens: int) -> Draft:
    if chosen or not left_out:
        in_order = sorted(chosen, key=lambda one: one.order)
        sentences = tuple(Sentence(text=one.text, sources=tuple(one.sources)) for one in in_order)
        kinds = tuple(one.kind for one in in_order)
        return Draft(sentences=sentences, kinds=kinds, truncated=bool(left_out))
    beginning = cut_to_tokens(left_out[0].text, max_tokens)
    # Half of a number or a short word, where no more fits, would state something else than the whole.
    broken = _SHORT_WORD.match(left_out[0].text)
    if not beginning or (broken is not None and len(beginning) < broken.end()):
        return Draft(sentences=(), truncated=True)
    sentence = Sentence(text=beginning, sources=tuple(left_out[0].sources))
    return Draft(sentences=(sentence,), kinds=(left_out[0].kind,), truncated=True)
