"""One raw connection to an upstream: requests go out and results come back as they are on the wire.

Nothing is validated or re-shaped on the way, so that what a client gets through us is what it would have got.
"""

from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from itertools import count
from typing import Any

import anyio
from mcp.shared.exceptions import MCPError
from mcp_types import jsonrpc as codes

from komorebi_mcp.errors import UpstreamRefused, UpstreamUnavailable
from komorebi_mcp.upstream.caller import EVERY_LEVEL, NOBODY, Caller, Client, Start
from komorebi_mcp.upstream.handshake import Terms, agree, is_closed
from komorebi_mcp.upstream.outbox import Outbox, is_wanted
from komorebi_mcp.upstream.route import Route
from komorebi_mcp.upstream.status import Era
from komorebi_mcp.upstream.wire import Ears, Ended, OpenWire, Wire

CONNECT_TIMEOUT_S = 60.0
"""A first start may download the server, as npx and uvx do."""

OnNotification = Callable[[str, dict[str, Any]], None]
"""Given the method and raw params of what is about the upstream itself; must not wait."""

_under_way: ContextVar[tuple["Session", Route] | None] = ContextVar("komorebi_under_way", default=None)
"""The request a task works for. Over streamable HTTP, what an upstream sends carries the context of the
request on whose stream it came."""


