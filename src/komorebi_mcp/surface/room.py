"""Keeping answers to a length that a model can take: lists end earlier, and go on with their cursor."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from pydantic import BaseModel

from komorebi_mcp.domain.pages import Page
from komorebi_mcp.text.tokens import estimate_tokens

ROOM_TOKENS = 20_000
"""For the rows of an answer; with what stands around them it stays below 25,000."""

T = TypeVar("T")


def how_many_fit(rows: Iterable[BaseModel], *, room_tokens: int = ROOM_TOKENS) -> int:
    """How many of the first rows fit; at least one, so that what is there is never shown as nothing."""
    left = room_tokens
    fitting = 0
    for row in rows:
        left -= estimate_tokens(row.model_dump_json())
        if left < 0:
            break
        fitting += 1
    return max(fitting, 1)


async def page_that_fits(
    fetch: Callable[[int], Awaitable[Page[T]]], row: Callable[[T], BaseModel], *, limit: int
) -> Page[T]:
    """The page that `fetch` gives for the limit, or for a smaller one where its rows are too long."""
    page = await fetch(limit)
    fitting = how_many_fit(map(row, page.items))
    # Asked again for so many, the list gives the cursor that stands right behind them.
    return page if fitting >= len(page.items) else await fetch(fitting)
