"""What the upstreams offer, all together, under the names it appears by."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from mcp.shared.uri_template import InvalidUriTemplate, UriTemplate

from komorebi_mcp.upstream.listing import Entry, Listing
from komorebi_mcp.upstream.names import bare_name, exposed_name, exposed_uri, is_reserved, prefix_in
from komorebi_mcp.upstream.offers import Kind


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
