"""What of a text is there for programs that show or run it, and tells its reader nothing.

It is replaced by spaces, so that whatever else stands where it stood.
"""

import re

_FENCE = re.compile(r"^[ \t]{0,12}(`{3,}|~{3,})([^\n]*)$", re.MULTILINE)
_FRAMES = re.compile(
    r"^[ \t]*Traceback \(most recent call last\):[ \t]*$"
    r'|^[ \t]+File "[^"\n]+", line \d+[^\n]*(?:\n[ \t]{4,}[^\n]*){0,2}'
    r"|^[ \t]+at \S[^\n]*[:(][^\n:()]*\)?(?: \{(?:\n[ \t]+[\w\[\]]{1,40}: [^\n]*){0,20}(?:\n\})?)?[ \t]*$"
    r"|^[ \t]*\.\.\. \d+ more[ \t]*$"
    r"|^goroutine \d+ [^\n]*:[ \t]*$|^\[signal [^\n]*\][ \t]*$|^exit status \d+[ \t]*$"
    r"|^[^\s(][^\n]*\n[ \t]{1,40}[^\s:][^\n]{0,500}\.go:\d+(?: \+0x[0-9a-f]+)?[ \t]*$"
    r"|^note: run with `RUST_BACKTRACE=[^\n]*$"
    r"|^[ \t]*--> [^\n]+(?:\n[ \t]{0,12}\d{0,7}[ \t]{0,4}[|=][^\n]*)*"
    r"|^#\d{1,3} (?:[^\n]{1,300}\.php\(\d+\)[^\n]*|\{main\}|\[internal function\][^\n]*)$"
    r"|^[ \t]+from [^\n]{1,300}:\d+:in [^\n]*$",
    re.MULTILINE,
)
"""Where in a program an error came up, not what went wrong: as Python, Java, JavaScript, Go, Rust, PHP and
Ruby tell."""
_FRAME_SIGNS = ("Traceback (", ' File "', " at ", "\tat ", ".go:", "RUST_BACKTRACE", "--> ", ".php(", ":in ")
_TAG = (
    r"</?(?:a|article|b|blockquote|br|center|code|details|div|em|footer|h[1-6]|header|hr|i|img|li|ol|p|picture|pre|"
    r"section|source|span|strong|sub|summary|sup|table|tbody|td|th|thead|tr|ul)\b[^<>\n]{0,300}>"
)
_MARKUP = re.compile(
    # A header of fields; images and badges alone; tags at the edges of a line; the head of a table.
    r"\A---[ \t]*\n(?:[^\n]*\n){0,40}?---[ \t]*$"
    r"|^[ \t]*(?:\[?!\[[^\]\n]{0,200}\]\([^)\n]{0,500}\)(?:\]\([^)\n]{0,500}\))?[ \t]*)+$"
    rf"|^[ \t]*(?:{_TAG}[ \t]*)+|(?:{_TAG}[ \t]*)+$"
    r"|^[ \t]*\|[^\n]*\|[ \t]*\n[ \t]*\|[ \t:|\-]+\|?[ \t]*$"
    r"|^#{1,6}[ \t]+(?:[^\s.!?:…]+[ \t]*){1,3}$",
    re.MULTILINE | re.IGNORECASE,
)
_HEADER = r"[A-Za-z][\w-]{1,40}:[^\n]{0,1000}\n(?:[ \t]+\S[^\n]{0,1000}\n){0,20}"
_MAIL = re.compile(
    r"(?=(?:From|To|Date|Return-Path|Received|Delivered-To|Von|An|Datum): )"
    rf"(?:(?!Subject:|Betreff:){_HEADER}){{1,40}}"
    rf"(?:Subject|Betreff):[ \t]*([^\n]{{1,300}})\n(?:{_HEADER}){{0,40}}"
)
_SHOWN = re.compile(r"[^\n]")
_MARKUP_SIGNS = ("---", "](", "<", "|", "#")


def fences(text: str) -> list[tuple[int, int]]:
    """Where code stands between fences, in order, without these; a fence that is never closed is none."""
    return [inner for _, inner in _blocks(text)]


def _blocks(text: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Of each block of fenced code, where it stands with its fences and without them."""
    if "```" not in text and "~~~" not in text:
        return []
    found: list[tuple[tuple[int, int], tuple[int, int]]] = []
    opening: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opening is None:
            opening = fence
        elif fence[1].startswith(opening[1]) and not fence[2].strip():
            found.append(((opening.start(), fence.end()), (opening.end() + 1, fence.start())))
            opening = None
    return found


def mail_subject(text: str) -> str:
    """The subject of a mail that begins with its headers; "" where it is none."""
    mail = _MAIL.match(text)
    return "" if mail is None else mail[1]


def without_markup(text: str) -> str:
    """The text with spaces for fenced code, frames of tracebacks, short headings, tags, images and such.

    Of the headers of a mail its subject stays.
    """
    if mail := _MAIL.match(text):
        headers = (text[: mail.start(1)], text[mail.end(1) : mail.end()])
        text = f"{_blank(headers[0])}{mail[1]}{_blank(headers[1])}{text[mail.end() :]}"
    pieces: list[str] = []
    behind = 0
    for (start, end), _ in _blocks(text):
        pieces += [text[behind:start], _blank(text[start:end])]
        behind = end
    text = without_frames("".join([*pieces, text[behind:]]) if pieces else text)
    return _MARKUP.sub(_spaces, text) if any(map(text.__contains__, _MARKUP_SIGNS)) else text


def without_frames(text: str) -> str:
    """The text with spaces for the frames of a traceback."""
    return _FRAMES.sub(_spaces, text) if any(map(text.__contains__, _FRAME_SIGNS)) else text


def _spaces(match: re.Match[str]) -> str:
    return _blank(match[0])


def _blank(text: str) -> str:
    return _SHOWN.sub(" ", text)
