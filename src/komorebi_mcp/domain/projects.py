"""Projects: named groups of captures."""

from datetime import datetime

from komorebi_mcp.domain.captures import ProjectName
from komorebi_mcp.domain.model import Model
from komorebi_mcp.errors import NotFound

DESCRIPTION_CHARS_MAX = 2_000


class ProjectUpdate(Model):
    """What is to change; None leaves a field as it is, an empty text clears it."""

    new_name: ProjectName | None = None
    description: str | None = None
    goal: str | None = None
    archived: bool | None = None


class Project(Model):
    """A named group of captures."""

    name: str
    description: str
    goal: str
    archived: bool
    captures: int
    """How many it holds, archived ones included."""
    created_at: datetime
    updated_at: datetime


def no_such_project() -> NotFound:
    """The error that answers a name which no project of the owner has."""
    return NotFound("No project has that name. Call list_projects for the names there are.")
