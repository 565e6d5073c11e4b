"""Index terms: what a word is reduced to before it is stored or looked up.

A term consists of letters, digits and underscores, so that the full-text index of either database keeps it
whole. Text and queries go through the same reduction; both databases therefore find the same.
"""

import re
import threading
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache

import Stemmer

from komorebi_mcp.domain.search import SearchQuery
from komorebi_mcp.text.cues import asks_when
from komorebi_mcp.text.stopwords import ASKING_WORDS, QUESTION_FORMS, STOP_WORDS

TERM_CHARS_MAX = 64
QUERY_TERMS_MAX = 64
_QUERY_CHARS_MAX = 10_000
_PARTS_MAX = 12
"""A chain of more parts is data rather than a name, and is not indexed as one term."""
_HUMPS_MAX = 8
"""More capitals inside one word are base64 rather than camelCase."""

UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, kana, Han and Hangul: no space, or no reliable one, divides their words."""

_WORD = re.compile(
    # Words joined by single marks: foo_bar, v1.2.3, ABC-12, don't; then c++, c#.
    r"[^\W_]+(?:(?:_+|['.\-])[^\W_]+)*(?:\+\+(?!\w)|[+#](?![\w+#]))?"
    r"|[\u2600-\u27bf\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff]"
)
_UNSPACED_RUN = re.compile(f"[{UNSPACED}]+")
_RUN = re.compile(f"[{UNSPACED}]+|[^{UNSPACED}]+")
_JOINT = re.compile(r"['.\-_]+")
_HUMP = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])")
_ACRONYMS = re.compile(r"[A-Z][A-Z0-9]*[A-Z]s")
"""More than one of something: URLs, PDFs."""
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_RUN_CHARS_MAX = 4
"""Longer ones are words of another script, which would push the others out of the cache."""
_SLICE_CHARS_MAX = 2_048
_SLICE = re.compile(rf"(?s).{{1,{_SLICE_CHARS_MAX}}}(?=\s)|.{{1,{_SLICE_CHARS_MAX}}}")
_CLITIC = re.compile(r"'(?:s|t|re|ve|ll|d|m)\Z")
_SIGNS = {"++": "plusplus", "+": "plus", "#": "sharp"}

_local = threading.local()


def _stem_once(word: str) -> str:
    # A Stemmer object must not be used by two threads at once.
    stemmer = getattr(_local, "stemmer", None)
    if stemmer is None:
        stemmer = _local.stemmer = Stemmer.Stemmer("english")
    return str(stemmer.stemWord(word))


@lru_cache(maxsize=1 << 15)
def stem(word: str) -> str:
    """The English Snowball stem of a case-folded word, stemmed until it no longer changes.

    Numbers, identifiers with digits and words of other scripts stay as they are. A word whose stem would be
    a stop word stays whole, so that "cans" can be found.
    """
    word = word[:TERM_CHARS_MAX]
    if not (word.isascii() and word.isalpha()) or word in STOP_WORDS:
        return word
    stemmed = word
    for _ in range(4):
        again = _stem_once(stemmed)
        if again == stemmed:
            break
        stemmed = again
    return word if stemmed in STOP_WORDS else stemmed


_KANA_MARKS = (0x3099, 0x309A)
"""These make other letters of kana; off all other letters marks are taken."""


class _Folding(dict[int, int | str | None]):
    """What becomes of a character after decomposition, by its code; None takes it out."""

    def __missing__(self, code: int) -> int | None:
        # Judged when it is met: to go through all characters for the marks among them takes 14 ms.
        if unicodedata.category(chr(code)) not in ("Mn", "Mc", "Me") or code in _KANA_MARKS:
            return code
        self[code] = None
        return None


_FOLDING = _Folding(
    str.maketrans(
        {
            **dict.fromkeys("\u00ad\u200c\u200d\u2060\ufeff"),
            **dict.fromkeys("’ʼ", "'"),  # noqa: RUF001 - apostrophes as typed
            **dict(zip("øØłŁđĐı", "oOlLdDi", strict=True)),
            "æ": "ae",
            "Æ": "Ae",
            "œ": "oe",
            "Œ": "Oe",
        }
    )
)


def taken_off() -> str:
    """The characters that folding takes off: accents, vowel signs and what is not seen."""
    codes = (0xAD, *range(0x300, 0x20000), *range(0xE0100, 0xE01F0))
    return "".join(chr(code) for code in codes if _FOLDING[code] is None)


def fold(text: str) -> str:
    """Compatibility forms made plain (NFKC), accents and invisible characters taken off; case is kept."""
    return text if text.isascii() else _BEYOND_ASCII.sub(_folded, text)


def _folded(run: re.Match[str]) -> str:
    """Of characters beyond ASCII alone: in most texts these are few, and ever the same."""
    if len(run[0]) <= _RUN_CHARS_MAX:
        return _fold_again(run[0])
    # Normalizing one long run of combining marks costs quadratic time.
    return "".join(_fold(piece[0]) for piece in _SLICE.finditer(run[0]))


def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", text).translate(_FOLDING))


_fold_again = lru_cache(maxsize=1 << 10)(_fold)


@lru_cache(maxsize=1 << 14)
def _of_word(word: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The terms of a folded word: those that stand in the text's order, and the other ways to find it."""
    if word.isascii() and word.isalpha() and (word.islower() or word.istitle() or word.isupper()):
        return (stem(word.casefold()),), ()
    if not (word[0].isalnum()):
        return (f"u{ord(word[0]):x}",), ()
    if not word.isascii() and _UNSPACED_RUN.search(word):
        return _of_mixed(word)
    sign = next((sign for sign in _SIGNS if word.endswith(sign)), "")
    if sign:
        name = (
            word.removesuffix(sign)
            .casefold()
            .replace(".", "")
            .replace("-", "")
            .replace("'", "")
            .replace("_", "")
        )
        whole = f"{name[: TERM_CHARS_MAX - 8]}{_SIGNS[sign]}"
        return (whole,), (() if len(name) == 1 else (stem(name),))
    return _of_compound(word)


