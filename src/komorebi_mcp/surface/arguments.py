"""Arguments that several tools have in common: strict in what they mean, lenient in how they are written."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from komorebi_mcp.domain.captures import Tags
from komorebi_mcp.domain.ids import parse_capture_id
from komorebi_mcp.domain.pages import LIMIT_DEFAULT, LIMIT_MAX
from komorebi_mcp.errors import InvalidInput

IDS_MAX = 100
CURSOR_CHARS_MAX = 4_096


def _listed(value: Any) -> Any:
    """One text stands for a list of one."""
    return [value] if isinstance(value, str) else value


def _capture_id(reference: str) -> str:
    try:
        return parse_capture_id(reference)
    except InvalidInput as error:
        raise ValueError(str(error)) from None


def _moment(value: Any) -> Any:
    """An aware datetime from ISO 8601; a time without zone is UTC and a date is its first moment."""
    try:
        moment = datetime.fromisoformat(value.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (AttributeError, ValueError, OverflowError):
        raise ValueError(
            "must be an ISO 8601 date or time, such as 2026-07-28 or 2026-07-28T09:30:00Z"
        ) from None


Ids = Annotated[
    tuple[Annotated[str, AfterValidator(_capture_id)], ...],
    Field(min_length=1, max_length=IDS_MAX),
    BeforeValidator(_listed),
]
ListedTags = Annotated[Tags, BeforeValidator(_listed)]
Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string"})]
Limit = Annotated[int, Field(ge=1, le=LIMIT_MAX)]
Cursor = Annotated[str, Field(max_length=CURSOR_CHARS_MAX), WithJsonSchema({"type": "string"})]

__all__ = ["IDS_MAX", "LIMIT_DEFAULT", "Cursor", "Ids", "Limit", "ListedTags", "Moment", "check_window"]


def check_window(since: datetime | None, until: datetime | None) -> None:
    """Refuses a time window that holds no moment.

    Raises:
        InvalidInput: It ends before it begins.
    """
    if since is not None and until is not None and since >= until:
        raise InvalidInput("since must be before until. Swap them or leave one out.")
