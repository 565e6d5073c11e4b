"""One upstream: what is asked of it on somebody's behalf, over whichever of its connections."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

import anyio

from komorebi_mcp.domain.spans import span
from komorebi_mcp.errors import Quarantined, UpstreamRefused, UpstreamUnavailable
from komorebi_mcp.upstream.caller import NOBODY, Caller, Client
from komorebi_mcp.upstream.following import set_level
from komorebi_mcp.upstream.handshake import param_headers
from komorebi_mcp.upstream.kept import CALL_WAIT_S, KeptConnection
from komorebi_mcp.upstream.listing import Entry, quarantined
from komorebi_mcp.upstream.seats import fits
from komorebi_mcp.upstream.session import Session
from komorebi_mcp.upstream.status import Era
from komorebi_mcp.upstream.task_calls import call_as_task, must_be_task
from komorebi_mcp.upstream.wire import Ended, NotSent

TRIES_MAX = 3
"""Of one request: the connection may turn out to be gone, and the next one to have lost the session."""


class Link(KeptConnection):
    """One upstream. `run` does the connecting in a task of its own; the rest may be called from anywhere."""

    async def request(
        self,
        method: str,
        params: Mapping[str, Any],
        *,
        caller: Caller = NOBODY,
        entry: Entry | None = None,
    ) -> dict[str, Any]:
        """The raw result of a request, made with the upstream's own names.

        A connection that ends meanwhile is made again. A tool is then called once more only if it says that
        this does no harm.

        Raises:
            UpstreamRefused: With the upstream's own code, and its message and data free of secrets.
            UpstreamUnavailable: The message names the upstream and what to do.
        """
        try:
            return await self._request_again(method, params, caller, entry)
        except UpstreamRefused as error:
            raise UpstreamRefused(
                self._secrets.mask(str(error)), code=error.code, data=self._secrets.mask_all(error.data)
            ) from error
        except Quarantined:
            raise
        except UpstreamUnavailable as error:
            raise self.unavailable(str(error)) from error

    async def _request_again(
        self, method: str, params: Mapping[str, Any], caller: Caller, entry: Entry | None
    ) -> dict[str, Any]:
        """The result of the first try, or of another one where that repeats nothing or does no harm."""
        tries = count(1)
        while True:
            try:
                return await self._request_once(method, params, caller, entry)
            except NotSent:
                if next(tries) == TRIES_MAX:
                    raise
            except Ended:
                if next(tries) == TRIES_MAX or not _may_repeat(method, entry):
                    raise

    def offers(self, capability: str) -> bool:
        """Whether it declared this when it was last reached."""
        return capability in self._capabilities

    async def settled_era(self) -> Era | None:
        """The era it speaks, once it is connected; None where it cannot be reached."""
        with suppress(UpstreamUnavailable):
            return (await self._connected()).terms.era
        return None

    async def follow(self, uri: str, caller: Caller) -> None:
        """Has changes of the resource told; raises as `request` does."""
        if await self.settled_era() is Era.HANDSHAKE:
            await self.request("resources/subscribe", {"uri": uri}, caller=caller)
        self._following.add(uri)

    async def unfollow(self, uri: str, caller: Caller) -> None:
        """Ends one `follow`; raises as `request` does."""
        if self._following.remove(uri) and await self.settled_era() is Era.HANDSHAKE:
            await self.request("resources/unsubscribe", {"uri": uri}, caller=caller)

    async def tell(self, client: Client, method: str, params: Mapping[str, Any] | None) -> None:
        """Takes a notification of the client to the sessions that are its own."""
        for session in self._sessions_of(client):
            await session.notify(method, params)

    async def set_level(self, client: Client) -> None:
        """Has what is the client's own log from its level on, as far as the upstream does."""
        for session in self._sessions_of(client):
            await set_level(session, client)

    def _sessions_of(self, client: Client) -> list[Session]:
        shared = self._session
        ours = [shared] if shared is not None and shared.client is client else []
        return ours + self.seats.sessions_of(client)

    def leave(self, client: Client) -> None:
        """Ends what the upstream keeps for this client, whose session is over."""
        self.seats.leave(client)
        if self._first.client is client:
            self._first = NOBODY
        if self._session is not None and self._session.held_by is client:
            self._leave(self._session)

    async def _request_once(
        self, method: str, params: Mapping[str, Any], caller: Caller, entry: Entry | None
    ) -> dict[str, Any]:
        shared = await self._connected()
        held = entry is not None and any(
            entry.kind is each.kind and entry.original == each.original for each in self.listing.held
        )
        if entry is not None and held:
            # It was known from before, and the upstream came up with another definition.
            raise quarantined(entry, self.config.name)
        if fits(shared, caller):
            return await self._ask(shared, method, params, caller, entry)
        async with self._seat(caller, shared) as session:
            return await self._ask(session, method, params, caller, entry)

    async def _ask(
        self, session: Session, method: str, params: Mapping[str, Any], caller: Caller, entry: Entry | None
    ) -> dict[str, Any]:
        began = anyio.current_time()
        try:
            with span("upstream", upstream=self.config.name, method=method):
                timeout_s = self.config.timeout_s
                if method == "tools/call" and must_be_task(session, entry):
                    result = await call_as_task(session, params, timeout_s=timeout_s, caller=caller)
                else:
                    headers = _headers(session, entry, params)
                    result = await session.request(
                        method, params, timeout_s=timeout_s, caller=caller, headers=headers
                    )
        except NotSent:
            self._leave(session)
            raise
        self._latencies_ms.append((anyio.current_time() - began) * 1000)
        return self._secrets.mask_all(result) if result.get("isError") is True else result

    @asynccontextmanager
    async def _seat(self, caller: Caller, shared: Session) -> AsyncIterator[Session]:
        opened = False
        try:
            async with self.seats.take(caller, shared, wait_s=CALL_WAIT_S) as session:
                opened = True
                yield session
        except Exception as error:
            if opened or isinstance(error, UpstreamUnavailable):
                raise
            raise UpstreamUnavailable(self._reason(error)) from error


def _may_repeat(method: str, entry: Entry | None) -> bool:
    """Whether a request whose outcome is not known may be made again."""
    if method != "tools/call":
        return method in _READING
    hints = entry.definition.get("annotations") if entry else None
    return isinstance(hints, Mapping) and True in (hints.get("readOnlyHint"), hints.get("idempotentHint"))


_READING = frozenset({"completion/complete", "prompts/get", "resources/read", "tasks/get"})


def _headers(session: Session, entry: Entry | None, params: Mapping[str, Any]) -> dict[str, str]:
    return {} if entry is None else param_headers(session.terms, entry.mirrored, params)
