"""What the upstreams offer, under the names it appears by.

Definitions pass through unchanged but for the name and for characters nobody can see, unknown keys and nulls
included. Left out is what the file denies, what changed since it was pinned, and what would make a client
refuse the whole list.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mcp.shared.inbound import find_invalid_x_mcp_header, x_mcp_header_map
from mcp.shared.uri_template import InvalidUriTemplate, UriTemplate
from mcp_types.methods import validate_server_result
from mcp_types.version import LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION
from pydantic import ValidationError

from komorebi_mcp.errors import Quarantined
from komorebi_mcp.upstream.config import UpstreamConfig, matches
from komorebi_mcp.upstream.names import bare_name, exposed_name, exposed_uri, is_reserved, prefix_in
from komorebi_mcp.upstream.offers import NAME_CHARS_MAX, Kind, Offer
from komorebi_mcp.upstream.pins import Verdict
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
    claims: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Kinds and names of all that it ever offered, and since when; only where it has no prefix."""

    def of(self, kind: Kind) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.kind is kind)


class Catalogue:
    """All that all upstreams offer, by kind and in the order of the names, which no reconnection changes."""

    def __init__(self, listings: Sequence[Listing]) -> None:
        named = _Naming(listings)
        self._entries = _by_name(map(named.appear, (entry for each in listings for entry in each.entries)))
        self._held = _by_name(map(named.appear, (entry for each in listings for entry in each.held)))
        self._templates = [(entry, _template(entry.name)) for entry in self.of(Kind.TEMPLATE).values()]

    def of(self, kind: Kind) -> Mapping[str, Entry]:
        return self._entries[kind]

    def get(self, kind: Kind, name: str) -> Entry | None:
        return self._entries[kind].get(name)

    def held(self, kind: Kind) -> Mapping[str, Entry]:
        """What is held back, under the names it would appear by."""
        return self._held[kind]

    def held_of(self, prefix: str) -> tuple[str, ...]:
        """The names of what is held back of one upstream."""
        held = (each for entries in self._held.values() for each in entries.values())
        return tuple(entry.name for entry in held if entry.prefix == prefix)

    def prefix_for(self, uri: str) -> str | None:
        """The upstream that offers this URI, as a resource or by a template; None when none is known to."""
        if resource := self.get(Kind.RESOURCE, uri):
            return resource.prefix
        for entry, template in self._templates:
            if entry.name == uri or (template is not None and template.match(uri) is not None):
                return entry.prefix
        return None


def read_offer(upstream: UpstreamConfig, offer: Offer, verdict: Verdict | None = None) -> Listing:
    """What is usable of the offer, and allowed; without a verdict nothing is held back."""
    entries: list[Entry] = []
    held: list[Entry] = []
    denied: list[str] = []
    left_out = [*offer.notes]
    for kind in Kind:
        found: dict[str, Entry] = {}
        for definition in offer.entries.get(kind, ()):
            original = definition.get(kind.id_key) if isinstance(definition, dict) else None
            if not isinstance(original, str):
                left_out.append(f"A {kind.value} without a {kind.id_key} was left out.")
                continue
            if kind is Kind.TOOL and not is_allowed(upstream, original):
                denied.append(original)
                continue
            eras = frozenset(era for era in Era if _is_readable(kind, definition, era))
            shown = ascii(original[:_SHOWN_CHARS])
            if original in found:
                left_out.append(f"A second {kind.value} named {shown} was left out.")
            elif not eras or (kind in (Kind.TOOL, Kind.PROMPT) and len(original) > NAME_CHARS_MAX):
                left_out.append(f"The {kind.value} {shown} was left out: its definition is not valid.")
            else:
                seen = 0 if verdict is None else verdict.seen.get((_pin(kind), original), 0)
                clean = seen_in(definition)
                mirrored = _mirrored_in(clean.get("inputSchema")) if kind is Kind.TOOL else {}
                found[original] = Entry(
                    kind, original, upstream.prefix, original, clean, eras, seen, mirrored
                )
        for original, entry in found.items():
            is_held = verdict is not None and (_pin(kind), original) in verdict.held
            (held if is_held else entries).append(entry)
    claims: Mapping[Any, int] = verdict.seen if upstream.bare and verdict else {}
    return Listing(upstream, tuple(entries), tuple(held), tuple(denied), tuple(left_out), claims)


def _mirrored_in(schema: Any) -> Mapping[tuple[str, ...], str]:
    """Found once for each listing: the whole schema is searched for it."""
    return {} if find_invalid_x_mcp_header(schema) is not None else x_mcp_header_map(schema)


def is_allowed(upstream: UpstreamConfig, tool: str) -> bool:
    """Whether the upstreams file lets this tool through; what is denied stays so whatever is allowed."""
    if matches(upstream.deny, tool):
        return False
    return upstream.allow is None or matches(upstream.allow, tool)


class _Naming:
    """Who gets a name that several have a claim to."""

    def __init__(self, listings: Sequence[Listing]) -> None:
        self._upstreams = {each.upstream.prefix: each.upstream for each in listings if each.upstream}
        # The first in the file has a URI, and the first ever seen a name.
        self._uris: dict[tuple[Kind, str], str] = {}
        self._names: dict[tuple[str, str], tuple[int, str]] = {}
        for listing in listings:
            for entry in listing.entries:
                self._uris.setdefault((entry.kind, entry.original), entry.prefix)
            if listing.upstream is not None and listing.upstream.bare:
                for name, seen in _claims(listing):
                    claim = (seen, listing.upstream.prefix)
                    self._names[name] = min(self._names.get(name, claim), claim)

    def appear(self, entry: Entry) -> Entry:
        """The entry under the name it appears by."""
        is_named = entry.kind in (Kind.TOOL, Kind.PROMPT)
        name = self._name(entry) if is_named else self._uri(entry)
        if name == entry.original:
            return entry
        return replace(entry, name=name, definition={**entry.definition, entry.kind.id_key: name})

    def _name(self, entry: Entry) -> str:
        if self._upstreams[entry.prefix].bare:
            name = bare_name(entry.original)
            is_first = self._names[entry.kind.value, name][1] == entry.prefix
            if is_first and not is_reserved(name) and prefix_in(name) not in self._upstreams:
                return name
        return exposed_name(entry.prefix, entry.original)

    def _uri(self, entry: Entry) -> str:
        is_first = self._uris[entry.kind, entry.original] == entry.prefix
        if is_first and not is_reserved(entry.original):
            return entry.original
        return exposed_uri(entry.prefix, entry.original)


def _claims(listing: Listing) -> Iterator[tuple[tuple[str, str], int]]:
    for entry in (*listing.entries, *listing.held):
        if entry.kind in (Kind.TOOL, Kind.PROMPT):
            yield (entry.kind.value, bare_name(entry.original)), entry.seen
    for (kind, original), seen in listing.claims.items():
        yield (kind, bare_name(original)), seen


def _by_name(entries: Iterable[Entry]) -> Mapping[Kind, Mapping[str, Entry]]:
    found: dict[Kind, dict[str, Entry]] = {kind: {} for kind in Kind}
    for entry in sorted(entries, key=lambda entry: entry.name):
        found[entry.kind][entry.name] = entry
    return found


def _template(text: str) -> UriTemplate | None:
    try:
        return UriTemplate.parse(text)
    except InvalidUriTemplate:
        return None


def _pin(kind: Kind) -> Any:
    return kind.value


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
