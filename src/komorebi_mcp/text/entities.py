"""What a text names: errors, addresses, identifiers, code, dates, decisions and people.

Every pattern is a run of one character class with a bound, so that any text costs time in proportion to its
length.
"""

import re
from collections.abc import Iterator, Sequence

from komorebi_mcp.domain.captures import Entity, EntityType
from komorebi_mcp.text.dates import DATE
from komorebi_mcp.text.names import find_names
from komorebi_mcp.text.sentences import split_sentences

ENTITIES_MAX = 500
_SCAN_CHARS_MAX = 400_000
_DECISION_CHARS_MAX = 400

_URL = re.compile(
    r"(?<![A-Za-z0-9+.\-])[A-Za-z][A-Za-z0-9+.\-]{1,20}://[^\s<>\"'`{}|\\^\[\]\x00-\x1f]{1,2000}"
)
_MAIL = re.compile(r"(?<![\w.+%\-])[\w.+%\-]{1,64}@(?=[^\W_])[\w\-.]{1,190}")
_MAIL_HOST = re.compile(r"@[\w\-]{1,63}[\w.\-]{0,150}\.[A-Za-z]{2,24}")

_TOKEN = re.compile(r"[\w./:@~\\+\-]{2,300}(?:\(\))?")
_FILE = re.compile(
    r"(?:[\w./@~\\+\-]{0,250}[/\\])?\.?[\w@+\-][\w.@+\-]{0,120}\."
    r"(?:py|pyi|ts|tsx|js|jsx|mjs|cjs|go|rs|rb|java|kt|swift|c|h|cc|cpp|hpp|cs|php|scala|sh|bash|zsh|ps1|sql|html|"
    r"css|scss|vue|svelte|md|rst|txt|json|jsonl|toml|yaml|yml|ini|cfg|conf|env|lock|xml|csv|log|tf|proto|ipynb|lua|"
    r"ex|exs|dart|zig|nix|gradle|dockerfile)(?::\d{1,7}){0,2}",
    re.IGNORECASE,
)
_PATH = re.compile(r"(?:~|\.{1,2})?/[\w.@+\-]{1,100}/[\w./@+\-]{1,250}(?::\d{1,7}){0,2}")
_CALL = re.compile(r"[A-Za-z_][\w.]{0,200}\(\)")

_HEX = re.compile(r"(?=[0-9a-fA-F]{0,64}\d)(?=[0-9a-fA-F]{0,64}[a-fA-F])[0-9a-fA-F]{7,64}")
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_TICKET = re.compile(r"[A-Z][A-Z0-9]{1,9}-\d{1,7}")
_VERSION = re.compile(
    r"v\d{1,5}(?:\.\d{1,5}){1,3}(?:[\-+.][\w.]{1,30})?|\d{1,5}(?:\.\d{1,5}){2,3}(?:[\-+][\w.]{1,30})?"
)
_SNAKE = re.compile(r"_{0,2}[^\W_]{1,60}_[\w.]{1,150}")
_CAMEL = re.compile(r"[a-z][a-z0-9]{1,60}[A-Z]\w{0,100}|[A-Z][a-z0-9]{1,60}[A-Z][a-z]\w{0,100}")
_TICKED = re.compile(r"`([^`\s\n][^`\n]{0,78})`")

