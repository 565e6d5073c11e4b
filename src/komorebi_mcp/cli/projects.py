"""`komorebi-mcp projects`: what there is to resume."""

from typing import Annotated

import typer

from komorebi_mcp.app import App
from komorebi_mcp.cli.options import AsJson, Cursor, Limit
from komorebi_mcp.cli.session import arguments, run
from komorebi_mcp.cli.show import as_json, console, counted, line, moment
from komorebi_mcp.domain.pages import Page
from komorebi_mcp.domain.projects import Project
from komorebi_mcp.surface.principal import LOCAL_OWNER
from komorebi_mcp.surface.tools.projects import LIST_PROJECTS, ProjectList, ProjectRow


def projects(
    *,
    archived: Annotated[bool, typer.Option("--archived", help="Those that were put away.")] = False,
    limit: Limit = None,
    cursor: Cursor = None,
    json: AsJson = False,
) -> None:
    """List projects, most recently changed first."""
    checked = arguments(LIST_PROJECTS, limit=limit, cursor=cursor)

    async def work(app: App) -> Page[Project]:
        return await app.organize.projects(
            LOCAL_OWNER, limit=checked.limit, cursor=checked.cursor, archived=archived
        )

    page = run(work, enriches=False)
    if json:
        as_json(
            ProjectList(projects=tuple(ProjectRow.of(p) for p in page.items), next_cursor=page.next_cursor)
        )
        return
    out = console()
    for project in page.items:
        line(
            out,
            (project.name, "bold"),
            f"  {counted(project.captures, 'capture')}, {moment(project.updated_at)}",
        )
        for about in (project.goal, project.description):
            if about:
                line(out, "  ", (about, "dim"))
    line(
        out,
        counted(len(page.items), "project"),
        f"; more with --cursor {page.next_cursor}" if page.next_cursor else "",
    )
