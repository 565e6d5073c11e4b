"""The tool that tells in few words what captures say."""

from typing import Annotated, Self

from mcp_types import InputRequiredResult, ResourceLink
from pydantic import Field, StringConstraints

from komorebi_mcp.domain.captures import ProjectName
from komorebi_mcp.domain.ids import summary_uri
from komorebi_mcp.domain.model import Model
from komorebi_mcp.domain.summaries import MAX_TOKENS_DEFAULT, MAX_TOKENS_MAX, Covers, Scope, Sentence, Summary
from komorebi_mcp.services.find import QUERY_CHARS_MAX
from komorebi_mcp.surface.arguments import Ids, Since, Until, check_window
from komorebi_mcp.surface.rendering import cited, counted, not_found, paragraphs
from komorebi_mcp.surface.sampling import ModelNeeded, lent_model
from komorebi_mcp.surface.tools.record import READS, Call, Reply, Result, Tool

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=QUERY_CHARS_MAX)]


class SummarizeArguments(Model):
    project: ProjectName | None = None
    ids: Ids | None = None
    query: Annotated[Words | None, Field(description="Only what matches")] = None
    focus: Annotated[Words | None, Field(description="What matters most")] = None
    since: Since | None = None
    until: Until | None = None
    max_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS_MAX)] = MAX_TOKENS_DEFAULT
    refresh: Annotated[bool, Field(description="Make it anew")] = False


class CitedSummary(Result):
    id: str
    uri: str
    text: str
    sentences: tuple[Sentence, ...]
    level: int
    covers: Covers
    method: str
    rejected: int
    truncated: bool
    missing: tuple[str, ...] | None = None

    @classmethod
    def of(cls, summary: Summary, *, missing: tuple[str, ...] = ()) -> Self:
        named = ("id", "text", "sentences", "level", "covers", "method", "rejected", "truncated")
        told = {name: getattr(summary, name) for name in named}
        return cls(**told, uri=summary_uri(summary.id), missing=missing or None)


async def _run(call: Call, arguments: SummarizeArguments) -> Reply | InputRequiredResult:
    check_window(arguments.since, arguments.until)
    scope = Scope(
        project=arguments.project,
        ids=arguments.ids or (),
        query=arguments.query,
        focus=arguments.focus,
        since=arguments.since,
        until=arguments.until,
    )
    try:
        summary = await call.app.summarize.summarize(
            call.owner,
            scope,
            max_tokens=arguments.max_tokens,
            refresh=arguments.refresh,
            client=lent_model(call.ctx, call.params),
            report=call.ctx.session.report_progress,
        )
    except ModelNeeded as needed:
        return needed.result
    missing = await call.app.find.missing(call.owner, arguments.ids) if arguments.ids else ()
    text = paragraphs(
        [
            f"Summary of {counted(summary.covers.captures, 'capture')} ({summary.method}):",
            cited(summary) or nothing_told(summary),
            "More was worth telling: repeat the call with a greater max_tokens."
            if summary.truncated
            else None,
            not_found(missing),
        ]
    )
    link = ResourceLink(
        name=summary.id,
        title="Summary",
        description="Its sentences, their sources and the summaries it was made from.",
        uri=summary_uri(summary.id),
        mime_type="application/json",
    )
    return Reply(CitedSummary.of(summary, missing=missing), text, (link,))


def nothing_told(summary: Summary) -> str:
    """What to do about a summary without a sentence."""
    if summary.truncated:
        return "Not even one sentence fits. Repeat the call with a greater max_tokens."
    if summary.scope.query:
        return "No sentence of theirs answers the query. Try other words, or call search_captures."
    return "They hold no sentence to tell. Call list_captures to see them."


SUMMARIZE = Tool(
    name="summarize",
    title="Summarize",
    description=(
        "What a project, some ids, a time window or the matches of a query say, in max_tokens. Every "
        "sentence cites its captures; read_captures gives them whole."
    ),
    arguments=SummarizeArguments,
    result=CitedSummary,
    annotations=READS,
    run=_run,
    may_be_task=True,
)
