"""`komorebi-mcp summarize`: what captures say, in brief."""

from typing import Annotated

import typer

from komorebi_mcp.app import App
from komorebi_mcp.cli.options import AsJson, Since, Until
from komorebi_mcp.cli.progress import steps_shown
from komorebi_mcp.cli.session import arguments, run
from komorebi_mcp.cli.show import as_json, console, counted, line
from komorebi_mcp.cli.wording import for_people
from komorebi_mcp.domain.captures import CaptureFilter, Status
from komorebi_mcp.domain.pages import LIMIT_MAX
from komorebi_mcp.domain.summaries import Scope, Summary
from komorebi_mcp.surface.arguments import check_window
from komorebi_mcp.surface.principal import LOCAL_OWNER
from komorebi_mcp.surface.tools.summarize import SUMMARIZE, CitedSummary, nothing_told


def summarize(
    *,
    project: Annotated[str | None, typer.Option(help="Summarize this project.")] = None,
    id: Annotated[  # noqa: A002 - the option's name.
        list[str] | None, typer.Option(help="Summarize this capture; repeat it for several.")
    ] = None,
    query: Annotated[str | None, typer.Option(help="Only what matches this query.")] = None,
    focus: Annotated[str | None, typer.Option(help="What the summary should concentrate on.")] = None,
    since: Since = None,
    until: Until = None,
    max_tokens: Annotated[int | None, typer.Option(help="Maximum length in tokens (default 500).")] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Make it anew, even if nothing has changed.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Summarize captures; every sentence cites its sources."""
    checked = arguments(
        SUMMARIZE, project=project, ids=id or None, query=query, focus=focus,
        since=since, until=until, max_tokens=max_tokens, refresh=refresh,
    )  # fmt: skip
    scope = Scope(
        project=checked.project, ids=checked.ids or (), query=checked.query, focus=checked.focus,
        since=checked.since, until=checked.until,
    )  # fmt: skip

    async def work(app: App) -> tuple[Summary, dict[str, str]]:
        check_window(checked.since, checked.until)
        with steps_shown() as report:
            summary = await app.summarize.summarize(
                LOCAL_OWNER, scope, max_tokens=checked.max_tokens, refresh=checked.refresh, report=report
            )
        return summary, {} if json else await _titles(app, summary)

    summary, titles = run(work, enriches=False)
    if json:
        as_json(CitedSummary.of(summary))
    else:
        _tell(summary, titles)


async def _titles(app: App, summary: Summary) -> dict[str, str]:
    """Titles of the captures that the summary cites, as many as fit a page."""
    cited = tuple(dict.fromkeys(source for sentence in summary.sentences for source in sentence.sources))
    if not cited:
        return {}
    where = CaptureFilter(ids=cited, statuses=tuple(Status))
    page = await app.find.page(LOCAL_OWNER, where, limit=LIMIT_MAX)
    return {capture.id: capture.title for capture in page.items}


def _tell(summary: Summary, titles: dict[str, str]) -> None:
    out = console()
    numbers: dict[str, int] = {}
    for sentence in summary.sentences:
        marks = ", ".join(str(numbers.setdefault(source, len(numbers) + 1)) for source in sentence.sources)
        line(out, " ".join(sentence.text.split()), (f" [{marks}]", "cyan"))
    if not summary.sentences:
        line(out, for_people(nothing_told(summary)))
    line(out)
    for source, number in numbers.items():
        line(out, (f"[{number}] ", "cyan"), (source, "dim"), f"  {titles.get(source, '')}".rstrip())
    told = f"{counted(summary.covers.captures, 'capture')}, {summary.method}"
    line(out, told, "; more was worth telling, raise --max-tokens" if summary.truncated else "")
