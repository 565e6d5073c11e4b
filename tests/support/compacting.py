"""A process that keeps the pyramids of a database up, and says on stdout what it is about to do.

Run as `python compacting.py URL`; it ends once nothing is left to do.
"""

import sys
from typing import Any

import anyio

from komorebi_mcp.services.compact import Compact
from komorebi_mcp.storage.store import Store, open_store


class _Telling(Store):
    """Says `take` or `keep` before either."""

    async def take_work(self, *arguments: Any, **named: Any) -> Any:
        _say("take")
        return await super().take_work(*arguments, **named)

    async def keep_nodes(self, *arguments: Any, **named: Any) -> Any:
        _say("keep")
        return await super().keep_nodes(*arguments, **named)


def _say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


async def main(url: str) -> None:
    async with open_store(url) as store:
        store.__class__ = _Telling
        compact = Compact(store)
        while await compact.step():
            pass


if __name__ == "__main__":
    anyio.run(main, sys.argv[1])
