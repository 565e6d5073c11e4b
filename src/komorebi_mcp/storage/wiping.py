"""Leaving nothing of forgotten words in a SQLite file.

What deleted rows held is overwritten at once (`PRAGMA secure_delete`). The full-text index only marks words
as gone until its segments are merged, and the write-ahead log holds former pages until it begins anew.
"""

from contextlib import AbstractAsyncContextManager
from enum import Enum, auto
from functools import partial
from typing import Any, Final

from anyio import CancelScope, Event, to_thread
from sqlalchemy import Connection, text

from komorebi_mcp.storage.failures import storage_errors
from komorebi_mcp.storage.sqlite import OneStep

_SEGMENT_PAGES: Final = 250
"""Of a segment, written in one step, which takes the writer about 10 ms."""

_MARK = text("INSERT OR REPLACE INTO meta (name, value) VALUES ('forgotten', :stage)")
_STAGE = text("SELECT value FROM meta WHERE name = 'forgotten'")
_UNMARK = text("DELETE FROM meta WHERE name = 'forgotten'")
_MERGE = text("INSERT INTO capture_search (capture_search, rank) VALUES ('merge', :pages)")
_CHANGES = text("SELECT total_changes()")


def mark(connection: Connection) -> None:
    """Notes in the transaction of a change that words were taken away, so that a restart goes on."""
    if connection.dialect.name == "sqlite":
        connection.execute(_MARK, {"stage": "marked"})


class Wiper:
    """Wipes step by step, between the transactions of others."""

    def __init__(self, one_step: OneStep, writer: AbstractAsyncContextManager[Any]) -> None:
        self._one_step = one_step
        self._writer = writer
        self._due = Event()

    def wake(self) -> None:
        """Tells whoever waits that there is something to wipe."""
        self._due.set()

    async def wait(self) -> None:
        """Returns once there may be something to wipe that no step has seen."""
        await self._due.wait()

    async def wipe_some(self) -> bool:
        """Takes a step; whether there is more to do.

        Raises:
            StorageError: The file cannot be written.
        """
        self._due = Event()
        async with self._writer:
            with storage_errors(), CancelScope(shield=True):
                done = await to_thread.run_sync(partial(self._one_step.write, _step, owner=""))
                if done is _Done.THE_LAST:
                    await to_thread.run_sync(self._one_step.empty_log)
        return done is _Done.A_PART


class _Done(Enum):
    """What a step has done."""

    NOTHING = auto()
    """There was nothing to wipe."""
    A_PART = auto()
    THE_LAST = auto()


def _step(connection: Connection) -> _Done:
    """Merges a part of the index.

    A negative number of pages puts all segments there are on one level; positive ones merge that level. A
    step that finds nothing left to merge makes one change alone (SQLite, FTS5, "The 'merge' command").
    """
    stage = connection.execute(_STAGE).scalar()
    if stage is None:
        return _Done.NOTHING
    before: int = connection.execute(_CHANGES).scalar_one()
    begins = stage == "marked"
    connection.execute(_MERGE, {"pages": -_SEGMENT_PAGES if begins else _SEGMENT_PAGES})
    if begins:
        connection.execute(_MARK, {"stage": "merging"})
        return _Done.A_PART
    if connection.execute(_CHANGES).scalar_one() - before >= 2:
        return _Done.A_PART
    connection.execute(_UNMARK)
    return _Done.THE_LAST
