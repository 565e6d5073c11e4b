"""What clients can attach: captures, summaries and projects as JSON under `komorebi://`."""

import json
from typing import Any
from urllib.parse import unquote

from mcp.server.context import ServerRequestContext
from mcp_types import (
    Annotations,
    ListResourcesResult,
    ListResourceTemplatesResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextResourceContents,
)

from komorebi_mcp.app import App
from komorebi_mcp.domain.captures import CaptureFilter, Status
from komorebi_mcp.domain.ids import brief_uri, capture_uri, parse_capture_id, summary_uri
from komorebi_mcp.domain.pages import LIMIT_MAX
from komorebi_mcp.domain.projects import no_such_project
from komorebi_mcp.domain.summaries import Summary
from komorebi_mcp.errors import InvalidInput, KomorebiError, NotFound
from komorebi_mcp.surface.dashboard_page import APP_MIME_TYPE
from komorebi_mcp.surface.dashboard_page import html as page_html
from komorebi_mcp.surface.icons import BRIEF, CHART, FOLDER, INBOX, PLUG, TEXT
from komorebi_mcp.surface.pages import PAGE_ITEMS, page_of
from komorebi_mcp.surface.principal import owner_of
from komorebi_mcp.surface.replies import resource_error
from komorebi_mcp.surface.resource_uris import DASHBOARD_URI, INBOX_URI, PROJECTS_URI, ROOT, UPSTREAMS_URI
from komorebi_mcp.surface.room import ROOM_TOKENS, page_that_fits
from komorebi_mcp.surface.tools.find import CaptureList, CaptureRow
from komorebi_mcp.surface.tools.projects import ChangedProject, ProjectList, ProjectRow
from komorebi_mcp.surface.tools.read import NearRow
from komorebi_mcp.surface.tools.upstreams import UpstreamList

_JSON = "application/json"

_FIXED = [
    Resource(
        uri=INBOX_URI,
        name="inbox",
        title="Inbox",
        description="The newest captures that are not yet enriched.",
        icons=[INBOX],
        mime_type=_JSON,
        annotations=Annotations(audience=["user", "assistant"], priority=0.5),
    ),
    Resource(
        uri=PROJECTS_URI,
        name="projects",
        title="Projects",
        description="The projects there are, the last changed first.",
        icons=[FOLDER],
        mime_type=_JSON,
        annotations=Annotations(audience=["user", "assistant"], priority=0.6),
    ),
]
_DASHBOARD = Resource(
    uri=DASHBOARD_URI,
    name="dashboard",
    title="Dashboard",
    description="What was captured when, as a page for hosts of MCP Apps; the tool timeline shows it.",
    mime_type=APP_MIME_TYPE,
    icons=[CHART],
    annotations=Annotations(audience=["user"], priority=0.2),
)
_UPSTREAMS = Resource(
    uri=UPSTREAMS_URI,
    name="upstreams",
    title="Upstreams",
    description="How the servers behind this one are doing.",
    icons=[PLUG],
    mime_type=_JSON,
    annotations=Annotations(audience=["user", "assistant"], priority=0.3),
)
"""Listed only where there are some."""

_TEMPLATES = [
    ResourceTemplate(
        uri_template=f"{ROOT}captures/{{id}}",
        name="capture",
        title="Capture",
        description="One capture; a very long one says how to read on.",
        icons=[TEXT],
        mime_type=_JSON,
    ),
    ResourceTemplate(
        uri_template=f"{ROOT}summaries/{{id}}",
        name="summary",
        title="Summary",
        description="A summary with its sentences, their sources and the summaries it was made from.",
        icons=[BRIEF],
        mime_type=_JSON,
    ),
    ResourceTemplate(
        uri_template=f"{ROOT}projects/{{name}}",
        name="project",
        title="Project",
        description="One project.",
        icons=[FOLDER],
        mime_type=_JSON,
    ),
    ResourceTemplate(
        uri_template=f"{ROOT}projects/{{name}}/brief",
        name="brief",
        title="Project brief",
        description="A project's summary as of now.",
        icons=[BRIEF],
        mime_type=_JSON,
    ),
]


def template_uris() -> list[str]:
    return [template.uri_template for template in _TEMPLATES]


