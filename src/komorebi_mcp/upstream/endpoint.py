"""One URL of an upstream over pooled connections, and why it could not be reached in a sentence."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass

import anyio.to_thread
import httpx2

from komorebi_mcp.errors import UpstreamUnavailable
from komorebi_mcp.upstream.wire import Ended, NotSent

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

CONNECT_TIMEOUT_S = 10.0
KEEP_ALIVE_S = 4.0
"""How long an idle connection is used again: many servers close theirs after 5 seconds, and a request that
meets the closing is lost."""
REDIRECTS_MAX = 5

_TURNS = 3
"""Of the event loop, before an idle connection is used: it hears in them of a server that has just gone, on
whose connection a request would be lost."""
_KEEPING_THE_METHOD = frozenset({307, 308})
_REDIRECTS = frozenset({301, 302, 303}) | _KEEPING_THE_METHOD


class Endpoint:
    """The URL, and the HTTP client for it; made by `open_endpoint`."""

    def __init__(self, client: "aiohttp.ClientSession", url: str, proxy: str | None) -> None:
        self._client = client
        self._url = url
        self._proxy = proxy

    @asynccontextmanager
    async def request(
        self, verb: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> AsyncIterator["aiohttp.ClientResponse"]:
        """The response, of which the head has been read.

        Redirects are followed where the request stays what it is and with whom it is, since all that is in it
        was meant for this server. Another one is the response.

        Raises:
            NotSent: Nobody listens there.
            Ended: The connection broke, here or while the block reads from it.
        """
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        with _in_our_words():
            url: str | URL = self._url
            for _ in range(REDIRECTS_MAX):
                async with self._client.request(
                    verb, url, data=body, headers=headers, proxy=self._proxy, allow_redirects=False
                ) as response:
                    target = _target(response, verb)
                    if target is None:
                        yield response
                        return
                    url = target
        raise UpstreamUnavailable(f"It redirects more than {REDIRECTS_MAX} times.")


@asynccontextmanager
async def open_endpoint(
    url: str, *, headers: Mapping[str, str], read_timeout_s: float
) -> AsyncIterator[Endpoint]:
    """The endpoint at this URL, whose requests all carry these headers.

    `read_timeout_s` is how long the server may be silent within a response.
    """
    # Importing and reading certificates take a while, in which the event loop would serve nobody.
    client_of, proxy = await anyio.to_thread.run_sync(partial(_prepare, url))
    async with client_of(headers, read_timeout_s) as client:
        yield Endpoint(client, url, proxy)


async def chunks_of(response: "aiohttp.ClientResponse") -> AsyncIterator[bytes]:
    """The body as it comes in; raises as `Endpoint.request` does."""
    with _in_our_words():
        async for chunk in response.content.iter_any():
            yield chunk


async def whole_of(response: "aiohttp.ClientResponse", *, bytes_max: int) -> bytes:
    """The whole body; raises as `Endpoint.request` does.

    Raises:
        UpstreamUnavailable: It has more than `bytes_max` bytes.
    """
    body = bytearray()
    async for chunk in chunks_of(response):
        body += chunk
        if len(body) > bytes_max:
            raise UpstreamUnavailable(f"It sent a message of more than {bytes_max} bytes.")
    return bytes(body)


def advice_on(status: int) -> str:
    """What to do about an HTTP status of refusal."""
    match status:
        case 401 | 403:
            return 'Give it a token: "headers": {"Authorization": "Bearer ${env:TOKEN}"} in its entry.'
        case 404 | 405:
            return "Look whether its URL is the whole one that its documentation names; many end in /mcp."
        case _:
            return "Look into its own log."


def _prepare(url: str) -> tuple[Any, str | None]:
    # A server without upstreams over HTTP does without this library's 8 MB.
    import aiohttp  # noqa: PLC0415

    certificates: ssl.SSLContext = httpx2.create_ssl_context()

    def client_of(headers: Mapping[str, str], read_timeout_s: float) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            headers=headers,
            # A connection for each request under way: one that waits must not hold up another.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S, ssl=certificates),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=read_timeout_s
            ),
        )

    return client_of, _proxy_for(url)


def _proxy_for(url: str) -> str | None:
    """The proxy that the system's settings name for this URL."""
    parts = httpx2.URL(url)
    if proxy_bypass(parts.host):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def _target(response: "aiohttp.ClientResponse", verb: str) -> "URL | None":
    """Where the response redirects to, if that is to be followed."""
    location = response.headers.get("location")
    if response.status not in _REDIRECTS or location is None:
        return None
    if verb != "GET" and response.status not in _KEEPING_THE_METHOD:
        return None
    target = response.url.join(type(response.url)(location))
    here = response.url
    upgraded = here.scheme == "http" and target.scheme == "https" and here.host == target.host
    on_default_ports = here.is_default_port() and target.is_default_port()
    if target.user is not None or not (here.origin() == target.origin() or (upgraded and on_default_ports)):
        return None
    return target


def _why(error: Exception) -> str:
    """What keeps us from reaching it, and what to do."""
    import aiohttp  # noqa: PLC0415  # It is there by now.

    match error:
        case aiohttp.ClientProxyConnectionError():
            return "the proxy does not answer. Correct it in the environment, or name the host in NO_PROXY."
        case aiohttp.ClientConnectorDNSError():
            return "no host has that name. Correct its URL in the upstreams file."
        case aiohttp.ClientConnectorCertificateError():
            return (
                "its certificate is not to be trusted. Name the file of whoever signed it in SSL_CERT_FILE."
            )
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            why = "nobody listens there"
        case aiohttp.ClientConnectorError(os_error=OSError(errno=int() as number)):
            why = os.strerror(number)
        case _:
            why = f"it does not answer within {CONNECT_TIMEOUT_S:g} seconds"
    return f"{why}. Start it, or correct its URL in the upstreams file."


@contextmanager
def _in_our_words() -> Iterator[None]:
    import aiohttp  # noqa: PLC0415  # It is there by now.

    try:
        yield
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise NotSent(f"It cannot be reached: {_why(error)}") from error
    except aiohttp.InvalidURL as error:
        raise UpstreamUnavailable('Its "url" is not one. Correct it in the upstreams file.') from error
    except TimeoutError as error:
        raise Ended("It was silent for too long.") from error
    except aiohttp.ClientError as error:
        raise Ended(f"The connection broke before it answered ({type(error).__name__}).") from error
