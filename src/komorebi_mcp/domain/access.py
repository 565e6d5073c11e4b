"""Who a request comes from, and what they may do."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from komorebi_mcp.domain.model import Model

LOCAL_OWNER: Final = "local"
"""Whose data stdio, the command line and HTTP without authentication work on."""


class Scope(StrEnum):
    """A right that a token carries. None includes another."""

    READ = "read"
    WRITE = "write"
    UPSTREAM = "upstream"


ALL_SCOPES: Final = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Principal:
    """An owner as a request comes from them."""

    owner: str
    scopes: frozenset[Scope] = ALL_SCOPES


LOCAL: Final = Principal(LOCAL_OWNER)
"""Whoever can reach a server that asks for no token: they could read its file anyway."""


class Token(Model):
    """What is kept of a bearer token: everything but the token."""

    id: str
    owner: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    used_at: datetime | None = None
    """To within `services.access.USED_EVERY`."""

    def is_valid(self, now: datetime) -> bool:
        """Whether it is accepted at that moment."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)