async def list_resources(
    ctx: ServerRequestContext[App, Any], params: PaginatedRequestParams | None
) -> ListResourcesResult:
    """The inbox, the projects, and the brief of every project that holds something."""
    cursor = params.cursor if params else None
    page = await ctx.lifespan_context.organize.projects(owner_of(ctx), limit=PAGE_ITEMS, cursor=cursor)
    briefs = [
        Resource(
            uri=brief_uri(project.name),
            name=f"brief of {project.name}",
            title=f"Brief: {project.name}",
            description="What this project's captures say, cited.",
            mime_type=_JSON,
            annotations=Annotations(
                audience=["user", "assistant"], priority=0.8, last_modified=project.updated_at.isoformat()
            ),
        )
        for project in page.items
        if project.captures
    ]
    fixed = [*_FIXED, *([_UPSTREAMS] if ctx.lifespan_context.aggregate.enabled else []), _DASHBOARD]
    return ListResourcesResult(
        resources=briefs if cursor else [*fixed, *briefs], next_cursor=page.next_cursor
    )


async def list_resource_templates(
    ctx: ServerRequestContext[App, Any],  # noqa: ARG001 - the SDK's signature of a handler.
    params: PaginatedRequestParams | None,
) -> ListResourceTemplatesResult:
    templates, next_cursor = page_of(_TEMPLATES, params.cursor if params else None)
    return ListResourceTemplatesResult(resource_templates=templates, next_cursor=next_cursor)


async def read_resource(
    ctx: ServerRequestContext[App, Any], params: ReadResourceRequestParams
) -> ReadResourceResult:
    uri = params.uri
    if uri == DASHBOARD_URI:
        shown = TextResourceContents(uri=uri, mime_type=APP_MIME_TYPE, text=page_html())
        return ReadResourceResult(contents=[shown])
    try:
        content = await _read(ctx.lifespan_context, owner_of(ctx), uri)
    except KomorebiError as error:
        raise resource_error(error, uri=uri, protocol_version=ctx.protocol_version) from error
    text = json.dumps(content, ensure_ascii=False)
    return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type=_JSON, text=text)])


async def _read(app: App, owner: str, uri: str) -> dict[str, Any]:  # noqa: PLR0911 - one for each resource.
    path = uri.removeprefix(ROOT).split("/") if uri.startswith(ROOT) else []
    match path:
        case ["inbox"]:
            where = CaptureFilter(statuses=(Status.INBOX,))
            page = await page_that_fits(
                lambda limit: app.find.page(owner, where, limit=limit), CaptureRow.of, limit=LIMIT_MAX
            )
            rows = tuple(CaptureRow.of(capture) for capture in page.items)
            return CaptureList(captures=rows, next_cursor=page.next_cursor).model_dump(mode="json")
        case ["captures", capture_id]:
            return await _capture(app, owner, capture_id)
        case ["summaries", summary_id]:
            return _told(await app.summarize.get(owner, _summary_id(summary_id)))
        case ["upstreams"]:
            return UpstreamList.of(app.aggregate.status()).model_dump(mode="json")
        case ["projects"]:
            projects = await page_that_fits(
                lambda limit: app.organize.projects(owner, limit=limit), ProjectRow.of, limit=LIMIT_MAX
            )
            listed = tuple(ProjectRow.of(project) for project in projects.items)
            return ProjectList(projects=listed, next_cursor=projects.next_cursor).model_dump(mode="json")
        case ["projects", name]:
            return ChangedProject.of(await app.organize.project(owner, _name(name))).model_dump(mode="json")
        case ["projects", name, "brief"]:
            return _told(await app.summarize.brief(owner, _name(name)))
        case _:
            raise NotFound(
                "There is no such resource. resources/list and resources/templates/list name them all."
            )


async def _capture(app: App, owner: str, capture_id: str) -> dict[str, Any]:
    try:
        wanted = parse_capture_id(capture_id)
    except InvalidInput:
        raise NotFound(
            "That is not a capture's id. Call list_captures or search_captures to get one."
        ) from None
    read = await app.find.read(owner, [wanted], max_tokens=ROOM_TOKENS, joined=False)
    capture = read.captures[0]
    near = [NearRow.of(other).model_dump(mode="json") for other in read.near.get(capture.id, ())]
    shown = {"uri": capture_uri(capture.id), **capture.model_dump(mode="json")}
    if near:
        shown["near_duplicates"] = near
    if read.next_offset is not None:
        shown["next_offset"] = read.next_offset
        shown["more"] = f"Call read_captures with this id and offset {read.next_offset} to read on."
    return shown


def _summary_id(text: str) -> str:
    try:
        return parse_capture_id(text)
    except InvalidInput:
        raise NotFound("That is not a summary's id. Call summarize to make a summary.") from None


def _name(quoted: str) -> str:
    try:
        return unquote(quoted, errors="strict")
    except UnicodeDecodeError:
        raise no_such_project() from None


def _told(summary: Summary) -> dict[str, Any]:
    told = summary.model_dump(mode="json")
    told["uri"] = summary_uri(summary.id)
    told["text"] = summary.text
    told["children"] = [summary_uri(child) for child in summary.children]
    return told
