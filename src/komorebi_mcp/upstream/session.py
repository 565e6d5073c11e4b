"""One raw connection to an upstream: requests go out and results come back as they are on the wire.

Nothing is validated or re-shaped on the way, so that what a client gets through us is what it would have got.
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import anyio
import anyio.abc
from mcp.client import Transport
from mcp.shared.dispatcher import CallOptions, DispatchContext
from mcp.shared.exceptions import MCPError
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.transport_context import TransportContext
from mcp_types import jsonrpc as codes

from komorebi_mcp.errors import UpstreamRefused, UpstreamUnavailable
from komorebi_mcp.upstream.handshake import Dispatcher, Terms, agree, is_closed
from komorebi_mcp.upstream.transports import Diagnosis

CONNECT_TIMEOUT_S = 60.0
"""A first start may download the server, as npx and uvx do."""
REQUEST_SECONDS_MAX = 3600.0
"""No request outlives this, however much progress it reports."""

_PROGRESS_WAITING_MAX = 1000

OnProgress = Callable[[dict[str, Any]], Awaitable[None]]
"""Given the raw params of each progress notification, in the order of the wire."""


class SessionExpired(UpstreamUnavailable):
    """The upstream no longer knows the session, so it did not carry out the request."""


class Session:
    """A connection with agreed terms; made by `open_session`."""

    def __init__(
        self, dispatcher: Dispatcher, terms: Terms, diagnosis: Diagnosis, is_open: Callable[[], bool]
    ) -> None:
        self._dispatcher = dispatcher
        self._diagnosis = diagnosis
        self._is_open = is_open
        self._has_ended = False
        self._tokens = count(1)
        self._routes: dict[str, _Progress] = {}
        self.terms = terms

    @property
    def is_open(self) -> bool:
        return not self._has_ended and self._is_open()

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None,
        *,
        timeout_s: float,
        on_progress: OnProgress | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The raw result. All progress that came before it has been handed over by then.

        `timeout_s` is counted anew with each progress notification. Cancelling the caller cancels the request
        upstream.

        Raises:
            UpstreamRefused: It answered with a JSON-RPC error, here with its code, message and data.
            SessionExpired: It has forgotten the session; a new connection may ask again.
            UpstreamUnavailable: It did not answer in time, or the connection ended.
        """
        stamped, opts = self.terms.stamp(method, params, headers or {})
        route = _Progress(timeout_s)
        token = f"komorebi-{next(self._tokens)}"
        meta: dict[str, Any] = stamped.pop("_meta", {})
        meta.pop("progressToken", None)
        if on_progress is not None:
            meta["progressToken"] = token
            self._routes[token] = route
        if meta:
            stamped["_meta"] = meta
        outcome: dict[str, Any] | MCPError | None
        if on_progress is None:
            outcome = await self._answer(method, stamped, opts, route)
        else:
            try:
                async with anyio.create_task_group() as deliveries:
                    deliveries.start_soon(route.deliver, on_progress)
                    outcome = await self._answer(method, stamped, opts, route)
                    route.end()
            finally:
                del self._routes[token]
        if outcome is None:
            raise UpstreamUnavailable(f"It did not answer within {timeout_s:g} seconds.")
        if isinstance(outcome, MCPError):
            # Waiters hear of the end a little before the connection's own task does.
            self._has_ended |= is_closed(outcome) and outcome.message == "Connection closed"
            raise explain(outcome, self._diagnosis) from outcome
        return outcome

    async def _answer(
        self, method: str, params: dict[str, Any], opts: CallOptions, route: "_Progress"
    ) -> dict[str, Any] | MCPError | None:
        """The outcome, or None after the deadline; an error is returned, so that progress arrives first."""
        with route.deadline:
            try:
                return await self._dispatcher.send_raw_request(method, params, opts)
            except MCPError as error:
                return error
        return None

    def intercept(self, method: str, params: Mapping[str, Any] | None) -> None:
        """Takes a progress notification to its request; runs in the order of the wire and never waits."""
        if method == "notifications/progress" and params is not None:
            route = self._routes.get(str(params.get("progressToken")))
            if route is not None:
                route.put(dict(params))


