"""Streamable HTTP as a wire: each request is a POST, made and read by whoever waits for the answer.

The SDK's client carries a message through three queues and as many tasks; with its HTTP library, that was
half of what a call through the gateway took.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, Final

import anyio
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types import REQUEST_TIMEOUT
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from opentelemetry.propagate import inject
from pydantic_core import to_json

from komorebi_mcp.domain.spans import is_traced
from komorebi_mcp.errors import UpstreamError, UpstreamUnavailable
from komorebi_mcp.upstream.allowance import Allowance
from komorebi_mcp.upstream.caller import Start
from komorebi_mcp.upstream.endpoint import Endpoint, advice_on, chunks_of, open_endpoint, whole_of
from komorebi_mcp.upstream.events import Event, EventTooLong, events_in
from komorebi_mcp.upstream.messages import Answer, Asked, Told, outcome_of, read_message
from komorebi_mcp.upstream.response import Response
from komorebi_mcp.upstream.stdio import MESSAGE_BYTES_MAX
from komorebi_mcp.upstream.wire import Ears, Ended, NotSent, OpenWire, Refused, SessionExpired, Wire

SESSION_HEADER: Final = "mcp-session-id"
RESUMPTIONS_MAX = 2
"""How often in a row a stream that broke off is taken up without anything coming of it."""
RESUME_AFTER_MS = 1000
"""Where the server does not say."""
ASKED_MAX = 50
"""Requests of the upstream that are answered at once, each over a connection; others wait unread."""
GOODBYE_S = 1.0
LISTEN_WAIT_S = 0.3
"""How long the first request waits for the stream on which changes are told; ahead of it they are lost. Some
servers open it with the first event only."""

_ACCEPTED, _BAD_REQUEST, _NOT_FOUND, _REDIRECT = 202, 400, 404, 300
_MESSAGE: Final = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
_LISTENING: Final = {"accept": "text/event-stream", "cache-control": "no-store"}


def over_http(url: str, *, headers: Mapping[str, str], read_timeout_s: float) -> OpenWire:
    """The way over streamable HTTP; `read_timeout_s` is how long the server may be silent in a response."""

    @asynccontextmanager
    async def open_(ears: Ears) -> AsyncIterator[Wire]:
        async with (
            open_endpoint(url, headers=headers, read_timeout_s=read_timeout_s) as endpoint,
            anyio.create_task_group() as beside,
        ):
            wire = HttpWire(endpoint, ears, beside.start_soon)
            try:
                yield wire
            finally:
                beside.cancel_scope.cancel()
                await wire.leave()
        if wire.failure is not None:
            raise wire.failure

    return open_


@dataclass(slots=True)
class _Place:
    """How far a stream of events has been read."""

    last_id: str | None = None
    retry_ms: int = RESUME_AFTER_MS

    def note(self, event: Event) -> None:
        self.last_id = event.id or self.last_id
        self.retry_ms = self.retry_ms if event.retry_ms is None else event.retry_ms


class HttpWire:
    """See `Wire`."""

    correlates = True

    def __init__(self, endpoint: Endpoint, ears: Ears, start: Start) -> None:
        """`start` runs a task for as long as the wire is open."""
        self._endpoint = endpoint
        self._ears = ears
        self._start = start
        self._ids = count(1)
        self._is_open = True
        self._session_id: str | None = None
        self._version: str | None = None
        """As the latest message named it, for those that do not."""
        self._asked: dict[str | int, anyio.CancelScope] = {}
        """What the upstream waits to be answered."""
        self._room = anyio.Semaphore(ASKED_MAX)
        self.failure: UpstreamUnavailable | None = None
        """Why the wire is of no more use; None while it is."""

    @property
    def keeps_state(self) -> bool:
        """Whether the server has named a session, and so may remember what was done in it."""
        return self._session_id is not None

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        opts = opts or {}
        timeout_s = opts.get("timeout")
        if timeout_s is None:
            return await self._request(method, params, opts)
        with anyio.move_on_after(timeout_s):
            return await self._request(method, params, opts)
        raise MCPError(code=REQUEST_TIMEOUT, message=f"No answer to {method} in {timeout_s:g} seconds")

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        message = {"jsonrpc": "2.0", "method": method, **({} if params is None else {"params": params})}
        with suppress(UpstreamError):
            await self._post(message, (opts or {}).get("headers"))
        if method == "notifications/initialized" and self._is_open:
            heard = anyio.Event()
            self._start(partial(self._listen, heard.set))
            with anyio.move_on_after(LISTEN_WAIT_S):
                await heard.wait()

    async def leave(self) -> None:
        """Tells the server that the session is over, if there is one."""
        self._is_open = False
        if self._session_id is None or isinstance(self.failure, SessionExpired):
            return
        with anyio.move_on_after(GOODBYE_S, shield=True), suppress(UpstreamError):
            response = await self._endpoint.request("DELETE", headers=self._headers(None))
            response.leave()

    async def _request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions
    ) -> dict[str, Any]:
        request_id = next(self._ids)
        message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": _traced(params)}
        if method == "initialize":
            self._version = None
        headers = self._headers(opts.get("headers"))
        try:
            with await self._endpoint.request(
                "POST", body=to_json(message, inf_nan_mode="null"), headers=_MESSAGE | headers
            ) as response:
                if method == "initialize":
                    self._session_id = response.headers.get(SESSION_HEADER)
                return await self._answer_in(response, request_id)
        except NotSent as error:
            self._break(error)
            raise
        except anyio.get_cancelled_exc_class():
            # In the modern era the end of the stream says it all.
            if opts.get("cancel_on_abandon", True) and self._is_open and not self._is_modern:
                gone = {"requestId": request_id, "reason": "The caller has gone."}
                self._start(partial(self.notify, "notifications/cancelled", gone))
            raise

    async def _post(self, message: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        response = await self._endpoint.request(
            "POST", body=to_json(message, inf_nan_mode="null"), headers=_MESSAGE | self._headers(headers)
        )
        response.leave()

    def _headers(self, given: Mapping[str, str] | None) -> dict[str, str]:
        headers = dict(given or {})
        self._version = headers.get(MCP_PROTOCOL_VERSION_HEADER, self._version)
        if self._version is not None:
            headers[MCP_PROTOCOL_VERSION_HEADER] = self._version
        if self._session_id is not None:
            headers[SESSION_HEADER] = self._session_id
        return headers

    @property
    def _is_modern(self) -> bool:
        return self._version in MODERN_PROTOCOL_VERSIONS

    async def _answer_in(self, response: Response, request_id: int) -> dict[str, Any]:
        if response.status >= _BAD_REQUEST:
            raise await self._refusal(response)
        if response.status >= _REDIRECT:
            raise Refused(
                f"It redirects to {response.headers.get('location', 'nowhere')!a}, which is not followed. "
                "Put that URL into the upstreams file if it is the right one."
            )
        if response.status == _ACCEPTED:
            raise UpstreamUnavailable("It took the request and does not answer it.")
        match response.content_type:
            case "application/json":
                return outcome_of(
                    read_message(await whole_of(response, bytes_max=MESSAGE_BYTES_MAX)), request_id
                )
            case "text/event-stream":
                return await self._follow(response, request_id)
            case kind:
                given = ascii(kind[:60]) if kind else "nothing"
                raise UpstreamUnavailable(f"It answered with {given} in place of a message.")

    async def _refusal(self, response: Response) -> Exception:
        """What an HTTP status of refusal means for the request."""
        if response.status == _NOT_FOUND and self._session_id is not None:
            return SessionExpired("It no longer knows the session.")
        if response.content_type == "application/json":
            with suppress(UpstreamUnavailable):
                message = read_message(await whole_of(response, bytes_max=MESSAGE_BYTES_MAX))
                if isinstance(message, Answer) and isinstance(message.outcome, MCPError):
                    return message.outcome
        advice = advice_on(response.status, response.headers.get("retry-after", ""))
        return Refused(f"It answered with HTTP status {response.status}. {advice}")

    async def _follow(self, response: Response, request_id: int) -> dict[str, Any]:
        """The answer at the end of a stream, which is taken up again where it breaks off."""
        place = _Place()
        answer = await self._read(response, place, request_id)
        tries = 0
        while answer is None:
            if place.last_id is None or tries == RESUMPTIONS_MAX:
                raise Ended("It ended the stream before it answered.")
            before = place.last_id
            await anyio.sleep(place.retry_ms / 1000)
            headers = _LISTENING | self._headers(None) | {"last-event-id": place.last_id}
            with suppress(Ended), await self._endpoint.request("GET", headers=headers) as resumed:
                if resumed.status < _REDIRECT:
                    answer = await self._read(resumed, place, request_id)
            tries = tries + 1 if place.last_id == before else 0
        return outcome_of(answer, request_id)

    async def _read(self, response: Response, place: _Place, request_id: int | None) -> Answer | None:
        """The answer to this request, once all that came before it was handed on; None if there is none."""
        allowance = Allowance()
        try:
            async for event in events_in(allowance.paced(chunks_of(response)), bytes_max=MESSAGE_BYTES_MAX):
                place.note(event)
                data = event.data
                if event.name != b"message" or not data or not allowance.covers(data):
                    continue
                message = read_message(data)
                match message:
                    case Answer() if request_id is not None and message.id in (request_id, None):
                        return message
                    case Asked():
                        await self._room.acquire()
                        self._start(partial(self._answer, message))
                    case Told():
                        self._hear(message)
        except EventTooLong as error:
            raise UpstreamUnavailable(f"It sent a message of more than {MESSAGE_BYTES_MAX} bytes.") from error
        except Ended:
            return None
        return None

    def _hear(self, told: Told) -> None:
        if told.method == "notifications/cancelled":
            request_id = (told.params or {}).get("requestId")
            if isinstance(request_id, str | int) and request_id in self._asked:
                self._asked[request_id].cancel()
            return
        self._ears.hear(told.method, told.params)

    async def _answer(self, asked: Asked) -> None:
        """Answers a request of the upstream, in a task that has the context of the stream it came on."""
        try:
            await self._answer_in_turn(asked)
        finally:
            self._room.release()

    async def _answer_in_turn(self, asked: Asked) -> None:
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": asked.id}
        with anyio.CancelScope() as scope:
            self._asked[asked.id] = scope
            try:
                reply["result"] = await self._ears.answer(asked.method, asked.params)
            except MCPError as error:
                reply["error"] = error.error.model_dump(exclude_none=True)
            finally:
                self._asked.pop(asked.id, None)
        if not scope.cancelled_caught:
            with suppress(UpstreamError):
                await self._post(reply)

    async def _listen(self, settled: Callable[[], None]) -> None:
        """Hears what a handshake server says outside of any request, as far as it says anything there.

        `settled` is called once it is heard, or will not be.
        """
        place = _Place()
        tries = 0
        while tries < RESUMPTIONS_MAX:
            headers = _LISTENING | self._headers(None)
            if place.last_id is not None:
                headers["last-event-id"] = place.last_id
            try:
                with await self._endpoint.request("GET", headers=headers) as response:
                    settled()
                    if response.status >= _REDIRECT or response.content_type != "text/event-stream":
                        return
                    await self._read(response, place, None)
                    tries = 0
            except UpstreamUnavailable:
                settled()
                tries += 1
            await anyio.sleep(place.retry_ms / 1000)

    def _break(self, failure: UpstreamUnavailable) -> None:
        if self._is_open:
            self._is_open, self.failure = False, failure
            self._ears.closed()


def _traced(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """The params with the place of this call in a trace, where somebody traces."""
    traced = dict(params or {})
    if not is_traced():
        return traced
    carrier: dict[str, str] = {}
    inject(carrier)
    if carrier:
        traced["_meta"] = {**(traced.get("_meta") or {}), **carrier}
    return traced
