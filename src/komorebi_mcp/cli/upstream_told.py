"""What `komorebi-mcp upstream …` shows: how an upstream is doing, and what it has changed."""

import difflib
import json
from collections.abc import Iterator, Sequence

from komorebi_mcp.cli.show import console, counted, line
from komorebi_mcp.domain.pins import Pin
from komorebi_mcp.services.diagnose import UpstreamReport
from komorebi_mcp.upstream.status import UpstreamState, UpstreamStatus
from komorebi_mcp.upstream.unseen import is_unseen


def tell_status(status: UpstreamStatus, *, waited_s: float) -> None:
    """`waited_s` is how long the upstream was given to answer."""
    told = [status.state.value, counted(status.tools, "tool")]
    if status.era is not None:
        told.insert(1, f"{status.era} era")
    if status.stale:
        told.append("as last known")
    if status.quarantined:
        told.append(f"quarantined: {', '.join(status.quarantined)}")
    line(console(), (status.name, "bold"), f"  {', '.join(told)}")
    if status.last_error:
        line(console(), f"  {status.last_error}")
    if status.state is UpstreamState.CONNECTING:
        line(
            console(),
            f"  It has not answered within {waited_s:g} seconds. Run its command in a terminal: a server "
            "waits there for input without a word. If it is still downloading, try again.",
        )


def tell_reports(tool: str | None, reports: Sequence[UpstreamReport], *, waited_s: float) -> None:
    out = console()
    for report in reports:
        tell_status(report, waited_s=waited_s)
        for note in report.notes:
            line(out, f"  {note}")
        for finding in report.findings:
            shown = f" (here {finding.name})" if finding.name else ""
            line(out, ("  ", ""), (f"{finding.tool}{shown}: ", "bold"), finding.why)
    if tool is not None and not any(report.findings for report in reports):
        line(out, f"Nothing keeps {tool} back. If it is not listed, no upstream offers it: see its own name.")
    elif all(report.is_well for report in reports):
        line(out, ("All is well.", "green"))


def tell_changes(name: str, changes: Sequence[Pin]) -> None:
    out = console()
    for pin in changes:
        line(out, (f"{pin.kind} {pin.name}".strip(), "bold"))
        for text in _difference(pin):
            style = {"+": "green", "-": "red"}.get(text[:1], "dim")
            line(out, (text, style))
        line(out)
    if changes:
        line(out, f"{counted(len(changes), 'change')}. Accept with `komorebi-mcp upstream trust {name}`.")
    else:
        line(out, f"Nothing of {name} has changed.")


def _difference(pin: Pin) -> Iterator[str]:
    """The lines that differ, hidden characters made visible."""
    before, after = _lines(pin.definition), _lines(pin.offered or "null")
    diff = difflib.unified_diff(before, after, "trusted", "offered", lineterm="", n=2)
    yield from ("".join(map(_visible, text)) for text in diff)


def _lines(form: str) -> list[str]:
    shown = json.dumps(json.loads(form), ensure_ascii=False, indent=2)
    # A long description is one string; with its lines told apart, one word changed is one line changed.
    return shown.replace("\\n", "\n    ").splitlines()


def _visible(char: str) -> str:
    return f"\\u{{{ord(char):04x}}}" if is_unseen(char) else char
