"""Projects: named groups of captures."""

from datetime import datetime

from komorebi_mcp.domain.captures import ProjectName
from komorebi_mcp.domain.model import Model

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
