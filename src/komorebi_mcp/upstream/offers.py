"""What an upstream says it offers: its lists as they came, before any of it is judged, named or shown."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import anyio

from komorebi_mcp.errors import UpstreamError, UpstreamRefused, UpstreamUnavailable
from komorebi_mcp.upstream.session import Session

ENTRIES_MAX = 5000
"""Of one kind."""
NAME_CHARS_MAX = 200
"""Of a tool or prompt, as the upstream has it; the specification asks for at most 128."""
PAGES_MAX = 200
PAGE_TIMEOUT_S = 30.0
BESIDE_TIMEOUT_S = 10.0
"""For all pages of a list other than that of the tools, which must not wait longer for those."""
_METHOD_NOT_FOUND = -32601


class Kind(Enum):
    """What an upstream can offer; the value is how it is called in a sentence."""

    TOOL = "tool"
    PROMPT = "prompt"
    RESOURCE = "resource"
    TEMPLATE = "resource template"

    @property
    def method(self) -> str:
        """The request that lists these."""
        return _LISTED_BY[self][0]

    @property
    def key(self) -> str:
        """Where its result has them."""
        return _LISTED_BY[self][1]

    @property
    def id_key(self) -> str:
        """Where a definition says which one it is."""
        return _LISTED_BY[self][2]

    @property
    def capability(self) -> str:
        """What a server declares that has some."""
        return _LISTED_BY[self][3]


_LISTED_BY: Final = {
    Kind.TOOL: ("tools/list", "tools", "name", "tools"),
    Kind.PROMPT: ("prompts/list", "prompts", "name", "prompts"),
    Kind.RESOURCE: ("resources/list", "resources", "uri", "resources"),
    Kind.TEMPLATE: ("resources/templates/list", "resourceTemplates", "uriTemplate", "resources"),
}


@dataclass(frozen=True, slots=True)
class Offer:
    """Everything an upstream offered when it was asked. Not to be changed."""

    entries: Mapping[Kind, tuple[Any, ...]] = field(default_factory=dict)
    """Definitions as they came, whatever they are; a kind that is not there was not offered."""
    instructions: str | None = None
    notes: tuple[str, ...] = ()
    """Sentences on what could not be had."""

    def to_json(self) -> str:
        kinds = {kind.value: self.entries[kind] for kind in Kind if kind in self.entries}
        return json.dumps({"entries": kinds, "instructions": self.instructions})

    @classmethod
    def from_json(cls, text: str) -> "Offer":
        found = json.loads(text)
        entries = {Kind(kind): tuple(raw) for kind, raw in found["entries"].items()}
        return cls(entries, found["instructions"])


async def fetch_offer(session: Session) -> Offer:
    """All the upstream offers, every page of it.

    Without its tools there is no offer. Any other list that fails is left out, and a note says so.

    Raises:
        UpstreamError: It did not answer for its tools, or refused.
    """
    found: dict[Kind, tuple[Any, ...]] = {}
    notes: list[str] = []

    async def fetch_beside(kind: Kind) -> None:
        with anyio.move_on_after(BESIDE_TIMEOUT_S) as patience:
            try:
                found[kind] = await _fetch(session, kind, notes)
            except UpstreamError as error:
                notes.append(f"Its {kind.method} failed: {error}")
        if patience.cancelled_caught:
            notes.append(f"Its {kind.method} did not end in {BESIDE_TIMEOUT_S:g} seconds.")

    async with anyio.create_task_group() as beside:
        for kind in (Kind.PROMPT, Kind.RESOURCE, Kind.TEMPLATE):
            if kind.capability in session.terms.capabilities:
                beside.start_soon(fetch_beside, kind)
        try:
            found[Kind.TOOL] = await _fetch(session, Kind.TOOL, notes)
        except UpstreamError as error:
            failure: UpstreamError | None = error
            beside.cancel_scope.cancel()
        else:
            failure = None
    if failure is not None:
        raise failure
    return Offer(found, session.terms.instructions, tuple(notes))


async def _fetch(session: Session, kind: Kind, notes: list[str]) -> tuple[Any, ...]:
    found: list[Any] = []
    cursors: set[str] = set()
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        params = {} if cursor is None else {"cursor": cursor}
        try:
            page = await session.request(kind.method, params, timeout_s=PAGE_TIMEOUT_S)
        except UpstreamRefused as error:
            if error.code == _METHOD_NOT_FOUND and cursor is None:
                return ()
            raise
        entries = page.get(kind.key)
        if not isinstance(entries, list):
            raise UpstreamUnavailable(f"It answered {kind.method} without a list of {kind.key}.")
        found += entries
        cursor = page.get("nextCursor")
        if cursor is None:
            return tuple(found)
        if not isinstance(cursor, str) or cursor in cursors or len(found) > ENTRIES_MAX:
            break
        cursors.add(cursor)
    notes.append(f"Its list of {kind.key} has no end and was cut.")
    return tuple(found[:ENTRIES_MAX])
