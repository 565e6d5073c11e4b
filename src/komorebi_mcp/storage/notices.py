"""What processes on one PostgreSQL tell one another: that something has changed, never what it says.

A notice is sent in the transaction that makes the change (NOTIFY), so that it goes out with the commit or not
at all. A connection of its own hears the others' (LISTEN). Whoever was not connected has missed what was said
meanwhile; the rows stay the truth, and whoever depends on a change looks at them now and then.
"""

import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import anyio
import structlog
from pydantic import ValidationError
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from komorebi_mcp.domain.changes import Announce, Change
from komorebi_mcp.domain.model import Model
from komorebi_mcp.storage.holders import lock_a_name

_CHANNEL: Final = "komorebi"
_PAYLOAD_BYTES_MAX: Final = 7_999
"""PostgreSQL's own limit."""
_BEAT_S: Final = 30.0
"""After so long without a notice the connection is tried, which a network may have dropped without a word."""
_ANSWER_S: Final = 5.0
_RETRY_S: Final = 0.5
"""The wait before the first attempt to connect again; it doubles with each further one."""
_RETRY_MAX_S: Final = 30.0

_NOTIFY: Final = text("SELECT pg_notify(:channel, payload) FROM unnest(CAST(:payloads AS text[])) AS payload")
_KEEPALIVES: Final = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3"}

_log = structlog.get_logger(__name__)


class _Told(Model):
    """A change on its way."""

    sender: str
    owner: str
    captures: tuple[str, ...]
    projects: tuple[str, ...]
    due: bool


class Notices:
    """This process's voice and ear on one database."""

    hears: bool
    """Whether notices reach us now. Where they do not, changes of others can only be looked for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._me = secrets.token_hex(8)
        self._locked = ""
        self.hears = False

    @property
    def name(self) -> str:
        """This process's, known to live for as long as it hears (`holders`); empty where it does not."""
        return self._locked if self.hears else ""

    def send(self, connection: Connection, changes: Sequence[Change]) -> None:
        """Tells the other processes, once the transaction under way is committed."""
        told = [change for change in changes if change.captures or change.projects]
        payloads = [payload for change in told for payload in _payloads(self._me, change)]
        if payloads:
            connection.execute(_NOTIFY, {"channel": _CHANNEL, "payloads": payloads})

    async def listen(self, announce: Announce, *, connected: Callable[[], None]) -> None:
        """Hands `announce` what other processes have changed, until cancelled; connects again when cut off.

        `connected` is called whenever we hear again, since something may have been missed before.
        """
        import psycopg  # noqa: PLC0415 - an extra, and no business of those on SQLite.

        wait_s = _RETRY_S
        while True:
            try:
                async with self._connection() as listening:
                    wait_s = _RETRY_S
                    while True:
                        async for notice in listening.notifies(timeout=_BEAT_S):
                            self._take(notice.payload, announce, connected)
                        with anyio.fail_after(_ANSWER_S):
                            await listening.execute("SELECT 1")
            except (psycopg.Error, OSError, TimeoutError) as error:
                _log.warning("notices.cut_off", error=type(error).__name__)
            finally:
                self.hears = False
            await anyio.sleep(wait_s)
            wait_s = min(wait_s * 2, _RETRY_MAX_S)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """A connection of psycopg's own that listens, and has just been said something to."""
        import psycopg  # noqa: PLC0415 - as above.

        dialect = self._engine.dialect
        positional, named = dialect.create_connect_args(self._engine.url)
        connection = await psycopg.AsyncConnection.connect(
            *positional, **{**_KEEPALIVES, **named}, autocommit=True
        )
        async with connection:
            self._locked = await lock_a_name(connection)
            await connection.execute(f"LISTEN {_CHANNEL}")
            # It comes back where notices reach us, which a pooler between us and the database may prevent.
            async with self._engine.begin() as other:
                await other.execute(_NOTIFY, {"channel": _CHANNEL, "payloads": [self._me]})
            yield connection

    def _take(self, payload: str, announce: Announce, connected: Callable[[], None]) -> None:
        if payload == self._me:
            self.hears = True
            connected()
            return
        try:
            told = _Told.model_validate_json(payload)
        except ValidationError:
            # A trial like ours, of another process; or from a program that uses the same channel.
            return
        if told.sender != self._me:
            announce(Change(told.owner, told.captures, told.projects, due=told.due))


def _payloads(sender: str, change: Change) -> Iterator[str]:
    """The change as JSON, in as many parts as it takes."""
    told = _Told(
        sender=sender,
        owner=change.owner,
        captures=change.captures,
        projects=change.projects,
        due=change.due,
    )
    # In ASCII: a name may hold what PostgreSQL's text does not.
    payload = json.dumps(told.model_dump())
    whole = len(change.captures) + len(change.projects)
    if len(payload) <= _PAYLOAD_BYTES_MAX or whole <= 1:
        yield payload
        return
    for half in _halves(change):
        yield from _payloads(sender, half)


def _halves(change: Change) -> tuple[Change, Change]:
    captures, projects = len(change.captures) // 2, len(change.projects) // 2
    return (
        replace(change, captures=change.captures[:captures], projects=change.projects[:projects]),
        replace(change, captures=change.captures[captures:], projects=change.projects[projects:]),
    )
