"""Limits: how much one owner may ask of a server that others use too.

They hold for each process, and for owners who came in with a token. Whoever can use the server without one
could as well use its file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Final

import anyio

from komorebi_mcp.errors import LimitReached
from komorebi_mcp.storage.store import Store

RETRY_S: Final = 1
"""When to come again where other requests have to end first."""
MEASURE_S: Final = 5.0
"""How long a store's measured size is taken for its size."""
MEASURE_ANEW_S: Final = 3600.0
"""When what was forgotten meanwhile is seen; in between only what came is measured."""
FULL_S: Final = 60.0
"""The same for a store that is full, whose owner may be making room."""

_MINUTE_S = 60.0
_MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """What one owner may have; 0 is no limit."""

    requests: int = 0
    """At the same time."""
    captures: int = 0
    """In a minute."""
    upstream_calls: int = 0
    """In a minute."""
    store_mb: int = 0
    """Millions of characters of content."""


class _Rate:
    """So many in a minute: a bucket that is full at first and fills evenly."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._left = float(per_minute)
        self._at = anyio.current_time()

    def take(self) -> int:
        """0 where there was one left; else the whole seconds until there is."""
        now = anyio.current_time()
        self._left = min(
            self._left + (now - self._at) * self._per_minute / _MINUTE_S, float(self._per_minute)
        )
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return 0
        return max(1, ceil((1 - self._left) * _MINUTE_S / self._per_minute))


@dataclass(slots=True)
class _Size:
    """How much an owner stores, as last measured."""

    chars: int
    newest_seq: int
    measured_at: float
    measured_anew_at: float


class Limits:
    """Counts what each owner asks for."""

    def __init__(self, store: Store, amounts: Amounts) -> None:
        self._store = store
        self._amounts = amounts
        self._under_way: dict[str, int] = {}
        self._captures: dict[str, _Rate] = {}
        self._upstream_calls: dict[str, _Rate] = {}
        self._sizes: dict[str, _Size] = {}

    @contextmanager
    def request(self, owner: str) -> Iterator[None]:
        """A place among the owner's requests under way.

        Raises:
            LimitReached: They have as many as they may.
        """
        under_way = self._under_way.get(owner, 0)
        if self._amounts.requests and under_way >= self._amounts.requests:
            raise LimitReached(
                f"{under_way:,} of your requests are under way, which is as many as may be at once.",
                retry_s=RETRY_S,
            )
        self._under_way[owner] = under_way + 1
        try:
            yield
        finally:
            if self._under_way[owner] == 1:
                del self._under_way[owner]
            else:
                self._under_way[owner] -= 1

    async def capture(self, owner: str) -> None:
        """Lets one more capture in.

        Raises:
            LimitReached: Too many came within a minute, or the owner's store is full.
            StorageError: Its size cannot be told.
        """
        self._take(self._captures, owner, self._amounts.captures, "captures")
        most = self._amounts.store_mb * _MB
        if most and await self._stored_chars(owner) >= most:
            raise LimitReached(
                f"Your store is full: it holds the {self._amounts.store_mb:,} million characters it may. "
                "Make room with forget_captures.",
                retry_s=int(FULL_S),
            )

    def upstream_call(self, owner: str) -> None:
        """Lets one more call of an upstream out.

        Raises:
            LimitReached: Too many were made within a minute.
        """
        self._take(self._upstream_calls, owner, self._amounts.upstream_calls, "calls of upstream tools")

    def _take(self, rates: dict[str, _Rate], owner: str, per_minute: int, what: str) -> None:
        if not per_minute:
            return
        if owner not in rates:
            rates[owner] = _Rate(per_minute)
        if wait_s := rates[owner].take():
            raise LimitReached(f"Too many {what}: at most {per_minute:,} a minute.", retry_s=wait_s)

    async def _stored_chars(self, owner: str) -> int:
        now = anyio.current_time()
        size = self._sizes.get(owner)
        full = size is not None and size.chars >= self._amounts.store_mb * _MB
        if size is None or now - size.measured_anew_at >= (FULL_S if full else MEASURE_ANEW_S):
            size = _Size(0, 0, now, now)
        elif now - size.measured_at < MEASURE_S:
            return size.chars
        async with self._store.read(owner) as transaction:
            chars, newest_seq = await transaction.captures.size(after_seq=size.newest_seq)
        size = _Size(size.chars + chars, max(newest_seq, size.newest_seq), now, size.measured_anew_at)
        self._sizes[owner] = size
        return size.chars
