"""Opens the way to an upstream: a child process, streamable HTTP or SSE."""

import re
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import parse_qsl, urlsplit

import anyio.to_thread
import httpx2
from mcp.client import Transport
from mcp.client._transport import TransportStreams
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from komorebi_mcp.errors import ConfigError
from komorebi_mcp.upstream.config import UpstreamConfig
from komorebi_mcp.upstream.secrets import Secrets
from komorebi_mcp.upstream.stdio import MESSAGE_BYTES_MAX, inherited, open_child

CONNECT_TIMEOUT_S = 10.0
WRITE_TIMEOUT_S = 30.0
NOISE_LINES_MAX = 50

_LITERAL_CHARS_MIN = 8
_SESSION_HEADER = "mcp-session-id"

_TELLING_NAME = re.compile(r"key|token|secret|passw|auth|credential|cookie", re.IGNORECASE)


class Diagnosis:
    """What is known about a connection besides its messages; masked as it comes in."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._noise: deque[str] = deque(maxlen=NOISE_LINES_MAX)
        self.http_status: int | None = None
        """Of the latest HTTP answer that was a refusal."""
        self.has_expired = False
        """The server answered 404 to its own session id, which means that it has forgotten the session."""
        self.keeps_state = True
        """Whether one connection may differ from the next; over HTTP once the server names its session."""
        self.correlates = False
        """Whether what the server sends shows which request it belongs to."""

    def add_noise(self, line: str) -> None:
        self._noise.append(self._secrets.mask(line))

    @property
    def noise(self) -> tuple[str, ...]:
        """The latest lines the upstream wrote beside its messages, oldest first."""
        return tuple(self._noise)

    async def take_note(self, response: httpx2.Response) -> None:
        self.keeps_state |= _SESSION_HEADER in response.headers
        if response.status_code >= httpx2.codes.BAD_REQUEST:
            self.http_status = response.status_code
        if response.status_code == httpx2.codes.NOT_FOUND and _SESSION_HEADER in response.request.headers:
            self.has_expired = True


async def open_transport(
    config: UpstreamConfig, environment: Mapping[str, str], secrets: Secrets, diagnosis: Diagnosis
) -> Transport:
    """The transport of this upstream, to be entered by the caller.

    Raises:
        ConfigError: The entry refers to something that is not there, or its URL is none.
    """
    resolved = await anyio.to_thread.run_sync(partial(_resolve, config, secrets))
    if config.transport == "stdio":
        return open_child(
            (resolved.command, *resolved.args),
            env=inherited(environment) | dict(resolved.env),
            cwd=resolved.cwd,
            on_noise=diagnosis.add_noise,
        )
    if not resolved.url.startswith(("http://", "https://")):
        raise ConfigError('Its "url" does not begin with http:// or https://. Correct it in the file.')
    timeout = httpx2.Timeout(
        WRITE_TIMEOUT_S, connect=CONNECT_TIMEOUT_S, read=config.timeout_s + WRITE_TIMEOUT_S
    )
    if config.transport == "sse":
        return sse_client(
            resolved.url,
            headers=dict(resolved.headers),
            timeout=CONNECT_TIMEOUT_S,
            sse_read_timeout=config.timeout_s + WRITE_TIMEOUT_S,
        )
    diagnosis.keeps_state, diagnosis.correlates = False, True
    client = httpx2.AsyncClient(
        headers=dict(resolved.headers), timeout=timeout, event_hooks={"response": [diagnosis.take_note]}
    )
    return _open_http(resolved.url, client)


@asynccontextmanager
async def _open_http(url: str, client: httpx2.AsyncClient) -> AsyncIterator[TransportStreams]:
    async with (
        client,
        streamable_http_client(url, http_client=client, max_sse_event_size=MESSAGE_BYTES_MAX) as streams,
    ):
        yield streams


def _resolve(config: UpstreamConfig, secrets: Secrets) -> UpstreamConfig:
    resolved = config.model_copy(
        update={
            "command": secrets.resolve(config.command),
            "args": tuple(secrets.resolve(arg) for arg in config.args),
            "env": {name: secrets.resolve(value) for name, value in config.env.items()},
            "cwd": secrets.resolve(config.cwd) if config.cwd else None,
            "url": secrets.resolve(config.url),
            "headers": {name: secrets.resolve(value) for name, value in config.headers.items()},
        }
    )
    address = urlsplit(resolved.url)
    named = [*resolved.env.items(), *resolved.headers.items(), *parse_qsl(address.query)]
    for name, value in (*named, ("password", address.password or "")):
        # Written out in the file, against all advice; hidden all the same, with and without its scheme.
        if _TELLING_NAME.search(name):
            for written in (value, value.rpartition(" ")[2]):
                if len(written) >= _LITERAL_CHARS_MIN:
                    secrets.hide(written)
    return resolved
