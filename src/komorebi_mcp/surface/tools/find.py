"""The tools that list and search captures."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from komorebi_mcp.domain.captures import (
    CaptureFilter,
    CaptureOverview,
    Kind,
    Order,
    ProjectName,
    Source,
    Status,
)
from komorebi_mcp.domain.ids import capture_uri
from komorebi_mcp.domain.model import Model
from komorebi_mcp.domain.search import Hit
from komorebi_mcp.services.find import READ_TOKENS_MAX, SearchResult
from komorebi_mcp.surface.arguments import (
    LIMIT_DEFAULT,
    Cursor,
    Limit,
    ListedTags,
    Since,
    Until,
    check_window,
)
from komorebi_mcp.surface.rendering import (
    counted,
    hit,
    next_page,
    overview,
    paragraphs,
)
from komorebi_mcp.surface.room import ROOM_TOKENS, page_that_fits
from komorebi_mcp.surface.tools.record import READS, Call, Reply, Result, Tool
from komorebi_mcp.text.times import Span


class Filters(Model):
    project: ProjectName | None = None
    status: Status | None = None
    kind: Kind | None = None
    tags: Annotated[ListedTags, Field(description="All; a | b: either")] = ()
    since: Annotated[Since | None, Field(description="ISO 8601 or words (last week)")] = None
    until: Until | None = None

    def where(self, *, source: str | None = None) -> CaptureFilter:
        """The filter that these arguments ask for.

        Raises:
            InvalidInput: The time window holds no moment.
        """
        check_window(self.since, self.until)
        return CaptureFilter(
            project=self.project,
            statuses=(self.status,) if self.status else (),
            kinds=(self.kind,) if self.kind else (),
            tags=self.tags,
            source=source,
            since=self.since,
            until=self.until,
        )


class ListArguments(Filters):
    source: Source | None = None
    order: Order = Order.NEWEST
    limit: Limit = LIMIT_DEFAULT
    cursor: Cursor | None = None


class SearchArguments(Filters):
    query: Annotated[str, Field(description='Any words; "exact phrase"; -without')]
    limit: Limit = LIMIT_DEFAULT
    max_tokens: Annotated[
        int | None, Field(ge=1, le=READ_TOKENS_MAX, description="Pack the hits into so many")
    ] = None
    cursor: Cursor | None = None


class CaptureRow(Result):
    id: str
    uri: str
    title: str
    snippet: str
    project: str | None
    kind: Kind
    tags: tuple[str, ...]
    status: Status
    created_at: datetime

    @classmethod
    def of(cls, capture: CaptureOverview) -> Self:
        named = {name: getattr(capture, name) for name in CaptureOverview.model_fields}
        return cls(**named, uri=capture_uri(capture.id))


class CaptureList(Result):
    captures: tuple[CaptureRow, ...]
    next_cursor: str | None = None


class HitRow(Result):
    id: str
    uri: str
    title: str
    snippet: str
    score: float
    project: str | None
    created_at: datetime
    also: tuple[str, ...] | None = None

    @classmethod
    def of(cls, found: Hit) -> Self:
        return cls(**{**dict(found), "also": found.also or None}, uri=capture_uri(found.id))


class HitList(Result):
    hits: tuple[HitRow, ...]
    next_cursor: str | None = None
    omitted: int | None = None
    capped: bool | None = None

    @classmethod
    def of(cls, found: SearchResult) -> Self:
        return cls(
            hits=tuple(HitRow.of(one) for one in found.hits),
            next_cursor=found.next_cursor,
            omitted=found.omitted or None,
            capped=found.capped or None,
        )


async def _list(call: Call, arguments: ListArguments) -> Reply:
    where = arguments.where(source=arguments.source)
    page = await page_that_fits(
        lambda limit: call.app.find.page(
            call.owner, where, order=arguments.order, limit=limit, cursor=arguments.cursor
        ),
        CaptureRow.of,
        limit=arguments.limit,
    )
    rows = tuple(CaptureRow.of(capture) for capture in page.items)
    absent = None if rows else await call.app.find.why_none(call.owner, where)
    instead = absent or "Drop a filter to see more, or call capture."
    text = paragraphs(
        [
            counted(len(rows), "capture") + (":" if rows else f". {instead}"),
            "\n".join(overview(capture) for capture in page.items),
            next_page(page.next_cursor),
        ]
    )
    return Reply(CaptureList(captures=rows, next_cursor=page.next_cursor), text)


async def _search(call: Call, arguments: SearchArguments) -> Reply:
    where = arguments.where()
    found = await call.app.find.search(
        call.owner,
        arguments.query,
        where,
        limit=arguments.limit,
        max_tokens=arguments.max_tokens or ROOM_TOKENS,
        cursor=arguments.cursor,
    )
    absent = None if found.hits else await call.app.find.why_none(call.owner, where)
    text = paragraphs(
        [
            counted(len(found.hits), "hit")
            + (", best first:" if found.hits else f". {absent or _instead(found.span)}"),
            "\n".join(hit(one) for one in found.hits),
            f"{counted(found.omitted, 'hit')} left out for length." if found.omitted else None,
            "No capture has the quoted words in that order, so these have some words of the query."
            if found.loosened and found.hits
            else None,
            "Very many captures match, so the oldest were left aside: add a rarer word or a filter."
            if found.capped
            else None,
            next_page(found.next_cursor),
        ]
    )
    return Reply(HitList.of(found), text)


def _instead(span: Span | None) -> str:
    """What to do where nothing matches: words of time find nothing by themselves."""
    if span is None:
        return "Try other words or drop a filter."
    window = f"since {span.start.isoformat()} and until {span.end.isoformat()}"
    return f"Try other words, drop a filter, or call list_captures with {window} for all of that time."


LIST_CAPTURES = Tool(
    name="list_captures",
    title="List captures",
    description=(
        "Captures by project, status, kind, tags, source or time; archived ones only when asked by status. "
        "Gives titles and snippets; read_captures gives the texts."
    ),
    arguments=ListArguments,
    result=CaptureList,
    annotations=READS,
    run=_list,
)

SEARCH_CAPTURES = Tool(
    name="search_captures",
    title="Search captures",
    description=(
        "Find captures by what they say, best first, with the passage that matches. Call it before answering "
        "from memory; then read_captures for the whole text."
    ),
    arguments=SearchArguments,
    result=HitList,
    annotations=READS,
    run=_search,
)
