"""Bodies of HTTP requests: whole, in time, a JSON-RPC message, and one that its sender may send."""

import asyncio
import json
from collections.abc import Callable
from typing import Final

from mcp.server.transport_security import DEFAULT_MAX_REQUEST_BODY_SIZE
from mcp_types import JSONRPCNotification, JSONRPCRequest
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from komorebi_mcp.surface.principal import principal_in
from komorebi_mcp.surface.scopes import Scopes, lacking
from komorebi_mcp.surface.underway import under_way_in
from komorebi_mcp.surface.wire import Malformed, parse_message

BODY_BYTES_MAX = DEFAULT_MAX_REQUEST_BODY_SIZE
BODY_S = 30.0
"""How long a body may take to come in; who sends slower holds a connection and gives nothing."""

RPC_METHOD = "komorebi.rpc_method"
"""Where on an HTTP request its JSON-RPC method is noted, for the access log."""
MESSAGE = "komorebi.message"
"""Where on an HTTP request the message in its body is noted, once it may be carried out."""

_TOO_LONG: Final = Response("Request body too large", status_code=413)
_TOO_SLOW: Final = Response(
    "The request body took too long", status_code=408, headers={"connection": "close"}
)


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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        posted = scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == self._path
        headers = Headers(scope=scope) if posted else Headers()
        if not headers.get("content-type", "").lower().startswith("application/json"):
            # The SDK refuses the content type.
            await self._app(scope, receive, send)
            return
        if int(headers.get("content-length", 0)) > BODY_BYTES_MAX:
            await _TOO_LONG(scope, receive, send)
            return
        late = asyncio.get_running_loop().call_later(BODY_S, under_way_in(scope).end, _TOO_SLOW)
        try:
            body = await _whole(receive)
        finally:
            late.cancel()
        if body is None:
            # The client went away before it had sent all.
            return
        if len(body) > BODY_BYTES_MAX:
            await _TOO_LONG(scope, receive, send)
            return
        await self._pass_on(body, scope, receive, send)

    async def _pass_on(self, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            message = parse_message(body)
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
            if missing := lacking(message.method, message.params, principal_in(scope).scopes):
                await self._forbid(scope, missing)(scope, receive, send)
                return
        scope[MESSAGE] = message
        if not isinstance(message, JSONRPCRequest):
            # The SDK takes it up, and reads it once more.
            receive = _again(body, receive)
        await self._endpoint(scope, receive, send)


async def _whole(receive: Receive) -> bytes | None:
    """The body, or a beginning of it that is too long already; None where its sender goes before its end."""
    parts: list[bytes] = []
    size = 0
    while (message := await receive())["type"] == "http.request":
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > BODY_BYTES_MAX or not message.get("more_body", False):
            return b"".join(parts)
    return None


def _again(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
