"""The way messages go to and from one upstream, whichever transport carries them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
import anyio.abc
from mcp.client import Transport
from mcp.shared.dispatcher import CallOptions, DispatchContext
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.transport_context import TransportContext

from komorebi_mcp.errors import UpstreamUnavailable


class Ended(UpstreamUnavailable):
    """The connection ended before the answer; whether the request was carried out is not known."""


class NotSent(UpstreamUnavailable):
    """The request was not carried out; a new connection may ask again."""


class SessionExpired(NotSent):
    """The upstream no longer knows the session."""


class Refused(UpstreamUnavailable):
    """It answered with an HTTP status in place of a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ears:
    """Who takes what the upstream sends of its own accord."""

    hear: Callable[[str, Mapping[str, Any] | None], None]
    """Given each notification in the order of the wire; must not wait."""
    answer: Callable[[str, Mapping[str, Any] | None], Awaitable[dict[str, Any]]]
    """The raw answer to a request of the upstream.

    Over streamable HTTP both run in the context of the request on whose stream it came.
    """
    closed: Callable[[], None]
    """Called once, when nothing can be sent or received any more; must not wait."""


class Wire(Protocol):
    """An open way to an upstream."""

    @property
    def keeps_state(self) -> bool:
        """Whether what one request did may show in the next, as far as the transport tells."""
        ...

    @property
    def correlates(self) -> bool:
        """Whether what the upstream sends shows which request it belongs to."""
        ...

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """The raw result. Cancelling the caller cancels the request.

        Raises:
            MCPError: The upstream's own error, or what the SDK says in its place.
            UpstreamUnavailable: There is no answer.
        """
        ...

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        """Sends a notification, as far as the connection takes it."""
        ...


OpenWire = Callable[[Ears], AbstractAsyncContextManager[Wire]]


class StreamWire(JSONRPCDispatcher[TransportContext]):
    """A wire that is one stream of messages in each direction."""

    keeps_state = True
    correlates = False


def over_streams(transport: Transport) -> OpenWire:
    """The way over one of the SDK's transports: a stream of messages in each direction."""

    @asynccontextmanager
    async def open_(ears: Ears) -> AsyncIterator[Wire]:
        async with transport as (read, write), anyio.create_task_group() as tasks:
            wire = StreamWire(read, write)

            def intercept(method: str, params: Mapping[str, Any] | None) -> bool:
                ears.hear(method, params)
                # Consumed: a task for each of a flood of notifications would cost every other upstream.
                return True

            async def answer(
                _ctx: DispatchContext[TransportContext], method: str, params: Mapping[str, Any] | None
            ) -> dict[str, Any]:
                return await ears.answer(method, params)

            async def run(*, task_status: anyio.abc.TaskStatus[None]) -> None:
                try:
                    await wire.run(answer, _ignore, intercept, task_status=task_status)
                finally:
                    ears.closed()

            await tasks.start(run)
            yield wire
            tasks.cancel_scope.cancel()

    return open_


async def _ignore(
    _ctx: DispatchContext[TransportContext], _method: str, _params: Mapping[str, Any] | None
) -> None:
    """Every notification was consumed in wire order already."""
