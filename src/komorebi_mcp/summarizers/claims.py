"""Whether a sentence says of things what its sources say of them.

`grounding` sees to it that every figure and name is in the sources. Here it is what they are said of: a
figure that went to another subject, a "not" that was dropped, a unit that changed, a source that is about
something else. These are rules of thumb on words, not logic: they look for what a careless or dishonest
model does to a sentence, and let pass what they cannot judge.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from komorebi_mcp.summarizers.grounding import NUMBER_WORDS, SMALL_MAX, flat, number
from komorebi_mcp.summarizers.topic import Usage, is_about_something_else
from komorebi_mcp.summarizers.units import UNITS, apart
from komorebi_mcp.text.terms import ordered_terms

_ALIKE_MIN = 0.6
"""The share of a clause's terms from which on a clause of a source is about the same thing."""
_SAME_MIN = 0.6
_AROUND_WORDS = 3
_SCOPE_WORDS = 5
"""So many words behind a negation are what it denies."""
_ADDS = (" and", " or", " und", " et", " y")
_JOINS = (*_ADDS, " but", " aber", " mais", " pero")
_CONTRASTS = re.compile(r"\s*(?:not|nicht|pas|no|non)\b", re.IGNORECASE)
_ADDED_TERMS_MAX = 2
"""A clause of so few terms behind one of these may go on with what the one before denies."""

_CLAUSE = re.compile(
    r"[,;:!?.](?=\s|\Z)|[\u3001\u3002\uff0c\uff1b]|[()\u2014\n]|\s\u2013\s"
    r"|\b(?:and|but|while|whereas|although|though|because|so|yet|und|aber|sondern|et|mais|y|pero|sino)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[$\u20ac\u00a3]?\d[\d,]*(?:\.\d+)?|[^\W_]+(?:['\u2019_.\-/:][^\W_]+)*|%")
_DENIES = re.compile(
    r"\b(?:not|never|without|none|nobody|nothing|neither|nor|cannot|no)\b|n['\u2019]t\b"
    r"|\b(?:nicht|keine?[nmrs]?|nie|niemals|ohne|niemand|nichts)\b"
    r"|\b(?:ne|pas|jamais|sans|aucune?)\b|\bn['\u2019](?=\w)|\b(?:nunca|jam\u00e1s|sin|ning\u00fan|ninguna?|tampoco)\b"
    r"|\b(?:non|mai|senza|nessun[oa]?|n\u00e3o|sem|nenhuma?|niet|geen|nooit|zonder|inte|icke|ikke|aldrig|nie)\b"
    r"|\b(?:\u043d\u0435|\u043d\u0435\u0442|\u043d\u0438\u043a\u043e\u0433\u0434\u0430|\u0431\u0435\u0437)\b"
    r"|[\u4e0d\u6ca1\u672a\u975e]|\u6ca1\u6709|\u306a\u3044|\u307e\u305b\u3093|\uc54a|\uc5c6",
    re.IGNORECASE,
)
_FIGURE_OF_SPEECH = re.compile(
    r"\bnot only\b|\blet(?:'s| us) not forget\b|\bno (?:doubt|wonder|problem|matter|sooner)\b"
    r"|\b(?:whether or|if|why|or|maybe|perhaps) not\b"
    r"|\bno(?=\s*(?:,|\.|!|\?|\Z))",
    re.IGNORECASE,
)
_DOUBTS = re.compile(
    r"\b(?:against|reject\w*|refus\w*|declin\w*|avoid\w*|stop\w*|cancel\w*|drop\w*|unable|impossible|fail\w*|lack\w*|"
    r"instead|rather|disagree\w*|oppos\w*|den(?:y|ied|ies)|prevent\w*|exclud\w*|hardly|barely|un(?:likely|sure|clear)|"
    r"only|few|little|missing|miss(?:ed|es)?|absen\w+|forb\w+|prohibit\w*|reluctan\w+|doubt\w*|skeptic\w*|scepti\w*|"
    r"(?:hard|difficult) to)\b",
    re.IGNORECASE,
)
"""Ways to deny without a negation. Where one of them is near, nothing can be said."""


@dataclass(frozen=True, slots=True)
class _Figure:
    """A number or a name where it stands."""

    value: str
    unit: str
    """Its sort; empty where it has none that is known."""
    around: frozenset[str]
    """The words next to it."""
    clause: frozenset[str]
    """The terms of its clause, without the figures."""


@dataclass(frozen=True, slots=True)
class _Clause:
    terms: frozenset[str]
    denied: frozenset[str]
    """The terms near a negation; empty where there is none."""
    denies: bool
    doubtful: bool
    asks: bool
    """What is only asked is neither stated nor denied."""


def misstated(
    sentence: str, backing: Sequence[str], filed_under: Iterable[str] = (), usage: Usage | None = None
) -> str | None:
    """What is wrong with the sentence: `topic`, `figure`, `unit` or `negation`; None where nothing shows.

    `backing` are the texts of its sources, `filed_under` their titles and who wrote them, `usage` counts the
    terms of all that it could have cited.
    """
    if is_about_something_else(sentence, backing, filed_under, usage or Usage(backing)):
        return "topic"
    if wrong := _figures_differ(sentence, backing):
        return wrong
    if _denial_differs(sentence, backing):
        return "negation"
    return None


