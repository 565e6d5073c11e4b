"""Connections of the HTTP server, as a socket sees them."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import anyio

from support.serving import MODERN, serving


async def test_a_connection_closes_after_an_answer_without_a_body(tmp_path: Path) -> None:
    body = json.dumps(
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    ).encode()
    received = b""
    async with serving(tmp_path) as (url, _):
        address = urlsplit(url)
        headers = {
            **MODERN,
            "host": address.netloc,
            "mcp-method": "notifications/cancelled",
            "content-length": str(len(body)),
            "connection": "close",
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        with anyio.fail_after(5):
            async with await anyio.connect_tcp(str(address.hostname), address.port or 0) as stream:
                await stream.send(f"POST {address.path} HTTP/1.1\r\n{head}\r\n".encode() + body)
                async for part in stream:
                    received += part
    assert received.startswith(b"HTTP/1.1 202 Accepted\r\n")
    assert received.endswith(b"\r\n\r\n")
