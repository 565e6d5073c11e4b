"""Statements prepared once and handed to the driver as they are.

SQLAlchemy makes each of them and converts its values; only what it does anew at every execution is left out,
which costs more than SQLite takes for the statement itself.
"""

import json
import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import ARRAY, Connection, Dialect, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ClauseElement, ColumnElement, Delete, Insert, Update, bindparam
from sqlalchemy.sql.selectable import SelectBase
from sqlalchemy.sql.visitors import InternalTraversal
from sqlalchemy.types import TypeDecorator, TypeEngine

Parameters = Mapping[str, Any]
_Convert = Callable[[Any], Any]


class Prepared:
    """A statement with names for its values, and what makes it ready for each dialect."""

    def __init__(
        self,
        statement: SelectBase | Insert | Update | Delete,
        *,
        columns: Sequence[str] | None = None,
    ) -> None:
        """`columns` are those that an INSERT is given values for."""
        self.statement = statement
        self._columns = columns
        self._ready: WeakKeyDictionary[Dialect, _Ready] = WeakKeyDictionary()

    def fetch(
        self, connection: Connection, driver: sqlite3.Connection | None, values: Parameters
    ) -> list[Any]:
        """The rows of a SELECT, whose columns are attributes; through `driver` where there is one."""
        ready = self._on(connection.dialect)
        given = ready.values(values)
        if driver is not None:
            found: Sequence[Any] = _by(driver.execute, ready.sql, given).fetchall()
        else:
            found = connection.exec_driver_sql(ready.sql, given).fetchall()
        return ready.rows(found)

    def run(
        self, connection: Connection, driver: sqlite3.Connection | None, many: Sequence[Parameters]
    ) -> None:
        """Carries the statement out once for each set of values; nothing where there are none."""
        if not many:
            return
        ready = self._on(connection.dialect)
        given = [ready.values(values) for values in many]
        if driver is None:
            connection.exec_driver_sql(ready.sql, given if len(given) > 1 else given[0]).close()
        elif len(given) > 1:
            _by(driver.executemany, ready.sql, given)
        else:
            _by(driver.execute, ready.sql, given[0])

    def _on(self, dialect: Dialect) -> "_Ready":
        ready = self._ready.get(dialect)
        if ready is None:
            ready = self._ready[dialect] = _Ready(self.statement, dialect, self._columns)
        return ready


class _Ready:
    """A statement as one dialect has it."""

    def __init__(self, statement: ClauseElement, dialect: Dialect, columns: Sequence[str] | None) -> None:
        compiled: Any = statement.compile(
            dialect=dialect, column_keys=None if columns is None else list(columns)
        )
        self.sql: str = compiled.string
        self._positional: bool = compiled.positional
        types = {name: bound.type for bound, name in compiled.bind_names.items()}
        # What has no value of its own is given with each execution.
        self._slots = [
            (name, _to_driver(types[name], dialect), compiled.params[name])
            for name in (compiled.positiontup if compiled.positional else types)
        ]
        named = list(statement.selected_columns) if isinstance(statement, SelectBase) else []
        self._from_driver = [_from_driver(column.type, dialect) for column in named]
        self._converts = any(self._from_driver)
        self._row = _row_of(tuple(str(column.key) for column in named))

    def values(self, given: Parameters) -> Any:
        """What the driver takes for a set of values: in order, or by name."""
        bound = [
            convert(value) if convert is not None else value
            for name, convert, fixed in self._slots
            for value in (given.get(name, fixed),)
        ]
        if self._positional:
            return tuple(bound)
        return dict(zip((name for name, *_ in self._slots), bound, strict=True))

    def rows(self, found: Sequence[Sequence[Any]]) -> list[Any]:
        if not self._converts:
            return [self._row(row) for row in found]
        return [
            self._row(
                value if convert is None else convert(value)
                for convert, value in zip(self._from_driver, row, strict=True)
            )
            for row in found
        ]


def _by(execute: Callable[[str, Any], sqlite3.Cursor], sql: str, given: Any) -> sqlite3.Cursor:
    try:
        return execute(sql, given)
    except sqlite3.Error as error:
        # As SQLAlchemy's errors do; the values stay untold.
        error.add_note(sql)
        raise


def _row_of(names: tuple[str, ...]) -> Callable[[Iterable[Any]], Any]:
    """Makes rows whose values have these names."""
    row: Any = namedtuple("Row", names)  # type: ignore[misc]  # noqa: PYI024 - known only to the statement.
    make: Callable[[Iterable[Any]], Any] = row._make
    return make


def _to_driver(kind: TypeEngine[Any], dialect: Dialect) -> _Convert | None:
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _from_driver(kind: TypeEngine[Any], dialect: Dialect) -> _Convert | None:
    return kind.dialect_impl(dialect).result_processor(dialect, None)


class _Listed(TypeDecorator[Sequence[Any]]):
    """A list of values as one parameter: JSON on SQLite, an array on PostgreSQL."""

    impl = Text
    cache_ok = True

    def __init__(self, element: TypeEngine[Any]) -> None:
        super().__init__()
        self.element = element

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(ARRAY(self.element))
        return dialect.type_descriptor(Text())

    def bind_processor(self, dialect: Dialect) -> _Convert:
        if dialect.name == "postgresql":
            return list
        convert = _to_driver(self.element, dialect)
        if convert is None:
            return lambda values: json.dumps(list(values))
        return lambda values: json.dumps([convert(each) for each in values])


class _InList(ColumnElement[bool]):
    inherit_cache = True
    _traverse_internals = [  # noqa: RUF012 - as SQLAlchemy declares what makes two of them alike.
        ("column", InternalTraversal.dp_clauseelement),
        ("listed", InternalTraversal.dp_clauseelement),
    ]

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        self.column = column
        self.listed = bindparam(name, type_=_Listed(column.type))


@compiles(_InList)
def _in_json(element: _InList, compiler: Any, **options: Any) -> str:
    column, listed = (compiler.process(part, **options) for part in (element.column, element.listed))
    return f"{column} IN (SELECT value FROM json_each({listed}))"  # noqa: S608 - both are SQLAlchemy's.


@compiles(_InList, "postgresql")
def _in_array(element: _InList, compiler: Any, **options: Any) -> str:
    column, listed = (compiler.process(part, **options) for part in (element.column, element.listed))
    return f"{column} = ANY ({listed})"


def in_list(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """The column holds one of the values in the list `name`: one parameter, however many there are."""
    return _InList(column, name)
