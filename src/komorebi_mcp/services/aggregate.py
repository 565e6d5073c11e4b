"""Aggregate: what other MCP servers offer, behind this one."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import anyio
import structlog

from komorebi_mcp.errors import NotFound, StorageError
from komorebi_mcp.services.tool_search import ToolIndex
from komorebi_mcp.upstream.caller import NOBODY, Caller
from komorebi_mcp.upstream.config import UpstreamConfig, UpstreamsConfig, stamp_of
from komorebi_mcp.upstream.listing import Entry, readable
from komorebi_mcp.upstream.offers import Kind
from komorebi_mcp.upstream.pool import Upstreams
from komorebi_mcp.upstream.status import Era, UpstreamStatus

Exposure = Literal["auto", "tools", "search"]
LISTED_MAX = 60
"""With more tools than this, `auto` lists none of them: they would crowd everything else out of a context."""
LOOK_S = 1.0
"""How often to look whether the file, the pins or an upstream's state are different."""

_log = structlog.get_logger(__name__)


class Aggregate:
    """What the surface and the command line ask of the upstreams."""

    def __init__(
        self,
        upstreams: Upstreams,
        load: Callable[[], UpstreamsConfig] | None = None,
        *,
        expose: Exposure = "auto",
    ) -> None:
        """`load` reads the upstreams file again, for `follow`."""
        self.upstreams = upstreams
        self._expose = expose
        self._index: tuple[Mapping[str, Entry], ToolIndex] | None = None
        self._load = load
        self._state_listeners: list[Callable[[], None]] = []

    @property
    def enabled(self) -> bool:
        """Whether any upstream is configured, working or not."""
        return self.upstreams.is_configured

    @property
    def is_complete(self) -> bool:
        """Whether the tools listed are all there are, and as the upstreams have them now."""
        return self.upstreams.is_complete

    def on_state(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls `listener` when `status` has something else to say; only while `follow` runs."""
        self._state_listeners.append(listener)
        return lambda: self._state_listeners.remove(listener)

    async def follow(self, *, look_s: float = LOOK_S) -> None:
        """Takes up what others change: the upstreams file, and what is trusted; until cancelled."""
        path = self.upstreams.path
        before = self.upstreams.stamp
        told = self._told()
        while True:
            await anyio.sleep(look_s)
            stamp = await anyio.to_thread.run_sync(stamp_of, path)
            try:
                # Once it is the same twice, since a file is seldom written in one go.
                if stamp != self.upstreams.stamp and stamp == before and self._load is not None:
                    await self.upstreams.take_up(await anyio.to_thread.run_sync(self._load))
                    # Whoever changed the file wants to see what came of it, though no client has asked.
                    self.upstreams.wake()
                await self.upstreams.recheck()
            except StorageError as error:
                _log.warning("upstreams.not_followed", error=str(error))
            before = stamp
            if (now := self._told()) != told:
                told = now
                for listener in tuple(self._state_listeners):
                    listener()

    def _told(self) -> list[UpstreamStatus]:
        # Their latency is never twice the same, and no news.
        return [status.model_copy(update={"p50_ms": None}) for status in self.status()]

    async def tools(self, *, era: Era | None = None) -> list[dict[str, Any]]:
        """The tools' definitions; see `definitions`."""
        return await self.definitions(Kind.TOOL, era=era)

    async def definitions(self, kind: Kind, *, era: Era | None = None) -> list[dict[str, Any]]:
        """Definitions as the upstreams gave them, under the names they appear by and in their order.

        With `era`, those that a client of it can read. Waits less than a second for upstreams that are
        connecting for the first time. The definitions are not to be changed. No tools where there are too
        many to be listed: `find` finds them, and they can be called all the same.
        """
        entries = await self.upstreams.listed(kind)
        return [] if kind is Kind.TOOL and self.searches_only else readable(entries.values(), era)

    @property
    def searches_only(self) -> bool:
        """Whether the tools known now are found by searching rather than listed."""
        if self._expose == "auto":
            return len(self.upstreams.known()) > LISTED_MAX
        return self._expose == "search"

    async def find(self, query: str, *, upstream: str | None = None) -> list[dict[str, Any]]:
        """Definitions of the tools that the query is about, the best first; all of them without a word in it.

        Raises:
            NotFound: No upstream has that name.
        """
        tools = await self.upstreams.tools()
        if self._index is None or self._index[0] is not tools:
            definitions = {name: tool.definition for name, tool in tools.items()}
            self._index = (tools, await anyio.to_thread.run_sync(ToolIndex, definitions))
        names = self._index[1].search(query) if query.strip() else list(tools)
        if upstream is not None:
            prefix = self._prefix_of(upstream)
            names = [name for name in names if tools[name].prefix == prefix]
        return [tools[name].definition for name in names]

    def origin(self, name: str) -> tuple[UpstreamConfig, str] | None:
        """The upstream of the known tool that appears as `name`, and the upstream's own name of it."""
        tool = self.upstreams.known().get(name)
        return None if tool is None else (self.upstreams.links[tool.prefix].config, tool.original)

    async def reach(self, upstream: str, *, wait_s: float) -> UpstreamStatus:
        """How one upstream is doing once it was connected to, or has failed, or after so many seconds.

        Raises:
            NotFound: No upstream has that name.
        """
        named = [status for status in self.status() if status.name == upstream]
        if not named:
            raise self._not_there(upstream)
        for link in self.upstreams.links.values():
            if link.config.name == upstream:
                link.want(rest_s=0)
                await link.settled(until=anyio.current_time() + wait_s)
        return next(status for status in self.status() if status.name == upstream)

    async def reach_all(self, *, wait_s: float) -> None:
        """Returns once each upstream was connected to or has failed, or after so many seconds."""
        self.upstreams.wake()
        until = anyio.current_time() + wait_s
        for link in tuple(self.upstreams.links.values()):
            await link.settled(until=until)

    def _not_there(self, upstream: str) -> NotFound:
        named = ", ".join(status.name for status in self.status())
        return NotFound(f"No upstream is named {upstream[:60]!a}. There are: {named or 'none'}.")

    def _prefix_of(self, upstream: str) -> str:
        named = {link.config.name: prefix for prefix, link in self.upstreams.links.items()}
        if upstream not in named:
            raise self._not_there(upstream)
        return named[upstream]

    def mirrored_schema(self, name: str) -> Mapping[str, Any] | None:
        """The input schema of a known upstream tool that has arguments repeated in headers; else None."""
        tool = self.upstreams.known().get(name)
        return None if tool is None or not tool.mirrored else tool.definition["inputSchema"]

    async def call(self, name: str, params: Mapping[str, Any], *, caller: Caller = NOBODY) -> dict[str, Any]:
        """The raw result of the tool that appears as `name`, called with these raw params and their `_meta`.

        Raises:
            NotFound: No upstream has it.
            UpstreamRefused: It answered with a JSON-RPC error.
            UpstreamUnavailable: It does not answer, or not in time.
        """
        return await self.upstreams.call(name, params, caller=caller)

    def status(self) -> list[UpstreamStatus]:
        """How each entry of the upstreams file is doing."""
        return self.upstreams.status()
