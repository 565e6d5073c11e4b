"""The upstreams of the file: which there are, what they offer together, and how they are doing."""

from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from komorebi_mcp.upstream.caller import NOBODY, Caller
from komorebi_mcp.upstream.catalogue import Catalogue
from komorebi_mcp.upstream.config import Problem, UpstreamConfig, UpstreamsConfig
from komorebi_mcp.upstream.link import Link
from komorebi_mcp.upstream.listing import Entry
from komorebi_mcp.upstream.names import exposed_uri, is_reserved, prefix_in
from komorebi_mcp.upstream.offers import Kind
from komorebi_mcp.upstream.pins import Keeper, Recalled
from komorebi_mcp.upstream.secrets import Secrets
from komorebi_mcp.upstream.status import UpstreamState, UpstreamStatus

LIST_WAIT_S = 0.8
"""How long after it was first wanted an upstream may hold up a listing."""
CLOSE_S = 1.0
"""All connections have this long to end well, together; children are then ended by force."""

_log = structlog.get_logger(__name__)


class Links:
    """The upstreams of one process, and what they offer together."""

    def __init__(
        self,
        config: UpstreamsConfig,
        keeper: Keeper | None,
        start: Callable[[Link], object],
    ) -> None:
        """`start` runs a link in a task of its own."""
        self._config = config
        self._keeper = keeper
        self._start = start
        self._listeners: list[Callable[[frozenset[Kind]], None]] = []
        self._update_listeners: list[Callable[[str], None]] = []
        self._catalogue: Catalogue | None = None
        self._is_awake = False
        self._unreviewed: set[Link] = set()
        """Whose entry has changed since what it offers was read by it."""
        # One for all: what one upstream says may hold another one's secret.
        self._secrets = Secrets(config.environment)
        self.links: dict[str, Link] = {}
        """By their prefixes, in the order of the file."""

    @property
    def path(self) -> Path:
        """Of the upstreams file."""
        return self._config.path

    @property
    def stamp(self) -> tuple[int, ...] | None:
        """Of the file as it was taken up."""
        return self._config.stamp

    @property
    def is_configured(self) -> bool:
        """Whether there is an upstream, working or not."""
        return bool(self.links or self._config.problems)

    async def take_up(self, config: UpstreamsConfig) -> None:
        """Has the upstreams of this configuration and no others. A connection that can stay, stays.

        A file that cannot be read at all leaves everything as it was, but for the problem.

        Raises:
            StorageError: The keeper does not answer. Called again, this does what is left to do.
        """
        if self.links and any(problem.upstream is None for problem in config.problems):
            kept = {"problems": config.problems, "stamp": config.stamp}
            self._config = self._config.model_copy(update=kept)
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
                    self._unreviewed.add(link)
        for prefix, link in self.links.items():
            if links.get(prefix) is not link:
                link.stop()
        before, was_configured = self.catalogue(), self.is_configured
        self.links, self._config, self._catalogue = links, config, None
        after = self.catalogue()
        changed = {kind for kind in Kind if before.of(kind) != after.of(kind)}
        if self.is_configured != was_configured:
            # Some tools of ours are there only beside those of upstreams.
            changed.add(Kind.TOOL)
        self._changed(frozenset(changed))
        if self._is_awake:
            self.wake()
        for link in tuple(self._unreviewed):
            await link.review()
            self._unreviewed.discard(link)

    async def recheck(self) -> None:
        """Compares what is held back with the pins again, in case somebody has accepted it meanwhile.

        Raises:
            StorageError: The pins cannot be read.
        """
        held = [link for link in self.links.values() if link.listing.held]
        if self._keeper is None or not held:
            return
        waiting = await self._keeper.waiting([link.config.name for link in held])
        for link in held:
            keys = {(entry.kind.value, entry.original) for entry in link.listing.held}
            if not keys <= set(waiting[link.config.name]):
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
            self._updated,
            keeper=self._keeper,
            recalled=recalled,
        )
        self._start(link)
        return link

    def wake(self, caller: Caller = NOBODY) -> None:
        """Starts connecting to what is not connected, most likely for this caller; returns at once."""
        self._is_awake = True
        for link in self.links.values():
            link.want(caller)

    def stop(self) -> None:
        """Ends every connection, without waiting for it; calls under way are told that it has ended."""
        for link in self.links.values():
            link.stop()

    def on_change(self, listener: Callable[[frozenset[Kind]], None]) -> Callable[[], None]:
        """Calls `listener` with the kinds of which there are others now.

        It goes on until the function returned is called.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def on_update(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Calls `listener` with the URI of each resource that an upstream says has changed, likewise."""
        self._update_listeners.append(listener)
        return lambda: self._update_listeners.remove(listener)

    @property
    def is_complete(self) -> bool:
        """Whether every upstream's offers are known and as it has them now."""
        return all(link.is_ready for link in self.links.values())

    async def listed(self, kind: Kind) -> Mapping[str, Entry]:
        """What is known of this kind by the names it appears by, in the order of these.

        Waits a moment for upstreams that were never listed; those that connect again serve what they had.
        """
        self.wake()
        for link in self.links.values():
            if not link.was_listed and link.first_wanted_at is not None:
                await link.settled(until=link.first_wanted_at + LIST_WAIT_S)
        return self.catalogue().of(kind)

    async def tools(self) -> Mapping[str, Entry]:
        """The tools that are known, after a moment's wait for upstreams that were never listed."""
        return await self.listed(Kind.TOOL)

    def catalogue(self) -> Catalogue:
        """All that is known at this moment; connects to nothing."""
        if self._catalogue is None:
            self._catalogue = Catalogue([link.listing for link in self.links.values()])
        return self._catalogue

    def known(self) -> Mapping[str, Entry]:
        """The tools known at this moment; connects to nothing."""
        return self.catalogue().of(Kind.TOOL)

    def may_have(self, kind: Kind, name: str) -> bool:
        """Whether `name` is known, or may be one of an upstream that was never listed."""
        if name in self.catalogue().of(kind) or name in self.catalogue().held(kind):
            return True
        return any(not link.was_listed for link in self._candidates(name))

    def _candidates(self, name: str) -> list[Link]:
        """The upstreams that what appears as `name` could belong to."""
        prefix = prefix_in(name)
        prefixed = [link for link in self.links.values() if link.config.prefix == prefix]
        if prefixed or is_reserved(name):
            return prefixed
        return [link for link in self.links.values() if link.config.bare]

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
                last_error=_told(problem, self._config.path),
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

    def _changed(self, kinds: frozenset[Kind]) -> None:
        self._catalogue = None
        for listener in tuple(self._listeners):
            listener(kinds)

    def _updated(self, prefix: str, uri: str) -> None:
        known = self.catalogue().prefix_for(uri)
        shown = uri if known in (None, prefix) else exposed_uri(prefix, uri)
        for listener in tuple(self._update_listeners):
            listener(shown)


def _told(problem: Problem, path: Path) -> str:
    """The problem, and where in the file it is; one of the whole file names the file itself."""
    if problem.upstream is None or problem.line is None:
        return problem.message
    return f"{path.name}, line {problem.line}: {problem.message}"
