"""Arguments that several tools have in common: strict in what they mean, lenient in how they are written."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from functools import partial
from typing import Annotated, Any, NamedTuple, TypeVar

import anyio.to_thread
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema

from komorebi_mcp.app import App
from komorebi_mcp.domain.captures import Tags
from komorebi_mcp.domain.clock import utc_now
from komorebi_mcp.domain.ids import parse_capture_id
from komorebi_mcp.domain.model import Model
from komorebi_mcp.domain.pages import LIMIT_DEFAULT, LIMIT_MAX
from komorebi_mcp.errors import InvalidInput
from komorebi_mcp.settings import local_zone
from komorebi_mcp.text.times import Span, is_plain, parse_span

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


class Present(NamedTuple):
    """What 'yesterday' is said relative to; the context of validation."""

    now: datetime
    zone: Callable[[], tzinfo]


def _since(value: Any, info: ValidationInfo) -> datetime:
    return _span(value, info).start


def _until(value: Any, info: ValidationInfo) -> datetime:
    return _span(value, info).end


def _span(value: Any, info: ValidationInfo) -> Span:
    """What the words mean. ISO 8601 means one moment: a date its first, without zone in this machine's."""
    present: Present = info.context or Present(utc_now(), local_zone)
    try:
        words = value.strip()
        try:
            moment = datetime.fromisoformat(words)
        except ValueError:
            return parse_span(words, now=present.now, zone=present.zone())
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=present.zone())).astimezone(UTC)
        return Span(moment, moment)
    except (AttributeError, ValueError, OverflowError):
        raise ValueError(
            "must be a date or time, such as 2026-07-28, 2026-07-28T09:30:00Z, yesterday, last week or "
            "3 days ago"
        ) from None


Ids = Annotated[
    tuple[Annotated[str, AfterValidator(_capture_id)], ...],
    Field(min_length=1, max_length=IDS_MAX),
    BeforeValidator(_listed),
]
ListedTags = Annotated[Tags, BeforeValidator(_listed)]
Since = Annotated[datetime, BeforeValidator(_since), WithJsonSchema({"type": "string"})]
"""Inclusive: where words name a span, its start."""
Until = Annotated[datetime, BeforeValidator(_until), WithJsonSchema({"type": "string"})]
"""Exclusive: where words name a span, its end."""
Limit = Annotated[int, Field(ge=1, le=LIMIT_MAX)]
Cursor = Annotated[str, Field(max_length=CURSOR_CHARS_MAX), WithJsonSchema({"type": "string"})]

__all__ = [
    "IDS_MAX",
    "LIMIT_DEFAULT",
    "Cursor",
    "Ids",
    "Limit",
    "ListedTags",
    "Present",
    "Since",
    "Until",
    "check_window",
    "checked",
]

M = TypeVar("M", bound=Model)


async def checked(model: type[M], given: Mapping[str, Any], app: App) -> M:
    """The arguments as the model has them. Null is how some clients leave an optional one out.

    Raises:
        ValidationError: One of them is wrong.
    """
    fields = model.model_fields
    given = {
        name: value
        for name, value in given.items()
        if value is not None or name not in fields or fields[name].is_required()
    }
    validate = partial(model.model_validate, given, context=Present(app.clock(), app.zone))
    times = (given.get("since"), given.get("until"))
    if any(isinstance(words, str) and not is_plain(words) for words in times):
        # The first words of a language are slow to read; other calls need not wait.
        return await anyio.to_thread.run_sync(validate)
    return validate()


def check_window(since: datetime | None, until: datetime | None) -> None:
    """Refuses a time window that holds no moment.

    Raises:
        InvalidInput: It ends before it begins.
    """
    if since is not None and until is not None and since >= until:
        if since == until:
            raise InvalidInput(
                "until is not included, so since must be before it: for one day, give the day after as until."
            )
        raise InvalidInput("since must be before until. Swap them or leave one out.")
