"""A proxy on loopback whose connections can be cut, as a network cuts them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream


class Line:
    """What leads to a server."""

    def __init__(self, host: str, port: int) -> None:
        self._place = (host, port)
        self._open: set[anyio.CancelScope] = set()
        self.url = ""

    def cut(self) -> None:
        """Ends every connection; new ones come through."""
        for scope in tuple(self._open):
            scope.cancel()

    async def carry(self, client: SocketStream) -> None:
        async with client, await anyio.connect_tcp(*self._place) as server:
            with anyio.CancelScope() as scope:
                self._open.add(scope)
                async with anyio.create_task_group() as both:
                    both.start_soon(_pump, client, server, scope)
                    both.start_soon(_pump, server, client, scope)
            self._open.discard(scope)


async def _pump(source: ByteStream, target: ByteStream, scope: anyio.CancelScope) -> None:
    try:
        async for chunk in source:
            await target.send(chunk)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass
    scope.cancel()


@asynccontextmanager
async def line_to(url: str) -> AsyncIterator[Line]:
    """A line to the server at `url`, with a URL of its own."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    line = Line(parts.hostname, parts.port)
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610  # Not Django.
        line.url = url.replace(str(parts.port), str(port))
        tasks.start_soon(listener.serve, line.carry)
        yield line
        tasks.cancel_scope.cancel()
