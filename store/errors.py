"""Errors, open and resolved, as they were last told."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, exists, func, not_, or_, select

from messages.errors import ErrorKind, ErrorReport, ErrorSide, ErrorStatus, Family
from messages.records import RecordRef
from store.documents import Document
from store.numbers import fresh
from store.sets import Statement
from store.sets import numbers as numbers_set
from store.tables import couplings
from store.tables import errors as table

_REPORT = Document(ErrorReport)
_COLUMNS = (
    "number, kind, family, status, mapping, coupling_id, code, fingerprint, left_record, right_record, "
    "opened_at, resolved_at, report"
)

_SAVE = Statement(
    f"""
    INSERT INTO errors ({_COLUMNS}) SELECT {_COLUMNS} FROM {{given}} WHERE true ORDER BY number
    ON CONFLICT (number) DO UPDATE SET
        {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", ") if name != "number")}
    """,
    given="number int, kind text, family text, status text, mapping text, coupling_id int, code text, "
    "fingerprint text, left_record text, right_record text, opened_at time, resolved_at time, report text",
)
_GET = Statement("SELECT e.number, e.report FROM {given} JOIN errors e ON e.number = given.number", given="number int")
_DELETE = Statement("DELETE FROM errors WHERE number IN (SELECT number FROM {given})", given="number int")


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """Which errors are to be purged: resolved ones that no coupling names; ``None`` does not matter.

    Attributes:
        before: Resolved before that moment.
    """

    before: datetime | None = None
    family: Family | None = None


class ErrorFilters(msgspec.Struct, frozen=True, kw_only=True):
    """Which errors are meant; ``None`` does not matter.

    Attributes:
        mappings: Any of these.
        record: Errors with this record on either side.
        status: Any of these.
        opened_before, opened_after: That moment itself excluded.
    """

    family: Family | None = None
    kind: ErrorKind | None = None
    mapping: str | None = None
    code: str | None = None
    record: RecordRef | None = None
    status: frozenset[ErrorStatus] | None = None
    fingerprint: str | None = None
    mappings: frozenset[str] | None = None
    opened_before: datetime | None = None
    opened_after: datetime | None = None


def numbers(connection: Connection, count: int) -> list[int]:
    """Return ``count`` numbers for new errors."""
    return fresh(connection, "errors", "number", count)


def save(connection: Connection, reports: Collection[ErrorReport]) -> None:
    """Keep these errors; what was kept under the same number is replaced."""
    if reports:
        latest = {report.error: report for report in reports}
        _SAVE.send(connection, given=map(_row, latest.values()))


def get(connection: Connection, number: int) -> ErrorReport | None:
    """Return the error of this number."""
    return get_many(connection, [number]).get(number)


def get_many(connection: Connection, numbers: Collection[int]) -> dict[int, ErrorReport]:
    """Return the errors of these numbers; unknown ones are absent."""
    if not numbers:
        return {}
    rows = _GET.run(connection, given=numbers_set(set(numbers)))
    return {row.number: _REPORT.read(row.report) for row in rows}


def page(connection: Connection, filters: ErrorFilters, limit: int, after: int = 0) -> list[ErrorReport]:
    """Return up to ``limit`` errors by growing number, beginning after number ``after``."""
    query = (
        select(table.c.report).where(table.c.number > after, *_clauses(filters)).order_by(table.c.number).limit(limit)
    )
    return [_REPORT.read(report) for report in connection.execute(query).scalars()]


def next_number(connection: Connection, filters: ErrorFilters, after: int) -> int | None:
    """Return the number of the first error after number ``after``; ``None`` where there is none."""
    query = select(func.min(table.c.number)).where(table.c.number > after, *_clauses(filters))
    number: int | None = connection.execute(query).scalar_one()
    return number


def count(connection: Connection, filters: ErrorFilters) -> int:
    """Return how many errors there are of this kind."""
    return connection.execute(select(func.count()).select_from(table).where(*_clauses(filters))).scalar_one()


def purge(connection: Connection, meant: Resolved, limit: int, after: int = 0) -> list[int]:
    """Delete up to ``limit`` of these errors by growing number, beginning after ``after``; return their numbers."""
    numbers = resolved_numbers(connection, meant, limit, after)
    if numbers:
        _DELETE.run(connection, given=numbers_set(numbers))
    return numbers


def resolved_numbers(connection: Connection, meant: Resolved, limit: int, after: int = 0) -> list[int]:
    """Return the numbers of up to ``limit`` of these errors, beginning after ``after``."""
    query = select(table.c.number).where(table.c.number > after, *_over(meant)).order_by(table.c.number).limit(limit)
    return list(connection.execute(query).scalars())


def count_resolved(connection: Connection, meant: Resolved) -> int:
    """Return how many of these errors there are."""
    return connection.execute(select(func.count()).select_from(table).where(*_over(meant))).scalar_one()


def count_explaining(connection: Connection, meant: Resolved) -> int:
    """Return how many were opened before that moment and stay, because they say why a coupling is skipped."""
    clauses = [] if meant.family is None else [table.c.family == meant.family]
    if meant.before is not None:
        clauses.append(table.c.opened_at < meant.before)
    waiting = table.c.status.in_((ErrorStatus.OPEN, ErrorStatus.RESOLVING))
    named = and_(table.c.status == ErrorStatus.RESOLVED, _NAMED)
    return connection.execute(select(func.count()).select_from(table).where(*clauses, or_(waiting, named))).scalar_one()


_NAMED = exists().where(couplings.c.id == table.c.coupling_id, couplings.c.error_number == table.c.number)
"""A coupling says that it is skipped for this error."""


def _over(meant: Resolved) -> list[ColumnElement[bool]]:
    clauses = [table.c.status == ErrorStatus.RESOLVED, not_(_NAMED)]
    if meant.before is not None:
        clauses.append(table.c.resolved_at < meant.before)
    if meant.family is not None:
        clauses.append(table.c.family == meant.family)
    return clauses


def _clauses(filters: ErrorFilters) -> list[ColumnElement[bool]]:
    clauses = [
        table.c[name] == getattr(filters, name)
        for name in ("family", "kind", "mapping", "code", "fingerprint")
        if getattr(filters, name) is not None
    ]
    if filters.status is not None:
        clauses.append(table.c.status.in_(sorted(filters.status)))
    if filters.mappings is not None:
        clauses.append(table.c.mapping.in_(sorted(filters.mappings)))
    if filters.opened_before is not None:
        clauses.append(table.c.opened_at < filters.opened_before)
    if filters.opened_after is not None:
        clauses.append(table.c.opened_at > filters.opened_after)
    if filters.record is not None:
        name = str(filters.record)
        clauses.append(or_(table.c.left_record == name, table.c.right_record == name))
    return clauses


def _row(report: ErrorReport) -> tuple[object, ...]:
    what = (report.error, report.kind, report.family, report.status, report.mapping, report.coupling, report.code)
    sides = (_name(report.left), _name(report.right))
    return (*what, report.fingerprint, *sides, report.opened_at, report.resolved_at, _REPORT.write(report))


def _name(side: ErrorSide | None) -> str | None:
    return f"{side.app}/{side.table}/{side.key}" if side is not None and side.key is not None else None
