"""Every contract test runs on SQLite and on PostgreSQL, and fails on a statement that names no owner."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Delete, Engine, Insert, Join, Select, Table, Update, event
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import (
    AsBoolean,
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    ClauseElement,
    ColumnClause,
)
from sqlalchemy.sql.selectable import Alias, FromClause

from komorebi_mcp.storage.tables import OWNED
from support.clock import StillClock
from support.databases import PostgresServer, Told, postgres_server, prepared_statements, put_sqlite_file


@pytest.fixture(scope="session")
def postgres_of_session() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database with the current schema."""
    if dialect == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres_of_session")
        return server.migrated_database()
    path = tmp_path / "komorebi.db"
    put_sqlite_file(path)
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def told() -> Iterator[list[Told]]:
    """Whoever is to be told of prepared statements."""
    with prepared_statements() as listeners:
        yield listeners


@pytest.fixture(autouse=True)
def no_statement_without_owner(told: list[Told]) -> Iterator[None]:
    told.append(lambda connection, _, each, many: _demand_owner(connection, each, many, {}, None))
    event.listen(Engine, "before_execute", _demand_owner)
    yield
    event.remove(Engine, "before_execute", _demand_owner)


def _demand_owner(
    connection: Connection, statement: Any, many: Sequence[Mapping[str, Any]], one: dict[str, Any], _: Any
) -> None:
    owner = connection.get_execution_options().get("owner")
    if owner is None or not isinstance(statement, ClauseElement):
        return
    if isinstance(statement, Insert):
        assert all(row["owner"] == owner for row in many or [one]), f"adds a row without owner: {statement}"
        return
    # Of a statement for many rows, what they all are given.
    first = many[0] if many else {}
    given = one or {key: value for key, value in first.items() if all(row[key] == value for row in many)}
    if isinstance(statement, Update | Delete):
        named = _owned_by(owner, _parts_of(statement.whereclause), given)
        assert statement.table not in OWNED or statement.table in named, (
            f"changes rows of any owner: {statement}"
        )
    for select, outer in _selects(statement, frozenset()):
        conditions = [*_parts_of(select.whereclause)]
        if any(isinstance(part, AsBoolean) for part in conditions):
            continue
        for source in select.get_final_froms():
            conditions += _joined_on(source)
        unnamed = {
            table
            for table in _tables_of(select) - outer - _owned_by(owner, conditions, given)
            if (table.element if isinstance(table, Alias) else table) in OWNED
        }
        assert not unnamed, f"reads rows of any owner of {unnamed}: {statement}"


def _selects(
    root: ClauseElement, outer: frozenset[FromClause]
) -> Iterator[tuple[Select[Any], frozenset[FromClause]]]:
    """Every SELECT in the statement, with the tables of those around it, to which it may refer."""
    if isinstance(root, Select):
        yield root, outer
        outer = outer | _tables_of(root)
    elif isinstance(root, Update | Delete):
        outer = outer | {root.table}
    for child in root.get_children():
        if isinstance(child, ClauseElement):
            yield from _selects(child, outer)


def _tables_of(select: Select[Any]) -> frozenset[FromClause]:
    found: set[FromClause] = set()
    for source in select.get_final_froms():
        for part in visitors.iterate(source) if isinstance(source, Join) else [source]:
            if isinstance(part, Table) or (isinstance(part, Alias) and isinstance(part.element, Table)):
                found.add(part)
    return frozenset(found)


def _joined_on(source: FromClause) -> list[ClauseElement]:
    if not isinstance(source, Join):
        return []
    return [*_parts_of(source.onclause), *_joined_on(source.left), *_joined_on(source.right)]


def _parts_of(condition: ClauseElement | None) -> list[ClauseElement]:
    if condition is None:
        return []
    if isinstance(condition, BooleanClauseList) and condition.operator is operators.and_:
        return [part for clause in condition.clauses for part in _parts_of(clause)]
    return [condition]


def _owned_by(owner: str, conditions: list[ClauseElement], given: dict[str, Any]) -> frozenset[FromClause]:
    """The tables whose owner the conditions name, outright or by way of another table's."""
    named: set[FromClause] = set()
    pairs: list[tuple[FromClause, FromClause]] = []
    for part in conditions:
        if not isinstance(part, BinaryExpression) or part.operator is not operators.eq:
            continue
        table = _owner_of(part.left)
        if table is None:
            continue
        if isinstance(part.right, BindParameter) and owner in {
            part.right.value,
            given.get(str(part.right.key)),
        }:
            named.add(table)
        elif (other := _owner_of(part.right)) is not None:
            pairs += [(table, other), (other, table)]
    for _ in pairs:
        named |= {table for table, other in pairs if other in named}
    return frozenset(named)


def _owner_of(side: ClauseElement) -> FromClause | None:
    """The table whose owner column this is."""
    return side.table if isinstance(side, ColumnClause) and side.name == "owner" else None
