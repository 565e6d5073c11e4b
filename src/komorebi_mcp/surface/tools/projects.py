"""The tools that show and change projects."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from komorebi_mcp.domain.captures import ProjectName
from komorebi_mcp.domain.ids import brief_uri
from komorebi_mcp.domain.model import Model
from komorebi_mcp.domain.projects import DESCRIPTION_CHARS_MAX, Project, ProjectUpdate
from komorebi_mcp.surface.arguments import LIMIT_DEFAULT, Cursor, Limit
from komorebi_mcp.surface.rendering import counted, moment, next_page, paragraphs
from komorebi_mcp.surface.room import page_that_fits
from komorebi_mcp.surface.tools.record import OVERWRITES, READS, Call, Reply, Result, Tool

_ARCHIVED_MAX = 50

Description = Annotated[str, Field(max_length=DESCRIPTION_CHARS_MAX)]


class ListProjectsArguments(Model):
    limit: Limit = LIMIT_DEFAULT
    cursor: Cursor | None = None


class UpdateProjectArguments(Model):
    name: ProjectName
    new_name: ProjectName | None = None
    description: Description | None = None
    goal: Annotated[Description | None, Field(description="Steers its summaries")] = None
    archived: bool | None = None


class ProjectRow(Result):
    name: str
    description: str
    goal: str
    captures: int
    updated_at: datetime
    brief_uri: str

    @classmethod
    def of(cls, project: Project) -> Self:
        named = ("name", "description", "goal", "captures", "updated_at")
        return cls(**{name: getattr(project, name) for name in named}, brief_uri=brief_uri(project.name))


class ProjectList(Result):
    projects: tuple[ProjectRow, ...]
    next_cursor: str | None = None
    # Told where there are any; in the schema it would cost every client tokens.
    archived: SkipJsonSchema[tuple[str, ...] | None] = None


class ChangedProject(ProjectRow):
    archived: bool

    @classmethod
    def of(cls, project: Project) -> Self:
        return cls(**dict(ProjectRow.of(project)), archived=project.archived)


class UpdatedProject(Result):
    project: ChangedProject


async def _list(call: Call, arguments: ListProjectsArguments) -> Reply:
    page = await page_that_fits(
        lambda limit: call.app.organize.projects(call.owner, limit=limit, cursor=arguments.cursor),
        ProjectRow.of,
        limit=arguments.limit,
    )
    archived = () if page.next_cursor else await _archived(call)
    text = paragraphs(
        [
            counted(len(page.items), "project")
            + (":" if page.items else ". Capture with a project to create one."),
            "\n".join(_line(project) for project in page.items),
            next_page(page.next_cursor),
            f"Archived: {', '.join(archived)}. Call update_project with archived false to bring one back."
            if archived
            else None,
        ]
    )
    rows = tuple(ProjectRow.of(project) for project in page.items)
    structured = ProjectList(projects=rows, next_cursor=page.next_cursor, archived=archived or None)
    return Reply(structured, text)


async def _archived(call: Call) -> tuple[str, ...]:
    """The names of the archived projects, of the last changed ones where they are many."""
    page = await call.app.organize.projects(call.owner, limit=_ARCHIVED_MAX, archived=True)
    return tuple(project.name for project in page.items)


async def _update(call: Call, arguments: UpdateProjectArguments) -> Reply:
    change = ProjectUpdate(**{name: value for name, value in arguments if name != "name"})
    project = await call.app.organize.update_project(call.owner, arguments.name, change)
    return Reply(UpdatedProject(project=ChangedProject.of(project)), _line(project))


def _line(project: Project) -> str:
    facts = [counted(project.captures, "capture"), moment(project.updated_at)]
    if project.archived:
        facts.append("archived")
    told = [f"- **{project.name}** ({', '.join(facts)})"]
    if project.description:
        told.append(project.description)
    if project.goal:
        told.append(f"goal: {project.goal}")
    return "\n  ".join(told)


LIST_PROJECTS = Tool(
    name="list_projects",
    title="List projects",
    description="The projects, the last changed first; brief_uri is the resource of a project's summary.",
    arguments=ListProjectsArguments,
    result=ProjectList,
    annotations=READS,
    run=_list,
)

UPDATE_PROJECT = Tool(
    name="update_project",
    title="Update project",
    description='Rename or archive a project, or say what it is about and for; "" clears a text.',
    arguments=UpdateProjectArguments,
    result=UpdatedProject,
    annotations=OVERWRITES,
    run=_update,
)
