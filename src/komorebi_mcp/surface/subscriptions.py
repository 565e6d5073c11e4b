"""Tells clients of both eras what has changed.

A modern client listens: its `subscriptions/listen` request stays open and carries what it asked for. A client
of the handshake era subscribes to resources one by one and is told of lists without asking. Each hears of its
own owner's data only.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakKeyDictionary

import anyio
import structlog
from mcp.server.connection import Connection
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)
from mcp_types import (
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from komorebi_mcp.domain.changes import Change
from komorebi_mcp.domain.ids import capture_uri
from komorebi_mcp.errors import InvalidInput, StorageError
from komorebi_mcp.services.watch import Followed, Watch
from komorebi_mcp.surface.principal import owner_of
from komorebi_mcp.surface.resource_uris import (
    INBOX_URI,
    PROJECTS_URI,
    UPSTREAMS_URI,
    canonical,
    project_uris,
)
from komorebi_mcp.surface.sdk import connection_of
from komorebi_mcp.upstream.offers import Kind

FOLLOWED_MAX: Final = 5_000
"""Resources that one owner can follow at once; all of them may be looked at every second."""
URI_CHARS_MAX: Final = 8_192

_NOTIFY_TIMEOUT_S = 1.0
"""A client that does not read for so long misses the notification, so that the others are told."""

_CAPTURES = capture_uri("")

_LIST_CHANGED: dict[Kind, ServerEvent] = {
    Kind.TOOL: ToolsListChanged(),
    Kind.PROMPT: PromptsListChanged(),
    Kind.RESOURCE: ResourcesListChanged(),
    Kind.TEMPLATE: ResourcesListChanged(),
}

_log = structlog.get_logger(__name__)

_Context = ServerRequestContext[Any, Any]


_Uris = dict[str, str]
"""URIs as they were asked for, each with the form that changes are told by."""


@dataclass(slots=True)
class _HandshakeClient:
    owner: str
    uris: _Uris = field(default_factory=dict)


class _Modern:
    """The open listen requests of one owner."""

    def __init__(self) -> None:
        self.bus = InMemorySubscriptionBus()
        self.handler = ListenHandler(self.bus)
        self.listening: dict[object, _Uris] = {}


class Subscriptions:
    """Who is to be told what. It is a middleware too, which is how it learns of handshake clients."""

    def __init__(self, watch: Watch | None = None) -> None:
        """Without a watch only what happens in this process is told."""
        self._watch = watch
        self._looking = anyio.Lock()
        self._followed_since = anyio.Event()
        self._modern: dict[str, _Modern] = {}
        self._handshake: WeakKeyDictionary[Connection, _HandshakeClient] = WeakKeyDictionary()
        self._known_projects: set[tuple[str, str]] = set()
        # Events say that something is different now, so that two of the same are one.
        self._waiting: dict[tuple[str | None, ServerEvent], None] = {}
        self._arrived = anyio.Event()

    async def __call__(self, ctx: _Context, call_next: CallNext) -> HandlerResult:
        result = await call_next(ctx)
        if ctx.method == "notifications/initialized":
            self._handshake[connection_of(ctx)] = _HandshakeClient(owner_of(ctx))
        return result

    async def listen(
        self, ctx: _Context, params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Serves one `subscriptions/listen` request, until the client leaves or `close` is called."""
        owner, request = owner_of(ctx), object()
        modern = self._modern.setdefault(owner, _Modern())
        modern.listening[request] = self._asked(owner, params.notifications.resource_subscriptions or ())
        try:
            await self._follow(owner)
            return await modern.handler(ctx, params)
        finally:
            del modern.listening[request]

    async def subscribe(self, ctx: _Context, params: SubscribeRequestParams) -> EmptyResult:
        if client := self._handshake.get(connection_of(ctx)):
            client.uris |= self._asked(client.owner, [params.uri])
            await self._follow(client.owner)
        return EmptyResult()

    async def unsubscribe(self, ctx: _Context, params: UnsubscribeRequestParams) -> EmptyResult:
        if client := self._handshake.get(connection_of(ctx)):
            client.uris.pop(params.uri, None)
        return EmptyResult()

    def _asked(self, owner: str, uris: Iterable[str]) -> _Uris:
        """What the owner is to follow as well.

        Raises:
            InvalidInput: That is too much.
        """
        asked = {uri: canonical(uri) for uri in uris}
        if len(self._followed_uris(owner) | asked) > FOLLOWED_MAX:
            raise InvalidInput(
                f"That would be more than the {FOLLOWED_MAX:,} resources that one owner can follow. "
                "Unsubscribe from some first."
            )
        if any(len(uri) > URI_CHARS_MAX for uri in asked):
            raise InvalidInput(f"No resource to follow has a URI of more than {URI_CHARS_MAX:,} characters.")
        return asked

    def close(self) -> None:
        """Ends every open listen request, which would otherwise hold up a shutdown."""
        for modern in self._modern.values():
            modern.handler.close()

    def tell(self, change: Change) -> None:
        """Has `run` tell the owner's clients of the change; returns at once."""
        changed = {capture_uri(capture_id) for capture_id in change.captures}
        changed.update(uri for name in change.projects for uri in project_uris(name))
        if change.captures:
            changed.add(INBOX_URI)
        for asked, uri in self._followed_uris(change.owner).items():
            if uri in changed:
                self._waiting[change.owner, ResourceUpdated(asked)] = None
        seen = {(change.owner, name) for name in change.projects}
        if not seen <= self._known_projects:
            # The list of resources has a brief for each project.
            self._known_projects |= seen
            self._waiting[change.owner, ResourcesListChanged()] = None
        if self._waiting:
            self._arrived.set()

    def tell_of_lists(self, kinds: Iterable[Kind]) -> None:
        """Has `run` tell every client that the upstreams offer others of these kinds; returns at once."""
        for kind in kinds:
            self._waiting[None, _LIST_CHANGED[kind]] = None
        self._arrived.set()

    def tell_of_resource(self, uri: str) -> None:
        """Has `run` tell those who follow it that an upstream's resource has changed; returns at once."""
        self._waiting[None, ResourceUpdated(uri)] = None
        self._arrived.set()

    def tell_of_upstreams(self) -> None:
        """Has `run` tell those who subscribed that upstreams are doing otherwise; returns at once."""
        self._waiting[None, ResourceUpdated(UPSTREAMS_URI)] = None
        self._arrived.set()

    async def run(self) -> None:
        """Tells what there is to tell, until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived = anyio.Event()
            waiting, self._waiting = self._waiting, {}
            for owner, event in waiting:
                for bus in self._buses(owner):
                    await bus.publish(event)
                await self._notify_handshake(owner, event)

    async def look_out(self) -> None:
        """Has what other processes changed told too, for as long as somebody follows it; until cancelled."""
        while self._watch is not None:
            owners = {client.owner for client in tuple(self._handshake.values())} | self._modern.keys()
            following = [owner for owner in owners if self._followed(owner) != Followed()]
            if not following:
                await self._followed_since.wait()
                self._followed_since = anyio.Event()
            for owner in following:
                await self._look(owner)
            await self._watch.pause()

    async def _follow(self, owner: str) -> None:
        """Notes how things stand, so that whatever changes from now on is told."""
        await self._look(owner)
        self._followed_since.set()

    async def _look(self, owner: str) -> None:
        # One at a time: a look that began before somebody subscribed must not end after that one's first.
        async with self._looking:
            followed = self._followed(owner)
            if self._watch is None or followed == Followed():
                return
            try:
                await self._watch.look(owner, followed)
            except StorageError as error:
                _log.warning("subscriptions.look_failed", error=str(error))

    def _followed_uris(self, owner: str) -> _Uris:
        uris: _Uris = {}
        for client in tuple(self._handshake.values()):
            if client.owner == owner:
                uris |= client.uris
        if modern := self._modern.get(owner):
            for asked in modern.listening.values():
                uris |= asked
        return uris

    def _followed(self, owner: str) -> Followed:
        uris = set(self._followed_uris(owner).values())
        ids = {uri.removeprefix(_CAPTURES) for uri in uris if uri.startswith(_CAPTURES)}
        return Followed(
            frozenset(ids),
            inbox=INBOX_URI in uris,
            projects=any(uri.startswith(PROJECTS_URI) for uri in uris),
        )

    def _buses(self, owner: str | None) -> Iterator[InMemorySubscriptionBus]:
        for name, modern in tuple(self._modern.items()):
            if owner is None or name == owner:
                yield modern.bus

    async def _notify_handshake(self, owner: str | None, event: ServerEvent) -> None:
        for connection, client in tuple(self._handshake.items()):
            if owner is not None and client.owner != owner:
                continue
            with anyio.move_on_after(_NOTIFY_TIMEOUT_S):
                match event:
                    case ToolsListChanged():
                        await connection.notify("notifications/tools/list_changed", None)
                    case PromptsListChanged():
                        await connection.notify("notifications/prompts/list_changed", None)
                    case ResourcesListChanged():
                        await connection.notify("notifications/resources/list_changed", None)
                    case ResourceUpdated(uri=uri) if uri in client.uris:
                        await connection.notify("notifications/resources/updated", {"uri": uri})
