"""Opens the way to an upstream: a child process, streamable HTTP or SSE."""

import re
from collections import deque
from collections.abc import Mapping
from functools import partial
from urllib.parse import parse_qsl, urlsplit

import anyio.to_thread
from mcp.client.sse import sse_client

from komorebi_mcp.errors import ConfigError
from komorebi_mcp.upstream.config import UpstreamConfig
from komorebi_mcp.upstream.dialing import CONNECT_TIMEOUT_S
from komorebi_mcp.upstream.secrets import Secrets
from komorebi_mcp.upstream.stdio import inherited, open_child
from komorebi_mcp.upstream.streamable import over_http
from komorebi_mcp.upstream.wire import OpenWire, over_streams

WRITE_TIMEOUT_S = 30.0
NOISE_LINES_MAX = 50

_LITERAL_CHARS_MIN = 8

_TELLING_NAME = re.compile(r"key|token|secret|passw|auth|credential|cookie", re.IGNORECASE)


class Noise:
    """What an upstream writes beside its messages; masked as it comes in."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._lines: deque[str] = deque(maxlen=NOISE_LINES_MAX)

    def add(self, line: str) -> None:
        self._lines.append(self._secrets.mask(line))

    @property
    def lines(self) -> tuple[str, ...]:
        """The latest lines, oldest first."""
        return tuple(self._lines)


async def wire_to(
    config: UpstreamConfig, environment: Mapping[str, str], secrets: Secrets, noise: Noise
) -> OpenWire:
    """The way to this upstream, to be opened by the caller.

    Raises:
        ConfigError: The entry refers to something that is not there, or its URL is none.
    """
    resolved = await anyio.to_thread.run_sync(partial(_resolve, config, secrets))
    if config.transport == "stdio":
        child = open_child(
            (resolved.command, *resolved.args),
            env=inherited(environment) | dict(resolved.env),
            cwd=resolved.cwd,
            on_noise=noise.add,
        )
        return over_streams(child)
    if not resolved.url.startswith(("http://", "https://")):
        raise ConfigError('Its "url" does not begin with http:// or https://. Correct it in the file.')
    silent_s = config.timeout_s + WRITE_TIMEOUT_S
    headers = dict(resolved.headers)
    if config.transport == "sse":
        return over_streams(
            sse_client(resolved.url, headers=headers, timeout=CONNECT_TIMEOUT_S, sse_read_timeout=silent_s)
        )
    return over_http(resolved.url, headers=headers, read_timeout_s=silent_s)


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
