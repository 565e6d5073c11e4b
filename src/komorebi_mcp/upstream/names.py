"""The names under which an upstream's tools and prompts appear: `<prefix>__<tool>`.

Such a name holds only ASCII letters, digits, `_` and `-`, and at most 64 characters, since hosts refuse
others. A name that had to be cut or changed ends with a mark, `-h` and eight hex digits of its own hash: the
same name always gives the same result, whatever else is configured. A prefix never holds `__` and never ends
with `_`, so the first `__` of an exposed name is where its prefix ends.

An upstream may do without its prefix. Its names then give way to ours, to those with a prefix, and to those
that another such upstream had first.
"""

import hashlib
import re

NAME_CHARS_MAX = 64
PREFIX_CHARS_MAX = 32
SEPARATOR = "__"
OWN_URIS = ("komorebi://", "ui://komorebi/")
OWN_NAMES = frozenset(
    {
        # Tools.
        "capture",
        "list_captures",
        "search_captures",
        "read_captures",
        "update_captures",
        "forget_captures",
        "summarize",
        "resume",
        "list_projects",
        "update_project",
        "timeline",
        "list_upstreams",
        "find_tools",
        "call_tool",
        # Prompts.
        "standup",
        "weekly_review",
        "triage_inbox",
        "distill_session",
        "decision_log",
    }
)
"""Of our own tools and prompts, whether they are shown or not; no upstream may take one."""

_URI_SCHEME = "upstream"

_MARK_CHARS = len("-h") + 8
_MARKED = re.compile(r"-h[0-9a-f]{8}$")
_PREFIX = re.compile(r"[A-Za-z0-9-]+(?:_[A-Za-z0-9-]+)*")
_TOOL = re.compile(r"[A-Za-z0-9_-]+")


def prefix_of(upstream: str) -> str:
    """What the names of this upstream's tools begin with, at most 32 characters."""
    if _fits(upstream, _PREFIX, PREFIX_CHARS_MAX):
        return upstream
    words = re.findall(r"[A-Za-z0-9-]+", upstream)
    stem = "_".join(words)[: PREFIX_CHARS_MAX - _MARK_CHARS] or "upstream"
    return stem + _mark(upstream)


def exposed_name(prefix: str, tool: str) -> str:
    """The name under which `tool` of the upstream with this prefix appears."""
    room = NAME_CHARS_MAX - len(prefix) - len(SEPARATOR)
    if not _fits(tool, _TOOL, room):
        stem = re.sub(r"[^A-Za-z0-9_-]", "_", tool)[: room - _MARK_CHARS]
        tool = stem + _mark(tool)
    return f"{prefix}{SEPARATOR}{tool}"


def bare_name(tool: str) -> str:
    """The name under which `tool` appears where its upstream has no prefix."""
    if _fits(tool, _TOOL, NAME_CHARS_MAX):
        return tool
    stem = re.sub(r"[^A-Za-z0-9_-]", "_", tool)[: NAME_CHARS_MAX - _MARK_CHARS]
    return stem + _mark(tool)


def exposed_uri(prefix: str, uri: str) -> str:
    """The URI, or URI template, under which this one appears where another upstream has the same."""
    return f"{_URI_SCHEME}:{prefix}:{uri}"


def original_uri(uri: str) -> tuple[str, str] | None:
    """The prefix and the upstream's own URI that `exposed_uri` was given; None where it was not."""
    scheme, _, rest = uri.partition(":")
    prefix, separator, original = rest.partition(":")
    return (prefix, original) if scheme == _URI_SCHEME and prefix and separator else None


def is_reserved(name: str) -> bool:
    """Whether the name or URI is one of our own, which no upstream may take."""
    return name in OWN_NAMES or name.startswith((*OWN_URIS, f"{_URI_SCHEME}:"))


def prefix_in(name: str) -> str | None:
    """The prefix that `name` begins with, or None when it is not an exposed name."""
    prefix, separator, tool = name.partition(SEPARATOR)
    return prefix if prefix and separator and tool else None


def _fits(name: str, allowed: re.Pattern[str], chars_max: int) -> bool:
    # A name that looks marked is marked again, so that it cannot meet the result of another one.
    return len(name) <= chars_max and bool(allowed.fullmatch(name)) and not _MARKED.search(name)


def _mark(name: str) -> str:
    return "-h" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
