"""Progress bars, on stderr, for a person who watches."""

import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Final

import anyio
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from komorebi_mcp.app import App
from komorebi_mcp.upstream.status import UpstreamState

INTERRUPTED: Final = 128 + signal.SIGINT
"""What a shell takes for a command that Ctrl-C has ended."""
_LOOK_S = 0.1


@contextmanager
def bytes_bar(what: str, *, total: int | None) -> Iterator[Callable[[int], None]]:
    """Shows how many bytes are done, as told to the function given; nothing unless stderr is a terminal."""
    with _bar(what, DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def steps_shown() -> Iterator[Callable[[int, int, str], Awaitable[None]]]:
    """Shows which step of a long work is under way, as told to the function given."""
    out = Console(stderr=True)
    with out.status("") if out.is_terminal else nullcontext() as status:

        async def show(step: int, total: int, what: str) -> None:
            if status is not None:
                status.update(f"{what} ({step}/{total})")

        yield show


@contextmanager
def captures_bar(what: str, *, total: int) -> Iterator[Callable[[int], None]]:
    """As `bytes_bar`, for captures."""
    with _bar(what, MofNCompleteColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


async def enriched(app: App) -> None:
    """Returns when nothing waits for the background any more; shows meanwhile how much still does."""
    total = await _waiting(app)
    with _bar("enriching", MofNCompleteColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task("enriching", total=total)
        while (left := await _waiting(app)) > 0:
            bar.update(task, completed=max(total - left, 0))
            await anyio.sleep(_LOOK_S)


async def upstreams_reached(app: App, *, wait_s: float) -> None:
    """Returns once each upstream was connected to or has failed; shows meanwhile who is waited for."""

    async def tell() -> None:
        while True:
            known = app.aggregate.status()
            slow = [each.name for each in known if each.state is UpstreamState.CONNECTING]
            await show(len(known) - len(slow), len(known), f"Waiting for {', '.join(slow)}")
            await anyio.sleep(_LOOK_S)

    with steps_shown() as show:
        async with anyio.create_task_group() as beside:
            beside.start_soon(tell)
            await app.aggregate.reach_all(wait_s=wait_s)
            beside.cancel_scope.cancel()


@contextmanager
def _bar(what: str, *columns: ProgressColumn) -> Iterator[Progress]:
    out = Console(stderr=True)
    with Progress(
        TextColumn(what), BarColumn(), *columns, console=out, transient=True, disable=not out.is_terminal
    ) as bar:
        yield bar


async def _waiting(app: App) -> int:
    async with app.store.work() as queue:
        return (await queue.backlog()).waiting
