"""Access: bearer tokens, and whom they stand for."""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

import anyio
import structlog

from komorebi_mcp.domain.access import Principal, Scope, Token
from komorebi_mcp.domain.clock import Clock
from komorebi_mcp.errors import InvalidInput, NotFound, StorageError
from komorebi_mcp.storage.store import Store

PREFIX: Final = "kmr_"
"""By which people and secret scanners know one of our tokens."""
OWNER_CHARS_MAX: Final = 200
USED_EVERY: Final = timedelta(hours=1)
"""How coarsely the last use is kept: a token in use costs one write in so long."""

_SECRET_BYTES = 32
_ID_BYTES = 6
_KNOWN_MAX = 10_000

_log = structlog.get_logger(__name__)


class Access:
    """Makes, revokes and recognises tokens."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        # What holds as long as no process has made or revoked a token.
        self._version: int | None = None
        self._known: dict[str, Token | None] = {}
        self._exist: bool | None = None
        self._used: dict[str, datetime] = {}
        self._unwritten: set[str] = set()
        self._used_since = anyio.Event()

    async def new(
        self, owner: str, scopes: Iterable[Scope], *, lasts: timedelta | None = None
    ) -> tuple[str, Token]:
        """A fresh token, which is kept nowhere, and what is kept of it.

        Raises:
            InvalidInput: The owner's name is empty, too long or not printable, or no scope is given.
        """
        rights = tuple(scope for scope in Scope if scope in set(scopes))
        if not rights:
            raise InvalidInput(f"A token needs a scope. Name some of {', '.join(Scope)}.")
        if not owner.strip() or len(owner) > OWNER_CHARS_MAX or not owner.isprintable():
            raise InvalidInput(
                f"The owner's name must have 1 to {OWNER_CHARS_MAX} printable characters. Choose another."
            )
        now = self._clock()
        secret = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        token = Token(
            id=secrets.token_hex(_ID_BYTES),
            owner=owner.strip(),
            scopes=rights,
            created_at=now,
            expires_at=None if lasts is None else now + lasts,
        )
        async with self._store.tokens(write=True) as tokens:
            await tokens.add(token, digest=_digest(secret))
        return secret, token

    async def all(self) -> list[Token]:
        """Every token there ever was, the oldest first."""
        async with self._store.tokens() as tokens:
            return await tokens.all()

    async def revoke(self, token_id: str) -> Token:
        """The token, which opens nothing from now on, in no process.

        Raises:
            NotFound: There is none of that id.
        """
        async with self._store.tokens(write=True) as tokens:
            token = await tokens.revoke(token_id, at=self._clock())
        if token is None:
            raise NotFound(f"No token has the id {token_id!r}. Run `komorebi-mcp token list` for the ids.")
        return token

    async def exist(self) -> bool:
        """Whether there ever was a token: revoking the last one must not let everybody in."""
        version = self._forget_if_changed()
        exist = self._exist
        if exist is None:
            async with self._store.tokens() as tokens:
                exist = await tokens.any()
            if self._may_keep(version):
                self._exist = exist
        return exist

    async def any_valid(self) -> bool:
        """Whether there is a token that is accepted."""
        now = self._clock()
        return any(token.is_valid(now) for token in await self.all())

    async def verify(self, secret: str) -> Principal | None:
        """Whom a token stands for; None where it is none of ours, or no longer one.

        Raises:
            StorageError: The database does not answer.
        """
        if not secret.startswith(PREFIX):
            return None
        digest = _digest(secret)
        version = self._forget_if_changed()
        if digest in self._known:
            token = self._known[digest]
        else:
            async with self._store.tokens() as tokens:
                token = await tokens.find(digest)
            if self._may_keep(version):
                if len(self._known) >= _KNOWN_MAX:
                    self._known.clear()
                self._known[digest] = token
        now = self._clock()
        if token is None or not token.is_valid(now):
            return None
        self._note_use(token, now)
        return Principal(token.owner, frozenset(token.scopes))

    async def run(self) -> None:
        """Writes down when tokens were last used, until cancelled."""
        while True:
            await self._used_since.wait()
            self._used_since = anyio.Event()
            try:
                await self.note_uses()
            except StorageError as error:
                _log.warning("access.use_not_noted", error=str(error))

    async def note_uses(self) -> None:
        """Writes down the uses that are to be."""
        unwritten, self._unwritten = sorted(self._unwritten), set()
        if unwritten:
            async with self._store.tokens(write=True) as tokens:
                await tokens.mark_used(unwritten, at=self._clock())

    def _note_use(self, token: Token, now: datetime) -> None:
        last = self._used.get(token.id) or token.used_at
        if last is None or now - last >= USED_EVERY:
            self._used[token.id] = now
            self._unwritten.add(token.id)
            self._used_since.set()

    def _forget_if_changed(self) -> int | None:
        """Drops what was found out about tokens where some may have changed since; how they stand now."""
        version = self._store.tokens_version()
        if version is None or version != self._version:
            self._version = version
            self._known.clear()
            self._exist = None
        return version

    def _may_keep(self, version: int | None) -> bool:
        """Whether what was read after `version` is no older than the rest of what is kept."""
        return version is not None and version == self._version


def _digest(secret: str) -> str:
    # The secret is random and long, so that a plain digest cannot be turned back.
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
