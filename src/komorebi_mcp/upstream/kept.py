"""One upstream's connection over time: made when first wanted, kept, and made again when it breaks."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from statistics import median
from typing import Any

import anyio
import anyio.abc
import structlog

from komorebi_mcp.errors import UpstreamUnavailable
from komorebi_mcp.upstream.backoff import Backoff
from komorebi_mcp.upstream.caller import NOBODY, Caller
from komorebi_mcp.upstream.config import UpstreamConfig
from komorebi_mcp.upstream.following import Following, set_level
from komorebi_mcp.upstream.handshake import ProbeEndedConnection
from komorebi_mcp.upstream.judged import Judged
from komorebi_mcp.upstream.listing import Listing
from komorebi_mcp.upstream.offers import Kind, fetch_offer
from komorebi_mcp.upstream.pins import Keeper, Recalled
from komorebi_mcp.upstream.reasons import reason_of, telling
from komorebi_mcp.upstream.seats import Seats
from komorebi_mcp.upstream.secrets import Secrets
from komorebi_mcp.upstream.session import Session, open_session
from komorebi_mcp.upstream.status import UpstreamState, UpstreamStatus
from komorebi_mcp.upstream.transports import Noise, wire_to
from komorebi_mcp.upstream.wire import SessionExpired

CALL_WAIT_S = 20.0
"""How long a call waits for the connection; the handshake itself may take longer."""
RETRY_PAUSE_S = 5.0
"""A listing does not make a failed upstream try again sooner than this; a call does so at once."""
RELIST_PAUSE_S = 0.2

_LATENCIES_KEPT = 200

_log = structlog.get_logger(__name__)


class KeptConnection:
    """The shared connection of one upstream, made and held by `run`, and room for others beside it."""

    def __init__(
        self,
        config: UpstreamConfig,
        environment: Mapping[str, str],
        secrets: Secrets,
        on_change: Callable[[frozenset[Kind]], None],
        on_updated: Callable[[str, str], None],
        *,
        keeper: Keeper | None = None,
        recalled: Recalled | None = None,
    ) -> None:
        """`on_change` is given the kinds of which there are others now.

        `on_updated` is given our prefix and the upstream's own URI of a resource that has changed.
        Without a keeper nothing is pinned and nothing outlives the process.
        """
        self.config = config
        self.state = UpstreamState.CONFIGURED
        self.first_wanted_at: float | None = None
        self._environment = environment
        self._secrets = secrets
        self._on_change = on_change
        self._on_updated = on_updated
        self._tasks: anyio.abc.TaskGroup | None = None
        self.seats = Seats(self._open_seat, self._start)
        self._following = Following()
        self._first: Caller = NOBODY
        """Whose capabilities the shared connection declares."""
        self._noise = Noise(self._secrets)
        self._session: Session | None = None
        self._capabilities: Mapping[str, Any] = {}
        self._probe = True
        self._last_error: str | None = None
        self._backoff = Backoff()
        self._latencies_ms: deque[float] = deque(maxlen=_LATENCIES_KEPT)
        self._settled = anyio.Event()
        self._poked = anyio.Event()
        self._lists_changed: set[Kind] = set()
        """Of which the upstream says that there are others."""
        self._attempt = anyio.CancelScope()
        self._at_once = False
        """The next attempt is to follow without a pause."""
        self._stopping = False
        self._judged = Judged(keeper, on_change)
        if recalled is not None:
            self._judged.recall(config, recalled)

    @property
    def listing(self) -> Listing:
        """What it offered last, read by its entry as it is now."""
        return self._judged.listing

    @property
    def was_listed(self) -> bool:
        """Whether it was ever reached, if only by another process."""
        return self._judged.was_listed

    @property
    def is_ready(self) -> bool:
        return self._session is not None and self._session.is_open

    @property
    def is_stale(self) -> bool:
        return self.was_listed and not self.is_ready

    def status(self) -> UpstreamStatus:
        return UpstreamStatus(
            name=self.config.name,
            # A connection that ended a moment ago is about to be made again.
            state=UpstreamState.CONNECTING if self._session and not self.is_ready else self.state,
            era=self._judged.era,
            tools=len(self.listing.of(Kind.TOOL)),
            stale=self.is_stale,
            quarantined=(),
            last_error=" ".join(filter(None, (self._last_error, *self.listing.left_out[:3]))) or None,
            p50_ms=round(median(self._latencies_ms), 1) if self._latencies_ms else None,
        )

    def want(self, caller: Caller = NOBODY, *, rest_s: float = RETRY_PAUSE_S) -> None:
        """Has the connection made, unless it is there, under way or failed less than `rest_s` seconds ago.

        It declares the capabilities of a `caller` with a session, who is likely to be the one who needs it.
        """
        if self._stopping:
            return
        is_rested = self.state is UpstreamState.FAILED and self._backoff.is_over(after_s=rest_s)
        if self.state is UpstreamState.CONFIGURED or is_rested:
            if caller.client is not None:
                self._first = caller
            self._begin()
            self._poke()

    def stop(self) -> None:
        """Ends the connections, without waiting for it; `run` returns soon after."""
        self._stopping = True
        self.seats.close()
        if self.state is not UpstreamState.READY:
            self._attempt.cancel()
        self._poke()

    async def settled(self, *, until: float) -> None:
        """Returns once the attempt under way has an outcome, or at `until` on the event loop's clock."""
        with anyio.CancelScope(deadline=until):
            while self.state is UpstreamState.CONNECTING:
                await self._settled.wait()

    async def review(self) -> None:
        """Compares what was offered last with the pins again, by the entry as it is now.

        Raises:
            StorageError: The pins cannot be read.
        """
        await self._judged.review(self.config)

    def unavailable(self, why: str | None = None) -> UpstreamUnavailable:
        """What to tell a caller who cannot be served."""
        why = why or self._last_error or "It is still connecting."
        return UpstreamUnavailable(
            f"The upstream '{self.config.name}' is not available: {self._secrets.mask(why)} "
            "Try again in a moment; the other tools work as before."
        )

    async def _connected(self) -> Session:
        until = anyio.current_time() + CALL_WAIT_S
        # Twice: the attempt under way may turn out to be the end of the connection before.
        for _ in range(2):
            if self._session is not None and self._session.is_open:
                return self._session
            if self._session is not None:
                self._leave(self._session)
            self.want(rest_s=0)
            await self.settled(until=until)
        if self._session is not None and self._session.is_open:
            return self._session
        if self.state is UpstreamState.CONNECTING:
            raise UpstreamUnavailable("It is still connecting.")
        raise UpstreamUnavailable(self._last_error or "It ended the connection.")

    # What follows runs in the link's own task.

    async def run(self) -> None:
        """Connects when wanted and again whenever the connection breaks, until `stop`."""
        async with anyio.create_task_group() as self._tasks:
            await self._keep_connected()
            self.seats.close()

    async def _keep_connected(self) -> None:
        while await self._is_due():
            if self.state is not UpstreamState.CONNECTING:
                self._begin()
            began = anyio.current_time()
            self._at_once = False
            failure: Exception = UpstreamUnavailable("It ended the connection.")
            with anyio.CancelScope() as self._attempt:
                try:
                    await self._hold_connection()
                except Exception as error:  # noqa: BLE001  # Whatever an upstream does stays with that upstream.
                    failure = error
            why = self._reason(failure)
            if self._at_once:
                continue
            self._backoff.failed(held_s=anyio.current_time() - began)
            self._give_up(why)
        self._last_error = "It was closed."
        self._settle(UpstreamState.FAILED)

    async def _is_due(self) -> bool:
        """Waits until a connection is wanted or the backoff is over; False once it is time to stop."""
        until = self._backoff.until() if self.state is UpstreamState.FAILED else float("inf")
        with anyio.CancelScope(deadline=until):
            while not self._stopping and self.state is not UpstreamState.CONNECTING:
                await self._next_poke()
        return not self._stopping

    async def _hold_connection(self) -> None:
        self._noise = noise = Noise(self._secrets)
        async with (
            self._open(noise, self._first, self._poke) as session,
            anyio.create_task_group() as beside,
        ):
            self._judged.era, self._capabilities = session.terms.era, session.terms.capabilities
            await self._judged.take(self.config, await fetch_offer(session))
            self._session = session
            self._settle(UpstreamState.READY)
            beside.start_soon(self._following.hear, session)
            while session.is_open and self._session is session and not self._stopping:
                if self._lists_changed:
                    await anyio.sleep(RELIST_PAUSE_S)
                    said, self._lists_changed = frozenset(self._lists_changed), set()
                    await self._judged.take(self.config, await fetch_offer(session))
                    # Told on even where all looks the same, since more than we see may depend on it.
                    self._on_change(said)
                else:
                    await self._next_poke()
            if self.state is UpstreamState.READY:
                # Calls that come while the connection is taken down wait for the outcome.
                self._session = None
                self._begin()
            beside.cancel_scope.cancel()

    @asynccontextmanager
    async def _open(
        self, noise: Noise, caller: Caller, on_closed: Callable[[], None]
    ) -> AsyncIterator[Session]:
        """A connection that declares the caller's capabilities, and is its own where it has a session."""
        wire = await wire_to(self.config, self._environment, self._secrets, noise)
        async with open_session(
            wire,
            probe=self._probe,
            on_notification=self._hear,
            on_closed=on_closed,
            capabilities=caller.capabilities,
        ) as session:
            if caller.client is not None:
                session.held_by = session.client = caller.client
                await set_level(session, caller.client)
            yield session

    @asynccontextmanager
    async def _open_seat(self, caller: Caller, on_closed: Callable[[], None]) -> AsyncIterator[Session]:
        async with self._open(Noise(self._secrets), caller, on_closed) as session:
            await self._following.hear(session)
            yield session

    def _start(self, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        assert self._tasks is not None  # noqa: S101  # Nothing is asked for before `run`.
        self._tasks.start_soon(task)

    def _hear(self, method: str, params: dict[str, Any]) -> None:
        """Takes what the upstream says about itself."""
        if method == "notifications/resources/updated":
            if isinstance(uri := params.get("uri"), str):
                self._on_updated(self.config.prefix, uri)
            return
        changed = [kind for kind in Kind if method == f"notifications/{kind.capability}/list_changed"]
        self._lists_changed.update(changed)
        self._poke()

    def _begin(self) -> None:
        self.state = UpstreamState.CONNECTING
        if self.first_wanted_at is None:
            self.first_wanted_at = anyio.current_time()
        self._settled = anyio.Event()

    def _settle(self, state: UpstreamState) -> None:
        self.state = state
        self._settled.set()

    def _give_up(self, why: str) -> None:
        self._session = None
        if why != self._last_error and not self._stopping:
            said = self._noise.lines
            _log.warning("upstream.failed", upstream=self.config.name, reason=why, said=said)
        self._last_error = why
        self._settle(UpstreamState.FAILED)

    def _leave(self, session: Session) -> None:
        """Has another connection made in place of this one."""
        if self._session is session:
            self._session = None
            self._at_once = True
            self._begin()
            self._poke()

    def _poke(self) -> None:
        self._poked.set()

    async def _next_poke(self) -> None:
        await self._poked.wait()
        self._poked = anyio.Event()

    def _reason(self, error: Exception) -> str:
        """One or two sentences on why the connection failed, free of secrets."""
        leaf = telling(error)
        if isinstance(leaf, ProbeEndedConnection):
            # Whatever it is, it is no modern server; the next attempt begins with what it may know.
            self._probe = False
            self._at_once = True
        if isinstance(leaf, SessionExpired):
            self._at_once = True
        return reason_of(error, self.config, self._secrets, self._noise.lines)
