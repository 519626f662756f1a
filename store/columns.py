"""The column types that differ between the two databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import TIMESTAMP, BigInteger, Dialect, Integer
from sqlalchemy.types import TypeDecorator, TypeEngine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

NUMBER = BigInteger().with_variant(Integer(), "sqlite")
"""A number that the database counts up; SQLite does so only for ``INTEGER``, which has 64 bits there."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment: ``timestamptz`` on PostgreSQL, microseconds since the epoch on SQLite. Read back in UTC."""

    impl = TIMESTAMP(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the database's own type."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(BigInteger())
        return dialect.type_descriptor(TIMESTAMP(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Give the database its form."""
        if value is None or dialect.name != "sqlite":
            return value
        return microseconds(value)

    def process_result_value(self, value: datetime | int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Read the database's form."""
        if isinstance(value, int):
            return _EPOCH + value * _MICROSECOND
        return value if value is None else value.astimezone(UTC)


def microseconds(moment: datetime) -> int:
    """Return ``moment`` as microseconds since the epoch, exactly."""
    return (moment - _EPOCH) // _MICROSECOND
