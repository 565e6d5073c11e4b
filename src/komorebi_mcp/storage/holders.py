"""Who holds leases on PostgreSQL, and who of them is gone.

Every process that hears the others holds an advisory lock of its own for as long as it hears, and its leases
begin with the name of that lock. PostgreSQL frees the lock of a process that dies, however it dies, so that
nobody has to wait for the leases of the dead to end.
"""

import secrets
from typing import Any, Final

from sqlalchemy import Connection, func, select, text

from komorebi_mcp.storage.tables import captures

_LOCKS: Final = 0x6B6F77
"""First half of the advisory locks; the second is the process's number."""
_NUMBERS: Final = 2**31
_TRY_LOCK: Final = "SELECT pg_try_advisory_lock(%s, %s)"
_LIVING: Final = text(
    "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND classid = :locks AND objsubid = 2 "
    "AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_NAME_CHARS: Final = 10
"""`w`, eight hexadecimal digits and a dot; other leases begin with a hexadecimal digit."""


async def lock_a_name(connection: Any) -> str:
    """A name for this process, which lives as long as this connection of psycopg's."""
    while True:
        number = secrets.randbelow(_NUMBERS)
        cursor = await connection.execute(_TRY_LOCK, (_LOCKS, number))
        if (await cursor.fetchone())[0]:
            return _name(number)


def names_of_the_dead(connection: Connection) -> list[str]:
    """Those who hold leases and are gone."""
    lease = captures.c.lease
    held = select(func.substr(lease, 1, _NAME_CHARS)).where(
        captures.c.due_at.is_not(None), lease.startswith("w")
    )
    # In this order: whoever holds a lease had the lock before.
    holders = set(connection.execute(held.distinct()).scalars())
    living = {_name(number) for number in connection.execute(_LIVING, {"locks": _LOCKS}).scalars()}
    return sorted(holders - living)


def _name(number: int) -> str:
    return f"w{number:08x}."
