"""Whether what a sentence states is in the text it cites.

Atoms are the parts of a sentence that must be right: numbers, addresses, identifiers, dates and names. A
sentence is unsupported where one of them has no backing.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable

from komorebi_mcp.summarizers.spoken import ONES, SCALES, TENS, spoken_numbers
from komorebi_mcp.summarizers.units import apart
from komorebi_mcp.text.names import find_names, may_name
from komorebi_mcp.text.stopwords import STOP_WORDS

Atom = tuple[str, str]
"""Its sort (number, url, identifier, date, weekday or name) and its normal form."""

NUMBER_WORDS = (
    {word: str(n) for n, word in enumerate(ONES)}
    | {word: str(n) for n, word in zip(range(20, 100, 10), TENS, strict=True)}
    | {
        f"{ten}{dash}{one}": str(tens + ones)
        for tens, ten in zip(range(20, 100, 10), TENS, strict=True)
        for ones, one in enumerate(ONES[1:10], 1)
        for dash in "- "
    }
    | {word: str(n) for word, n in SCALES.items()}
    | {"dozen": "12"}
)
SMALL_MAX = 10
"""Number words up to ten are mostly figures of speech; only larger ones must be backed."""

_MONTHS = {
    name: month
    for month, names in enumerate(
        (
            "jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july",
            "aug august", "sep sept september", "oct october", "nov november", "dec december",
        ),
        1,
    )
    for name in names.split()
}  # fmt: skip
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))

_URL = re.compile(r"(?<![A-Za-z0-9+.\-])[A-Za-z][A-Za-z0-9+.\-]{1,20}://[^\s<>\"'`|\\^{}\[\]]{1,2000}")
_MAIL = re.compile(r"(?<![\w.+%\-])[\w.+%\-]{1,64}@[\w\-]{1,63}\.[\w.\-]{1,150}")
_ISO_DATE = re.compile(r"(?<!\d)(\d{4})-(\d{2})-(\d{2})(?!\d)")
_DAY_MONTH = re.compile(
    rf"(?<![\w.,:/\-])(3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?,? (?:of )?({_MONTH})\b"
    r"\.?(?:,? (\d{4})(?!\d))?",
    re.IGNORECASE,
)
_MONTH_DAY = re.compile(
    rf"\b({_MONTH})\b\.? (3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?(?!\d)(?:,? (\d{{4}})(?!\d))?", re.IGNORECASE
)
_DATES = (_ISO_DATE, _DAY_MONTH, _MONTH_DAY)
_WEEKDAY = re.compile(r"\b(mon|tues|wednes|thurs|fri|satur|sun)day(?:s|'s)?\b", re.IGNORECASE)
_IDENTIFIER = re.compile(
    r"`[^`\n]{1,200}`"
    r"|(?<![\w.])[A-Za-z_][\w.]{0,100}\(\)"
    r"|(?<![\w/])[\w./\-]{0,200}\w\.(?:py|ts|tsx|js|jsx|go|rs|rb|java|c|h|cc|cpp|cs|php|sh|sql|html|css|md|txt|"
    r"json|toml|ya?ml|ini|cfg|csv|log|xml|lock)(?!\w)(?::\d{1,7}){0,2}"
    r"|(?<!\w)v?\d{1,5}\.\d{1,5}\.\d{1,5}[\w.\-]{0,30}|(?<!\w)v\d{1,5}(?:\.\d{1,5}){1,2}(?!\w)"
    r"|(?<![\w\-])[A-Z][A-Z0-9]{1,15}-\d{1,7}(?!\w)"
    r"|(?<!\w)(?=[0-9a-f]{0,39}\d)(?=[0-9]{0,39}[a-f])[0-9a-f]{7,40}(?!\w)"
    r"|(?<!\w)[^\W_]{1,60}_\w{1,100}|(?<!\w)_\w{1,100}"
    r"|(?<!\w)[a-z][a-z0-9]{0,60}[A-Z]\w{0,100}"
)
_NUMBER = re.compile(r"(?<![\w.])[$€£]?\d[\d,]{0,30}(?:\.\d{1,15})?")
_DIGITS = re.compile(r"\d[\d,]{0,30}(?:\.\d{1,15})?")
_NUMBER_WORD = re.compile(rf"\b(?:{'|'.join(sorted(NUMBER_WORDS, key=len, reverse=True))})\b")
_WORD = re.compile(r"[^\W_]+")
_SPELLED = [
    re.compile(rf"(?<![^\W_])[a-z](?:{gap}[a-z]){{1,9}}(?![^\W_])") for gap in ("_", r"\.", r"\. ", " ")
]
"""Letter by letter, the same mark between all of them: in "a U_S_B_ stick" only "usb" is one word."""
_OPENING = re.compile(
    r"([A-Z][^\W\d_]{1,40})(?:['\u2019]s)?(?!\w)(?: (?:(?:has|had|was|is|will|would) )?"
    r"(said|says|owns|owned|wants|wanted|wrote|writes|asked|asks|told|tells|thinks|thought|believes|agreed|agrees|"
    r"promised|joined|left|met|leads|led|approved|signed|reported|reports|works|worked|lives|lived|moved|called)\b)?"
)
"""The word a sentence begins with, and the verb behind it where it is one of what people do."""
_NO_NAME_ENDS = ("body", "one", "ing", "ly", "ers", "ors", "ants", "ents", "ment", "tion", "team")

_TRAILING = ".,;:!?)'"


def flat(text: str) -> str:
    """NFKC, white space as single spaces, plain apostrophes."""
    return " ".join(unicodedata.normalize("NFKC", text).replace("\u2019", "'").split())


def number(digits: str) -> str:
    """Without currency signs, thousands separators, leading and trailing zeros."""
    plain = digits.lstrip("$€£").replace(",", "")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return plain.lstrip("0") or "0"


def _spaces(match: re.Match[str]) -> str:
    return " " * len(match[0])


def _day(match: re.Match[str]) -> str:
    """The normal form YYYY-MM-DD of a date; its year is ---- where none is given."""
    if match.re is _ISO_DATE:
        return "-".join(match.groups())
    day, month = (match[1], match[2]) if match.re is _DAY_MONTH else (match[2], match[1])
    return f"{match[3] or '----'}-{_MONTHS[month.casefold()]:02}-{int(day):02}"


def atoms(sentence: str) -> frozenset[Atom]:
    """What must be backed; a part counts as one sort only, the first that fits."""
    text = flat(sentence)
    found: set[Atom] = set()
    for pattern in (_URL, _MAIL):
        found.update(("url", match[0].rstrip(_TRAILING).casefold()) for match in pattern.finditer(text))
        text = pattern.sub(_spaces, text)
    for pattern in _DATES:
        found.update(("date", _day(match)) for match in pattern.finditer(text))
        text = pattern.sub(_spaces, text)
    found.update(
        ("identifier", match[0].strip("`").rstrip(_TRAILING).casefold())
        for match in _IDENTIFIER.finditer(text)
    )
    text = _IDENTIFIER.sub(_spaces, text)
    found.update(("weekday", f"{match[1].casefold()}day") for match in _WEEKDAY.finditer(text))
    found.update(("number", number(match[0])) for match in _NUMBER.finditer(text))
    for match in _NUMBER_WORD.finditer(apart(text).casefold()):
        if int(NUMBER_WORDS[match[0]]) > SMALL_MAX:
            found.add(("number", NUMBER_WORDS[match[0]]))
    found.update(("name", text[start:end].casefold()) for start, end in find_names(text))
    return frozenset(found)


def unsupported(
    sentence: str, backing: Collection[str], known_names: Collection[str] = frozenset()
) -> set[Atom]:
    """The atoms of the sentence that none of the backing texts holds; empty where all is well.

    `backing` is all that is known of the cited captures: content, title, source, project, time. A word that
    opens the sentence is a name if it is one of `known_names`, or does what people do.
    """
    stated = set(atoms(sentence)).difference(*map(atoms, backing))
    opening = _OPENING.match(sentence)
    if opening is not None:
        first = opening[1].casefold()
        acts = opening[2] is not None and first not in STOP_WORDS and not first.endswith(_NO_NAME_ENDS)
        if first in known_names or acts:
            stated.add(("name", first))
    if not stated:
        return stated
    whole = flat("\n".join(backing))
    low = whole.casefold()
    words = {word.removesuffix("s") for word in _WORD.findall(low)}
    # "L C D", "L.C.D." and "L_C_D_", as speech is written down.
    words |= {
        "".join(_WORD.findall(match[0])).removesuffix("s")
        for pattern in _SPELLED
        for match in pattern.finditer(low)
    }
    numbers = {number(match[0]) for match in _DIGITS.finditer(low)}
    numbers |= {NUMBER_WORDS[match[0]] for match in _NUMBER_WORD.finditer(apart(low))} | spoken_numbers(low)
    days = {_day(match) for pattern in _DATES for match in pattern.finditer(whole)}

    def backed(atom: Atom) -> bool:
        sort, value = atom
        if sort == "number":
            return value in numbers
        if sort == "date":
            return any(_same_day(value, day) for day in days)
        if sort == "name":
            return all(
                word.removesuffix("s") in words for word in _WORD.findall(value) if word not in STOP_WORDS
            )
        return value in low

    return {atom for atom in stated if not backed(atom)}


def proper_words(texts: Iterable[str]) -> frozenset[str]:
    """The words, case-folded, that may be names and have a capital wherever the texts use them."""
    capital: set[str] = set()
    plain: set[str] = set()
    for text in texts:
        for word in _WORD.findall(text):
            (capital if word[0].isupper() else plain).add(word.casefold())
    return frozenset(filter(may_name, capital - plain))


def _same_day(one: str, other: str) -> bool:
    return one[4:] == other[4:] and ("-" in (one[0], other[0]) or one[:4] == other[:4])
