"""`komorebi-mcp serve`: the MCP server."""

from enum import StrEnum
from typing import Annotated

import typer

from komorebi_mcp.cli.servers import run_http, run_stdio


class Transport(StrEnum):
    """How clients reach the server."""

    STDIO = "stdio"
    HTTP = "http"


def serve(
    transport: Annotated[
        Transport, typer.Option(help="stdio for the client that starts it, http for any number of clients.")
    ] = Transport.STDIO,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on with http; one that others can reach needs tokens or an issuer."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on with http; 0 takes a free one.")
    ] = 8000,
) -> None:
    """Serve MCP clients over stdio or over HTTP."""
    if transport is Transport.HTTP:
        run_http(host, port)
    else:
        run_stdio()
