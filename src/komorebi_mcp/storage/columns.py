"""Column types that hold the same values on both databases."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, LargeBinary, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeDecorator, TypeEngine, UserDefinedType

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

RowNumber = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite numbers rows by itself only where the column is called INTEGER."""


class Instant(TypeDecorator[datetime]):
    """A moment, kept as whole microseconds since 1970 in UTC; always aware and in UTC when read."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        del dialect
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        del dialect
        return None if value is None else _EPOCH + value * _MICROSECOND


class ExactText(TypeDecorator[str]):
    """Text that reads back character for character, NUL included.

    PostgreSQL refuses NUL in its text type, so there it is kept as UTF-8 bytes.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(LargeBinary())
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        if value is None or dialect.name != "postgresql":
            return value
        return value.encode()

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        del dialect
        return bytes(value).decode() if isinstance(value, bytes | memoryview) else value


class TermVector(UserDefinedType[str]):
    """PostgreSQL's tsvector, written and read as text; on SQLite an empty column."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "TSVECTOR"


@compiles(TermVector, "sqlite")
def _empty_column(_element: TermVector, _compiler: object, **_: Any) -> str:
    return "TEXT"


class TermQuery(UserDefinedType[str]):
    """PostgreSQL's tsquery, written as text."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "TSQUERY"
