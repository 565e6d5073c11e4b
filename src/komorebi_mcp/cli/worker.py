"""`komorebi-mcp worker`: enrichment without a server."""

import signal
import sys

import anyio

from komorebi_mcp.app import open_app
from komorebi_mcp.cli.ending import end_by_all_means
from komorebi_mcp.cli.logs import announce
from komorebi_mcp.cli.session import ready_settings
from komorebi_mcp.settings import Settings


def worker() -> None:
    """Enrich captures and keep summaries up to date, until stopped.

    With `KOMOREBI_WORKER=external` servers leave all of it to workers.
    """
    anyio.run(_work, ready_settings())


async def _work(settings: Settings) -> None:
    async with open_app(settings):
        if sys.platform == "win32":
            # Ctrl-C raises KeyboardInterrupt there.
            await anyio.sleep_forever()
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            announce("Working", form=settings.log_format)
            async for _ in signals:
                end_by_all_means()
                return
