"""Projects: named groups of captures."""

from collections.abc import Iterable
from datetime import datetime
from difflib import get_close_matches

from komorebi_mcp.domain.captures import ProjectName
from komorebi_mcp.domain.model import Model
from komorebi_mcp.errors import NotFound

DESCRIPTION_CHARS_MAX = 2_000
_LIKE_MAX = 3


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


def no_such_project(name: str = "", known: Iterable[str] = ()) -> NotFound:
    """The error that answers a name which no project has; it tells those `known` that are like it."""
    names = {each.casefold(): each for each in known}
    like = get_close_matches(name.casefold(), names, n=_LIKE_MAX)
    meant = f" Did you mean {' or '.join(repr(names[each]) for each in like)}?" if like else ""
    return NotFound(f"No project has that name.{meant} Call list_projects for the names there are.")
