"""Where somebody left off: what to know before going on."""

from datetime import datetime
from enum import StrEnum

from komorebi_mcp.domain.captures import EntityType, Kind
from komorebi_mcp.domain.model import Model

RESUME_TOKENS_DEFAULT = 1_000
RESUME_TOKENS_MAX = 8_000


class SinceWhen(StrEnum):
    """What the time is that changes are counted from."""

    GIVEN = "given"
    LAST_RESUME = "last resume"
    LAST_ACTIVITY = "last activity"
    """The first resume ever: the captures before it that follow one another without a long pause."""


class ResumeItem(Model):
    """Something to know, letter for letter."""

    text: str
    sources: tuple[str, ...]
    """Ids of captures that say it, the latest first."""


class ResumeSection(Model):
    """Things to know of one sort, the latest first."""

    heading: str
    items: tuple[ResumeItem, ...]


class Resume(Model):
    """What there is to know, within a budget of tokens."""

    project: str | None
    text: str
    """The same as the sections, to be read; it numbers the sources and names them below."""
    sections: tuple[ResumeSection, ...]
    since: datetime | None
    """None where there is nothing yet."""
    since_when: SinceWhen
    truncated: bool
    """Whether something did not fit."""


class Glimpse(Model):
    """As much of a capture as can be read of many at once."""

    id: str
    title: str
    project: str | None
    kind: Kind
    created_at: datetime
    content: str
    """How it begins, on one line, where it is long."""
    is_cut: bool = False
    named: tuple[tuple[EntityType, str], ...] = ()
    """The errors and decisions found in a long one."""
