"""Diagnose: why a tool of an upstream is missing, or is not what it was."""

from collections.abc import Iterator

from komorebi_mcp.domain.model import Model
from komorebi_mcp.domain.pins import Pin
from komorebi_mcp.services.aggregate import Aggregate
from komorebi_mcp.services.trust import Trust
from komorebi_mcp.upstream.config import UpstreamConfig
from komorebi_mcp.upstream.link import Link
from komorebi_mcp.upstream.listing import Entry
from komorebi_mcp.upstream.names import exposed_name
from komorebi_mcp.upstream.offers import Kind
from komorebi_mcp.upstream.status import UpstreamState, UpstreamStatus


class Finding(Model):
    """One tool or prompt that is not simply there as the upstream has it."""

    tool: str
    """As the upstream has it."""
    name: str | None
    """As it appears here; None where it does not."""
    why: str
    """In a sentence, with what to do about it."""


class UpstreamReport(UpstreamStatus):
    """How an upstream is doing, and what of it is missing or changed."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    """Sentences on the upstream as a whole."""

    @property
    def is_well(self) -> bool:
        return self.state is UpstreamState.READY and not self.quarantined


async def diagnose(aggregate: Aggregate, trust: Trust) -> list[UpstreamReport]:
    """A report on every entry of the upstreams file, as things stand; connects to nothing."""
    changed: _Changed = {(pin.upstream, *pin.key): pin for pin in await trust.changes()}
    links = {link.config.name: link for link in aggregate.upstreams.links.values()}
    reports = []
    for status in aggregate.status():
        link = links.get(status.name)
        findings = [] if link is None else [*_findings(aggregate, link, changed)]
        notes = [] if link is None else [*_notes(aggregate, link, changed)]
        reports.append(UpstreamReport(**dict(status), findings=tuple(findings), notes=tuple(notes)))
    return reports


_Changed = dict[tuple[str, str, str], Pin]


def _findings(aggregate: Aggregate, link: Link, changed: _Changed) -> Iterator[Finding]:
    upstream = link.config
    catalogue = aggregate.upstreams.catalogue()
    for tool in link.listing.denied:
        yield Finding(tool=tool, name=None, why="The upstreams file keeps it out: see its allow and deny.")
    for kind in (Kind.TOOL, Kind.PROMPT):
        for entry in catalogue.held(kind).values():
            if entry.prefix == upstream.prefix:
                pin = changed.get((upstream.name, kind.value, entry.original))
                yield Finding(tool=entry.original, name=None, why=_why_held(entry, pin))
        for entry in catalogue.of(kind).values():
            if entry.prefix == upstream.prefix:
                is_changed = (upstream.name, kind.value, entry.original) in changed
                if why := _why_different(entry, upstream, is_changed=is_changed):
                    yield Finding(tool=entry.original, name=entry.name, why=why)


def _why_held(entry: Entry, pin: Pin | None) -> str:
    since = f" on {pin.offered_at:%Y-%m-%d %H:%M}Z" if pin and pin.offered_at else ""
    return (
        f"It is quarantined: the upstream changed it{since}. `komorebi-mcp upstream diff` "
        f"shows the change, and `upstream trust` accepts it; it is then {entry.name} again."
    )


def _why_different(entry: Entry, upstream: UpstreamConfig, *, is_changed: bool) -> str | None:
    """None where it is just what the upstream has."""
    if is_changed:
        return 'The upstream changed it, and "trust": "warn" lets it through. See `upstream diff`.'
    prefixed = exposed_name(upstream.prefix, entry.original)
    if upstream.bare and entry.name == prefixed:
        return "Somebody else has the name, so it appears with its prefix."
    if entry.name != (entry.original if upstream.bare else f"{upstream.prefix}__{entry.original}"):
        return "Its name was changed to one that clients accept."
    return None


def _notes(aggregate: Aggregate, link: Link, changed: _Changed) -> Iterator[str]:
    yield from link.listing.left_out
    if (link.config.name, "instructions", "") in changed:
        yield "Its instructions changed. They are not passed on; see `komorebi-mcp upstream diff`."
    if not link.was_listed:
        yield "It has never been reached, so its tools are not known."
    elif not link.is_ready:
        yield "Its tools are those it had when it was last reached; calls wait for it, or say why they fail."
    if link.listing.entries and aggregate.searches_only:
        yield "Its tools are not listed but found by find_tools, as KOMOREBI_EXPOSE says."
