"""An upstream on the real SDK, over stdio or streamable HTTP; it prints its port once it listens.

Usage: sdk_server.py [--http PORT] [--handshake-only | --locked | --sse]
"""

import argparse
import asyncio
import socket
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

server = MCPServer("fixture")


@server.tool()
def add(a: int, b: int) -> int:
    """The sum."""
    return a + b


@server.tool()
async def climb(steps: int, ctx: Context[Any]) -> str:
    """Reports each step."""
    for step in range(steps):
        await ctx.report_progress(step, steps, f"step {step}")
    return "top"


@server.tool()
def blob(size: int) -> str:
    """A text of so many characters."""
    return "x" * size


async def locked(scope: Scope, receive: Receive, send: Send) -> None:
    """Lets nobody in."""
    if scope["type"] == "http":
        await PlainTextResponse("Who are you?", 401)(scope, receive, send)


class HandshakeOnly:
    """Answers modern requests as a server that has never heard of them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if dict(scope.get("headers", [])).get(b"mcp-protocol-version") == b"2026-07-28":
            await PlainTextResponse("Unsupported protocol version", 400)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--http", type=int)
    for kind in ("--handshake-only", "--locked", "--sse"):
        parser.add_argument(kind, action="store_true")
    options = parser.parse_args()
    if options.http is None:
        server.run("stdio")
        return
    # asyncio turns Nagle's delay off only on sockets that name their protocol.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", options.http))
    listener.listen()
    print(listener.getsockname()[1], flush=True)  # noqa: T201  # Whoever started us reads it.
    app: ASGIApp = server.sse_app() if options.sse else server.streamable_http_app()
    if options.handshake_only:
        app = HandshakeOnly(app)
    config = uvicorn.Config(locked if options.locked else app, log_level="error")
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
