"""`komorebi-mcp resume`: where you left off."""

from typing import Annotated

import typer

from komorebi_mcp.app import App
from komorebi_mcp.cli.options import AsJson, Project
from komorebi_mcp.cli.options import Since as SinceOption
from komorebi_mcp.cli.session import arguments, run
from komorebi_mcp.cli.show import as_json, console, line
from komorebi_mcp.cli.wording import for_people
from komorebi_mcp.domain.resume import Resume
from komorebi_mcp.surface.principal import LOCAL_OWNER
from komorebi_mcp.surface.tools.resume import RESUME, ResumeResult


def resume(
    *,
    project: Project = None,
    since: SinceOption = None,
    max_tokens: Annotated[int | None, typer.Option(help="Maximum length in tokens (default 1000).")] = None,
    json: AsJson = False,
) -> None:
    """Show where you left off: decisions, open questions, and what changed since last time."""
    checked = arguments(RESUME, project=project, since=since, max_tokens=max_tokens)

    async def work(app: App) -> Resume:
        return await app.resume.resume(LOCAL_OWNER, **dict(checked))

    resumed = run(work, enriches=False)
    if json:
        as_json(ResumeResult.of(resumed))
        return
    out = console()
    for each in resumed.text.splitlines():
        if each.startswith("#"):
            line(out, (each.lstrip("# "), "bold"))
        else:
            line(out, for_people(each) if resumed.since is None else each)
    if resumed.truncated:
        line(out, ("more was worth telling, raise --max-tokens", "dim"))
