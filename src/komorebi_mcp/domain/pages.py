"""One page of a long list."""

from typing import Generic, TypeVar

from komorebi_mcp.domain.model import Model

LIMIT_DEFAULT = 20
LIMIT_MAX = 100

T = TypeVar("T")


class Page(Model, Generic[T]):
    """Some items of a list, in order, and where it goes on."""

    items: tuple[T, ...]
    next_cursor: str | None = None
    """Opaque; None on the last page."""
