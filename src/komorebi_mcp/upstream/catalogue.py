"""What the upstreams offer, under the names it appears by.

Definitions pass through unchanged but for the name, unknown keys and nulls included. Only one that would make
a client refuse the whole list is left out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mcp_types.methods import validate_server_result
from mcp_types.version import LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION
from pydantic import ValidationError

from komorebi_mcp.errors import UpstreamRefused, UpstreamUnavailable
from komorebi_mcp.upstream.names import exposed_name
from komorebi_mcp.upstream.session import Session
from komorebi_mcp.upstream.status import Era

TOOLS_MAX = 5000
PAGES_MAX = 200
PAGE_TIMEOUT_S = 30.0
_METHOD_NOT_FOUND = -32601

_VERSIONS = {Era.HANDSHAKE: LATEST_HANDSHAKE_VERSION, Era.MODERN: LATEST_MODERN_VERSION}
_ENVELOPE = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}


@dataclass(frozen=True, slots=True)
class UpstreamTool:
    """One tool of an upstream."""

    name: str
    """As it appears here."""
    prefix: str
    """Of its upstream."""
    original: str
    """As the upstream has it."""
    definition: dict[str, Any]
    """As the upstream gave it, with the name it appears by. Not to be changed."""
    eras: frozenset[Era]
    """Whose clients can read the definition; never empty."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The tools of one upstream, by the names they appear by."""

    tools: tuple[UpstreamTool, ...] = ()
    left_out: tuple[str, ...] = ()
    """Sentences on what was left out and why."""


async def fetch_listing(session: Session, prefix: str) -> Listing:
    """All tools of the upstream, every page of them.

    Raises:
        UpstreamError: It did not answer, or refused.
    """
    raw: list[Any] = []
    cursors: set[str] = set()
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        params = {} if cursor is None else {"cursor": cursor}
        try:
            page = await session.request("tools/list", params, timeout_s=PAGE_TIMEOUT_S)
        except UpstreamRefused as error:
            if error.code == _METHOD_NOT_FOUND and cursor is None:
                return Listing()
            raise
        tools = page.get("tools")
        if not isinstance(tools, list):
            raise UpstreamUnavailable("It answered tools/list without a list of tools.")
        raw += tools
        cursor = page.get("nextCursor")
        if cursor is None:
            return read_listing(prefix, raw)
        if not isinstance(cursor, str) or cursor in cursors or len(raw) > TOOLS_MAX:
            break
        cursors.add(cursor)
    listing = read_listing(prefix, raw[:TOOLS_MAX])
    return Listing(listing.tools, ("Its list of tools has no end and was cut.", *listing.left_out))


def read_listing(prefix: str, raw: Iterable[Any]) -> Listing:
    """The usable ones of these definitions."""
    tools: dict[str, UpstreamTool] = {}
    left_out: list[str] = []
    for definition in raw:
        original = definition.get("name") if isinstance(definition, dict) else None
        if not isinstance(original, str):
            left_out.append("A tool without a name was left out.")
            continue
        name = exposed_name(prefix, original)
        eras = frozenset(era for era in Era if _is_readable(definition, era))
        if name in tools:
            left_out.append(f"A second tool named {original[:60]!r} was left out.")
        elif not eras:
            left_out.append(f"The tool {original[:60]!r} was left out: its definition is not valid.")
        else:
            tools[name] = UpstreamTool(name, prefix, original, {**definition, "name": name}, eras)
    return Listing(tuple(tools.values()), tuple(left_out))


def merge(listings: Sequence[Listing]) -> dict[str, UpstreamTool]:
    """All tools in the order of their names, which does not change when an upstream reconnects."""
    return {tool.name: tool for tool in sorted(_all_of(listings), key=lambda tool: tool.name)}


def _all_of(listings: Sequence[Listing]) -> Iterable[UpstreamTool]:
    return (tool for listing in listings for tool in listing.tools)


def _is_readable(definition: dict[str, Any], era: Era) -> bool:
    try:
        validate_server_result("tools/list", _VERSIONS[era], {"tools": [definition], **_ENVELOPE})
    except ValidationError:
        return False
    return True
