"""The few words of a capture that a list shows."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache, lru_cache

from komorebi_mcp.domain.search import SearchQuery
from komorebi_mcp.text.cuts import one_line, shorten, whole_end, word_end
from komorebi_mcp.text.terms import TERM_CHARS_MAX, UNSPACED, fold, taken_off, terms

HEAD_CHARS = 200
MARKED_CHARS = 240
"""Without the marks themselves."""
_SCAN_CHARS_MAX = 200_000
_LEAD_CHARS = 60
"""At most so much is shown before the first match where no sentence begins nearer."""

_WORD = r"{0}(?:(?:_+|['\u2019.\-]){0})*(?:\+\+|[+#])?|[\u2600-\u27bf\U0001f300-\U0001faff]"
_MARKED = re.compile(
    "[\u0300-\u036f\u0483-\u1cff\u1dc0-\u1dff\u20d0-\u20ff\ua66f-\uabff\ufb1e\ufe20-\ufe2f\U00010a00-\U00011fff]"
)
"""Scripts whose letters carry marks of their own; looking for these takes several times as long."""
_PLAIN_WORD = re.compile(_WORD.format(r"[^\W_]+"))
_UNSPACED_CHAR = re.compile(f"[{UNSPACED}]")
_SENTENCE_START = re.compile(r"(?:[.!?…]['\")\]]?\s|[。！？\n])\s{0,8}")  # noqa: RUF001 - full-width marks


def head(content: str) -> str:
    """How the content begins, on one line of at most 200 characters; empty where nothing can be shown."""
    beginning = content.lstrip()
    line = one_line(beginning[: HEAD_CHARS * 10])
    # Little is left of so much white space and control characters, as in a dump: look at all of it.
    if len(line) <= HEAD_CHARS < len(beginning) // 10:
        line = one_line(beginning)
    return shorten(line, HEAD_CHARS)


@cache
def _any_word() -> re.Pattern[str]:
    """A word with the marks of its letters, without which it would fall apart in Hindi or Thai."""
    return re.compile(_WORD.format(rf"(?:[^\W_][{re.escape(taken_off())}]*)+"))


@lru_cache(maxsize=1 << 14)
def _terms_of(word: str) -> frozenset[str]:
    return frozenset(terms(word))


def _matches(content: str, wanted: frozenset[str]) -> Iterator[tuple[int, int, str]]:
    """Where a wanted term stands in the content: start, end and the term, in order."""
    words = _any_word() if _MARKED.search(content) else _PLAIN_WORD
    for match in words.finditer(content, 0, _SCAN_CHARS_MAX):
        word, start = match[0], match.start()
        if not word.isascii() and _UNSPACED_CHAR.search(word):
            yield from _matches_inside(word, start, wanted)
        elif len(word) <= TERM_CHARS_MAX:
            found = _terms_of(word) & wanted
            if found:
                yield start, match.end(), min(found)


def _matches_inside(word: str, offset: int, wanted: frozenset[str]) -> Iterator[tuple[int, int, str]]:
    # Where a character begins, with the marks behind it.
    starts = (
        [at for at, char in enumerate(word) if fold(char)] if _MARKED.search(word) else [*range(len(word))]
    )
    starts += [len(word)] * 2
    for start, *ends in zip(starts, starts[2:], starts[1:], strict=False):
        for end in ends:
            piece = fold(word[start:end]).casefold()
            if piece in wanted:
                yield offset + start, offset + end, piece
                break


def _densest(found: list[tuple[int, int, str]]) -> tuple[int, int]:
    """The first and last match (indices) of the window with most different terms, then most matches."""
    best, best_score = (0, 0), (0, 0)
    inside: Counter[str] = Counter()
    first = 0
    for last, (_, end, term) in enumerate(found):
        inside[term] += 1
        while first < last and end - found[first][0] > MARKED_CHARS - _LEAD_CHARS:
            gone = found[first][2]
            inside[gone] -= 1
            if not inside[gone]:
                del inside[gone]
            first += 1
        score = (len(inside), last - first)
        if score > best_score:
            best, best_score = (first, last), score
    return best


def _window(content: str, first: int) -> tuple[int, int]:
    """Around the match at `first`: from the start of its sentence, or of a word, to the end of a word."""
    lowest = max(0, first - _LEAD_CHARS)
    start = lowest
    if lowest:
        starts = [match.end() for match in _SENTENCE_START.finditer(content, lowest, first)]
        spaces = [match.end() for match in re.finditer(r"\s+", content[lowest:first])]
        if starts:
            start = starts[0]
        elif spaces:
            start = lowest + spaces[0]
        else:
            start = whole_end(content, lowest)
    end = min(len(content), start + MARKED_CHARS)
    return start, start + word_end(content[start : end + 1], end - start)


def mark(content: str, query: SearchQuery) -> str:
    """The part of the content that matches the query best, on one line, matching words between ** and **.

    About 240 characters; the content's head where no word matches. Only the first 200,000 characters are
    looked at.
    """
    wanted = frozenset(query.terms).union(*query.phrases)
    found = list(_matches(content, wanted)) if wanted else []
    if not found:
        return head(content)
    first, _ = _densest(found)
    start, end = _window(content, found[first][0])
    pieces: list[str] = []
    at = start
    for match_start, match_end in _merged(found):
        if match_start >= at and match_end <= end:
            pieces += (content[at:match_start], "**", content[match_start:match_end], "**")
            at = match_end
    pieces.append(content[at:end])
    line = one_line("".join(pieces))
    return f"{'…' if start else ''}{line}{'…' if end < len(content.rstrip()) else ''}"


def _merged(found: list[tuple[int, int, str]]) -> Iterator[tuple[int, int]]:
    """The matches' places; those that touch, as pairs of one unspaced word do, as one."""
    start, end = found[0][:2]
    for next_start, next_end, _ in found[1:]:
        if next_start > end:
            yield start, end
            start = next_start
        end = max(end, next_end)
    yield start, end
