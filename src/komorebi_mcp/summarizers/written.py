"""From a model's answer to a summary: what its sources bear out stays, the rest is told verbatim."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from komorebi_mcp.domain.captures import Kind
from komorebi_mcp.domain.model import Model
from komorebi_mcp.domain.summaries import Sentence
from komorebi_mcp.summarizers.candidates import Candidate, gather
from komorebi_mcp.summarizers.choosing import Budget
from komorebi_mcp.summarizers.claims import misstated
from komorebi_mcp.summarizers.draft import Draft, Passage
from komorebi_mcp.summarizers.excerpts import excerpt
from komorebi_mcp.summarizers.grounding import atoms, proper_words, unsupported
from komorebi_mcp.summarizers.prompts import handles
from komorebi_mcp.summarizers.replies import Claim
from komorebi_mcp.summarizers.topic import Usage
from komorebi_mcp.summarizers.words import content_of, words_of
from komorebi_mcp.summarizers.writer import Item
from komorebi_mcp.text.terms import ordered_terms

_SOURCES_MAX = 8
_NEAREST_MAX = 300
"""Passages looked through for a sentence that could stand for one whose citation is wrong."""
_READ_CHARS_MAX = 20_000
"""Of a capture, in which names are looked for and words are counted."""
_MARKED = (Kind.DECISION, Kind.ERROR)


class Material(Model):
    """What a model is shown, and what its sentences are held against."""

    items: tuple[Item, ...]
    passages: dict[str, Passage]
    """The captures behind the items, whole, by id."""
    cut: bool
    """Whether there was more than fits."""


class Written(Model):
    """A summary in which a model had a part."""

    sentences: tuple[Sentence, ...]
    kinds: tuple[Kind, ...]
    rejected: int
    """Sentences of the model that its sources do not bear out."""
    own: int
    """Sentences that are the model's; the others are verbatim."""
    truncated: bool


class _Told(Model):
    sentence: Sentence
    kind: Kind
    own: bool


def check(claims: Sequence[Claim], material: Material, without: Draft, *, max_tokens: int) -> Written:
    """The claims that hold, verbatim sentences for those that do not, within `max_tokens`.

    `without` is what is told without a model. Its decisions and errors are told as well, unless the claims
    say them: no model may forget those.
    """
    by_handle = {item.handle: item for item in material.items}
    shown = {source for item in material.items for source in item.sources}
    texts = [material.passages[source].text[:_READ_CHARS_MAX] for source in sorted(shown)]
    scope = _Scope(proper_words(texts), Usage(texts))
    verbatim = _Verbatim(material)
    told: list[_Told] = []
    said: set[str] = set()
    rejected = 0
    for claim in claims:
        if claim.text.casefold() in said:
            continue
        cited = [by_handle[name] for name in dict.fromkeys(claim.handles) if name in by_handle]
        one = _held(claim.text, cited, material, scope)
        if one is None:
            rejected += 1
            one = verbatim.instead_of(claim.text, cited, said)
        if one is not None and one.sentence.text.casefold() not in said:
            said.add(one.sentence.text.casefold())
            told.append(one)
    return _fit(told, _unsaid(without, told), rejected, max_tokens, cut=material.cut)


class _Scope(NamedTuple):
    """What is known of all that is shown."""

    names: frozenset[str]
    usage: Usage


def _held(text: str, cited: Sequence[Item], material: Material, scope: _Scope) -> _Told | None:
    """The claim with the captures that bear it out; None where they do not."""
    sources = [source for item in cited for source in item.sources if source in material.passages]
    read = {source: excerpt(material.passages[source].text, text) for source in dict.fromkeys(sources)}
    backing = {source: (part, *filed_under(material.passages[source])) for source, part in read.items()}
    if not backing or unsupported(text, [part for parts in backing.values() for part in parts], scope.names):
        return None
    filed = {part for source in read for part in filed_under(material.passages[source])}
    if misstated(text, list(read.values()), filed, scope.usage):
        return None
    terms = set(ordered_terms(text))
    # What has no word in common with the sentence is cited for show.
    kept = [source for source, part in read.items() if not terms.isdisjoint(ordered_terms(part))]
    kept = (kept or list(read))[:_SOURCES_MAX]
    if unsupported(text, [part for source in kept for part in backing[source]], scope.names):
        return None
    kind = next((kind for kind in _MARKED if any(item.kind is kind for item in cited)), Kind.NOTE)
    return _Told(sentence=Sentence(text=text, sources=tuple(kept)), kind=kind, own=True)