def _of_mixed(word: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A word of an unspaced script: pairs of neighbouring characters in order, single ones beside."""
    ordered: list[str] = []
    beside: dict[str, None] = {}
    for match in _RUN.finditer(word):
        run = match[0].casefold()
        if not _UNSPACED_RUN.match(run):
            for part in _WORD.finditer(match[0]):
                inner, more = _of_word(part[0])
                ordered += inner
                beside |= dict.fromkeys(more)
        elif len(run) == 1:
            ordered.append(run)
        else:
            ordered += (run[i : i + 2] for i in range(len(run) - 1))
            beside |= dict.fromkeys(run)
    return tuple(ordered), tuple(beside)


def _of_compound(word: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """foo_bar, parseJson, ABC-12, v1.2.3: the whole and its parts, one in order and the other beside it."""
    folded = word.casefold()
    if folded in STOP_WORDS:
        return (folded.replace("'", ""),), ()
    if _ACRONYMS.fullmatch(word):
        return (stem(folded[:-1]),), ()
    clitic = _CLITIC.search(folded)
    if clitic:
        word = word[: clitic.start()]
        folded = word.casefold()
    pieces = _JOINT.split(word)
    if len(pieces) > _PARTS_MAX:
        return tuple(stem(piece.casefold()) for piece in pieces if len(piece) > 1), ()
    parts: list[str] = []
    for piece in pieces:
        humps = _HUMP.split(piece) if len(piece) <= TERM_CHARS_MAX else [piece]
        parts += (hump.casefold() for hump in (humps if len(humps) <= _HUMPS_MAX else [piece]))
    whole = _joined(parts)
    terms = tuple(stem(part) for part in parts if len(part) > 1 and part not in STOP_WORDS)
    if len(parts) == 1 or not terms:
        return (whole,), ()
    if any(char.isdigit() for char in whole):
        return (whole,), terms
    return terms, (whole,)


def _joined(parts: list[str]) -> str:
    """The parts as one term, however they were joined: foo_bar, fooBar and foo-bar are found alike."""
    whole = parts[0]
    # A version is the same with and without its v.
    if len(parts) > 1 and re.fullmatch(r"v\d{1,8}", whole):
        whole = whole[1:]
    for part in parts[1:]:
        divided = whole[-1:].isdigit() and part[:1].isdigit()
        whole += f"_{part}" if divided else part
    return stem(whole)


def _split(text: str) -> tuple[list[str], list[str]]:
    """All terms in the text's order, and the distinct ones beside them."""
    ordered: list[str] = []
    beside: dict[str, None] = {}
    for match in _WORD.finditer(fold(text)):
        word = match[0]
        # Long words would push everything else out of the cache.
        inner, more = _of_word(word) if len(word) <= TERM_CHARS_MAX else _of_word.__wrapped__(word)
        ordered += inner
        if more:
            beside |= dict.fromkeys(more)
    return ordered, list(beside)


def terms(text: str) -> tuple[str, ...]:
    """The index terms of a text in its order, repeats included; other ways to find its words follow.

    Stop words are left out unless the text has nothing else. An identifier is found whole and by its parts,
    Chinese, Japanese, Korean and Thai by any character or run of characters.
    """
    ordered, beside = _split(text)
    telling = [term for term in (*ordered, *beside) if term not in STOP_WORDS]
    return tuple(telling or ordered)


def ordered_terms(text: str) -> tuple[str, ...]:
    """The index terms in the text's order alone, stop words left out: what a sentence is about."""
    return tuple(term for term in _split(text)[0] if term not in STOP_WORDS)


def _phrases(text: str) -> Iterator[tuple[str, str]]:
    """The pieces of a query: what sort ("phrase", "excluded", "words") and its text."""
    at = 0
    for match in _QUOTED_OR_EXCLUDED.finditer(text):
        yield "words", text[at : match.start()]
        if match["phrase"] is not None:
            yield ("excluded" if match["minus"] else "phrase"), match["phrase"]
        else:
            yield "excluded", match["word"]
        at = match.end()
    yield "words", text[at:]


_QUOTED_OR_EXCLUDED = re.compile(
    r'(?:(?<!\S)(?P<minus>-))?"(?P<phrase>[^"]*)"|(?<!\S)-(?P<word>[^\W\d_][^\s"]*)'
)
_ASKS = re.compile(
    r"\s*(?:who|whom|whose|what|when|where|which|why|how|is|are|was|were|do|does|did|has|have|had|can|could|would|"
    r"should|will|please|tell|show|give|find|search|recall|remind|summari[sz]e|describe|discuss|explain|recap)\b",
    re.IGNORECASE,
)


def parse_query(text: str) -> SearchQuery:
    """What a person looks for; any text at all is a query.

    "Quoted words" are phrases (a single quoted word is one too), -word excludes. Stop words and the words a
    question is dressed in count only where nothing else is left. At most `QUERY_TERMS_MAX` terms.
    """
    text = text[:_QUERY_CHARS_MAX].translate({ord("“"): '"', ord("”"): '"', ord("„"): '"'})
    wanted: dict[str, None] = {}
    dressing: dict[str, None] = {}
    phrases: dict[tuple[str, ...], None] = {}
    excluded: dict[str, None] = {}
    has_bare_words = False
    asks = text.rstrip().endswith(("?", "？")) or _ASKS.match(text) is not None  # noqa: RUF001 - full width is meant
    for sort, piece in _phrases(text):
        ordered, beside = _split(piece)
        telling = [term for term in ordered if term not in STOP_WORDS]
        # A single character of an unspaced script is looked for only where it stands alone.
        others = [term for term in beside if len(term) > 1 and term not in STOP_WORDS]
        if sort == "excluded":
            # Several words cannot be excluded together, and each alone would exclude too much.
            if len(telling) == 1:
                excluded[telling[0]] = None
            elif others and not re.search(r"\s", piece):
                excluded[others[0]] = None
            continue
        if sort == "phrase":
            if telling:
                phrases[tuple(telling)[:QUERY_TERMS_MAX]] = None
            wanted |= dict.fromkeys((*telling, *others))
            continue
        has_bare_words = has_bare_words or bool(telling)
        for term in (*telling, *others):
            (dressing if asks and term in _asking_terms() else wanted)[term] = None
        dressing |= dict.fromkeys(term for term in ordered if term in STOP_WORDS)
    found = wanted or {term: None for term in dressing if term not in STOP_WORDS} or dressing
    return SearchQuery(
        terms=tuple(found)[:QUERY_TERMS_MAX],
        phrases=tuple(phrases)[:QUERY_TERMS_MAX],
        has_bare_words=has_bare_words,
        excluded=tuple(excluded)[:QUERY_TERMS_MAX],
        asks_when=asks_when(text),
    )


@cache
def _asking_terms() -> frozenset[str]:
    return frozenset(stem(word) for word in ASKING_WORDS | QUESTION_FORMS)