_TRACEBACK = "Traceback (most recent call last)"
_ERROR_NAME = re.compile(r"Error|Exception|Warning|Fault")
_ERROR_TYPE = re.compile(r"(?<![\w.])[A-Za-z_][\w.]{0,100}(?::[^\n]{1,200})?")
_ERROR_WORD = re.compile(r"[\w.]{1,100}(?:Error|Exception|Warning|Fault)(?=:|\Z)")
_ERROR_LINE = re.compile(
    r"(?i:\b(?:error(?:\[\w{1,12}\]|[ ][a-z]{1,4}\d{2,6})?|fatal|panic|exception)[ \t]{0,2}[:=][ \t]{0,4})"
    r"[^\n]{1,200}"
    r"|\bFAIL(?:ED)?(?::[ \t]|[ \t](?=\S{1,200}[./:]))[^\n]{1,200}"
    r"|\bnpm (?:ERR!|error) [^\n]{1,200}"
    r"|(?i:\[(?:error|crit|alert|emerg|fatal)\][ \t:]{1,3})[^\n]{1,200}"
    r"|(?i:\bexit(?:ed with)? (?:code|status) )[1-9][^\n]{0,200}"
    r"|\b(?:ERROR|FATAL|CRITICAL)\b[^\n]{1,200}"
    rf"|{re.escape(_TRACEBACK)}"
    r"|\bE(?:NOENT|ACCES|CONNREFUSED|CONNRESET|PERM|EXIST|ADDRINUSE|PIPE|TIMEDOUT|NOSPC|INVAL)\b"
)
_DECIDES = re.compile(
    r"\b(?:decision|decided|conclusion|resolved|agreed(?: with [^\n:,.]{1,40})?)\s?:"
    r"|\b(?:we|i|they|team|everyone|everybody|group|board)(?:'ve| have| has| all)?\s(?:just |finally |now )?"
    r"(?:decided|agreed|chose|settled on|resolved|concluded|opted)\b"
    r"|\b(?:we|i)(?:'ll| will| are| 're|'re|'m| am) (?:go(?:ing)?|stick(?:ing)?) with\b"
    r"|\b(?:we|i)(?:'ll| will) use \w{2,40} instead\b"
    r"|\blet's (?:go with|stick with|settle on|use|not use)\b"
    r"|\b(?:it was|was|were|is|been) (?:decided|agreed|resolved)\b"
    r"|\bwir haben (?:[^.!?\n]{1,60} )?(?:entschieden|beschlossen|vereinbart|geeinigt)\b"
    r"|\b(?:beschluss|beschlossen|entscheidung|entschieden|vereinbart|décision|décidé|decisión|decidido)\s?:"
    r"|\b(?:nous avons|on a) décidé\b|\b(?:hemos decidido|decidimos|acordamos)\b"
    r"|决定|決定|ことにした|ことになった|に決めた|に決まった",
    re.IGNORECASE,
)
"""Where someone says that something is decided."""
_DECISION_SIGNS = (
    "deci", "déci", "agreed", "conclu", "resolved", "chose", "settle", "opted", "go with", "going with",
    "stick", "instead", "let's", "entsch", "beschl", "vereinbart", "geeinigt", "acordamos",
    "决定", "決定", "ことにした", "ことになった", "に決め", "に決ま",
)  # fmt: skip
"""One of them is in whatever `_DECIDES` finds; most texts hold none, which is found out far faster."""

_POINTS_BACK = re.compile(
    r"\b(?:this|it|these|those)(?= (?:in|at|during) (?:the|our|a)\b| (?:yesterday|today|together)\b|[.!,;])"
    r"|\b(?:that|so|das|darauf)(?=[.!,;])",
    re.IGNORECASE,
)
_POINTS_BACK_CHARS_MAX = 80
"""A longer sentence says by itself what was decided."""
_RAISED = re.compile(
    r"^Traceback \(most recent call last\):\n(?:[ \t][^\n]*\n){1,200}"
    r"([A-Za-z_][\w.]{0,200}(?::[^\n]{0,1000})?)$",
    re.MULTILINE,
)
"""What a Python traceback ends in, whatever the exception is called."""
_EXITED = re.compile(
    r"(?:^|(?<=\]))[^\s\[\]][^\n\[\]]{0,120}?\bexit(?:ed with)? (?:code|status) [1-9][^\n]{0,200}",
    re.MULTILINE | re.IGNORECASE,
)
"""With what has exited."""
_ERROR_ROW = re.compile(
    r'^[ \t]*\{(?=[^\n]{0,2000}"(?:level|severity|lvl)" ?: ?"(?:error|fatal|critical)")[^\n]{0,2000}?'
    r'"(?:msg|message|event)" ?: ?"([^"\n]{1,300})"',
    re.MULTILINE | re.IGNORECASE,
)
"""What a line of a log in JSON says of an error."""

_Found = tuple[EntityType, int, int]


def find_entities(content: str) -> tuple[Entity, ...]:
    """The entities in the order of their start, at most 500; `content[start:end]` is the value.

    Addresses, code, dates, identifiers and names do not overlap; errors and decisions may hold some of them.
    Only the first 400,000 characters are looked at.
    """
    text = content[:_SCAN_CHARS_MAX]
    taken = bytearray(len(text))
    found: list[_Found] = []
    for finder in (_addresses, _dates, _code, _names):
        for type_, start, end in finder(text):
            if not any(taken[start:end]):
                taken[start:end] = b"\x01" * (end - start)
                found.append((type_, start, end))
    found += _errors(text)
    found += _decisions(text)
    found.sort(key=lambda entity: (entity[1], -entity[2], entity[0]))
    return tuple(
        Entity(type=type_, value=content[start:end], start=start, end=end)
        for type_, start, end in found[:ENTITIES_MAX]
    )


