"""Pages of the lists that the server knows whole: tools, templates and prompts."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import TypeVar

from komorebi_mcp.errors import InvalidInput

PAGE_ITEMS = 50

T = TypeVar("T")


def page_of(
    items: Sequence[T], cursor: str | None, *, items_max: int = PAGE_ITEMS
) -> tuple[list[T], str | None]:
    """The items from where the cursor stands, and the cursor behind them; None on the last page.

    Raises:
        InvalidInput: The cursor is not one that this list gave.
    """
    start = 0 if cursor is None else _position(cursor)
    if cursor is not None and (not 0 < start < len(items) or start % items_max):
        raise bad_cursor()
    end = start + items_max
    return list(items[start:end]), _cursor(end) if end < len(items) else None


def bad_cursor() -> InvalidInput:
    return InvalidInput("The cursor is not one that this list gave. Ask for the list again without a cursor.")


def _cursor(position: int) -> str:
    return urlsafe_b64encode(f"at:{position}".encode()).decode()


def _position(cursor: str) -> int:
    try:
        mark, _, digits = urlsafe_b64decode(cursor.encode("ascii")).decode("ascii").partition(":")
        position = int(digits)
    except (UnicodeError, binascii.Error, ValueError):
        raise bad_cursor() from None
    if mark != "at" or _cursor(position) != cursor:
        raise bad_cursor()
    return position
