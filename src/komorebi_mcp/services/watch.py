"""Watch: what other processes have changed of the captures that somebody here follows.

Changes made in this process are announced as they happen, and on PostgreSQL those of others as well. On
SQLite those show in the file alone, so what is followed is looked at again and again, and only that.
"""

from dataclasses import dataclass, field

import anyio

from komorebi_mcp.domain.captures import CaptureFilter, Status
from komorebi_mcp.domain.changes import Announce, Change
from komorebi_mcp.domain.pages import LIMIT_MAX
from komorebi_mcp.storage.store import Store

_PAUSE_S = 1.0
_PAUSE_HEARING_S = 30.0
"""Where others tell of their changes, a look only makes up for what was not heard."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What of one owner's is followed."""

    captures: frozenset[str] = frozenset()
    """Ids."""
    inbox: bool = False
    projects: bool = False
    """Whether any of them is."""


@dataclass(slots=True)
class _Seen:
    """How things stood when last looked at."""

    captures: dict[str, object] = field(default_factory=dict)
    inbox: frozenset[str] | None = None
    projects: dict[str, object] | None = None
    """Those that were changed last."""


class Watch:
    """Announces changes that it finds by looking. One that this process announced already may come again."""

    def __init__(self, store: Store, *, announce: Announce) -> None:
        self._store = store
        self._announce = announce
        self._seen: dict[str, _Seen] = {}
        self._missed = anyio.Event()
        self._version: int | None = None
        """The database's, before the last look."""

    def hurry(self) -> None:
        """Has the next look taken at once, since something may have been missed."""
        self._missed.set()

    async def pause(self) -> None:
        """Returns when it is time for the next look, as soon as there can be something to see."""
        while not self._missed.is_set():
            with anyio.move_on_after(_PAUSE_HEARING_S if self._store.hears else _PAUSE_S):
                await self._missed.wait()
            before, self._version = self._version, self._store.version()
            if self._version is None or self._version != before:
                break
        self._missed = anyio.Event()

    async def look(self, owner: str, followed: Followed) -> None:
        """Announces what has changed since the last look; of what was not followed then, nothing yet.

        Raises:
            StorageError: The database does not answer.
        """
        # If this fails, it is to be tried again whether or not anything is written meanwhile.
        version, self._version = self._version, None
        now = _Seen()
        async with self._store.read(owner) as transaction:
            versions = await transaction.captures.versions(sorted(followed.captures))
            # One that is forgotten has changed too.
            now.captures = {capture_id: versions.get(capture_id) for capture_id in followed.captures}
            if followed.inbox:
                where = CaptureFilter(statuses=(Status.INBOX,))
                page = await transaction.captures.page(where, limit=LIMIT_MAX)
                now.inbox = frozenset(capture.id for capture in page.items)
            if followed.projects:
                now.projects = dict(await transaction.projects.versions(limit=LIMIT_MAX))
        self._version = version
        before, self._seen[owner] = self._seen.get(owner, _Seen()), now
        captures, projects = _changed_captures(before, now), _changed_projects(before, now)
        if captures or projects:
            self._announce(Change(owner, tuple(sorted(captures)), tuple(sorted(projects)), due=False))


def _changed_captures(before: _Seen, now: _Seen) -> set[str]:
    """Ids of captures that changed, came into the inbox or left it."""
    both = before.captures.keys() & now.captures.keys()
    changed = {capture_id for capture_id in both if before.captures[capture_id] != now.captures[capture_id]}
    if before.inbox is not None and now.inbox is not None:
        changed |= before.inbox ^ now.inbox
    return changed


def _changed_projects(before: _Seen, now: _Seen) -> set[str]:
    """Names of projects that changed, former names included."""
    if before.projects is None or now.projects is None:
        return set()
    changed = {name for name, version in now.projects.items() if before.projects.get(name) != version}
    if len(now.projects) < LIMIT_MAX:
        # All there are: what is not among them has another name now.
        changed |= before.projects.keys() - now.projects.keys()
    return changed
