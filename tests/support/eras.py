"""Clients and upstreams of either era, as parameters of tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from mcp_types import CallToolResult, TextContent

from komorebi_mcp.upstream.status import Era
from support.gateway import everything, http_server

CLIENTS = pytest.mark.parametrize("mode", ["legacy", "auto"], ids=["2025-client", "2026-client"])
UPSTREAMS = pytest.mark.parametrize("theirs", list(Era), ids=["2025-upstream", "2026-upstream"])
TRANSPORTS = pytest.mark.parametrize("transport", ["stdio", "http"])

WAIT_S = 15
"""Starting an upstream on the SDK takes a second or two on a busy machine."""


@contextmanager
def upstream(theirs: Era, transport: str) -> Iterator[dict[str, Any]]:
    """The entry of an upstream of this era that has everything."""
    options = ("--era", "handshake" if theirs is Era.HANDSHAKE else "both")
    if transport == "stdio":
        yield everything(*options)
    else:
        with http_server(*options, script="everything_server.py") as (url, _):
            yield {"url": url}


def text_of(result: Any) -> str:
    assert isinstance(result, CallToolResult)
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text
