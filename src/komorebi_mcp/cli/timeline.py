"""`komorebi-mcp timeline`: what was captured when, drawn."""

from datetime import datetime, timedelta
from typing import Annotated, Final

import typer
from rich.console import Console

from komorebi_mcp.app import App
from komorebi_mcp.cli.options import AsJson, Project, Since, Until
from komorebi_mcp.cli.session import arguments, run
from komorebi_mcp.cli.show import as_json, console, counted, line
from komorebi_mcp.domain.timeline import Bucket, Timeline, bounds
from komorebi_mcp.services.timeline import timeline as count
from komorebi_mcp.surface.arguments import check_window
from komorebi_mcp.surface.principal import LOCAL_OWNER
from komorebi_mcp.surface.tools.timeline import TIMELINE, TimelineResult

_BAR_CHARS_MAX: Final = 60
_EMPTY_SHOWN_MAX: Final = 3
"""A longer pause is told of in one line."""
_FORMS: Final = {Bucket.DAY: "%Y-%m-%d %a", Bucket.WEEK: "%Y-%m-%d", Bucket.MONTH: "%Y-%m"}
_STYLES: Final = {
    "note": "green",
    "decision": "yellow",
    "error": "red",
    "code": "blue",
    "link": "cyan",
    "log": "magenta",
    "tool_result": "white",
}


def timeline(
    *,
    project: Project = None,
    bucket: Annotated[Bucket, typer.Option(help="What each line stands for.")] = Bucket.DAY,
    since: Since = None,
    until: Until = None,
    json: AsJson = False,
) -> None:
    """Chart captures over time: the latest 100 days, weeks or months that have any."""
    checked = arguments(TIMELINE, project=project, bucket=bucket, since=since, until=until)

    async def work(app: App) -> Timeline:
        check_window(checked.since, checked.until)
        return await count(app.store, LOCAL_OWNER, zone=app.zone(), **dict(checked))

    found = run(work, enriches=False)
    if json:
        as_json(TimelineResult.of(found))
    else:
        _draw(found, bucket)


def _draw(found: Timeline, bucket: Bucket) -> None:
    out = console()
    most = max((each.count for each in found.buckets), default=0)
    width = max(10, min(_BAR_CHARS_MAX, out.width - 40))
    form = _FORMS[bucket]
    behind: datetime | None = None
    for each in found.buckets:
        if behind is not None:
            _pause(out, behind, each.start, bucket)
        parts = [(f"{each.start:{form}}  ", "dim")]
        filled = 0
        held = 0
        for kind, number in each.by_kind.items():
            held += number
            # Ends are rounded, not lengths, so that the parts are as long as the whole.
            end = max(round(held / most * width), filled + (filled == 0))
            parts.append(("█" * (end - filled), _STYLES.get(kind, "white")))
            filled = end
        parts.append((f" {each.count:,}", "bold"))
        line(out, *parts, (f"  {_kinds(each.by_kind)}", "dim"))
        behind = bounds(each.start, bucket, each.start.tzinfo)[1] if each.start.tzinfo else None
    earlier = f"; {found.omitted:,} of them earlier than shown" if found.omitted else ""
    line(out, counted(found.total, "capture"), earlier)


def _pause(out: Console, start: datetime, end: datetime, bucket: Bucket) -> None:
    """Lines for the time in which nothing was captured."""
    zone = end.tzinfo
    if zone is None:
        return
    empty: list[datetime] = []
    while start < end and len(empty) <= _EMPTY_SHOWN_MAX:
        empty.append(start)
        start = bounds(start + timedelta(seconds=1), bucket, zone)[1]
    if len(empty) > _EMPTY_SHOWN_MAX:
        line(out, ("⋮", "dim"))
        return
    for moment in empty:
        line(out, (f"{moment.astimezone(zone):{_FORMS[bucket]}}", "dim"))


def _kinds(by_kind: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {kind}" for kind, number in by_kind.items())
