"""One request of a modern client over HTTP: a POST with its answer, which belongs to no session.

The SDK's own way to answer it starts two tasks and a queue for each, and reads once more what stood in
front of it has read. A call through the gateway took a sixth longer by it.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final

import anyio
from mcp.server import Server
from mcp.server.connection import Connection
from mcp.server.runner import ServerRunner, modern_error_data
from mcp.server.streamable_http import check_accept_headers
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.inbound import (
    ERROR_CODE_HTTP_STATUS,
    InboundLadderRejection,
    InboundModernRoute,
    classify_inbound_request,
    find_duplicated_routing_header,
)
from mcp.shared.jsonrpc_dispatcher import progress_token_from_params
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.transport_context import TransportContext
from mcp_types import HEADER_MISMATCH, ErrorData, JSONRPCRequest
from pydantic_core import PydanticSerializationError, to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from komorebi_mcp.surface.sdk import param_headers_rejection
from komorebi_mcp.surface.streams import PING, PING_S, STREAM_HEADERS, Writer, event_with
from komorebi_mcp.surface.underway import UnderWay, under_way_in

WATCH_AFTER_S = 0.05
"""How long a request is carried out before anybody looks whether its client is still there."""

Start = Callable[..., object]
"""Runs a function as a task, with the arguments that follow it."""

_STREAM: Final = {
    "type": "http.response.start",
    "status": HTTPStatus.OK.value,
    "headers": STREAM_HEADERS,
}


async def answer_alone(
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    server: Server[Any],
    lifespan_state: Any,
    message: JSONRPCRequest,
    start: Start,
) -> None:
    """Carries out a request and answers it: with JSON, or by a stream where something is said before.

    The request is cancelled when its client goes. `start` runs a task that may go on a little longer.
    """
    request = Request(scope, receive)
    if not _takes_both(request):
        await Response(status_code=HTTPStatus.NOT_ACCEPTABLE)(scope, receive, send)
        return
    exchange = Exchange(request, message, send)
    route = await _route(server, lifespan_state, message, request)
    if isinstance(route, InboundLadderRejection):
        error = ErrorData(code=route.code, message=route.message, data=route.data)
        await exchange.refuse(error)
        return
    connection = Connection.from_envelope(
        route.protocol_version, route.client_info, route.client_capabilities
    )
    # Without the SDK's `serve_one`, which closes what a connection has open: after one request, nothing.
    served = ServerRunner(server, connection, lifespan_state).on_request(
        exchange, message.method, message.params
    )
    # Most requests are answered before, and need no task more.
    watch = asyncio.get_running_loop().call_later(
        WATCH_AFTER_S, start, exchange.watch, receive, under_way_in(scope)
    )
    try:
        await exchange.end(served)
    finally:
        watch.cancel()
        exchange.is_over = True


class Exchange:
    """The way back to the client while its request is carried out: the SDK's `DispatchContext`."""

    can_send_request = False
    """Modern clients are asked by results."""

    def __init__(self, request: Request, message: JSONRPCRequest, send: Send) -> None:
        self.transport = TransportContext(
            kind="streamable-http", can_send_request=False, headers=request.headers
        )
        self.request_id = message.id
        self.message_metadata = ServerMessageMetadata(request_context=request)
        self.progress_token = progress_token_from_params(message.params)
        self._stream = Writer(send, _STREAM)
        self._turn = asyncio.Lock()
        """Events are written one by one, by whichever task has one."""
        self.is_over = False

    @cached_property
    def cancel_requested(self) -> anyio.Event:
        """Nobody sets it: in this era a request is cancelled by whoever leaves its stream."""
        return anyio.Event()

    async def send_raw_request(
        self,
        method: str,
        params: Mapping[str, Any] | None,  # noqa: ARG002
        opts: CallOptions | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        raise NoBackChannelError(method)

    async def notify(
        self,
        method: str,
        params: Mapping[str, Any] | None,
        opts: CallOptions | None = None,  # noqa: ARG002  # They are of requests.
    ) -> None:
        """Sends it ahead of the answer; what comes behind that has nowhere to go."""
        told = {"jsonrpc": "2.0", "method": method, **({} if params is None else {"params": params})}
        await self._write(event_with(_encoded(told)))

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        if self.progress_token is not None:
            told = {"progressToken": self.progress_token, "progress": progress}
            optional = {"total": total, "message": message}
            told |= {name: value for name, value in optional.items() if value is not None}
            await self.notify("notifications/progress", told)

    async def watch(self, receive: Receive, request: UnderWay) -> None:
        """Keeps a silent response alive, and cancels what is carried out once the client has gone.

        It ends with the response: a server says to whoever goes on receiving that this is over.
        """
        while not self.is_over:
            with anyio.move_on_after(PING_S):
                while (await receive())["type"] != "http.disconnect":
                    pass
                if not self.is_over:
                    request.abandon()
                return
            await self._write(PING)

    async def end(self, served: Awaitable[dict[str, Any]]) -> None:
        """Awaits the result, and sends it or the error that came of it."""
        try:
            result = await served
        except Exception as error:  # noqa: BLE001  # The SDK logs those that it does not know.
            await self.refuse(modern_error_data(error))
        else:
            await self._end({"result": result}, HTTPStatus.OK)

    async def refuse(self, error: ErrorData) -> None:
        """Sends the error, with the HTTP status that is its own."""
        told = error.model_dump(mode="json", by_alias=True, exclude_none=True)
        await self._end({"error": told}, ERROR_CODE_HTTP_STATUS.get(error.code, HTTPStatus.OK))

    async def _end(self, outcome: Mapping[str, Any], status: int) -> None:
        body = _encoded({"jsonrpc": "2.0", "id": self.request_id, **outcome})
        async with self._turn:
            self.is_over = True
            if self._stream.has_begun:
                await self._stream.end(event_with(body))
            else:
                await self._stream.answer(body, status=status)

    async def _write(self, event: bytes) -> None:
        async with self._turn:
            if not self.is_over:
                await self._stream.write(event)


def _takes_both(request: Request) -> bool:
    """Whether the client takes an answer in either form, as it has to."""
    accepted = request.headers.get("accept")
    return accepted == "application/json, text/event-stream" or all(check_accept_headers(request))


async def _route(
    server: Server[Any], lifespan_state: Any, message: JSONRPCRequest, request: Request
) -> InboundModernRoute | InboundLadderRejection:
    """What the request says of itself, or why its headers and its body do not go together."""
    named = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.scope["headers"]]
    twice = find_duplicated_routing_header(named)
    if twice is not None:
        return InboundLadderRejection(code=HEADER_MISMATCH, message=f"{twice} header appears more than once")
    body = {"method": message.method, "params": message.params}
    route = classify_inbound_request(body, headers=dict(named))
    if isinstance(route, InboundLadderRejection):
        return route
    return await param_headers_rejection(server, request, message, route, lifespan_state) or route


def _encoded(message: Mapping[str, Any]) -> bytes:
    try:
        # A number too large for one is told as none, since Infinity is no JSON.
        return to_json(message, inf_nan_mode="null")
    except PydanticSerializationError:
        # Another server's lone surrogate: it travels on as the escape it came as.
        return json.dumps(message, separators=(",", ":")).encode()
