"""The store: opened once, then one transaction at a time for whoever needs one."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from anyio import CancelScope, Lock, Semaphore, to_thread
from sqlalchemy import URL, Connection, false, select, update
from sqlalchemy.util import greenlet_spawn

from komorebi_mcp.domain.captures import CaptureCreate, Enrichment, Receipt
from komorebi_mcp.domain.changes import Announce, Change, covered, enriched, taken_in
from komorebi_mcp.domain.clock import Clock, utc_now
from komorebi_mcp.domain.jobs import Job
from komorebi_mcp.domain.nodes import NodeCreate, Work
from komorebi_mcp.domain.pyramid import Place
from komorebi_mcp.storage import backup, enrichments, intake, postgres, pyramid, sqlite
from komorebi_mcp.storage.cursors import CursorSigner
from komorebi_mcp.storage.failures import storage_errors
from komorebi_mcp.storage.jobs import JobQueue
from komorebi_mcp.storage.memory import Memory
from komorebi_mcp.storage.notices import Notices
from komorebi_mcp.storage.opening import prepare
from komorebi_mcp.storage.owned import OwnedSession, Rows
from komorebi_mcp.storage.sessions import Connector, Session
from komorebi_mcp.storage.tables import meta
from komorebi_mcp.storage.tasks import purge
from komorebi_mcp.storage.tokens import TokenRepository
from komorebi_mcp.storage.transaction import Transaction
from komorebi_mcp.storage.upstreams import UpstreamRepository
from komorebi_mcp.storage.wiping import Wiper

_UPSTREAMS = "\x1fupstreams"
"""Locked as an owner is; no owner has that name."""

T = TypeVar("T")


class Store:
    """An open database."""

    dialect: str
    """`sqlite` or `postgresql`."""
    leader_lock: Path | None
    """The lock file of whoever works in the background; None on PostgreSQL, where every process may."""

    def __init__(
        self,
        *,
        reading: Connector,
        writing: Connector,
        key: bytes,
        clock: Clock,
        announce: Announce,
        one_step: sqlite.OneStep | None = None,
        header: sqlite.Header | None = None,
        notices: Notices | None = None,
    ) -> None:
        self._announce = announce
        self.dialect = writing.engine.dialect.name
        self._reading = reading
        self._writing = writing
        self._one_step = one_step
        self._header = header
        self._clock = clock
        self._cursors = CursorSigner(key)
        self._memory = Memory()
        one_file = self.dialect == "sqlite"
        self.leader_lock = sqlite.beside(writing.engine.url, ".leader") if one_file else None
        self._readers = Semaphore(sqlite.READERS_MAX if one_file else postgres.CONNECTIONS_MAX)
        self._writer: AbstractAsyncContextManager[Any] = Lock() if one_file else self._readers
        self._notices = notices
        self.wiper = Wiper(one_step, self._writer) if one_step is not None else None

    def read(self, owner: str) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that sees the owner's data; anything written in it is rolled back."""
        return self._transaction(owner, write=False)

    def write(self, owner: str) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that commits at exit, and rolls back when left by an exception or a cancellation.

        Raises:
            StorageUnavailable: Another process held the database for 30 seconds.
        """
        return self._transaction(owner, write=True)

    async def take_in(self, owner: str, items: Sequence[CaptureCreate]) -> list[Receipt]:
        """Stores captures in a transaction of their own; a receipt for each, in the given order.

        As `CaptureRepository.add_all`, and the way of every capture: on SQLite the whole transaction is one
        step in one thread, since crossing threads for each statement costs more than the disk.

        Raises:
            StorageError: Nothing was stored.
        """
        return await self._at_once(
            owner, partial(intake.add_all, items=items), change=partial(taken_in, owner, items)
        )

    async def enrich(self, owner: str, finished: Sequence[tuple[Job, Enrichment]]) -> list[str]:
        """Stores what the background found, ends those jobs and moves their captures on from the inbox.

        The ids of the captures it was stored for: not those whose lease is no longer the job's, nor those
        that are gone or changed. On SQLite it is one step in one thread, like `take_in`.

        Raises:
            StorageError: Nothing was stored.
        """
        return await self._at_once(
            owner,
            partial(enrichments.store_all, finished=finished),
            change=partial(enriched, owner, finished),
        )

    async def take_work(self, owner: str, project_id: int, *, leaves_max: int) -> Work | None:
        """What of a pyramid is due, in a transaction of its own, as `PyramidRepository.take`."""
        return await self._at_once(owner, partial(pyramid.take, project_id=project_id, leaves_max=leaves_max))

    async def keep_nodes(
        self, owner: str, work: Work, made: Sequence[NodeCreate], *, gone: Sequence[Place]
    ) -> list[str] | None:
        """Keeps what was made of it, in a transaction of its own, as `PyramidRepository.keep`."""
        return await self._at_once(
            owner,
            partial(pyramid.keep, work=work, made=made, gone=gone),
            change=partial(covered, owner, work, made, gone),
        )

    async def _at_once(
        self,
        owner: str,
        work: Callable[[Rows], T],
        *,
        change: Callable[[T], Change | None] = lambda _: None,
    ) -> T:
        """What `work` returns, its transaction committed and told of."""
        if self._one_step is None:

            def noted(connection: Connection) -> T:
                done = work(self._rows(connection, owner=owner))
                if told := change(done):
                    self._notify(connection, [told])
                return done

            async with self._session(write=True, owner=owner, opening=self._opening(owner)) as session:
                done = await session.run(noted)
        else:
            bind = partial(self._rows, owner=owner)
            step = partial(self._one_step.write, lambda c: work(bind(c)), owner=owner)
            async with self._writer:
                with storage_errors(), CancelScope(shield=True):
                    done = await to_thread.run_sync(step)
        if told := change(done):
            self._announce(told)
        return done

    @asynccontextmanager
    async def _transaction(self, owner: str, *, write: bool) -> AsyncIterator[Transaction]:
        opening = self._opening(owner) if write else _nothing
        bind = partial(self._rows, owner=owner)
        told: list[Change] = []
        async with self._session(write=write, owner=owner, opening=opening) as session:
            yield Transaction(OwnedSession(session, bind), told.append)
            if told and self._notices is not None:
                await session.run(self._notify, told)
        for change in told:
            self._announce(change)

    def _notify(self, connection: Connection, changes: Sequence[Change]) -> None:
        """Has other processes told once the transaction is committed; on SQLite they have to look."""
        if self._notices is not None:
            self._notices.send(connection, changes)

    def _opening(self, owner: str) -> Callable[[Connection], None]:
        return partial(postgres.lock_owner, owner=owner) if self.dialect == "postgresql" else _nothing

    def _rows(self, connection: Connection, *, owner: str) -> Rows:
        driver = sqlite.driver_of(connection) if self.dialect == "sqlite" else None
        return Rows(connection, owner, self._clock, self._cursors, driver=driver, memory=self._memory)

    @asynccontextmanager
    async def work(self) -> AsyncIterator[JobQueue]:
        """A write transaction over the jobs of all owners."""
        holder = self._notices.name if self._notices else ""
        async with self._session(write=True, owner=None, opening=_nothing) as session:
            yield JobQueue(session, self._clock, holder=holder)

    @asynccontextmanager
    async def look(self) -> AsyncIterator[JobQueue]:
        """A read transaction over the jobs of all owners; anything written in it is rolled back."""
        async with self._session(write=False, owner=None, opening=_nothing) as session:
            yield JobQueue(session, self._clock)

    @asynccontextmanager
    async def tokens(self, *, write: bool = False) -> AsyncIterator[TokenRepository]:
        """A transaction over everybody's tokens."""
        async with self._session(write=write, owner=None, opening=_nothing) as session:
            yield TokenRepository(session)

    @asynccontextmanager
    async def upstreams(self, *, write: bool = False) -> AsyncIterator[UpstreamRepository]:
        """A transaction over what is kept of the upstreams."""
        opening = _nothing
        if write and self.dialect == "postgresql":
            # Two processes must not both be the first to see a tool.
            opening = partial(postgres.lock_owner, owner=_UPSTREAMS)
        async with self._session(write=write, owner=None, opening=opening) as session:
            yield UpstreamRepository(session, self._clock)

    @property
    def hears(self) -> bool:
        """Whether `listen` tells of what other processes change; where it does not, they look."""
        return self._notices is not None and self._notices.hears

    async def listen(self, announce: Announce, *, connected: Callable[[], None]) -> None:
        """Hands `announce` the changes that other processes make, until cancelled.

        On SQLite nobody tells of them, and it returns. `connected` is called whenever they begin to be
        heard, since something may have been missed before.
        """
        if self._notices is not None:
            await self._notices.listen(announce, connected=connected)

    def key_for(self, purpose: str) -> bytes:
        """32 secret bytes for that purpose alone, the same in every process on this database."""
        return self._cursors.key_for(purpose)

    def tokens_version(self) -> int | None:
        """A number that differs once any process has made or revoked a token; None where nothing tells.

        It takes microseconds and no thread, so that a check of every request costs nothing.
        """
        return None if self._header is None else self._header.user_version()

    def version(self) -> int | None:
        """A number that differs once anything was committed, by any process; None where nothing tells.

        As quick as `tokens_version`, so that who waits for others' changes need not ask the database.
        """
        return None if self._header is None else self._header.data_version()

    async def purge_tasks(self) -> None:
        """Deletes the tasks of all owners whose time is over."""
        async with self._session(write=True, owner=None, opening=_nothing) as session:
            await session.run(purge, now=self._clock())

    async def back_up(self, target: Path, *, copied: Callable[[int, int], None]) -> None:
        """Writes all there is, of every owner, to a SQLite file of its own; see `backup.copy_database`.

        Raises:
            InvalidInput: The database is no SQLite file.
            StorageError: It cannot be read or the copy not written.
        """
        address = self._writing.engine.url
        await to_thread.run_sync(partial(backup.copy_database, address, target, copied=copied))

    async def check(self, *, writing: bool = False) -> None:
        """Returns when the database answers, and can be written where that is asked; changes nothing.

        Raises:
            StorageUnavailable: It does not, or cannot.
        """
        # A change of no row is refused, too, where none could be written.
        asked = update(meta).where(false()).values(value="") if writing else select(meta.c.name).limit(1)
        async with self._session(write=writing, owner=None, opening=_nothing) as session:
            await session.run(lambda connection: connection.execute(asked))

    @asynccontextmanager
    async def _session(
        self, *, write: bool, owner: str | None, opening: Callable[[Connection], None]
    ) -> AsyncIterator[Session]:
        async with self._writer if write else self._readers:
            connector = self._writing if write else self._reading
            session = Session(connector, options={"write": write, "owner": owner}, opening=opening)
            try:
                yield session
            except BaseException:
                await session.end(commit=False)
                raise
            await session.end(commit=write)


