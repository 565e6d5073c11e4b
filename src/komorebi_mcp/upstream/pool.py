"""All upstreams together: each in a task of its own, so that one costs the others nothing."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import structlog

from komorebi_mcp.errors import NotFound
from komorebi_mcp.upstream.catalogue import Catalogue, Entry, quarantined
from komorebi_mcp.upstream.config import UpstreamConfig, UpstreamsConfig
from komorebi_mcp.upstream.link import CALL_WAIT_S, Link
from komorebi_mcp.upstream.names import is_reserved, prefix_in
from komorebi_mcp.upstream.offers import Kind
from komorebi_mcp.upstream.pins import Keeper, Recalled
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

    def __init__(
        self, config: UpstreamsConfig, keeper: Keeper | None, start: Callable[[Link], object]
    ) -> None:
        """`start` runs a link in a task of its own."""
        self._config = config
        self._keeper = keeper
        self._start = start
        self._listeners: list[Callable[[], None]] = []
        self._merged: Catalogue | None = None
        self._is_awake = False
        # One for all: what one upstream says may hold another one's secret.
        self._secrets = Secrets(config.environment)
        self.links: dict[str, Link] = {}
        """By their prefixes, in the order of the file."""

    @property
    def path(self) -> Path:
        """Of the upstreams file."""
        return self._config.path

    async def take_up(self, config: UpstreamsConfig) -> None:
        """Has the upstreams of this configuration and no others. A connection that can stay, stays.

        A file that cannot be read at all leaves everything as it was, but for the problem.

        Raises:
            StorageError: The keeper cannot tell what is known of the new ones; nothing was changed.
        """
        if self.links and any(problem.upstream is None for problem in config.problems):
            self._config = self._config.model_copy(update={"problems": config.problems})
            return
        links: dict[str, Link] = {}
        fresh = [each for each in config.upstreams if not self._is_connected_as(each)]
        recalled = await self._keeper.recall(fresh) if self._keeper and fresh else {}
        for upstream in config.upstreams:
            if upstream in fresh:
                links[upstream.prefix] = self._open(upstream, recalled.get(upstream.name))
            else:
                links[upstream.prefix] = link = self.links[upstream.prefix]
                if link.config != upstream:
                    link.config = upstream
                    await link.review()
        for prefix, link in self.links.items():
            if links.get(prefix) is not link:
                link.stop()
        self.links, self._config = links, config
        self._changed()
        if self._is_awake:
            self.wake()

    async def recheck(self) -> None:
        """Compares what is held back with the pins again, in case somebody has accepted it meanwhile.

        Raises:
            StorageError: The pins cannot be read.
        """
        for link in tuple(self.links.values()):
            if link.listing.held:
                await link.review()

    def _is_connected_as(self, upstream: UpstreamConfig) -> bool:
        link = self.links.get(upstream.prefix)
        return link is not None and upstream.reaches_like(link.config)

    def _open(self, upstream: UpstreamConfig, recalled: Recalled | None) -> Link:
        link = Link(
            upstream,
            self._config.environment,
            self._secrets,
            self._changed,
            keeper=self._keeper,
            recalled=recalled,
        )
        self._start(link)
        return link

    def wake(self) -> None:
        """Starts connecting to what is not connected; returns at once."""
        self._is_awake = True
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

    async def tools(self) -> Mapping[str, Entry]:
        """The known tools by the names they appear by, in the order of these.

        Waits a moment for upstreams that were never listed; those that connect again serve what they had.
        """
        self.wake()
        for link in self.links.values():
            if not link.was_listed and link.first_wanted_at is not None:
                await link.settled(until=link.first_wanted_at + LIST_WAIT_S)
        return self.known()

    def known(self) -> Mapping[str, Entry]:
        """The tools known at this moment; connects to nothing."""
        return self.catalogue().of(Kind.TOOL)

    def catalogue(self) -> Catalogue:
        """All that is known at this moment; connects to nothing."""
        if self._merged is None:
            self._merged = Catalogue([link.listing for link in self.links.values()])
        return self._merged

    def may_have(self, name: str) -> bool:
        """Whether `name` is a known tool, or may be one of an upstream that was never listed."""
        if name in self.known() or name in self.catalogue().held(Kind.TOOL):
            return True
        return any(not link.was_listed for link in self._candidates(name))

    def _candidates(self, name: str) -> list[Link]:
        """The upstreams that a tool which appears as `name` could belong to."""
        prefix = prefix_in(name)
        prefixed = [link for link in self.links.values() if link.config.prefix == prefix]
        if prefixed or is_reserved(name):
            return prefixed
        return [link for link in self.links.values() if link.config.bare]

    async def call(
        self, name: str, params: Mapping[str, Any], *, on_progress: OnProgress | None = None
    ) -> dict[str, Any]:
        """The raw result of calling the tool that appears as `name`.

        Raises:
            NotFound: No upstream has it.
            UpstreamError: The upstream refused, or is not available.
        """
        unlisted = [link for link in self._candidates(name) if not link.was_listed]
        for link in unlisted:
            link.want(rest_s=0)
        until = anyio.current_time() + CALL_WAIT_S
        for link in unlisted:
            if name not in self.known():
                await link.settled(until=until)
        tool = self.known().get(name)
        if tool is not None:
            return await self.links[tool.prefix].call(tool, params, on_progress=on_progress)
        if held := self.catalogue().held(Kind.TOOL).get(name):
            raise quarantined(held, self.links[held.prefix].config.name)
        for link in unlisted:
            if not link.was_listed:
                raise link.unavailable()
        raise _unknown(name)

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
        held_of = self.catalogue().held_of
        working = [
            link.status().model_copy(update={"quarantined": held_of(prefix)})
            for prefix, link in self.links.items()
        ]
        return working + wrong

    def _changed(self) -> None:
        self._merged = None
        for listener in tuple(self._listeners):
            listener()


@asynccontextmanager
async def open_upstreams(
    config: UpstreamsConfig, *, keeper: Keeper | None = None
) -> AsyncIterator[Upstreams]:
    """The upstreams of `config`, none of them connected; every connection and child is ended on leaving.

    With a keeper, what they offered when they were last reached is there at once.

    Raises:
        StorageError: The keeper cannot tell.
    """
    for problem in config.problems:
        _log.warning(
            "upstream.left_out", upstream=problem.upstream, line=problem.line, reason=problem.message
        )
    async with anyio.create_task_group() as tasks:
        upstreams = Upstreams(config, keeper, lambda link: tasks.start_soon(link.run))
        try:
            await upstreams.take_up(config)
            yield upstreams
        finally:
            for link in upstreams.links.values():
                link.stop()
            tasks.cancel_scope.deadline = anyio.current_time() + CLOSE_S


def _unknown(name: str) -> NotFound:
    return NotFound(f"No upstream has a tool named '{name[:80]}'. Call tools/list to see those there are.")
