"""One URL of an upstream, over connections that are kept for the next request."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Final
from weakref import WeakSet

import anyio.to_thread
import httpx2

from komorebi_mcp.errors import UpstreamUnavailable
from komorebi_mcp.upstream.connection import Connection
from komorebi_mcp.upstream.dialing import Dialler, basic, proxy_headers
from komorebi_mcp.upstream.response import Response

KEEP_ALIVE_S = 4.0
"""How long an idle connection is used again: many servers close theirs after 5 seconds, and a request that
meets the closing is lost."""
REDIRECTS_MAX = 5

_OURS: Final = {"user-agent": f"komorebi-mcp/{version('komorebi-mcp')}", "accept-encoding": "gzip"}
_BREAKING = re.compile(r"[\r\n\0]")
_KEEPING_THE_METHOD = frozenset({307, 308})
_REDIRECTS = frozenset({301, 302, 303}) | _KEEPING_THE_METHOD


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a request goes, and how that is written."""

    url: httpx2.URL
    target: str
    headers: Mapping[str, str]


class Endpoint:
    """The URL; made by `open_endpoint`."""

    def __init__(self, url: httpx2.URL, headers: Mapping[str, str], silence_s: float) -> None:
        self._silence_s = silence_s
        self._dialler = Dialler()
        self._place = self._place_of(url)
        self._headers = {**_OURS, **{name.lower(): value for name, value in headers.items()}}
        if url.username and "authorization" not in self._headers:
            self._headers["authorization"] = basic(url)
        self._own_cookies = self._headers.get("cookie")
        self._cookies = httpx2.Cookies()
        self._connections: WeakSet[Connection] = WeakSet()
        self._idle: dict[str, list[Connection]] = {"http": [], "https": []}
        """By scheme, since one redirects to the other at times; in each, the one used last stands last."""
        self._sweep: asyncio.TimerHandle | None = None

    async def request(self, verb: str, *, headers: Mapping[str, str], body: bytes = b"") -> Response:
        """The response, of which the head has been read; to be left by whoever asked.

        Redirects are followed where the request stays what it is and with whom it is, since all that is in it
        was meant for this server. Another one is the response. `headers` are named in lower case.

        Raises:
            NotSent: Nobody listens there.
            Ended: The connection broke.
        """
        place = self._place
        for _ in range(REDIRECTS_MAX):
            connection = self._take(place.url.scheme) or await self._connect(place)
            response = await connection.request(self._head(verb, place, headers, len(body)) + body)
            if response.cookies:
                self._note_cookies(place.url, response.cookies)
            if response.status not in _REDIRECTS or (target := _target(response, place.url, verb)) is None:
                return response
            response.leave()
            place = self._place_of(target)
        raise UpstreamUnavailable(f"It redirects more than {REDIRECTS_MAX} times.")

    def close(self) -> None:
        """Ends all connections, and what is under way on them."""
        for connection in self._connections:
            connection.close()
        if self._sweep is not None:
            self._sweep.cancel()

    async def _connect(self, place: _Place) -> Connection:
        keep = partial(self._keep, self._idle[place.url.scheme])
        make = partial(Connection, silence_s=self._silence_s, on_free=keep)
        connection = await self._dialler.connect(place.url, make)
        self._connections.add(connection)
        return connection

    def _take(self, scheme: str) -> Connection | None:
        """The connection that was used last, if any can still be used."""
        idle = self._idle[scheme]
        while idle:
            connection = idle.pop()
            if connection.idle_s < KEEP_ALIVE_S and connection.is_quiet():
                return connection
            connection.close()
        return None

    def _keep(self, idle: list[Connection], connection: Connection) -> None:
        idle.append(connection)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(KEEP_ALIVE_S, self._end_idle)

    def _end_idle(self) -> None:
        """Ends connections that would not be used again."""
        self._sweep = None
        for idle in self._idle.values():
            while idle and idle[0].idle_s >= KEEP_ALIVE_S:
                idle.pop(0).close()
        if any(self._idle.values()):
            self._sweep = asyncio.get_running_loop().call_later(KEEP_ALIVE_S, self._end_idle)

    def _place_of(self, url: httpx2.URL) -> _Place:
        host, target = url.netloc.decode(), url.raw_path.decode()
        headers = {"host": host}
        proxy = self._dialler.proxy_for(url) if url.scheme == "http" else None
        if proxy is not None:
            target = f"http://{host}{target}"
            headers |= proxy_headers(proxy)
        return _Place(url, target, headers)

    def _head(self, verb: str, place: _Place, headers: Mapping[str, str], body_bytes: int) -> bytes:
        lines = [f"{verb} {place.target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in {**place.headers, **self._headers, **headers}.items()]
        if verb == "POST":
            lines.append(f"content-length: {body_bytes}")
        return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")

    def _note_cookies(self, url: httpx2.URL, cookies: list[str]) -> None:
        """Keeps them, since load balancers find a session's server by them."""
        asked = httpx2.Request("GET", url)
        told = [("set-cookie", cookie) for cookie in cookies]
        self._cookies.extract_cookies(httpx2.Response(200, headers=told, request=asked))
        self._cookies.set_cookie_header(asked)
        self._headers.pop("cookie", None)
        if sent := [cookie for cookie in (self._own_cookies, asked.headers.get("cookie")) if cookie]:
            self._headers["cookie"] = "; ".join(sent)


@asynccontextmanager
async def open_endpoint(
    url: str, *, headers: Mapping[str, str], read_timeout_s: float
) -> AsyncIterator[Endpoint]:
    """The endpoint at this URL, whose requests all carry these headers.

    `read_timeout_s` is how long the server may be silent within a response.

    Raises:
        UpstreamUnavailable: The URL or a header is none.
    """
    for name, value in headers.items():
        if _BREAKING.search(name + value):
            raise UpstreamUnavailable(
                f"Its header {name[:40]!a} has a line break in it. Remove it, most likely behind the secret."
            )
    try:
        address = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise _no_url() from error
    if not address.host:
        raise _no_url()
    # Reading certificates takes a while, in which the event loop would serve nobody.
    endpoint = await anyio.to_thread.run_sync(partial(Endpoint, address, headers, read_timeout_s))
    try:
        yield endpoint
    finally:
        endpoint.close()


async def chunks_of(response: Response) -> AsyncIterator[bytes]:
    """The body as it comes in; raises as `Response.read` does."""
    while chunk := await response.read():
        yield chunk


async def whole_of(response: Response, *, bytes_max: int) -> bytes:
    """The whole body; raises as `Response.read` does.

    Raises:
        UpstreamUnavailable: It has more than `bytes_max` bytes.
    """
    pieces = [await response.read()]
    size = len(pieces[0])
    while size <= bytes_max and (piece := await response.read()):
        pieces.append(piece)
        size += len(piece)
    if size > bytes_max:
        raise UpstreamUnavailable(f"It sent a message of more than {bytes_max} bytes.")
    return b"".join(pieces)


def advice_on(status: int, retry_after: str = "") -> str:
    """What to do about an HTTP status of refusal, which may have said when to come again."""
    match status:
        case 429 | 503 if retry_after.isdecimal():
            return f"It is busy, and asks to be left alone for {retry_after[:9]} seconds."
        case 429 | 503:
            return "It is busy."
        case 401 | 403:
            return 'Give it a token: "headers": {"Authorization": "Bearer ${env:TOKEN}"} in its entry.'
        case 404 | 405:
            return "Look whether its URL is the whole one that its documentation names; many end in /mcp."
        case _:
            return "Look into its own log."


def _target(response: Response, here: httpx2.URL, verb: str) -> httpx2.URL | None:
    """Where the response redirects to, if that is to be followed."""
    location = response.headers.get("location")
    if location is None or (verb != "GET" and response.status not in _KEEPING_THE_METHOD):
        return None
    try:
        target = here.join(location)
    except httpx2.InvalidURL:
        return None
    upgraded = here.scheme == "http" and target.scheme == "https"
    same = (
        here.host == target.host and here.port == target.port and (here.scheme == target.scheme or upgraded)
    )
    return target if same and not (upgraded and here.port) and not target.userinfo else None


def _no_url() -> UpstreamUnavailable:
    return UpstreamUnavailable('Its "url" is not one. Correct it in the upstreams file.')
