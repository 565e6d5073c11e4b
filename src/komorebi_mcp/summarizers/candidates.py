"""The sentences a summary may be made of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from operator import itemgetter

from komorebi_mcp.domain.captures import Kind
from komorebi_mcp.domain.nodes import NodeContent
from komorebi_mcp.summarizers.draft import Passage
from komorebi_mcp.summarizers.records import code_lines, log_lines, shape
from komorebi_mcp.summarizers.words import content_of, words_of
from komorebi_mcp.text.cues import stamp_end
from komorebi_mcp.text.entities import decides
from komorebi_mcp.text.markup import fences, without_frames, without_markup
from komorebi_mcp.text.sentences import split_sentences
from komorebi_mcp.text.stopwords import LINKING_WORDS
from komorebi_mcp.text.tokens import byte_length

WORDS_MIN = 5
CONTENT_WORDS_MIN = 3
"""Shorter sentences rarely stand on their own: "Okay, thank you." """
MARKED = frozenset({Kind.DECISION, Kind.ERROR})
"""What its user said matters."""
CANDIDATES_MAX = 40_000
"""In all; a scope with more is thinned evenly."""
_HEAD_SENTENCES_MAX = 400
_TAIL_SENTENCES_MAX = 100
"""Of one passage, so that a single long log does not drown all others."""
_PASSAGE_CHARS_MAX = 300_000

_TERSE = MARKED | {Kind.LOG, Kind.CODE, Kind.LINK}


@dataclass(slots=True, eq=False)
class Reading:
    """What a sentence says, whoever says it."""

    words: tuple[str, ...]
    """Case-folded, stop words included."""
    content: tuple[str, ...]
    """Stems of the content words, in order."""
    stems: tuple[str, ...]
    """The different ones of these, in order."""
    concepts: frozenset[str]
    """The different stems, and the pairs of neighbouring ones."""


@dataclass(slots=True, eq=False)
class Candidate:
    """A sentence and what its scorers need to know of it."""

    text: str
    passage: int
    """Its passage's place in the scope, counted from 0."""
    order: int
    """Its own place in the scope, counted from 0."""
    kind: Kind
    """Its passage's; an error in a log is an error."""
    sources: list[str]
    """Ids of the captures that hold it, the first copy first."""
    reading: Reading
    text_bytes: int
    """Of UTF-8."""

    @property
    def marked(self) -> bool:
        """Whether its user said that it matters."""
        return self.kind in MARKED

    @property
    def terse(self) -> bool:
        """Whether it may be short and still say all: marked by its user, or a line of a record."""
        return self.kind in _TERSE

    @property
    def whole(self) -> bool:
        """Whether it ends where its thought does; an item of a list may go on in the next one."""
        return bool(self.reading.content) and (self.kind in _TERSE or not self._breaks_off())

    @property
    def telling(self) -> bool:
        """Whether it stands on its own."""
        content = len(self.reading.content)
        if content < CONTENT_WORDS_MIN or self.kind in _TERSE:
            return content > 0 and self.kind in _TERSE
        words = len(self.reading.words)
        return (words >= WORDS_MIN or content > words) and not self._breaks_off()

    def _breaks_off(self) -> bool:
        """Of one that has words."""
        last = self.text[-1]
        return last in ",(" or (last.isalpha() and self.reading.words[-1] in LINKING_WORDS)


def gather(passages: Sequence[Passage], *, asked: bool = False, by_shape: bool = False) -> list[Candidate]:
    """All sentences in order, each text once, with every capture that holds it.

    Where something is `asked`, what a sentence begins with to say when it was written counts as its words.
    `by_shape`, a line of a log is read without its numbers: that is faster, and no query asks for them.
    """
    found: dict[str, Candidate] = {}
    for place, passage in enumerate(passages):
        for text, read_as, kind in _sentences(passage):
            known = found.get(text)
            if known is None:
                read = text if asked or (passage.kind is Kind.LOG and not by_shape) else read_as
                found[text] = Candidate(
                    text, place, len(found), kind, [passage.capture_id], _read(read), byte_length(text)
                )
            else:
                if known.sources[-1] != passage.capture_id and passage.capture_id not in known.sources[:1]:
                    known.sources.append(passage.capture_id)
                # A decision repeats a remark made before: it is one all the same.
                if passage.kind is Kind.DECISION:
                    known.kind = passage.kind
    return _thinned(list(found.values()))