def explain(error: MCPError, diagnosis: Diagnosis) -> UpstreamRefused | UpstreamUnavailable:
    """What the upstream answered, told apart from what the SDK says on its behalf in the same form."""
    status = diagnosis.http_status
    if is_closed(error):
        return UpstreamUnavailable("It ended the connection before it answered.")
    if diagnosis.has_expired:
        return SessionExpired("It no longer knows the session.")
    match error.code, error.message:
        case codes.PARSE_ERROR, message if message.startswith("Failed to parse"):
            return UpstreamUnavailable("It sent an answer that is not valid JSON-RPC.")
        case codes.INTERNAL_ERROR, "Server returned an error response" if status is not None:
            return UpstreamUnavailable(f"It answered with HTTP status {status}.")
        case code, message:
            return UpstreamRefused(message, code=code, data=error.data)


class _Progress:
    """Progress of one request on its way to whoever asked."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._latest = anyio.current_time() + REQUEST_SECONDS_MAX
        # Under a flood the oldest go: progress only ever grows, and memory must not.
        self._waiting: deque[dict[str, Any]] = deque(maxlen=_PROGRESS_WAITING_MAX)
        self._news = anyio.Event()
        self._ended = False
        self.deadline = anyio.CancelScope()
        self._push_deadline()

    def put(self, params: dict[str, Any]) -> None:
        self._waiting.append(params)
        self._push_deadline()
        self._news.set()

    def end(self) -> None:
        self._ended = True
        self._news.set()

    async def deliver(self, on_progress: OnProgress) -> None:
        while True:
            while self._waiting:
                await on_progress(self._waiting.popleft())
            if self._ended:
                return
            await self._news.wait()
            self._news = anyio.Event()

    def _push_deadline(self) -> None:
        self.deadline.deadline = min(anyio.current_time() + self._timeout_s, self._latest)


@asynccontextmanager
async def open_session(
    transport: Transport,
    diagnosis: Diagnosis,
    *,
    probe: bool,
    on_tools_changed: Callable[[], None],
    on_closed: Callable[[], None],
) -> AsyncIterator[Session]:
    """A connection on which the handshake is done; closed on leaving.

    `on_tools_changed` and `on_closed` are called from the connection's own task and must not wait.

    Raises:
        UpstreamError: The handshake failed.
        OSError: The child process cannot be started.
    """
    session: Session | None = None

    def intercept(method: str, params: Mapping[str, Any] | None) -> bool:
        if session is not None:
            session.intercept(method, params)
        if method == "notifications/tools/list_changed":
            on_tools_changed()
        # Consumed: a task for each of a flood of notifications would cost every other upstream.
        return True

    async with transport as (read, write), anyio.create_task_group() as tasks:
        dispatcher: Dispatcher = JSONRPCDispatcher(read, write)
        running = True

        async def run(*, task_status: anyio.abc.TaskStatus[None]) -> None:
            nonlocal running
            try:
                await dispatcher.run(_answer_request, _ignore, intercept, task_status=task_status)
            finally:
                running = False
                on_closed()

        await tasks.start(run)
        with anyio.move_on_after(CONNECT_TIMEOUT_S) as patience:
            terms = await _handshake(dispatcher, diagnosis, probe=probe)
            session = Session(dispatcher, terms, diagnosis, lambda: running)
        if session is None or patience.cancelled_caught:
            raise UpstreamUnavailable(f"It did not finish the handshake in {CONNECT_TIMEOUT_S:g} seconds.")
        yield session
        tasks.cancel_scope.cancel()


async def _handshake(dispatcher: Dispatcher, diagnosis: Diagnosis, *, probe: bool) -> Terms:
    try:
        return await agree(dispatcher, probe=probe)
    except MCPError as error:
        raise explain(error, diagnosis) from error


async def _answer_request(
    _ctx: DispatchContext[TransportContext], method: str, _params: Mapping[str, Any] | None
) -> dict[str, Any]:
    """We declare no capability, so all an upstream may ask us is whether we are there."""
    if method == "ping":
        return {}
    raise MCPError(code=codes.METHOD_NOT_FOUND, message="Method not found", data=method)


async def _ignore(
    _ctx: DispatchContext[TransportContext], _method: str, _params: Mapping[str, Any] | None
) -> None:
    """Every notification was consumed in wire order already."""