class Session:
    """A connection with agreed terms; made by `open_session`."""

    def __init__(
        self,
        wire: Wire,
        terms: Terms,
        *,
        declared: Mapping[str, Any],
        is_open: Callable[[], bool],
        start: Start,
        on_notification: OnNotification,
    ) -> None:
        self._wire = wire
        self._is_open = is_open
        self._start = start
        self._on_notification = on_notification
        self._has_ended = False
        self._tokens = count(1)
        self._routes: dict[str, Route] = {}
        self._outbox: Outbox | None = None
        self.terms = terms
        self.declared = declared
        """The capabilities that hold for the whole session, in the handshake era."""
        self.client: Client | None = None
        """The one client that all requests are made for; None while there may be several."""
        self.held_by: Hashable = None
        """Whose state it keeps; None while it is nobody's."""

    @property
    def is_open(self) -> bool:
        return not self._has_ended and self._is_open()

    @property
    def keeps_state(self) -> bool:
        """Whether what one request did may show in the next, as far as can be seen from outside."""
        return self.terms.era is Era.HANDSHAKE and self._wire.keeps_state

    @property
    def correlates(self) -> bool:
        """Whether what the upstream sends shows which request it belongs to."""
        return self._wire.correlates

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None,
        *,
        timeout_s: float,
        caller: Caller = NOBODY,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The raw result. All that the upstream said about it before has reached the caller by then.

        `timeout_s` is counted anew with each of these notifications, and stands still while the caller is
        asked for something. Cancelling the caller cancels the request upstream.

        Raises:
            UpstreamRefused: It answered with a JSON-RPC error, here with its code, message and data.
            SessionExpired: It has forgotten the session; a new connection may ask again.
            UpstreamUnavailable: It did not answer in time, or the connection ended.
        """
        stamped, opts = self.terms.stamp(method, params, headers or {}, caller)
        token = f"komorebi-{next(self._tokens)}"
        meta: dict[str, Any] = stamped.pop("_meta", {})
        meta.pop("progressToken", None)
        if caller.progress_token is not None:
            meta["progressToken"] = token
        if meta:
            stamped["_meta"] = meta
        route = self._routes[token] = Route(caller, timeout_s, self._start)
        reset = _under_way.set((self, route))
        outcome: dict[str, Any] | MCPError | UpstreamUnavailable | None = None
        try:
            with route.deadline:
                try:
                    outcome = await self._wire.send_raw_request(method, stamped, opts)
                except (MCPError, UpstreamUnavailable) as error:
                    outcome = error
            await route.delivered()
        finally:
            _under_way.reset(reset)
            del self._routes[token]
            route.close()
        if outcome is None:
            raise UpstreamUnavailable(f"It did not answer within {timeout_s:g} seconds.")
        if isinstance(outcome, UpstreamUnavailable):
            raise outcome
        if isinstance(outcome, MCPError):
            # Waiters hear of the end a little before the connection's own task does.
            self._has_ended |= is_closed(outcome) and outcome.message == "Connection closed"
            raise explain(outcome) from outcome
        return outcome

    async def notify(self, method: str, params: Mapping[str, Any] | None) -> None:
        """Sends a notification, as far as the connection takes it."""
        await self._wire.notify(method, params, {"headers": self.terms.headers})

    def intercept(self, method: str, params: Mapping[str, Any] | None) -> None:
        """Takes a notification to its request, to the client of the session, or to whoever keeps it.

        Runs in the order of the wire and never waits.
        """
        given = dict(params or {})
        if method == "notifications/cancelled":
            # Of a request of the upstream's own, which the wire has ended.
            return
        if method == "notifications/progress":
            if route := self._routes.get(str(given.get("progressToken"))):
                route.put(method, given)
        elif method in _OF_THE_CONNECTION:
            self._on_notification(method, given)
        elif route := self._route():
            route.put(method, given)
        elif (client := self.client) is None or client.tell is None:
            # It can be told to nobody in particular.
            return
        elif is_wanted(method, given, client.log_level or EVERY_LEVEL):
            self._outbox = self._outbox or Outbox(client.tell, self._start)
            self._outbox.put(method, given)

    async def answer(self, method: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
        """What the client that it is meant for answers to a request of the upstream."""
        if method == "ping":
            return {}
        if route := self._route():
            return await route.ask(method, params)
        if self.client is not None and self.client.ask is not None:
            return await self.client.ask(method, params)
        raise MCPError(code=codes.METHOD_NOT_FOUND, message="Method not found", data=method)

    def _route(self) -> Route | None:
        """The request that something of the upstream belongs to; None when that cannot be told."""
        under_way = _under_way.get()
        if under_way is not None and under_way[0] is self:
            return under_way[1]
        routes = [route for route in self._routes.values() if route.caller is not NOBODY]
        # One client's words must not reach another one, so only requests of the same may be mixed up.
        clients = {id(route.caller.client) for route in routes if route.caller.client is not None}
        if len(routes) == 1 or (routes and len(clients) == 1 and routes[-1].caller.client is not None):
            return routes[-1]
        return None


_OF_THE_CONNECTION = frozenset(
    {
        "notifications/tools/list_changed",
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
        "notifications/resources/updated",
    }
)
"""Whatever request is under way, these are not about it."""


def explain(error: MCPError) -> UpstreamRefused | UpstreamUnavailable:
    """What the upstream answered, told apart from what the SDK says on its behalf in the same form."""
    if is_closed(error):
        return Ended("It ended the connection before it answered.")
    if error.code == codes.PARSE_ERROR and error.message.startswith("Failed to parse"):
        return UpstreamUnavailable("It sent an answer that is not valid JSON-RPC.")
    return UpstreamRefused(error.message, code=error.code, data=error.data)


@asynccontextmanager
async def open_session(
    open_wire: OpenWire,
    *,
    probe: bool,
    on_notification: OnNotification,
    on_closed: Callable[[], None],
    capabilities: Mapping[str, Any] | None = None,
) -> AsyncIterator[Session]:
    """A connection on which the handshake is done; closed on leaving.

    `on_notification` and `on_closed` are called from the connection's own task and must not wait. The
    `capabilities` are declared in the handshake era, where they hold for the whole session.

    Raises:
        UpstreamError: The handshake failed.
        OSError: The child process cannot be started.
    """
    session: Session | None = None
    ready = anyio.Event()
    is_running = True

    def hear(method: str, params: Mapping[str, Any] | None) -> None:
        if session is not None:
            session.intercept(method, params)

    async def answer(method: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
        await ready.wait()
        assert session is not None  # noqa: S101  # `ready` is set after it.
        return await session.answer(method, params)

    def closed() -> None:
        nonlocal is_running
        is_running = False
        on_closed()

    async with (
        open_wire(Ears(hear=hear, answer=answer, closed=closed)) as wire,
        anyio.create_task_group() as tasks,
    ):
        with anyio.move_on_after(CONNECT_TIMEOUT_S) as patience:
            terms = await _handshake(wire, probe=probe, capabilities=capabilities or {})
            session = Session(
                wire,
                terms,
                declared=capabilities or {},
                is_open=lambda: is_running,
                start=tasks.start_soon,
                on_notification=on_notification,
            )
            ready.set()
        if session is None or patience.cancelled_caught:
            raise UpstreamUnavailable(f"It did not finish the handshake in {CONNECT_TIMEOUT_S:g} seconds.")
        yield session
        tasks.cancel_scope.cancel()


async def _handshake(wire: Wire, *, probe: bool, capabilities: Mapping[str, Any]) -> Terms:
    try:
        return await agree(wire, probe=probe, capabilities=capabilities)
    except MCPError as error:
        raise explain(error) from error