def regather(nodes: Sequence[NodeContent], kept: Sequence[Iterable[int]] | None = None) -> list[Candidate]:
    """The sentences of nodes in order, each text once; a node stands for a passage.

    `kept` are the places in each node of those that are wanted, where it is not all.
    """
    found: dict[str, Candidate] = {}
    for place, node in enumerate(nodes):
        for at in range(len(node.sentences)) if kept is None else kept[place]:
            sentence, kind = node.sentences[at], node.kinds[at]
            known = found.get(sentence.text)
            if known is None:
                text = sentence.text
                reading = _read_again(text, kind is Kind.LOG)
                found[text] = Candidate(
                    text, place, len(found), kind, list(sentence.sources), reading, byte_length(text)
                )
            else:
                known.sources += [each for each in sentence.sources if each not in known.sources]
                if kind is Kind.DECISION:
                    known.kind = kind
    return _thinned(list(found.values()))


def _thinned(candidates: list[Candidate]) -> list[Candidate]:
    if len(candidates) > CANDIDATES_MAX:
        step = len(candidates) / CANDIDATES_MAX
        marked = [one for one in candidates if one.marked][: CANDIDATES_MAX // 2]
        thinned = {one.order: one for one in marked}
        thinned |= {one.order: one for one in (candidates[int(i * step)] for i in range(CANDIDATES_MAX))}
        candidates = [thinned[order] for order in sorted(thinned)]
    return candidates


def _sentences(passage: Passage) -> list[tuple[str, str, Kind]]:
    """Each sentence, what it is read as, and its kind."""
    text, kind = passage.text[:_PASSAGE_CHARS_MAX], passage.kind
    if kind is Kind.LOG:
        return [
            (line.text, line.shape, Kind.ERROR if line.is_error else Kind.LOG)
            for line in log_lines(without_frames(text)) or log_lines(text)
        ]
    if kind is Kind.CODE:
        return [(line, line, kind) for line in code_lines(text)]
    # When it was written is no part of what it says, and the same in many.
    return [
        (told, told[stamp_end(told) :], of_kind) for told, of_kind in _prose(text, kind, passage.language)
    ]


def _prose(text: str, kind: Kind, language: str | None) -> list[tuple[str, Kind]]:
    """The sentences of a note and the lines that tell of code in it; of mere markup the lines as they are."""
    prose = without_markup(text)
    spans = split_sentences(prose, language=language)
    if len(spans) > _HEAD_SENTENCES_MAX + _TAIL_SENTENCES_MAX:
        spans = spans[:_HEAD_SENTENCES_MAX] + spans[-_TAIL_SENTENCES_MAX:]
    told = [(text[start:end], kind) for start, end in spans]
    if kind in MARKED:
        # "We keep it. Nobody objected.": what was decided is the first, or what says that it is.
        says_so = kind is Kind.DECISION and any(decides(said) for said, _ in told[1:])
        matters = decides if says_so else _says_enough
        told[1:] = [(said, kind if matters(said) else Kind.NOTE) for said, _ in told[1:]]
    if blocks := fences(text):
        placed = [(start, *each) for (start, _), each in zip(spans, told, strict=True)]
        placed += [(start, line, Kind.CODE) for start, end in blocks for line in code_lines(text[start:end])]
        placed.sort(key=itemgetter(0))
        told = [(line, of_kind) for _, line, of_kind in placed]
    return told or [(text[start:end], kind) for start, end in split_sentences(text, language=language)]


def _says_enough(sentence: str) -> bool:
    return len(_read(sentence).content) >= CONTENT_WORDS_MIN


@lru_cache(maxsize=1 << 10)
def _read(text: str) -> Reading:
    """Remembered, as nodes of several levels are made at a time, and tell the same sentences again."""
    words = words_of(text)
    content = content_of(words)
    stems = tuple(dict.fromkeys(content))
    return Reading(words, content, stems, frozenset((*stems, *map(" ".join, pairwise(content)))))


@lru_cache(maxsize=1 << 10)
def _read_again(text: str, is_log: bool) -> Reading:
    """As where its node was made: a line of a log without its numbers, all else without its stamp."""
    return _read(shape(text) if is_log else text[stamp_end(text) :])