def _denial_differs(sentence: str, backing: Sequence[str]) -> bool:
    known = [clause for text in backing for clause in _clauses(text)]
    for clause in _clauses(sentence):
        if clause.doubtful or len(clause.terms) < 2:
            continue
        shared = [(len(clause.terms & each.terms) / len(clause.terms), each) for each in known]
        best = max((share for share, _ in shared), default=0.0)
        if best < _ALIKE_MIN:
            continue
        near = [each for share, each in shared if share >= 0.9 * best and each.asks <= clause.asks]
        if not near or any(each.doubtful for each in near):
            continue
        if clause.denies:
            if not any(each.denies for each in near) and any(
                _same_statement(clause, each, clause.denied & each.terms) for each in near
            ):
                return True
        elif all(_same_statement(clause, each, clause.terms & each.denied) for each in near):
            return True
    return False


def _same_statement(clause: _Clause, other: _Clause, denied: frozenset[str]) -> bool:
    """Whether what is denied in one of them is what the other one states, and not a word they share."""
    close = len(clause.terms & other.terms) >= _SAME_MIN * len(other.terms)
    return len(denied) > 1 or (len(denied) == 1 and close)


@lru_cache(maxsize=1 << 10)
def _clauses(text: str) -> tuple[_Clause, ...]:
    found: list[_Clause] = []
    told = _FIGURE_OF_SPEECH.sub(" ", flat(text))
    starts = [0, *(match.end() for match in _CLAUSE.finditer(told))]
    ends = [*(match.start() for match in _CLAUSE.finditer(told)), len(told)]
    for start, end in zip(starts, ends, strict=True):
        part = told[start:end]
        terms = frozenset(ordered_terms(part))
        if not terms:
            continue
        denied: set[str] = set()
        negations = list(_DENIES.finditer(part))
        for match in negations:
            behind = " ".join(part[match.end() :].split()[:_SCOPE_WORDS])
            denied |= set(ordered_terms(behind or part))
        # "We had no screens and a fancy chip": whether the second is denied as well, words do not tell. Nor
        # does "…, but not with noise" tell by itself what is denied.
        goes_on = (
            bool(found)
            and len(terms) <= _ADDED_TERMS_MAX
            and (
                ((found[-1].denies or found[-1].doubtful) and told[:start].endswith(_ADDS))
                or (told[:start].endswith(_JOINS) and _CONTRASTS.match(part) is not None)
            )
        )
        found.append(
            _Clause(
                terms,
                frozenset(denied),
                denies=bool(negations),
                doubtful=goes_on or _DOUBTS.search(part) is not None,
                asks=told[end : end + 1] == "?",
            )
        )
    return tuple(found)


def _figures_differ(sentence: str, backing: Sequence[str]) -> str | None:
    stated = _figures(sentence)
    known = [figure for text in backing for figure in _figures(text)]
    for one in stated:
        same = [each for each in known if each.value == one.value]
        if not same:
            # Whether it is there at all is not the question here.
            continue
        if one.unit and all(each.unit not in ("", one.unit) for each in same):
            return "unit"
        # Words of a clause with several figures belong to all of them.
        beside = {each.value for each in stated if each.clause == one.clause}
        for rival in known:
            if rival.value not in beside and _fits_better(one, same, rival):
                return "figure"
    return "figure" if _exchanged(stated, known) else None


def _fits_better(one: _Figure, same: Sequence[_Figure], rival: _Figure) -> bool:
    """Whether the words around a figure are the rival's rather than its own, wherever it stands."""
    return all(
        len(one.clause & (rival.clause - own.clause)) > len(one.clause & (own.clause - rival.clause))
        for own in same
    )


def _exchanged(stated: Sequence[_Figure], known: Sequence[_Figure]) -> bool:
    """Whether two figures have changed places."""
    for at, one in enumerate(stated):
        for other in stated[at + 1 :]:
            if one.value == other.value:
                continue
            kept = _best(one, one, known) + _best(other, other, known)
            crossed = _best(one, other, known) + _best(other, one, known)
            if crossed > kept + 1:
                return True
    return False


def _best(one: _Figure, value_of: _Figure, known: Sequence[_Figure]) -> int:
    return max((len(one.around & each.around) for each in known if each.value == value_of.value), default=0)


@lru_cache(maxsize=1 << 10)
def _figures(text: str) -> tuple[_Figure, ...]:
    """The numbers in a text, each with the words next to it and the terms of its clause."""
    found: list[_Figure] = []
    inherited: list[str] = []
    for part in _CLAUSE.split(apart(flat(text))):
        words = _WORD.findall(part)
        values = [_value(word) for word in words]
        own = [term for term in ordered_terms(part) if not term.isdigit()]
        if not own and not any(values):
            continue
        # "…, the export 30": what it leaves out was said in the clause before.
        clause = frozenset([*own, *inherited[len(own) :]] if len(own) < len(inherited) <= 6 else own)
        for at, value in enumerate(values):
            if value is None:
                continue
            before = words[max(0, at - _AROUND_WORDS) : at]
            behind = words[at + 1 : at + 1 + _AROUND_WORDS]
            unit = UNITS.get(behind[0].casefold(), "") if behind else ""
            around = [f"<{word.casefold()}" for word in before] + [f">{word.casefold()}" for word in behind]
            found.append(_Figure(value, unit, frozenset(around), clause))
        inherited = own
    return tuple(found)


def _value(word: str) -> str | None:
    if word[-1].isdigit() and word.lstrip("$\u20ac\u00a3")[0].isdigit():
        return number(word) if re.fullmatch(r"[$\u20ac\u00a3]?\d[\d,]*(?:\.\d+)?", word) else None
    # "One" and "two" are mostly figures of speech.
    spelled = NUMBER_WORDS.get(word.casefold())
    return spelled if spelled is not None and int(spelled) > SMALL_MAX else None
