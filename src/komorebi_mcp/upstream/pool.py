"""All upstreams together: each in a task of its own, so that one costs the others nothing."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import structlog
from mcp_types import INVALID_PARAMS
from mcp_types.methods import INPUT_REQUIRED_METHODS

from komorebi_mcp.errors import NotFound, UpstreamRefused
from komorebi_mcp.upstream.bridge import Parked, answer_questions, visiting
from komorebi_mcp.upstream.caller import NOBODY, Caller, Client
from komorebi_mcp.upstream.config import UpstreamsConfig
from komorebi_mcp.upstream.kept import CALL_WAIT_S
from komorebi_mcp.upstream.link import Link
from komorebi_mcp.upstream.links import Links
from komorebi_mcp.upstream.listing import Entry, quarantined
from komorebi_mcp.upstream.names import original_uri
from komorebi_mcp.upstream.offers import Kind
from komorebi_mcp.upstream.pins import Keeper
from komorebi_mcp.upstream.status import Era
from komorebi_mcp.upstream.task_results import following, insists_on_tasks, is_task, result_of

CLOSE_S = 1.0
"""All connections have this long to end well, together; children are then ended by force."""

_log = structlog.get_logger(__name__)


class Upstreams(Links):
    """What is asked of the upstreams of one process; made by `open_upstreams`."""

    def __init__(
        self,
        config: UpstreamsConfig,
        parked: Parked,
        keeper: Keeper | None,
        start: Callable[[Link], object],
    ) -> None:
        """`start` runs a link in a task of its own."""
        super().__init__(config, keeper, start)
        self._parked = parked
        self._tasks_only: set[tuple[str, str] | None] = set()
        """Tools that are called by those only who follow tasks."""

    async def call(self, name: str, params: Mapping[str, Any], *, caller: Caller = NOBODY) -> dict[str, Any]:
        """The raw result of calling the tool that appears as `name`.

        Raises:
            NotFound: No upstream has it.
            UpstreamError: The upstream refused, or is not available.
        """
        link, entry = await self._find(Kind.TOOL, name)
        return await self._request(link, "tools/call", {**params, "name": entry.original}, caller, entry)

    async def get_prompt(
        self, name: str, params: Mapping[str, Any], *, caller: Caller = NOBODY
    ) -> dict[str, Any]:
        """The raw result of the prompt that appears as `name`; raises as `call` does."""
        link, entry = await self._find(Kind.PROMPT, name)
        return await self._request(link, "prompts/get", {**params, "name": entry.original}, caller, entry)

    async def with_uri(
        self, method: str, uri: str, params: Mapping[str, Any], *, caller: Caller = NOBODY
    ) -> dict[str, Any]:
        """The raw result of a request about the resource that appears as `uri`; raises as `call` does.

        Where no upstream is known to offer it, those that have resources are asked in turn: a result may
        link to one that is in no list.
        """
        links, original = await self._links_for(uri)
        refused: UpstreamRefused | None = None
        for link in links:
            try:
                result = await self._request(link, method, {**params, "uri": original}, caller, None)
            except UpstreamRefused as error:
                if len(links) > 1 and error.code not in _NO_SUCH_RESOURCE:
                    raise
                refused = refused or error
            else:
                return _under(uri, original, result)
        if refused is not None:
            raise refused
        raise NotFound(
            f"No upstream has the resource '{uri[:80]}'. Call resources/list to see those there are."
        )

    async def complete(
        self, ref: Mapping[str, Any], params: Mapping[str, Any], *, caller: Caller = NOBODY
    ) -> dict[str, Any]:
        """The raw result of a completion for a prompt or a resource template; raises as `call` does."""
        if isinstance(name := ref.get("name"), str):
            link, entry = await self._find(Kind.PROMPT, name)
            own = {**ref, "name": entry.original}
        else:
            links, original = await self._links_for(str(ref.get("uri")))
            if not links:
                raise _unknown("resource", str(ref.get("uri")), "resources/templates/list")
            link, own = links[0], {**ref, "uri": original}
        return await self._request(link, "completion/complete", {**params, "ref": own}, caller, None)

    async def follow(self, uri: str, *, caller: Caller = NOBODY) -> None:
        """Has changes of the resource told to those who listen, until `unfollow`; raises as `call` does."""
        links, original = await self._links_for(uri)
        for link in links[:1]:
            await link.follow(original, caller)

    async def unfollow(self, uri: str, *, caller: Caller = NOBODY) -> None:
        """Ends one `follow`; raises as `call` does."""
        links, original = await self._links_for(uri)
        for link in links[:1]:
            await link.unfollow(original, caller)

    async def tell(self, client: Client, method: str, params: Mapping[str, Any] | None) -> None:
        """Takes a notification of a client to the upstreams that serve it in a session of its own."""
        for link in self.links.values():
            await link.tell(client, method, params)

    async def set_level(self, client: Client, level: str) -> None:
        """Has upstreams that log tell this client what is at least so grave."""
        client.log_level = level
        async with anyio.create_task_group() as tasks:
            for link in self.links.values():
                tasks.start_soon(link.set_level, client)

    async def _find(self, kind: Kind, name: str) -> tuple[Link, Entry]:
        unlisted = [link for link in self._candidates(name) if not link.was_listed]
        for link in unlisted:
            link.want(rest_s=0)
        until = anyio.current_time() + CALL_WAIT_S
        for link in unlisted:
            if name not in self.catalogue().of(kind):
                await link.settled(until=until)
        if entry := self.catalogue().get(kind, name):
            return self.links[entry.prefix], entry
        if held := self.catalogue().held(kind).get(name):
            raise quarantined(held, self.links[held.prefix].config.name)
        for link in unlisted:
            if not link.was_listed:
                raise link.unavailable()
        raise _unknown(kind.value, name, kind.method)

    async def _links_for(self, uri: str) -> tuple[list[Link], str]:
        """The upstreams to ask about this URI, the likeliest first, and how they know it."""
        moved = original_uri(uri)
        if moved is not None and moved[0] in self.links:
            return [self.links[moved[0]]], moved[1]
        await self.listed(Kind.RESOURCE)
        prefix = self.catalogue().prefix_for(uri)
        if prefix is not None:
            return [self.links[prefix]], uri
        return [link for link in self.links.values() if link.offers("resources")], uri

    async def _request(
        self, link: Link, method: str, params: dict[str, Any], caller: Caller, entry: Entry | None
    ) -> dict[str, Any]:
        """The result in the terms of the caller's era, whatever the upstream's is."""

        async def begin(params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
            return await self._begin(link, method, params, caller, entry)

        async def request(params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
            result = await begin(params, caller)
            return await result_of(link, result)(params, caller) if is_task(result) else result

        state = params.get("requestState")
        if isinstance(state, str) and self._parked.has(state):
            return await self._parked.resume(state, params, caller)
        if caller.ask is not None:
            return await answer_questions(request, params, caller)
        if not (method in INPUT_REQUIRED_METHODS and caller.can_be_asked):
            return await request(params, caller)
        if await link.settled_era() is Era.HANDSHAKE:
            return await self._parked.begin(visiting(request), params, caller)
        result = await begin(params, caller)
        return (
            await self._parked.begin(result_of(link, result), params, caller) if is_task(result) else result
        )

    async def _begin(
        self, link: Link, method: str, params: Mapping[str, Any], caller: Caller, entry: Entry | None
    ) -> dict[str, Any]:
        """The raw result, which is a task where the upstream insists on that."""
        tool = None if entry is None else (entry.prefix, entry.original)
        if tool not in self._tasks_only:
            try:
                return await link.request(method, params, caller=caller, entry=entry)
            except UpstreamRefused as error:
                if tool is None or not insists_on_tasks(error):
                    raise
            self._tasks_only.add(tool)
        return await link.request(method, params, caller=following(caller), entry=entry)

    def leave(self, client: Client) -> None:
        """Ends what the upstreams keep for this client, whose session is over."""
        for link in self.links.values():
            link.leave(client)


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
        upstreams = Upstreams(
            config, Parked(tasks.start_soon), keeper, lambda link: tasks.start_soon(link.run)
        )
        try:
            await upstreams.take_up(config)
            yield upstreams
        finally:
            upstreams.stop()
            tasks.cancel_scope.deadline = anyio.current_time() + CLOSE_S


_NO_SUCH_RESOURCE = frozenset({-32002, INVALID_PARAMS})
"""What servers of the two eras answer that do not have a resource."""


def _under(uri: str, original: str, result: dict[str, Any]) -> dict[str, Any]:
    """The contents under the URI that was asked for."""
    contents = result.get("contents")
    if uri == original or not isinstance(contents, list):
        return result
    named = [
        {**content, "uri": uri} if isinstance(content, dict) and content.get("uri") == original else content
        for content in contents
    ]
    return {**result, "contents": named}


def _unknown(what: str, name: str, listing: str) -> NotFound:
    return NotFound(f"No upstream has a {what} named '{name[:80]}'. Call {listing} to see those there are.")
