"""The tools that change and forget captures."""

from typing import Annotated

from mcp_types import InputRequiredResult
from pydantic import Field

from komorebi_mcp.domain.captures import CaptureUpdate, Kind, ProjectName, Status, Title
from komorebi_mcp.domain.model import Model
from komorebi_mcp.surface.arguments import Ids, ListedTags
from komorebi_mcp.surface.confirm import confirmed
from komorebi_mcp.surface.rendering import counted, not_found, overview, paragraphs
from komorebi_mcp.surface.room import how_many_fit
from komorebi_mcp.surface.tools.find import CaptureRow
from komorebi_mcp.surface.tools.record import OVERWRITES, Call, Reply, Result, Tool

_TITLES_ASKED_ABOUT_MAX = 5


class UpdateArguments(Model):
    ids: Ids
    title: Title | None = None
    content: Annotated[str | None, Field(description="Replaces the text; with one id only")] = None
    project: ProjectName | None = None
    kind: Kind | None = None
    add_tags: ListedTags = ()
    remove_tags: ListedTags = ()
    status: Status | None = None


class Updated(Result):
    captures: tuple[CaptureRow, ...]
    changed: int
    missing: tuple[str, ...] | None = None


class ForgetArguments(Model):
    ids: Ids
    confirm: Annotated[bool, Field(description="true: do not ask")] = False


class Forgotten(Result):
    forgotten: int
    summaries_refreshed: int
    missing: tuple[str, ...] | None = None


async def _update(call: Call, arguments: UpdateArguments) -> Reply:
    change = CaptureUpdate(**{name: value for name, value in arguments if name != "ids"})
    done = await call.app.organize.update(call.owner, arguments.ids, change)
    rows = tuple(CaptureRow.of(capture) for capture in done.captures)
    rows = rows[: how_many_fit(rows)]
    hidden = len(done.captures) - len(rows)
    text = paragraphs(
        [
            f"{counted(done.changed, 'capture')} changed:",
            "\n".join(overview(capture) for capture in done.captures[: len(rows)]),
            f"{hidden} more, not shown for length: call read_captures to see them." if hidden else None,
            not_found(done.missing),
        ]
    )
    structured = Updated(captures=rows, changed=done.changed, missing=done.missing or None)
    return Reply(structured, text)


async def _forget(call: Call, arguments: ForgetArguments) -> Reply | InputRequiredResult:
    if not arguments.confirm:
        asked = await confirmed(call.ctx, call.params, lambda: _question(call, arguments.ids))
        if asked is not None:
            return asked
    done = await call.app.organize.forget(call.owner, arguments.ids)
    said = f"{counted(done.forgotten, 'capture')} forgotten for good."
    if done.summaries_refreshed:
        said += f" Summaries that told of them are gone too: {done.summaries_refreshed}."
    structured = Forgotten(
        forgotten=done.forgotten,
        summaries_refreshed=done.summaries_refreshed,
        missing=done.missing or None,
    )
    return Reply(structured, paragraphs([said, not_found(done.missing)]))


async def _question(call: Call, ids: tuple[str, ...]) -> str:
    """What the person is asked; names the captures, so that they know what would be lost.

    Raises:
        NotFound: None of the ids is there.
    """
    there = await call.app.organize.overviews(call.owner, ids)
    titles = [f"“{capture.title}”" for capture in there[:_TITLES_ASKED_ABOUT_MAX]]
    if len(there) > _TITLES_ASKED_ABOUT_MAX:
        titles.append("…")
    return f"Forget {counted(len(there), 'capture')} for good? {', '.join(titles)}"


UPDATE_CAPTURES = Tool(
    name="update_captures",
    title="Update captures",
    description="Retitle, file, tag, archive or correct captures; all ids get the same change.",
    arguments=UpdateArguments,
    result=Updated,
    annotations=OVERWRITES,
    run=_update,
)

FORGET_CAPTURES = Tool(
    name="forget_captures",
    title="Forget captures",
    description=(
        "Delete captures for good, with the summaries that tell of them. Asks the person unless confirm is "
        "true. To put away instead, call update_captures with status archived."
    ),
    arguments=ForgetArguments,
    result=Forgotten,
    annotations=OVERWRITES,
    run=_forget,
)
