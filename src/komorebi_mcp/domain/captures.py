"""Captures: what is taken in, what is told of it, and how it may change."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from komorebi_mcp.domain.model import Model
from komorebi_mcp.domain.vectors import Vector

CONTENT_BYTES_MAX = 1_048_576
"""The largest content of one capture, in UTF-8 bytes."""

TITLE_CHARS_MAX = 300
PROJECT_CHARS_MAX = 100
TAG_CHARS_MAX = 64
TAGS_MAX = 32
SOURCE_CHARS_MAX = 500
KEY_CHARS_MAX = 200
PASSAGES_MAX = 10_000_000


class Kind(StrEnum):
    """What sort of text a capture is."""

    NOTE = "note"
    DECISION = "decision"
    ERROR = "error"
    CODE = "code"
    LINK = "link"
    LOG = "log"
    TOOL_RESULT = "tool_result"


class Status(StrEnum):
    """How far a capture has come: taken in, enriched, covered by a summary, put away."""

    INBOX = "inbox"
    PROCESSED = "processed"
    COMPACTED = "compacted"
    ARCHIVED = "archived"


class EntityType(StrEnum):
    """What an entity is."""

    ERROR = "error"
    URL = "url"
    IDENTIFIER = "identifier"
    CODE_REF = "code_ref"
    DECISION = "decision"
    DATE = "date"
    NAME = "name"


def _printable(text: str) -> str:
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise ValueError("holds a control character; leave line breaks, tabs and NUL out")
    return text


def _unique(tags: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tags))


Title = Annotated[
    str, StringConstraints(min_length=1, max_length=TITLE_CHARS_MAX), AfterValidator(_printable)
]
ProjectName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=PROJECT_CHARS_MAX, strip_whitespace=True),
    AfterValidator(_printable),
]
Tag = Annotated[
    str,
    StringConstraints(min_length=1, max_length=TAG_CHARS_MAX, strip_whitespace=True),
    AfterValidator(_printable),
]
Tags = Annotated[tuple[Tag, ...], Field(max_length=TAGS_MAX), AfterValidator(_unique)]
Source = Annotated[
    str, StringConstraints(min_length=1, max_length=SOURCE_CHARS_MAX), AfterValidator(_printable)
]
Key = Annotated[str, StringConstraints(min_length=1, max_length=KEY_CHARS_MAX), AfterValidator(_printable)]


class Entity(Model):
    """Something named in a capture's content."""

    type: EntityType
    value: str
    start: int
    """Offset into the content, in characters."""
    end: int
    """Offset of the first character behind it."""


class Passage(Model):
    """A capture's place in a text too long for one capture, which is kept as a group of passages."""

    group: str
    """The id of the first passage, which stands for all of them."""
    position: Annotated[int, Field(ge=1, le=PASSAGES_MAX)]
    """1 for the first passage; joined in this order, the passages are the text."""


class PassageSize(Model):
    """A passage, and how long it is."""

    id: str
    group: str
    chars: int


class CaptureCreate(Model):
    """A text to be kept, and what its bearer says of it."""

    content: str
    title: Title | None = None
    project: ProjectName | None = None
    tags: Tags = ()
    kind: Kind = Kind.NOTE
    source: Source | None = None
    key: Key | None = None
    """Unique per owner: a second capture with the same key is answered with the first one's receipt."""
    created_at: datetime | None = None
    """When the text came into being, for imports; the moment of capture otherwise."""
    redactions: int = 0
    """How many secrets were taken out of the content before it came here."""
    id: str | None = None
    """Canonical, for imports and groups: one that is known is answered like a known key."""
    status: Status = Status.INBOX
    """Enriched whatever it says; only imports give another one."""
    passage: Passage | None = None


class CaptureUpdate(Model):
    """What is to change; None leaves a field as it is."""

    title: Title | None = None
    content: str | None = None
    project: ProjectName | None = None
    kind: Kind | None = None
    add_tags: Tags = ()
    remove_tags: Tags = ()
    status: Status | None = None
    redactions: int | None = None
    """Goes with `content`: how many secrets were taken out of it."""


class Receipt(Model):
    """The acknowledgement of a capture: its text is on disk."""

    id: str
    status: Status
    created: bool
    """False when `key` was known and this is the earlier receipt."""
    created_at: datetime
    duplicate_of: str | None = None
    """The first capture with the same content in the same project."""
    redactions: int = 0


class CaptureOverview(Model):
    """A capture as a list shows it."""

    id: str
    title: str
    snippet: str
    project: str | None
    kind: Kind
    tags: tuple[str, ...]
    status: Status
    created_at: datetime


class Capture(CaptureOverview):
    """A capture whole."""

    content: str
    source: str | None
    entities: tuple[Entity, ...] = ()
    keywords: tuple[str, ...] = ()
    language: str | None = None
    """ISO 639-1, None where it could not be told."""
    tokens: int | None = None
    """Estimated by `text.tokens`; None until enriched."""
    redactions: int = 0
    duplicate_of: str | None = None
    updated_at: datetime
    failure: str | None = None
    """Why enrichment set this capture aside, None where it did not."""
    passage: Passage | None = None
    """None where the capture is a text of its own."""


class CaptureText(Model):
    """As much of a capture as summaries are made from."""

    id: str
    title: str
    content: str
    source: str | None
    kind: Kind
    language: str | None
    """ISO 639-1; None until enrichment, and where it could not tell."""
    created_at: datetime


class NearDuplicate(Model):
    """A capture that says almost the same as another one."""

    id: str
    title: str
    similarity: float
    """Share of words and pairs of words in common, estimated; 1 where the texts hold the same."""


class CaptureFilter(Model):
    """Which captures: every given field must fit; the empty filter fits all but archived ones."""

    project: str | None = None
    unfiled: bool = False
    """Only those without a project."""
    statuses: tuple[Status, ...] = ()
    """Any of these; empty means any but archived."""
    kinds: tuple[Kind, ...] = ()
    """Any of these."""
    tags: tuple[str, ...] = ()
    """All of these; see `either_of`."""
    source: str | None = None
    since: datetime | None = None
    """Inclusive, by `created_at`."""
    until: datetime | None = None
    """Exclusive, by `created_at`."""
    ids: tuple[str, ...] = ()
    """Any of these."""


def either_of(tag: str) -> tuple[str, ...]:
    """The tags of which a filter's `tag` asks for one: itself, and those that ` | ` stands between in it."""
    return tuple(dict.fromkeys((tag, *filter(None, tag.split(" | ")))))


class Order(StrEnum):
    """By `created_at`."""

    NEWEST = "newest"
    OLDEST = "oldest"


class Enrichment(Model):
    """What the background finds out about a capture."""

    title: str
    """Derived from the content; not used where the caller gave one."""
    tokens: int
    language: str | None = None
    keywords: tuple[str, ...] = ()
    entities: tuple[Entity, ...] = ()
    terms: tuple[str, ...] = ()
    """The content's index terms in order, repeats included, as `text.terms` makes them."""
    meta_terms: tuple[str, ...] = ()
    """Those of title, tags, project and source."""
    asks: bool = False
    """The content is itself a question."""
    tells_when: bool = False
    """The content says when something happens."""
    signature: bytes | None = None
    """Tells how alike contents are, by `text.likeness`; None where the content has too few words."""
    vector: Vector | None = None
    """What the content means to a model; None where there is no model."""