def filed_under(passage: Passage) -> tuple[str, ...]:
    """What besides its text may back a sentence that cites the capture.

    Not when it was captured: the figures of a time would back any other figures that are like them.
    """
    return tuple(part for part in (passage.title, passage.source) if part)


class _Verbatim:
    """The sentences that can stand for a claim that does not hold."""

    def __init__(self, material: Material) -> None:
        self._material = material

    @cached_property
    def _candidates(self) -> list[Candidate]:
        shown = dict.fromkeys(source for item in self._material.items for source in item.sources)
        passages = [self._material.passages[each] for each in shown if each in self._material.passages]
        return [one for one in gather(passages[:_NEAREST_MAX]) if one.telling]

    def instead_of(self, text: str, cited: Sequence[Item], said: Collection[str]) -> _Told | None:
        """The nearest sentence of what the claim cites, or else of anything that is like it."""
        near = {source for item in cited for source in item.sources}
        wanted = set(content_of(words_of(text)))
        best: tuple[tuple[bool, float, int], Candidate] | None = None
        for one in self._candidates:
            if one.text.casefold() in said:
                continue
            alike = len(wanted.intersection(one.reading.content)) / (3 + len(set(one.reading.content)))
            is_near = not near.isdisjoint(one.sources)
            rank = (is_near, alike, -one.order)
            if (is_near or alike > 0) and (best is None or rank > best[0]):
                best = rank, one
        if best is None:
            return None
        one = best[1]
        sentence = Sentence(text=one.text, sources=tuple(one.sources[:_SOURCES_MAX]))
        return _Told(sentence=sentence, kind=one.kind, own=False)


def _unsaid(without: Draft, told: Sequence[_Told]) -> list[_Told]:
    """The decisions and errors of the other summary that no sentence told says."""
    found: list[_Told] = []
    for sentence, kind in zip(without.sentences, without.kinds, strict=True):
        if kind not in _MARKED:
            continue
        citing = [
            one.sentence.text for one in told if not set(one.sentence.sources).isdisjoint(sentence.sources)
        ]
        stated = frozenset[tuple[str, str]]().union(*map(atoms, citing))
        if not citing or not atoms(sentence.text) <= stated:
            found.append(_Told(sentence=sentence, kind=kind, own=False))
    return found


def _fit(
    told: Sequence[_Told], unsaid: Sequence[_Told], rejected: int, max_tokens: int, *, cut: bool
) -> Written:
    budget = Budget(max_tokens)
    kept: list[_Told] = []
    for one in (*unsaid, *told):
        if budget.fits(one.sentence.text):
            budget.take(one.sentence.text)
            kept.append(one)
    in_order = [one for one in (*told, *unsaid) if any(one is each for each in kept)]
    return Written(
        sentences=tuple(one.sentence for one in in_order),
        kinds=tuple(one.kind for one in in_order),
        rejected=rejected,
        own=sum(one.own for one in in_order),
        truncated=cut or len(kept) < len(told) + len(unsaid),
    )


def material_of(
    parts: Iterable[tuple[str, tuple[str, ...]]], passages: Mapping[str, Passage], *, cut: bool
) -> Material:
    """Material from texts, in order, and the captures each comes from; without one a text is left out."""
    known = [(text, tuple(each for each in sources if each in passages)) for text, sources in parts]
    known = [(text, sources) for text, sources in known if sources]
    alone = Counter(sources for _, sources in known)
    # A capture keeps its name whichever part of it is shown.
    names = handles(sources if alone[sources] == 1 else (text, *sources) for text, sources in known)
    items = []
    for name, (text, sources) in zip(names, known, strict=True):
        kinds = {passages[source].kind for source in sources}
        kind = next((kind for kind in _MARKED if kind in kinds), passages[sources[0]].kind)
        first = passages[sources[0]]
        items.append(
            Item(handle=name, text=text, sources=sources, kind=kind, who=first.source, when=first.created_at)
        )
    return Material(items=tuple(items), passages=dict(passages), cut=cut)
