"""The least an MCP tool can do, as the benchmark's measure: takes a text and gives it back.

Over stdio, or with `--port PORT` over streamable HTTP on loopback; on asyncio as the SDK starts it, or with
`--uvloop` on the event loop that the product uses.
"""

import argparse
from functools import partial

import anyio
from mcp.server.mcpserver import MCPServer

server = MCPServer("echo", log_level="WARNING")


@server.tool()
def echo(content: str) -> str:
    return content


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--uvloop", action="store_true")
    options = parser.parse_args()
    serve = server.run_stdio_async
    if options.port:
        serve = partial(server.run_streamable_http_async, port=options.port)
    anyio.run(serve, backend_options={"use_uvloop": options.uvloop})
