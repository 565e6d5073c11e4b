"""What one upstream offers, read: what of it is usable, what the file denies, what is held back.

Definitions stay as they came but for characters that nobody can see, unknown keys and nulls included. Left
out is what would make a client refuse the whole list.
"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp.shared.inbound import find_invalid_x_mcp_header, x_mcp_header_map
from mcp_types.methods import validate_server_result
from mcp_types.version import LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION
from pydantic import ValidationError

from komorebi_mcp.domain.pins import PinKey
from komorebi_mcp.errors import Quarantined
from komorebi_mcp.upstream.config import UpstreamConfig, matches
from komorebi_mcp.upstream.offers import NAME_CHARS_MAX, Kind, Offer
from komorebi_mcp.upstream.pins import Verdict, pin_key
from komorebi_mcp.upstream.status import Era
from komorebi_mcp.upstream.unseen import seen_in

_VERSIONS = {Era.HANDSHAKE: LATEST_HANDSHAKE_VERSION, Era.MODERN: LATEST_MODERN_VERSION}
_ENVELOPE = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
_SHOWN_CHARS = 60


@dataclass(frozen=True, slots=True)
class Entry:
    """One tool, prompt, resource or template of an upstream."""

    kind: Kind
    name: str
    """As it appears here: a name, a URI or a URI template. In a listing it is still the original."""
    prefix: str
    """Of its upstream."""
    original: str
    """As the upstream has it."""
    definition: dict[str, Any]
    """As the upstream gave it, with the name it appears by. Not to be changed."""
    eras: frozenset[Era]
    """Whose clients can read the definition; never empty."""
    seen: int = 0
    """Greater for what was first seen later."""
    mirrored: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    """Of a tool: the headers that modern clients repeat an argument in, by the argument's path."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What one upstream offers, judged and in its own order."""

    upstream: UpstreamConfig | None = None
    entries: tuple[Entry, ...] = ()
    held: tuple[Entry, ...] = ()
    """Held back, since they changed after they were pinned."""
    denied: tuple[str, ...] = ()
    """The upstream's own names of the tools that the file keeps out."""
    left_out: tuple[str, ...] = ()
    """Sentences on what else was left out and why."""
    claims: Mapping[PinKey, int] = field(default_factory=dict)
    """Kinds and names of all that it ever offered, and since when; only where it has no prefix."""

    def of(self, kind: Kind) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.kind is kind)


def read_offer(upstream: UpstreamConfig, offer: Offer, verdict: Verdict | None = None) -> Listing:
    """What is usable of the offer, and allowed; without a verdict nothing is held back."""
    reading = _Reading(upstream, verdict, left_out=[*offer.notes])
    for kind in Kind:
        for definition in offer.entries.get(kind, ()):
            reading.take(kind, definition)
    return Listing(
        upstream,
        entries=tuple(reading.entries.values()),
        held=tuple(reading.held.values()),
        denied=tuple(reading.denied),
        left_out=tuple(reading.left_out),
        claims=verdict.seen if upstream.bare and verdict else {},
    )


@dataclass
class _Reading:
    """Puts each definition where it belongs."""

    upstream: UpstreamConfig
    verdict: Verdict | None
    left_out: list[str]
    denied: list[str] = field(default_factory=list)
    entries: dict[tuple[Kind, str], Entry] = field(default_factory=dict)
    held: dict[tuple[Kind, str], Entry] = field(default_factory=dict)

    def take(self, kind: Kind, definition: Any) -> None:
        original = definition.get(kind.id_key) if isinstance(definition, dict) else None
        if not isinstance(original, str):
            self.left_out.append(f"A {kind.value} without a {kind.id_key} was left out.")
            return
        shown = ascii(original[:_SHOWN_CHARS])
        if kind is Kind.TOOL and not is_allowed(self.upstream, original):
            self.denied.append(original)
        elif (kind, original) in self.entries or (kind, original) in self.held:
            self.left_out.append(f"A second {kind.value} named {shown} was left out.")
        elif entry := self._entry(kind, original, definition):
            key = pin_key(kind, original)
            is_held = self.verdict is not None and key in self.verdict.held
            (self.held if is_held else self.entries)[kind, original] = entry
        else:
            self.left_out.append(f"The {kind.value} {shown} was left out: its definition is not valid.")

    def _entry(self, kind: Kind, original: str, definition: dict[str, Any]) -> Entry | None:
        """None where no client could read it."""
        eras = frozenset(era for era in Era if _is_readable(kind, definition, era))
        if not eras or (kind in (Kind.TOOL, Kind.PROMPT) and len(original) > NAME_CHARS_MAX):
            return None
        clean = seen_in(definition)
        return Entry(
            kind=kind,
            name=original,
            prefix=self.upstream.prefix,
            original=original,
            definition=clean,
            eras=eras,
            seen=self.verdict.seen.get(pin_key(kind, original), 0) if self.verdict else 0,
            mirrored=_mirrored_in(clean.get("inputSchema")) if kind is Kind.TOOL else {},
        )


def is_allowed(upstream: UpstreamConfig, tool: str) -> bool:
    """Whether the upstreams file lets this tool through; what is denied stays so whatever is allowed."""
    if matches(upstream.deny, tool):
        return False
    return upstream.allow is None or matches(upstream.allow, tool)


def _mirrored_in(schema: Any) -> Mapping[tuple[str, ...], str]:
    """Found once for each listing: the whole schema is searched for it."""
    return {} if find_invalid_x_mcp_header(schema) is not None else x_mcp_header_map(schema)


def _is_readable(kind: Kind, definition: dict[str, Any], era: Era) -> bool:
    try:
        result = {kind.key: [definition], **_ENVELOPE}
        validate_server_result(kind.method, _VERSIONS[era], result)
    except ValidationError:
        return False
    return True


def readable(entries: Iterable[Entry], era: Era | None) -> list[dict[str, Any]]:
    """The definitions that a client of the era can read; all of them without one."""
    return [entry.definition for entry in entries if era is None or era in entry.eras]


def quarantined(entry: Entry, upstream: str) -> Quarantined:
    """What to tell a caller of something that is held back."""
    return Quarantined(
        f"The {entry.kind.value} '{entry.name}' is quarantined: its definition changed since it was trusted. "
        f"Run `komorebi-mcp upstream diff {shlex.quote(upstream)}` to see the change, and "
        "`upstream trust` to accept it."
    )
