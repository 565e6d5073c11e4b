"""A title for a text that came without one."""

import re

from komorebi_mcp.text.cuts import one_line, shorten
from komorebi_mcp.text.markup import mail_subject, without_frames
from komorebi_mcp.text.sentences import split_sentences
from komorebi_mcp.text.snippets import head

TITLE_CHARS = 80
UNTITLED = "Untitled"
"""For content that shows nothing, such as white space alone."""

_SCAN_CHARS = 8_000
_LINES_MAX = 40
_MONTHS = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?"
_PREFIX = re.compile(
    r"\s*(?:"
    r"#{1,6}\s+|>{1,8}\s*|[-*+\u2022\u2023\u2013]\s+(?:\[[ xX]\]\s+)?|\(?\d{1,3}[.)]\s+"
    r"|/{2,}\s*|/\*{1,8}\s*|<!--\s*|\"\"\"|--\s+"
    rf"|\[?\d{{4}}[-/]\d{{2}}[-/]\d{{2}}(?:[T ]{_CLOCK})?(?:Z|\s?[+-]\d{{2}}:?\d{{2}})?\]?[\s:,|-]{{1,4}}"
    rf"|\[?\d{{1,2}}[./]\d{{1,2}}[./]\d{{2,4}},? {_CLOCK}(?:\s?[ap]m\b)?\]?[\s:,|-]{{1,4}}"
    rf"|\[?{_CLOCK}(?:\s?[ap]m\b)?\]?(?:\s+on\s+\d{{1,2}}\s+{_MONTHS},?\s+\d{{4}})?[\s:,|-]{{1,4}}"
    rf"|{_MONTHS}\s{{1,2}}\d{{1,2}}\s+{_CLOCK}\s"
    r"|\[(?:trace|debug|info|notice|warn|warning|error|fatal|critical)\][\s:|-]{0,4}"
    r"|(?-i:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL)\b[\s:|-]{1,4}"
    r"|\[(?:pid[ :=]?)?\d{1,7}\][\s:|-]{0,4}"
    r")",
    re.IGNORECASE,
)
_LINK = re.compile(r"!?\[([^\[\]\n]{1,200})\]\([^()\s]{1,500}\)")
_STRONG = re.compile(r"(?<![\w.])__(\S[^\n]{0,200}?)__(?!\w)")
_EMPHASIS = re.compile(r"\*\*|`")
_SLANTED = re.compile(r"(?<!\w)([*_])(?=\w)([^*\n]{0,200}?[^\W_])\1(?!\w)")
_FIELD = re.compile(r"""\s*"([^"\n]{1,80})"\s*:\s*"?([^"{[\n]{0,300})[^\n]*""")
_TAG = re.compile(r"</?[a-zA-Z!][^<>]{0,200}>")
_FRONT_TITLE = re.compile(r"""(?m)^title:[ \t]*["']?([^\n"']{1,300})""")
_GREETING = re.compile(
    r"(?:hi|hello|hey|dear|good (?:morning|afternoon|evening)|hallo|liebe[rs]?|guten (?:tag|morgen|abend)|"
    r"bonjour|salut|hola|ciao)(?: [^\s.!?:,]{1,30}){0,4}\s?[,!]",
    re.IGNORECASE,
)
_SENTENCE_CHARS_MIN = 15


def make_title(content: str) -> str:
    """A readable title of at most 80 characters: the first line that says something, its markup taken off.

    Never empty and without control characters.
    """
    beginning = content.lstrip("\ufeff \t\r\n\x00")[:_SCAN_CHARS]
    front, body = _front_matter(beginning)
    subject = mail_subject(beginning)
    if front or subject:
        return shorten(front or one_line(subject), TITLE_CHARS)
    lines = without_frames(body).splitlines()
    shown = [line for line in lines if _says_something(line)][:_LINES_MAX]
    shown = shown or [line for line in body.splitlines()[:_LINES_MAX] if _says_something(line)]
    shown = [line for line in shown if not _GREETING.fullmatch(line.strip())] or shown
    for line in shown:
        bare = _bare(_cells(line))
        if sum(char.isalpha() for char in bare) >= 2:
            return _fitting(bare)
    for line in shown:
        if any(char.isalnum() for char in line):
            return shorten(one_line(line), TITLE_CHARS)
    return shorten(head(content), TITLE_CHARS) or UNTITLED


def _front_matter(text: str) -> tuple[str, str]:
    """The title a YAML header gives ("" where none), and the text behind the header."""
    if not text.startswith("---\n"):
        return "", text
    header, fence, body = text[4:].partition("\n---")
    if not fence:
        return "", text
    named = _FRONT_TITLE.search(header)
    return (one_line(named[1]) if named else ""), body


def _says_something(line: str) -> bool:
    stripped = line.strip()
    return bool(stripped) and not stripped.startswith(("```", "~~~", "#!", "<!DOCTYPE", "<?xml"))


def _cells(line: str) -> str:
    """What a row of a table or a field of JSON says, without its frame; any other line as it is."""
    stripped = line.strip()
    if stripped.startswith("|") and stripped.endswith("|"):
        return ", ".join(cell.strip() for cell in stripped.split("|") if cell.strip(" :-"))
    field = _FIELD.fullmatch(line)
    return line if field is None else f"{field[1]}: {field[2]}"


def _bare(line: str) -> str:
    """The line without list and heading marks, time stamps, log levels and emphasis."""
    for _ in range(5):
        match = _PREFIX.match(line)
        if match is None or not line[match.end() :].strip():
            break
        line = line[match.end() :]
    line = _EMPHASIS.sub("", _STRONG.sub(r"\1", _LINK.sub(r"\1", _TAG.sub(" ", line))))
    line = _SLANTED.sub(r"\2", line)
    return one_line(line).strip("#=-~ \t").removesuffix("-->").removesuffix("*/").strip(" :")


def _fitting(line: str) -> str:
    """The line, or its first sentence where the line is too long."""
    if len(line) <= TITLE_CHARS:
        return line
    ends = (end for _, end in split_sentences(line) if _SENTENCE_CHARS_MIN <= end <= TITLE_CHARS)
    end = next(ends, None)
    return shorten(line, TITLE_CHARS) if end is None else line[:end].rstrip(".。")
