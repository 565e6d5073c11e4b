"""The server over either transport, from its settings to its end."""

import gc
import sys
from typing import Any

import anyio

from komorebi_mcp.app import open_app
from komorebi_mcp.cli.ending import end_by_all_means
from komorebi_mcp.cli.logs import announce, configure_logs
from komorebi_mcp.settings import Settings, load_settings
from komorebi_mcp.surface.server import open_server
from komorebi_mcp.surface.stdio import serve_stdio


def run_stdio() -> None:
    """Serves the client at stdin and stdout."""
    anyio.run(_stdio, _prepared(), backend_options=_event_loop())


def run_http(host: str, port: int) -> None:
    """Serves clients over HTTP."""
    anyio.run(_http, _prepared(), host, port, backend_options=_event_loop())


def _prepared() -> Settings:
    settings = load_settings()
    configure_logs(settings.log_level, form=settings.log_format)
    return settings


def _event_loop() -> dict[str, Any]:
    """What makes anyio use uvloop where there is one: with it, a message costs half."""
    return {"use_uvloop": sys.platform != "win32" and sys.implementation.name == "cpython"}


def _spare_the_collector() -> None:
    """Has the garbage collector leave alone what is open by now, and look at the rest less often.

    Looking through every module again and again finds nothing, and cost one search in twenty 50 ms. A request
    leaves a few hundred objects behind; looking after each 700, the default, took 6 % of a forwarded call.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


async def _stdio(settings: Settings) -> None:
    async with open_app(settings, works=settings.worker == "inline") as app, open_server(app) as server:
        _spare_the_collector()
        await serve_stdio(server, on_stop=end_by_all_means)


async def _http(settings: Settings, host: str, port: int) -> None:
    # Serving over stdio does without the HTTP server.
    from komorebi_mcp.surface.http import serve_http  # noqa: PLC0415

    def announced(url: str) -> None:
        announce(f"Listening on {url}", form=settings.log_format, url=url)

    async with open_app(settings, works=settings.worker == "inline") as app, open_server(app) as server:
        _spare_the_collector()
        await serve_http(server, app, host=host, port=port, on_listening=announced, on_stop=end_by_all_means)
    # The last collection would walk all that the sessions left behind: 0.4 s after a thousand of them.
    gc.freeze()
