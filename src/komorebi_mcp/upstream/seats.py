"""Which connection to an upstream a request takes: the shared one, or one that is the caller's own.

An upstream of the handshake era may keep state for each session, and learns of a client's capabilities once,
when the session begins. So each session of a client has a session of its own there. Where the client has
none, as in the modern era over HTTP, there is one for each owner and set of capabilities. A server behind
stdio or SSE does not show which request a question of its belongs to: there, requests that may be asked about
and come without a client session have a connection each while they are under way.
"""

import json
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio

from komorebi_mcp.errors import UpstreamUnavailable
from komorebi_mcp.upstream.caller import NOBODY, Caller, Client, Start
from komorebi_mcp.upstream.session import Session
from komorebi_mcp.upstream.status import Era

SEATS_MAX = 64
"""Connections to one upstream, besides the shared one."""
OWN_IDLE_S = 3600.0
"""How long a client's own connection is kept without use; its state goes with it."""
SHARED_IDLE_S = 600.0

Open = Callable[[Caller, Callable[[], None]], AbstractAsyncContextManager[Session]]
"""A connection for this caller, which calls the function when it ends."""


class Seats:
    """The connections of one upstream besides the shared one."""

    def __init__(self, open_: Open, start: Start) -> None:
        """`start` runs a task for as long as the upstream is in use."""
        self._open = open_
        self._start = start
        self._seats: list[_Seat] = []

    @asynccontextmanager
    async def take(self, caller: Caller, shared: Session, *, wait_s: float) -> AsyncIterator[Session]:
        """A connection for a request that does not fit the shared one, while it is under way.

        Raises:
            UpstreamUnavailable: There are too many, or it is not there within `wait_s` seconds.
            Exception: Whatever kept it from opening.
        """
        key, alone = _key_of(caller), _needs_to_be_alone(caller, shared)
        seat = next((seat for seat in self._seats if seat.is_free(key, alone=alone)), None)
        if seat is None:
            seat = await self._add(key, caller)
        seat.requests += 1
        try:
            with anyio.move_on_after(wait_s):
                await seat.settled.wait()
            if seat.failure is not None:
                raise seat.failure
            if seat.session is None:
                raise UpstreamUnavailable("It is still connecting.")
            yield seat.session
        finally:
            seat.requests -= 1
            seat.used_at = anyio.current_time()

    def sessions_of(self, client: Client) -> list[Session]:
        """The client's own connections that are open."""
        return [seat.session for seat in self._seats if seat.key is client and seat.session is not None]

    def sessions(self) -> list[Session]:
        """Every connection that is open."""
        return [seat.session for seat in self._seats if seat.session is not None]

    def leave(self, client: Client) -> None:
        """Ends what the client had of its own."""
        for seat in self._seats:
            if seat.key is client:
                seat.close()

    def close(self) -> None:
        for seat in self._seats:
            seat.close()

    async def _add(self, key: Hashable, caller: Caller) -> "_Seat":
        if len(self._seats) >= SEATS_MAX:
            idle = [seat for seat in self._seats if not seat.requests]
            if not idle:
                raise UpstreamUnavailable(f"It serves {SEATS_MAX} clients already.")
            min(idle, key=lambda seat: seat.used_at).close()
        seat = _Seat(key, caller)
        self._seats.append(seat)

        async def run() -> None:
            try:
                await seat.run(self._open)
            finally:
                self._seats.remove(seat)

        self._start(run)
        return seat


class _Seat:
    """One connection that is somebody's own."""

    def __init__(self, key: Hashable, caller: Caller) -> None:
        self.key = key
        self.session: Session | None = None
        self.failure: Exception | None = None
        self.settled = anyio.Event()
        self.requests = 0
        self.used_at = anyio.current_time()
        self._caller = caller
        self._ended = anyio.Event()

    def is_free(self, key: Hashable, *, alone: bool) -> bool:
        ours = self.key == key and not self._ended.is_set() and self.failure is None
        return ours and not (alone and self.requests) and (self.session is None or self.session.is_open)

    def close(self) -> None:
        self._ended.set()

    async def run(self, open_: Open) -> None:
        try:
            async with open_(self._caller, self.close) as session:
                self.session = session
                self.settled.set()
                await self._until_idle()
        except Exception as error:  # noqa: BLE001  # It is for those who wait for the seat.
            self.failure = error
        finally:
            self.session = None
            self.failure = self.failure or UpstreamUnavailable("It ended the connection.")
            self.settled.set()

    async def _until_idle(self) -> None:
        idle_s = OWN_IDLE_S if self._caller.client is not None else SHARED_IDLE_S
        while not self._ended.is_set():
            with anyio.move_on_after(idle_s):
                await self._ended.wait()
            if not self.requests and anyio.current_time() - self.used_at >= idle_s:
                self._ended.set()


def capabilities_key(capabilities: Mapping[str, Any]) -> str:
    """The same for the same capabilities, in whatever order they are written."""
    return json.dumps(capabilities, sort_keys=True, default=str)


def _key_of(caller: Caller) -> Hashable:
    if caller.client is not None:
        return caller.client
    return caller.owner, capabilities_key(caller.capabilities)


def fits(shared: Session, caller: Caller) -> bool:
    """Whether the shared connection will do; the first that needs one of its own keeps it."""
    if shared.terms.era is Era.MODERN or caller is NOBODY:
        return True
    if capabilities_key(caller.capabilities) != capabilities_key(shared.declared):
        return False
    if _needs_to_be_alone(caller, shared):
        return False
    if not shared.keeps_state:
        return True
    key = _key_of(caller)
    if shared.held_by is None:
        shared.held_by, shared.client = key, caller.client
    return shared.held_by == key


def _needs_to_be_alone(caller: Caller, shared: Session) -> bool:
    return caller.client is None and not shared.correlates and caller.can_be_asked
