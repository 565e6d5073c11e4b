"""Opens connections to servers, through a proxy where the system has one, and says why it cannot."""

import asyncio
import os
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable
from typing import Final
from urllib.request import getproxies, proxy_bypass

import aiohappyeyeballs
import anyio
import httpx2

from komorebi_mcp.errors import UpstreamUnavailable
from komorebi_mcp.upstream.connection import Connection
from komorebi_mcp.upstream.wire import NotSent

CONNECT_TIMEOUT_S = 10.0
NEXT_ADDRESS_S = 0.25
"""How long one address of a name may take before the next one is tried beside it (RFC 8305 section 5)."""

_PORTS: Final = {"http": 80, "https": 443}
_OK = 200

Make = Callable[[], Connection]
"""Makes what is to read from a socket."""


class Dialler:
    """Opens connections."""

    def __init__(self) -> None:
        """Reads certificates and the system's settings, which takes a while."""
        self._certificates: ssl.SSLContext = httpx2.create_ssl_context()
        self._certificates.set_alpn_protocols(["http/1.1"])
        self._proxies = getproxies()

    def proxy_for(self, url: httpx2.URL) -> httpx2.URL | None:
        """The proxy that the system's settings name for this URL.

        Raises:
            UpstreamUnavailable: It is of a kind that we do not speak.
        """
        named = self._proxies.get(url.scheme) or self._proxies.get("all")
        if not named or proxy_bypass(url.host):
            return None
        proxy = httpx2.URL(named if "://" in named else f"http://{named}")
        if proxy.scheme not in _PORTS:
            raise UpstreamUnavailable(
                f"The proxy in the environment is of the kind {proxy.scheme[:20]!a}. "
                "Use one over HTTP, or name the host in NO_PROXY."
            )
        return proxy

    async def connect(self, url: httpx2.URL, make: Make) -> Connection:
        """A new connection to the server of this URL, as made by `make`.

        Raises:
            NotSent: It cannot be reached.
        """
        proxy = self.proxy_for(url)
        try:
            with anyio.fail_after(CONNECT_TIMEOUT_S):
                if proxy is None:
                    return await self._open(url, make)
                return await self._open_through(proxy, url, make)
        except (OSError, RuntimeError, UnicodeError) as error:
            why = _why(error) if proxy is None or isinstance(error, ssl.SSLError) else _NO_PROXY
            raise NotSent(f"It cannot be reached: {why}") from error

    async def _open(self, url: httpx2.URL, make: Make) -> Connection:
        loop = asyncio.get_running_loop()
        host, port = url.raw_host.decode(), _port(url)
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        connected = await aiohappyeyeballs.start_connection(found, happy_eyeballs_delay=NEXT_ADDRESS_S)
        is_secure = url.scheme == "https"
        try:
            _, connection = await loop.create_connection(
                make,
                sock=connected,
                ssl=self._certificates if is_secure else None,
                server_hostname=host if is_secure else None,
            )
        except BaseException:
            connected.close()
            raise
        return connection

    async def _open_through(self, proxy: httpx2.URL, url: httpx2.URL, make: Make) -> Connection:
        connection = await self._open(proxy, make)
        if url.scheme == "http":
            return connection
        host = url.raw_host.decode()
        target = f"[{host}]:{_port(url)}" if ":" in host else f"{host}:{_port(url)}"
        lines = [f"CONNECT {target} HTTP/1.1", f"host: {target}"]
        lines += [f"{name}: {value}" for name, value in proxy_headers(proxy).items()]
        response = await connection.request("\r\n".join([*lines, "", ""]).encode())
        if response.status != _OK:
            connection.close()
            raise NotSent(f"The proxy refuses the way to it with HTTP status {response.status}.")
        tunnel, secured = connection.transport, None
        inner = make()
        if tunnel is not None:
            secured = await asyncio.get_running_loop().start_tls(
                tunnel, inner, self._certificates, server_hostname=host
            )
        if secured is None:
            raise NotSent("The proxy ended the connection.")
        inner.connection_made(secured)
        return inner


def proxy_headers(proxy: httpx2.URL) -> dict[str, str]:
    """What the proxy asks for, of whoever comes with a name and a password for it."""
    return {"proxy-authorization": basic(proxy)} if proxy.username else {}


def basic(url: httpx2.URL) -> str:
    """The name and password in the URL, as a header has them (RFC 7617)."""
    return f"Basic {b64encode(f'{url.username}:{url.password}'.encode()).decode()}"


def _port(url: httpx2.URL) -> int:
    return url.port or _PORTS[url.scheme]


_NO_PROXY = "the proxy does not answer. Correct it in the environment, or name the host in NO_PROXY."


def _why(error: Exception) -> str:
    """What keeps us from reaching it, and what to do."""
    match error:
        case ssl.SSLCertVerificationError():
            return (
                "its certificate is not to be trusted. Name the file of whoever signed it in SSL_CERT_FILE."
            )
        case ssl.SSLError():
            return "it does not speak TLS there. Look whether its URL begins with https:// rightly."
        case socket.gaierror() | UnicodeError():
            return "no host has that name. Correct its URL in the upstreams file."
        case ConnectionRefusedError():
            why = "nobody listens there"
        case TimeoutError():
            why = f"it does not answer within {CONNECT_TIMEOUT_S:g} seconds"
        case OSError(errno=int() as number):
            why = os.strerror(number)
        case _:
            why = "it hangs up"
    return f"{why}. Start it, or correct its URL in the upstreams file."
