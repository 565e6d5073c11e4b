"""The one place where statements over somebody's rows are made."""

import re
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    CursorResult,
    Delete,
    Executable,
    Row,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    column,
    delete,
    false,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.sql.selectable import FromClause

from komorebi_mcp.domain.clock import Clock
from komorebi_mcp.storage.cursors import CursorSigner
from komorebi_mcp.storage.memory import Memory
from komorebi_mcp.storage.prepared import Prepared
from komorebi_mcp.storage.sessions import Session

IN_MAX = 10_000
"""Values of one IN list; SQLite takes 32,766 variables in a statement."""


AnyRow = Row[*tuple[Any, ...]]
P = ParamSpec("P")
T = TypeVar("T")


# Two looks at the ends of an index, whoever the others are.
_OTHERS = Prepared(
    text(
        "SELECT EXISTS (SELECT 1 FROM captures WHERE owner < :the_owner) "
        "OR EXISTS (SELECT 1 FROM captures WHERE owner > :the_owner) AS others"
    ).columns(column("others"))
)


class Rows:
    """One owner's rows, seen through one connection. Every statement made here names the owner."""

    def __init__(
        self,
        connection: Connection,
        owner: str,
        clock: Clock,
        cursors: CursorSigner,
        *,
        driver: sqlite3.Connection | None = None,
        memory: Memory | None = None,
    ) -> None:
        """`driver` is the connection below `connection`, where one thread has it to itself."""
        self.connection = connection
        self._driver = driver
        self.owner = owner
        self.clock = clock
        self.cursors = cursors
        self.memory = memory or Memory()

    def mine(self, *tables: FromClause) -> ColumnElement[bool]:
        """The condition that rows of all `tables` belong to the owner."""
        return and_(*(table.c.owner == self.owner for table in tables))

    def select(self, *columns: Any, of: FromClause) -> Select[*tuple[Any, ...]]:
        return select(*columns).select_from(of).where(self.mine(of))

    def update(self, table: Table) -> Update:
        return update(table).where(self.mine(table))

    def delete(self, table: Table) -> Delete:
        return delete(table).where(self.mine(table))

    def insert(self, table: Table, values: Sequence[dict[str, Any]]) -> None:
        """Adds rows, which all name the same columns, in one statement; nothing where there are none."""
        if values:
            self.change(_insert(table, ("owner", *values[0])), values)

    def fetch(self, statement: Prepared, **parameters: Any) -> list[Any]:
        """The rows of a prepared statement, which names the owner by `of_owner`."""
        return statement.fetch(self.connection, self._driver, {"the_owner": self.owner, **parameters})

    def change(self, statement: Prepared, many: Sequence[dict[str, Any]]) -> None:
        """Carries a prepared statement out for each set of values; nothing where there are none."""
        mine = {"owner": self.owner, "the_owner": self.owner}
        statement.run(self.connection, self._driver, [{**mine, **each} for each in many])

    def run(self, statement: Executable, parameters: Any = None) -> CursorResult[*tuple[Any, ...]]:
        return self.connection.execute(statement, parameters)

    def has_others(self) -> bool:
        """Whether somebody else has captures as well, so that what is counted of all is not to be shown."""
        return bool(self.fetch(_OTHERS)[0].others)


class OwnedSession:
    """A transaction over one owner's rows, as the repositories use it."""

    def __init__(self, session: Session, bind: Callable[[Connection], Rows]) -> None:
        """`bind` makes the owner's rows out of the transaction's connection."""
        self._session = session
        self._bind = bind

    async def run(self, work: Callable[Concatenate[Rows, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` returns, given the owner's rows and these arguments."""

        def bound(connection: Connection) -> T:
            return work(self._bind(connection), *args, **kwargs)

        return await self._session.run(bound)


@cache
def _insert(table: Table, columns: tuple[str, ...]) -> Prepared:
    # Inline: PostgreSQL would be asked for the new row's number, which nobody reads.
    return Prepared(insert(table).inline(), columns=columns)


def of_owner(table: FromClause) -> ColumnElement[bool]:
    """The condition that names the owner later, for statements made once: `Rows` fills it in."""
    condition: ColumnElement[bool] = table.c.owner == bindparam("the_owner")
    return condition


def batches(values: Iterable[Any], size: int = IN_MAX) -> Iterable[list[Any]]:
    """`values` in lists of at most `size`."""
    items = list(values)
    return (items[start : start + size] for start in range(0, len(items), size))


_CANONICAL = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def canonical(ids: Iterable[str]) -> list[str]:
    """Those of `ids` that are ids at all, each once; PostgreSQL refuses to compare the others."""
    return [each for each in dict.fromkeys(ids) if _CANONICAL.fullmatch(each)]


def equals(column: Column[Any] | ColumnElement[Any], value: str) -> ColumnElement[bool]:
    """The column holds `value`; PostgreSQL's text holds no NUL and refuses to be compared with one."""
    return false() if "\x00" in value else column == value


def among(column: Column[Any] | ColumnElement[Any], values: Iterable[Any]) -> ColumnElement[bool]:
    return column.in_(list(values))