def _nothing(_: object) -> None:
    return None


@asynccontextmanager
async def open_store(
    url: str, *, clock: Clock = utc_now, announce: Announce = _nothing
) -> AsyncIterator[Store]:
    """The store at `url`, its schema brought up to date; closed at exit. `announce` is told what it changes.

    Takes `sqlite+aiosqlite:///path`, `sqlite:///path`, `postgresql+psycopg://…` and `postgresql://…`.

    Raises:
        StorageUnavailable: It cannot be reached or written.
        StorageCorrupt: It is damaged, another program's, or from a newer version.
        ConfigError: The URL is none of these.
    """
    address, key = await to_thread.run_sync(prepare, url)
    opened = _sqlite if address.get_backend_name() == "sqlite" else _postgres
    async with opened(address, key, clock, announce) as store:
        yield store


@asynccontextmanager
async def _sqlite(address: URL, key: bytes, clock: Clock, announce: Announce) -> AsyncIterator[Store]:
    readers, writer = sqlite.make_engine(address), sqlite.make_async_engine(address)
    one_step, header = sqlite.OneStep(address), sqlite.Header(address)
    try:
        yield Store(
            # A search makes dozens of statements, and crossing to aiosqlite's thread for each costs more.
            reading=Connector(readers, sqlite.in_a_thread(), sqlite.interrupt),
            writing=Connector(writer.sync_engine, greenlet_spawn),
            key=key,
            clock=clock,
            announce=announce,
            one_step=one_step,
            header=header,
        )
    finally:
        header.close()
        with CancelScope(shield=True):
            await writer.dispose()
            await to_thread.run_sync(readers.dispose)
            await to_thread.run_sync(one_step.close)


@asynccontextmanager
async def _postgres(address: URL, key: bytes, clock: Clock, announce: Announce) -> AsyncIterator[Store]:
    engine = postgres.make_async_engine(address)
    writing = Connector(engine.sync_engine, greenlet_spawn)
    reading = writing._replace(interrupt=postgres.interrupt)
    try:
        notices = Notices(engine)
        yield Store(
            reading=reading, writing=writing, key=key, clock=clock, announce=announce, notices=notices
        )
    finally:
        with CancelScope(shield=True):
            await engine.dispose()
