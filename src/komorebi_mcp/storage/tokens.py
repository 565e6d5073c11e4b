"""Bearer tokens, by their digests: what a stolen database holds opens nothing.

Whoever checks tokens may keep what was found for as long as `Store.tokens_version` stays the same.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select, text, update

from komorebi_mcp.domain.access import Scope, Token
from komorebi_mcp.storage.owned import AnyRow
from komorebi_mcp.storage.sessions import Session
from komorebi_mcp.storage.tables import tokens


class TokenRepository:
    """The tokens of all owners, within one transaction: who somebody is has to be found out first."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, token: Token, *, digest: str) -> None:
        await self._session.run(_add, token, digest)

    async def all(self) -> list[Token]:
        """Every token there ever was, the oldest first."""
        return await self._session.run(_all)

    async def find(self, digest: str) -> Token | None:
        """The token of this digest, whether or not it is still valid."""
        return await self._session.run(_find, digest)

    async def any(self) -> bool:
        """Whether there ever was one."""
        return await self._session.run(_any)

    async def revoke(self, token_id: str, *, at: datetime) -> Token | None:
        """The token as it is now, revoked then or earlier; None where there is none of that id."""
        return await self._session.run(_revoke, token_id, at)

    async def mark_used(self, token_ids: Sequence[str], *, at: datetime) -> None:
        used = update(tokens).where(tokens.c.id.in_(list(token_ids))).values(used_at=at)
        await self._session.run(lambda connection: connection.execute(used).close())


def _add(connection: Connection, token: Token, digest: str) -> None:
    row = token.model_dump() | {"scopes": " ".join(token.scopes), "digest": digest}
    connection.execute(insert(tokens), row)
    _count_change(connection)


def _all(connection: Connection) -> list[Token]:
    found = connection.execute(select(tokens).order_by(tokens.c.created_at, tokens.c.id))
    return [_token(row) for row in found]


def _find(connection: Connection, digest: str) -> Token | None:
    row = connection.execute(select(tokens).where(tokens.c.digest == digest)).first()
    return None if row is None else _token(row)


def _any(connection: Connection) -> bool:
    return connection.execute(select(tokens.c.id).limit(1)).first() is not None


def _revoke(connection: Connection, token_id: str, at: datetime) -> Token | None:
    mine = tokens.c.id == token_id
    connection.execute(update(tokens).where(mine, tokens.c.revoked_at.is_(None)).values(revoked_at=at))
    _count_change(connection)
    row = connection.execute(select(tokens).where(mine)).first()
    return None if row is None else _token(row)


def _count_change(connection: Connection) -> None:
    """Lets every process on an SQLite file see by one number in its header that tokens are different now."""
    if connection.dialect.name == "sqlite":
        version = connection.execute(text("PRAGMA user_version")).scalar_one()
        connection.execute(text(f"PRAGMA user_version = {version + 1}"))


def _token(row: AnyRow) -> Token:
    return Token(
        id=row.id,
        owner=row.owner,
        scopes=tuple(Scope(scope) for scope in row.scopes.split()),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        used_at=row.used_at,
    )
