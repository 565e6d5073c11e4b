"""Bodies of HTTP requests: whole, in time, a JSON-RPC message, and one that its sender may send."""

import json
from collections.abc import Callable

import anyio
from mcp.server.transport_security import DEFAULT_MAX_REQUEST_BODY_SIZE, RequestBodyLimitMiddleware
from mcp_types import JSONRPCNotification, JSONRPCRequest
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from komorebi_mcp.surface.principal import principal_in
from komorebi_mcp.surface.scopes import Scopes, needed
from komorebi_mcp.surface.wire import Malformed, parse_message

BODY_BYTES_MAX = DEFAULT_MAX_REQUEST_BODY_SIZE
BODY_S = 30.0
"""How long a body may take to come in; who sends slower holds a connection and gives nothing."""

RPC_METHOD = "komorebi.rpc_method"
"""Where on an HTTP request its JSON-RPC method is noted, for the access log."""
MESSAGE = "komorebi.message"
"""Where on an HTTP request the message in its body is noted, once it may be carried out."""


class Bodies:
    """Passes on messages that may be carried out, and answers all others.

    The SDK's own answers to a malformed body repeat what was sent, and name no id.
    """

    def __init__(
        self, app: ASGIApp, *, path: str, endpoint: ASGIApp, forbid: Callable[[Scope, Scopes], Response]
    ) -> None:
        """Messages posted to `path` go to `endpoint`, all other requests to `app`."""
        self._app = app
        self._path = path
        self._endpoint = endpoint
        self._forbid = forbid
        self._limited = RequestBodyLimitMiddleware(self._checked, BODY_BYTES_MAX)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        posted = scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == self._path
        if not posted or not _is_json(scope):
            # The SDK refuses the content type.
            await self._app(scope, receive, send)
            return
        try:
            await self._limited(scope, _in_time(receive), send)
        except _TooSlow:
            slow = Response(
                "The request body took too long", status_code=408, headers={"connection": "close"}
            )
            await slow(scope, receive, send)

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The limit in front of this has the whole body in its first message.
        first = await receive()
        if first["type"] != "http.request":
            # The client went away before it had sent all.
            return
        try:
            message = parse_message(first.get("body", b""))
        except Malformed as malformed:
            answer = malformed.answer
            refused = (
                Response(status_code=400)
                if answer is None
                else JSONResponse(json.loads(answer.model_dump_json(by_alias=True)), status_code=400)
            )
            await refused(scope, receive, send)
            return
        if isinstance(message, JSONRPCRequest | JSONRPCNotification):
            scope[RPC_METHOD] = message.method
            if missing := needed(message.method, message.params) - principal_in(scope).scopes:
                await self._forbid(scope, missing)(scope, receive, send)
                return
        scope[MESSAGE] = message
        waiting: list[Message] = [first]

        async def replay() -> Message:
            return waiting.pop() if waiting else await receive()

        await self._endpoint(scope, replay, send)


class _TooSlow(Exception):
    """The body did not come in in time."""


def _is_json(scope: Scope) -> bool:
    return Headers(scope=scope).get("content-type", "").lower().startswith("application/json")


def _in_time(receive: Receive) -> Receive:
    """`receive`, which fails once the body has taken too long; what comes after it may take its time."""
    until = anyio.current_time() + BODY_S
    whole = False

    async def receive_in_time() -> Message:
        nonlocal whole
        if whole:
            return await receive()
        with anyio.move_on_after(until - anyio.current_time()):
            message = await receive()
            whole = not message.get("more_body", False)
            return message
        raise _TooSlow

    return receive_in_time
