"""Upstreams as a user has them: a JSON file, real child processes, and a server with the gateway in front."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from mcp.client._memory import InMemoryTransport
from mcp.server.caching import CacheHint
from mcp.server.lowlevel.server import Server
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    TextContent,
    Tool,
)
from starlette.types import Receive, Scope, Send

from komorebi_mcp.domain.access import LOCAL
from komorebi_mcp.services.aggregate import Aggregate
from komorebi_mcp.surface.gateway import gateway_middleware
from komorebi_mcp.surface.principal import let_in
from komorebi_mcp.surface.subscriptions import Subscriptions
from komorebi_mcp.upstream.caller import Caller
from komorebi_mcp.upstream.config import load_upstreams
from komorebi_mcp.upstream.pool import Upstreams, open_upstreams
from komorebi_mcp.upstream.session import OnNotification, Session, open_session
from komorebi_mcp.upstream.status import Era
from komorebi_mcp.upstream.wire import over_streams
from support.serving import forget_ended_servers

LIST_TTL_MS = 60_000
FIXTURES = Path(__file__).parent / "upstreams"


def raw(*options: str, **entry: Any) -> dict[str, Any]:
    """The entry of a `raw_server.py` with these options."""
    return {"command": sys.executable, "args": [str(FIXTURES / "raw_server.py"), *options], **entry}


def sdk(*options: str) -> dict[str, Any]:
    """The entry of a `sdk_server.py` over stdio."""
    return {"command": sys.executable, "args": [str(FIXTURES / "sdk_server.py"), *options]}


def everything(*options: str) -> dict[str, Any]:
    """The entry of an `everything_server.py` over stdio."""
    return {"command": sys.executable, "args": [str(FIXTURES / "everything_server.py"), *options]}


def told(folder: Path, *tools: Any, name: str = "told", **entry: Any) -> dict[str, Any]:
    """The entry of a `told_server.py` that offers these tools, until `offer` tells it others."""
    offer(folder, *tools, name=name)
    server = [str(FIXTURES / "told_server.py"), str(folder / name)]
    return {"command": sys.executable, "args": server, **entry}


def offer(folder: Path, *tools: Any, name: str = "told", **rest: Any) -> None:
    (folder / name).write_text(json.dumps({"tools": tools, **rest}))


def a_tool(name: str, description: str = "", **rest: Any) -> dict[str, Any]:
    """The definition of a tool."""
    return {"name": name, "description": description, "inputSchema": {"type": "object"}, **rest}


@contextmanager
def http_server(
    *options: str, port: int = 0, script: str = "sdk_server.py"
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The URL of a fixture over streamable HTTP, and its process."""
    command = [sys.executable, str(FIXTURES / script), "--http", str(port), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/mcp", process
        finally:
            process.kill()


@asynccontextmanager
async def upstreams(
    folder: Path, servers: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> AsyncIterator[Upstreams]:
    """What `folder`/upstreams.json with these servers gives."""
    path = folder / "upstreams.json"
    path.write_text(json.dumps({"mcpServers": servers}))
    config = load_upstreams(path, environment={**os.environ, **(environment or {})})
    async with open_upstreams(config) as opened:
        yield opened


async def all_tools(opened: Upstreams) -> list[str]:
    """The names of all tools, once every upstream has been reached."""
    while not opened.is_complete:
        await opened.tools()
        await anyio.lowlevel.checkpoint()
        for link in opened.links.values():
            await link.settled(until=float("inf"))
    return list(opened.known())


@asynccontextmanager
async def raw_client(
    server: Server[Any],
    era: Era,
    *,
    capabilities: Mapping[str, Any] | None = None,
    on_notification: OnNotification | None = None,
) -> AsyncIterator[Session]:
    """A client of `server` that sees messages as they are on the wire."""
    session = open_session(
        over_streams(InMemoryTransport(server)),
        probe=era is Era.MODERN,
        on_notification=on_notification or (lambda *_: None),
        on_closed=lambda: None,
        capabilities=capabilities,
    )
    async with session as opened:
        assert opened.terms.era is era
        yield opened


async def call(
    client: Session, name: str, arguments: Mapping[str, Any] | None = None, caller: Caller | None = None
) -> Any:
    """The raw result of a tool."""
    params = {"name": name, "arguments": dict(arguments or {})}
    return await client.request("tools/call", params, timeout_s=5, caller=caller or Caller())


def listener(note: Callable[[str, dict[str, Any]], Awaitable[None]]) -> Caller:
    """A caller who wants progress and hands each notification of its request to `note`."""
    return Caller(
        tell=note,
        progress_token="mine",  # noqa: S106 - not a secret.
        log_level="debug",
    )


@asynccontextmanager
async def gateway(
    folder: Path, servers: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Server[Any], Upstreams]]:
    """A server with one tool of its own, `own`, in front of these upstreams."""

    async def list_tools(_ctx: Any, _params: Any) -> ListToolsResult:
        return ListToolsResult(tools=[Tool(name="own", input_schema={"type": "object"})])

    async def list_prompts(_ctx: Any, _params: Any) -> ListPromptsResult:
        return ListPromptsResult(prompts=[])

    async def list_resources(_ctx: Any, _params: Any) -> ListResourcesResult:
        return ListResourcesResult(resources=[])

    async def list_templates(_ctx: Any, _params: Any) -> ListResourceTemplatesResult:
        return ListResourceTemplatesResult(resource_templates=[])

    async def call_tool(_ctx: Any, params: CallToolRequestParams) -> CallToolResult:
        return CallToolResult(content=[TextContent(text=f"own server got {params.name}")])

    async with (
        upstreams(folder, servers, environment) as opened,
        anyio.create_task_group() as tasks,
    ):
        subscriptions = Subscriptions()
        server: Server[Any] = Server(
            "front",
            version="1",
            on_list_tools=list_tools,
            on_call_tool=call_tool,
            on_list_prompts=list_prompts,
            on_list_resources=list_resources,
            on_list_resource_templates=list_templates,
            on_subscribe_resource=subscriptions.subscribe,
            on_unsubscribe_resource=subscriptions.unsubscribe,
            on_subscriptions_listen=subscriptions.listen,
            cache_hints={"tools/list": CacheHint(ttl_ms=LIST_TTL_MS)},
        )
        aggregate = Aggregate(opened, expose="tools")
        middleware = gateway_middleware(aggregate, {"own"}, server_info=server.server_info_stamp)
        server.middleware.extend([subscriptions, middleware])
        opened.on_change(subscriptions.tell_of_lists)
        opened.on_update(subscriptions.tell_of_resource)
        tasks.start_soon(subscriptions.run)
        yield server, opened
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def over_http(server: Server[Any]) -> AsyncIterator[str]:
    """The URL at which the server is reached, each client in a session of its own."""
    forget_ended_servers()
    application = server.streamable_http_app()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        let_in(scope, LOCAL)
        await application(scope, receive, send)

    config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1)
    listener = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, [listening])
            try:
                yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
            finally:
                listener.should_exit = True
