"""`komorebi-mcp list` and `search`: look at what was kept."""

from typing import Annotated

import typer

from komorebi_mcp.app import App
from komorebi_mcp.cli.options import AsJson, Cursor, Limit, OfKind, OfStatus, Project, Since, Until, WithTags
from komorebi_mcp.cli.session import arguments, run
from komorebi_mcp.cli.show import as_json, console, counted, filed, line, marked, moment
from komorebi_mcp.domain.captures import CaptureOverview, Order
from komorebi_mcp.domain.pages import Page
from komorebi_mcp.services.find import SearchResult
from komorebi_mcp.surface.principal import LOCAL_OWNER
from komorebi_mcp.surface.tools.find import (
    LIST_CAPTURES,
    SEARCH_CAPTURES,
    CaptureList,
    CaptureRow,
    HitList,
)


def list_captures(
    *,
    project: Project = None,
    status: OfStatus = None,
    kind: OfKind = None,
    tag: WithTags = None,
    source: Annotated[str | None, typer.Option(help="Only from this source.")] = None,
    since: Since = None,
    until: Until = None,
    order: Annotated[Order, typer.Option(help="By the time of capture.")] = Order.NEWEST,
    limit: Limit = None,
    cursor: Cursor = None,
    json: AsJson = False,
) -> None:
    """List captures, newest first."""
    checked = arguments(
        LIST_CAPTURES, project=project, status=status, kind=kind, tags=tag, source=source,
        since=since, until=until, order=order, limit=limit, cursor=cursor,
    )  # fmt: skip

    where = checked.where(source=checked.source)

    async def work(app: App) -> tuple[Page[CaptureOverview], str | None]:
        page = await app.find.page(
            LOCAL_OWNER, where, order=checked.order, limit=checked.limit, cursor=checked.cursor
        )
        return page, None if page.items else await app.find.why_none(LOCAL_OWNER, where)

    page, absent = run(work, enriches=False)
    if json:
        as_json(
            CaptureList(captures=tuple(CaptureRow.of(c) for c in page.items), next_cursor=page.next_cursor)
        )
        return
    out = console()
    for capture in page.items:
        details = (capture.kind, capture.status, moment(capture.created_at))
        line(out, (capture.title, "bold"))
        line(out, "  ", (capture.id, "cyan"), f"  {filed(capture.project, *details, tags=capture.tags)}")
        if capture.snippet != capture.title:
            line(out, "  ", (capture.snippet, "dim"))
    line(
        out,
        counted(len(page.items), "capture"),
        f"; more with --cursor {page.next_cursor}" if page.next_cursor else "",
        f". {absent}" if absent else "",
    )


def search(
    query: Annotated[str, typer.Argument(help='Any words; "an exact phrase"; -excluded.')],
    *,
    project: Project = None,
    status: OfStatus = None,
    kind: OfKind = None,
    tag: WithTags = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    max_tokens: Annotated[int | None, typer.Option(help="Pack the hits into this many tokens.")] = None,
    cursor: Cursor = None,
    json: AsJson = False,
) -> None:
    """Find captures by what they say, best match first."""
    checked = arguments(
        SEARCH_CAPTURES, query=query, project=project, status=status, kind=kind, tags=tag,
        since=since, until=until, limit=limit, max_tokens=max_tokens, cursor=cursor,
    )  # fmt: skip

    where = checked.where()

    async def work(app: App) -> tuple[SearchResult, str | None]:
        found = await app.find.search(
            LOCAL_OWNER, checked.query, where, limit=checked.limit,
            max_tokens=checked.max_tokens, cursor=checked.cursor,
        )  # fmt: skip
        return found, None if found.hits else await app.find.why_none(LOCAL_OWNER, where)

    found, absent = run(work, enriches=False)
    if json:
        as_json(HitList.of(found))
        return
    out = console()
    for hit in found.hits:
        line(out, (hit.title, "bold"))
        line(out, "  ", (hit.id, "cyan"), f"  {filed(hit.project, moment(hit.created_at))}")
        line(out, "  ", *marked(hit.snippet))
        if hit.also:
            line(out, "  almost the same: ", (", ".join(hit.also), "cyan"))
    left_out = f", {counted(found.omitted, 'hit')} left out to fit" if found.omitted else ""
    more = f"; more with --cursor {found.next_cursor}" if found.next_cursor else ""
    capped = "; very many match, so the oldest were left aside" if found.capped else ""
    loosened = "; none has the quoted words in that order" if found.loosened and found.hits else ""
    instead = f". {absent}" if absent else ""
    line(out, counted(len(found.hits), "hit"), left_out, loosened, capped, more, instead)
