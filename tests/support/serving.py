"""The HTTP server in this process, on a free port, and raw requests to it."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import httpx
from httpx2 import AsyncClient
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from sse_starlette.sse import AppStatus

from komorebi_mcp.app import App, open_app
from komorebi_mcp.settings import Settings
from komorebi_mcp.surface.http import serve_http
from komorebi_mcp.surface.server import open_server
from support.databases import put_sqlite_file
from support.processes import modern, request

START_S: Final = 5
JSON_AND_SSE: Final = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
MODERN: Final = {**JSON_AND_SSE, "mcp-protocol-version": "2026-07-28"}


def forget_ended_servers() -> None:
    """Lets streams be served again in this process: sse-starlette ends all of them with the first server."""
    # In use a process ends with its first server, and one flag for the process is enough.
    AppStatus.should_exit = False


@asynccontextmanager
async def serving(
    folder: Path, *, host: str = "127.0.0.1", **settings: Any
) -> AsyncIterator[tuple[str, App]]:
    """The endpoint's URL and the application behind it; ended by a signal, as in real life."""
    put_sqlite_file(folder / "test.db")
    forget_ended_servers()
    told: list[str] = []
    listening = anyio.Event()

    def on_listening(url: str) -> None:
        told.append(url)
        listening.set()

    database_url = f"sqlite+aiosqlite:///{folder}/test.db"
    async with (
        open_app(Settings(home=folder, database_url=database_url, **settings)) as app,
        open_server(app) as server,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(partial(serve_http, server, app, host=host, port=0, on_listening=on_listening))
        with anyio.fail_after(START_S):
            await listening.wait()
        try:
            yield told[0].replace("0.0.0.0", "127.0.0.1"), app  # noqa: S104 - a part of a URL.
        finally:
            signal.raise_signal(signal.SIGTERM)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@asynccontextmanager
async def client_of(url: str, token: str, *, mode: str = "auto") -> AsyncIterator[Client]:
    """The SDK's client, showing this token."""
    async with (
        AsyncClient(headers=bearer(token)) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode, cache=None) as client,
    ):
        yield client


async def ask(
    http: httpx.AsyncClient, url: str, method: str, /, headers: dict[str, str] | None = None, **params: Any
) -> httpx.Response:
    """The answer to one modern request, as it is on the wire."""
    named = {"mcp-name": str(params.get("name") or params.get("uri") or "")}
    return await http.post(
        url,
        headers={**MODERN, "mcp-method": method, **{k: v for k, v in named.items() if v}, **(headers or {})},
        json=modern(method, **params),
    )


async def initialize(http: httpx.AsyncClient, url: str, **headers: str) -> httpx.Response:
    """The answer to a handshake client's first request, whose header names the session."""
    body = request(
        "initialize",
        protocolVersion="2025-11-25",
        capabilities={},
        clientInfo={"name": "test", "version": "1"},
    )
    return await http.post(url, headers={**JSON_AND_SSE, **headers}, json=body)
