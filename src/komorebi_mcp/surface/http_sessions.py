"""The SDK's sessions over HTTP, each with a keeper of its own for what was sent on its streams.

The SDK takes one keeper for all sessions, and makes its own transport for each. Both are changed here through
names that it keeps to itself, for which it is pinned.
"""

from typing import Any, Final

from mcp.server.auth.middleware.bearer_auth import AuthorizationContext
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http import EventStore, StreamableHTTPServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types import JSONRPCRequest
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.types import Receive, Scope, Send

from komorebi_mcp.surface.bodies import MESSAGE
from komorebi_mcp.surface.exchange import answer_alone
from komorebi_mcp.surface.resuming import Allowance, SessionEvents
from komorebi_mcp.surface.session_posts import SessionTransport

_VERSION: Final = MCP_PROTOCOL_VERSION_HEADER.encode()
SESSIONS_MAX: Final = 1_000
"""Of one owner; one more ends the one that has been idle for the longest. All owners together have 10,000."""


class ResumableSessions(StreamableHTTPSessionManager):
    """The sessions of one server."""

    def __init__(self, server: Server[Any], **options: Any) -> None:
        self._allowance = Allowance()
        super().__init__(server, **options)

    @property
    def event_store(self) -> EventStore:
        # An attribute there, read once for each session.
        return SessionEvents(self._allowance)

    @event_store.setter
    def event_store(self, _: EventStore | None) -> None:
        """What the SDK was given, which is none."""

    async def handle_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = scope.get(MESSAGE)
        if isinstance(message, JSONRPCRequest) and _is_modern(scope):
            assert self._task_group is not None  # noqa: S101 - requests come while it runs.
            await answer_alone(
                scope,
                receive,
                send,
                server=self.app,
                lifespan_state=self._lifespan_state,
                message=message,
                start=self._task_group.start_soon,
            )
        elif message is not None:
            # Whoever read it has kept to the limit already.
            await self._handle_request(scope, receive, send)
        else:
            await super().handle_request(scope, receive, send)

    def end(self) -> None:
        """Ends every session; a call under way in one is answered with an error, and stopped."""
        for transport in self._server_instances.values():
            # As when a session has been idle for too long: its way out stays open until all is said.
            if transport.idle_scope is not None:
                transport.idle_scope.cancel()

    def _admit_session(self, requestor: AuthorizationContext | None) -> StreamableHTTPServerTransport | None:
        self._make_room(requestor)
        transport = super()._admit_session(requestor)
        if transport is not None:
            transport.__class__ = SessionTransport
        return transport

    def _make_room(self, requestor: AuthorizationContext | None) -> None:
        """Ends a session of theirs where they have as many as they may.

        A client that opens one for each call and leaves it would otherwise take all there are within minutes,
        and for half an hour nobody could open another.
        """
        if len(self._server_instances) < SESSIONS_MAX:
            return
        theirs = [
            transport.idle_scope
            for session_id, transport in self._server_instances.items()
            if self._session_owners.get(session_id) == requestor
            and transport.idle_scope is not None
            and not transport.idle_scope.cancel_called
        ]
        if len(theirs) >= SESSIONS_MAX:
            # The sooner it would end by itself, the longer it has been idle.
            min(theirs, key=lambda idle: idle.deadline).cancel()


def _is_modern(scope: Scope) -> bool:
    """Whether the request names a version, and none of the handshake era, as the SDK tells them apart."""
    versions = [value.decode("latin-1") for name, value in scope["headers"] if name == _VERSION]
    return bool(versions) and versions[0] not in HANDSHAKE_PROTOCOL_VERSIONS
