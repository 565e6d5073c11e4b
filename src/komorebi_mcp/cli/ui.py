"""`komorebi-mcp ui`: the dashboard in a browser."""

import webbrowser
from typing import Annotated

import typer

from komorebi_mcp.app import App
from komorebi_mcp.cli.session import run
from komorebi_mcp.surface.dashboard import serve_dashboard


def ui(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 0,
    opens: Annotated[bool, typer.Option("--open", help="Also open it in the browser.")] = False,
) -> None:
    """Serve the dashboard to a browser on this machine, until Ctrl-C."""

    def tell(url: str) -> None:
        typer.echo(f"The dashboard is at {url}")
        if opens:
            webbrowser.open(url)

    async def work(app: App) -> None:
        await serve_dashboard(app, port=port, on_listening=tell)

    run(work, enriches=False)
