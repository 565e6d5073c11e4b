"""Who a message comes from, in the terms of the upstreams: which session, what it can be asked and told."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.shared.dispatcher import CallOptions
from mcp.shared.jsonrpc_dispatcher import progress_token_from_params
from mcp_types import CLIENT_CAPABILITIES_META_KEY, LOG_LEVEL_META_KEY
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from komorebi_mcp.surface.principal import owner_of
from komorebi_mcp.surface.sdk import connection_of, outbound_of
from komorebi_mcp.surface.task_shapes import EXTENSION
from komorebi_mcp.upstream.caller import EVERY_LEVEL, Caller, Client
from komorebi_mcp.upstream.status import Era

QUESTION_TIMEOUT_S = 60.0
"""For a question outside any request, which a client without an open stream never sees."""

_OURS = frozenset({"tasks"})
"""Capabilities that end here: we keep tasks ourselves, and make none of an upstream's requests into one."""

Context = ServerRequestContext[Any, Any]


class Callers:
    """The sessions of clients, each known from its first message to its last."""

    def __init__(self, on_leave: Callable[[Client], None]) -> None:
        """`on_leave` is called once a session is over."""
        self._on_leave = on_leave
        self._clients: WeakKeyDictionary[object, Client] = WeakKeyDictionary()

    def caller_of(self, ctx: Context) -> Caller:
        """Who makes this request."""
        client = self.client_of(ctx)
        outbound = outbound_of(ctx)
        capabilities: Mapping[str, Any]
        if client is None or era_of(ctx) is Era.MODERN:
            meta = _meta(ctx.params)
            capabilities = _declared(meta.get(CLIENT_CAPABILITIES_META_KEY))
            level = meta.get(LOG_LEVEL_META_KEY)
            ask = None
        else:
            capabilities = client.capabilities
            level = client.log_level or EVERY_LEVEL
            ask = outbound.send_raw_request if outbound.can_send_request else None
        return Caller(
            owner=owner_of(ctx),
            client=client,
            capabilities=capabilities,
            ask=ask,
            tell=outbound.notify,
            progress_token=progress_token_from_params(ctx.params),
            log_level=level if isinstance(level, str) else None,
        )

    def client_of(self, ctx: Context) -> Client | None:
        """The session that the message belongs to; None where each stands alone."""
        connection = connection_of(ctx)
        if era_of(ctx) is Era.MODERN:
            # Over stdio all requests share one way out, which is all there is of a session in this era.
            if not connection.has_standalone_channel:
                return None
            return self._clients.setdefault(connection.outbound, Client(owner_of(ctx)))
        client = self._clients.get(connection)
        if client is None:
            client = self._clients[connection] = Client(
                owner_of(ctx), ask=partial(_ask, connection), tell=connection.notify
            )
            connection.exit_stack.callback(self._forget, connection, client)
        if ctx.method == "initialize":
            client.capabilities = _declared((ctx.params or {}).get("capabilities"))
        return client

    def _forget(self, connection: Connection, client: Client) -> None:
        self._clients.pop(connection, None)
        self._on_leave(client)


def era_of(ctx: Context) -> Era:
    return Era.MODERN if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS else Era.HANDSHAKE


def _declared(capabilities: object) -> dict[str, Any]:
    given = capabilities if isinstance(capabilities, Mapping) else {}
    declared = {key: value for key, value in given.items() if key not in _OURS and value is not None}
    if isinstance(extensions := declared.get("extensions"), Mapping) and EXTENSION in extensions:
        declared["extensions"] = {key: value for key, value in extensions.items() if key != EXTENSION}
    return declared


def _meta(params: Mapping[str, Any] | None) -> Mapping[str, Any]:
    meta = (params or {}).get("_meta")
    return meta if isinstance(meta, Mapping) else {}


async def _ask(connection: Connection, method: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
    await connection.initialized.wait()
    options: CallOptions = {"timeout": QUESTION_TIMEOUT_S}
    return await connection.outbound.send_raw_request(method, params, options)
