"""Diagnose: why a tool of an upstream is missing, or is not what it was."""

from collections.abc import Iterator

from komorebi_mcp.domain.model import Model
from komorebi_mcp.domain.pins import Pin
from komorebi_mcp.services.aggregate import Aggregate
from komorebi_mcp.services.trust import Trust
from komorebi_mcp.upstream.link import Link
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
        for name, entry in catalogue.held(kind).items():
            if entry.prefix == upstream.prefix:
                pin = changed.get((upstream.name, kind.value, entry.original))
                since = f" on {pin.offered_at:%Y-%m-%d %H:%M}Z" if pin and pin.offered_at else ""
                yield Finding(
                    tool=entry.original,
                    name=None,
                    why=(
                        f"It is quarantined: the upstream changed it{since}. `komorebi-mcp upstream diff` "
                        f"shows the change, and `upstream trust` accepts it; it is then {name} again."
                    ),
                )
        for name, entry in catalogue.of(kind).items():
            if entry.prefix != upstream.prefix:
                continue
            pin = changed.get((upstream.name, kind.value, entry.original))
            if pin is not None:
                yield Finding(
                    tool=entry.original,
                    name=name,
                    why='The upstream changed it, and "trust": "warn" lets it through. See `upstream diff`.',
                )
            elif upstream.bare and name != entry.original:
                why = (
                    "Somebody else has the name, so it appears with its prefix."
                    if name == exposed_name(upstream.prefix, entry.original)
                    else "Its name was changed to one that clients accept."
                )
                yield Finding(tool=entry.original, name=name, why=why)
            elif not upstream.bare and name != f"{upstream.prefix}__{entry.original}":
                yield Finding(
                    tool=entry.original, name=name, why="Its name was changed to one that clients accept."
                )


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