def _addresses(text: str) -> Iterator[_Found]:
    if "://" in text:
        for match in _URL.finditer(text):
            yield EntityType.URL, match.start(), match.start() + len(_url_trimmed(match[0]))
    if "@" in text:
        for match in _MAIL.finditer(text):
            host = _MAIL_HOST.search(match[0])
            if host:
                yield EntityType.URL, match.start(), match.start() + host.end()


def _url_trimmed(url: str) -> str:
    """Without the punctuation of the sentence around it; a closing bracket stays where the URL opened it."""
    while url:
        last = url[-1]
        if last in ".,;:!?*" or (last == ")" and url.count(")") > url.count("(")):
            url = url[:-1]
        else:
            break
    return url


def _dates(text: str) -> Iterator[_Found]:
    for match in DATE.finditer(text):
        yield EntityType.DATE, match.start(), match.end()


def _code(text: str) -> Iterator[_Found]:
    """Files, calls and identifiers, by what the token looks like."""
    for match in _TOKEN.finditer(text):
        token = match[0].rstrip(".:-+/\\") if not match[0].endswith("()") else match[0]
        start, before = match.start(), len(token)
        token = token.lstrip(":-+@")
        start += before - len(token)
        # Most tokens are plain words, which none of these forms can be.
        if len(token) < 2 or (token.isalpha() and token[1:].islower()):
            continue
        if _FILE.fullmatch(token) or _PATH.fullmatch(token) or _CALL.fullmatch(token):
            yield EntityType.CODE_REF, start, start + len(token)
        elif any(
            form.fullmatch(token) for form in (_UUID, _HEX, _TICKET, _VERSION, _SNAKE, _CAMEL)
        ) and not _ERROR_WORD.fullmatch(token):
            yield EntityType.IDENTIFIER, start, start + len(token)
    if "`" in text:
        for match in _TICKED.finditer(text):
            yield EntityType.IDENTIFIER, match.start(1), match.end(1)


def _names(text: str) -> Iterator[_Found]:
    for start, end in find_names(text):
        if end - start > 1:
            yield EntityType.NAME, start, end


def _errors(text: str) -> Iterator[_Found]:
    for start, end in find_errors(text):
        yield EntityType.ERROR, start, end


def find_errors(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each error message, in order."""
    end_before = 0
    places = [match.span() for match in _ERROR_LINE.finditer(text)]
    if _ERROR_NAME.search(text):
        places += [match.span() for match in _ERROR_TYPE.finditer(text) if _ERROR_WORD.match(match[0])]
    places += [match.span(1) for match in _RAISED.finditer(text)] if _TRACEBACK in text else []
    places += [match.span(1) for match in _ERROR_ROW.finditer(text)] if '":' in text else []
    places += (
        [match.span() for match in _EXITED.finditer(text)] if " code " in text or " status " in text else []
    )
    # It only announces an error, which stands at its end.
    named = [(start, end) for start, end in places if text[start:end] != _TRACEBACK]
    places = named or places
    for start, end in sorted(places, key=lambda place: (place[0], -place[1])):
        shown = start + len(text[start:end].rstrip())
        if start >= end_before and shown > start:
            end_before = shown
            yield start, shown


def decides(text: str) -> bool:
    """Whether the text says that something is decided."""
    low = text.lower()
    return any(map(low.__contains__, _DECISION_SIGNS)) and _DECIDES.search(text) is not None


def _decisions(text: str) -> Iterator[_Found]:
    if decides(text):
        spans = split_sentences(text)
        for at, (start, end) in enumerate(spans):
            if end - start <= _DECISION_CHARS_MAX and _DECIDES.search(text, start, end):
                yield EntityType.DECISION, decision_start(text, spans, at), end


def decision_start(text: str, spans: Sequence[tuple[int, int]], at: int) -> int:
    """Where the decision of the sentence `at` begins: of "We agreed on this." with the sentence before it."""
    start, end = spans[at]
    if at and end - start <= _POINTS_BACK_CHARS_MAX and _POINTS_BACK.search(text, start, end):
        before, _ = spans[at - 1]
        return before if end - before <= _DECISION_CHARS_MAX else start
    return start
