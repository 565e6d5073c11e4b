"""All upstreams together: each in a task of its own, so that one costs the others nothing."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import structlog

from komorebi_mcp.errors import NotFound
from komorebi_mcp.upstream.catalogue import UpstreamTool, merge
from komorebi_mcp.upstream.config import UpstreamsConfig
from komorebi_mcp.upstream.link import CALL_WAIT_S, Link
from komorebi_mcp.upstream.names import prefix_in
from komorebi_mcp.upstream.secrets import Secrets
from komorebi_mcp.upstream.session import OnProgress
from komorebi_mcp.upstream.status import UpstreamState, UpstreamStatus

LIST_WAIT_S = 0.8
"""How long after it was first wanted an upstream may hold up a listing."""
CLOSE_S = 1.0
"""All connections have this long to end well, together; children are then ended by force."""

_log = structlog.get_logger(__name__)


class Upstreams:
    """The upstreams of one process; made by `open_upstreams`."""

    def __init__(self, config: UpstreamsConfig) -> None:
        self._config = config
        self._listeners: list[Callable[[], None]] = []
        self._merged: dict[str, UpstreamTool] | None = None
        # One for all: what one upstream says may hold another one's secret.
        secrets = Secrets(config.environment)
        self.links = {
            upstream.prefix: Link(upstream, config.environment, secrets, self._changed)
            for upstream in config.upstreams
        }

    def wake(self) -> None:
        """Starts connecting to what is not connected; returns at once."""
        for link in self.links.values():
            link.want()

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls `listener` whenever the tools change, until the function returned is called."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @property
    def is_complete(self) -> bool:
        """Whether every upstream's tools are known and as it has them now."""
        return all(link.is_ready for link in self.links.values())

    async def tools(self) -> Mapping[str, UpstreamTool]:
        """The known tools by the names they appear by, in the order of these.

        Waits a moment for upstreams that were never listed; those that connect again serve what they had.
        """
        self.wake()
        for link in self.links.values():
            if not link.was_listed and link.first_wanted_at is not None:
                await link.settled(until=link.first_wanted_at + LIST_WAIT_S)
        return self.known()

    def known(self) -> Mapping[str, UpstreamTool]:
        """The tools known at this moment; connects to nothing."""
        if self._merged is None:
            self._merged = merge([link.listing for link in self.links.values()])
        return self._merged

    def may_have(self, name: str) -> bool:
        """Whether `name` is a known tool, or may be one of an upstream that was never listed."""
        link = self.links.get(prefix_in(name) or "")
        return name in self.known() or (link is not None and not link.was_listed)

    async def call(
        self, name: str, params: Mapping[str, Any], *, on_progress: OnProgress | None = None
    ) -> dict[str, Any]:
        """The raw result of calling the tool that appears as `name`.

        Raises:
            NotFound: No upstream has it.
            UpstreamError: The upstream refused, or is not available.
        """
        link = self.links.get(prefix_in(name) or "")
        if link is None:
            raise _unknown(name)
        if not link.was_listed:
            link.want(rest_s=0)
            await link.settled(until=anyio.current_time() + CALL_WAIT_S)
        tool = self.known().get(name)
        if tool is None:
            if not link.was_listed:
                raise link.unavailable()
            raise _unknown(name)
        return await link.call(tool, params, on_progress=on_progress)

    def status(self) -> list[UpstreamStatus]:
        """One for each entry of the file, and for what is wrong in it."""
        wrong = [
            UpstreamStatus(
                name=problem.upstream or self._config.path.name,
                state=UpstreamState.FAILED,
                era=None,
                tools=0,
                stale=False,
                quarantined=(),
                last_error=problem.message,
                p50_ms=None,
            )
            for problem in self._config.problems
        ]
        return [link.status() for link in self.links.values()] + wrong

    def _changed(self) -> None:
        self._merged = None
        for listener in tuple(self._listeners):
            listener()


@asynccontextmanager
async def open_upstreams(config: UpstreamsConfig) -> AsyncIterator[Upstreams]:
    """The upstreams of `config`, none of them connected; every connection and child is ended on leaving."""
    for problem in config.problems:
        _log.warning(
            "upstream.left_out", upstream=problem.upstream, line=problem.line, reason=problem.message
        )
    upstreams = Upstreams(config)
    async with anyio.create_task_group() as tasks:
        for link in upstreams.links.values():
            tasks.start_soon(link.run)
        try:
            yield upstreams
        finally:
            for link in upstreams.links.values():
                link.stop()
            tasks.cancel_scope.deadline = anyio.current_time() + CLOSE_S


def _unknown(name: str) -> NotFound:
    return NotFound(f"No upstream has a tool named '{name[:80]}'. Call tools/list to see those there are.")
