"""Names of people and things: runs of capitalized words."""

import re
from collections.abc import Iterator

from komorebi_mcp.text.stopwords import ASKING_WORDS, STOP_WORDS

_WORDS_MAX = 5
_CAPITALIZED = re.compile(r"(?<![\w@/.\-])[^\W\d_a-z][\w'’\-]{0,40}")  # noqa: RUF001 - as typed
_AFTER_END = re.compile(r"[.!?:;\"“(\[>*#|\-–•\n]\s*\Z")  # noqa: RUF001 - as typed
_COMMON_STARTS = frozenset(
    """
    according actually additionally alright also anyway apparently basically besides certainly consequently
    currently finally first further furthermore hello hey hi however indeed instead later like maybe meanwhile
    moreover nevertheless monday tuesday wednesday thursday friday saturday sunday
    january february march april june july august september october november december mr mrs ms dr next no
    now oh ok okay perhaps please second so sometimes sorry still sure thank thanks then therefore third
    today tomorrow well what yeah yep yes yesterday error warning note todo decision info debug fixed added
    changed removed
    """.split()  # noqa: SIM905 - a table of words
)
_NO_NAMES = STOP_WORDS | _COMMON_STARTS | ASKING_WORDS


def find_names(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each name, in order.

    A capital at the start of a sentence makes a name only where the same word is capitalized inside a
    sentence, too, where another capitalized word follows, or where a colon does, as behind a speaker.
    """
    words = [
        (match.start(), match.start() + len(_without_possessive(match[0])), match[0])
        for match in _CAPITALIZED.finditer(text)
        if match[0][0].isupper() and may_name(match[0])
    ]
    inside = {_without_possessive(word) for start, _, word in words if not _starts_sentence(text, start)}
    run: list[tuple[int, int]] = []
    run_word = ""
    for start, end, word in words:
        if run and start == run[-1][1] + 1 and text[start - 1] == " " and len(run) < _WORDS_MAX:
            run.append((start, end))
            continue
        if run and _is_name(text, run, run_word, inside):
            yield run[0][0], run[-1][1]
        run, run_word = [(start, end)], _without_possessive(word)
    if run and _is_name(text, run, run_word, inside):
        yield run[0][0], run[-1][1]


def _without_possessive(word: str) -> str:
    return word.removesuffix("'s").removesuffix("’s").rstrip("'’-")  # noqa: RUF001 - as typed


def may_name(word: str) -> bool:
    """Whether a capitalized word may be a name; a word that only opens sentences is none: "Therefore"."""
    folded = _without_possessive(word).casefold()
    return len(folded) > 1 and folded not in _NO_NAMES and "'" not in folded[:2]


def _starts_sentence(text: str, start: int) -> bool:
    before = text[max(0, start - 4) : start]
    return not before.strip() or _AFTER_END.search(before) is not None


def _is_name(text: str, run: list[tuple[int, int]], first_word: str, inside: set[str]) -> bool:
    start, end = run[0][0], run[-1][1]
    if len(run) > 1 or not _starts_sentence(text, start):
        return True
    return first_word in inside or (text[end : end + 2] == ": " and not first_word.isupper())
