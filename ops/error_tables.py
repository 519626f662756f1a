"""The two records of an error side by side: who changed which when, and field by field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from msgspec import UNSET
from rich.table import Table
from rich.text import Text

from messages.errors import ErrorReport, ErrorSide
from ops.printing import UNKNOWN, age_text, make_table, plain, record_text, time_text, value_text
from workers.mapping import Mapping

_CONTESTED = "◆"


def sides_table(report: ErrorReport, now: datetime) -> Table:
    """Return who changed which record when, the two side by side, and where to look at them."""
    rows: tuple[tuple[str, Callable[[ErrorSide], Any]], ...] = (
        ("record", record_text),
        ("exists", lambda side: {True: "yes", False: "no, deleted", None: None}[side.exists]),
        ("version", lambda side: side.version),
        ("modified by", lambda side: side.modified_by),
        ("modified at", lambda side: _when(side.modified_at, now)),
        ("url", lambda side: side.url),
    )
    table = make_table("", "left", "right")
    for name, read in rows:
        cells = [UNKNOWN if side is None else read(side) for side in (report.left, report.right)]
        table.add_row(Text(name, style="dim"), *map(plain, cells))
    return table


def fields_table(report: ErrorReport, mapping: Mapping | None) -> Table:
    """Return the mapped fields: those that differ, contested ones first, then those that agree."""
    table = differences_table(report)
    differing = {one.field for one in report.differences}
    for field in mapping.fields if mapping is not None else ():
        if field.name not in differing:
            held = (_held(report.left, field.left), _held(report.right, field.right))
            values = (Text(value_text(value), style="dim") for value in (report.base.get(field.name, UNSET), *held))
            table.add_row(plain(field.name, "dim"), *values, "")
    return table


def differences_table(report: ErrorReport) -> Table:
    """Return the fields that differ, contested ones first: what they last agreed on, and what each side holds."""
    table = make_table("field", "base", "left", "right", "")
    for one in sorted(report.differences, key=lambda one: not one.contested):
        values = (Text(value_text(value)) for value in (one.base, one.left, one.right))
        mark = Text(f"{_CONTESTED} contested" if one.contested else "differs", style="red" if one.contested else "")
        table.add_row(plain(one.field, "bold" if one.contested else ""), *values, mark)
    return table


def other_tables(report: ErrorReport, mapping: Mapping | None) -> Iterator[tuple[str, Table]]:
    """Yield, for each side, the fields that no mapping speaks of, as the app itself names them."""
    mapped_left = {field.left for field in mapping.fields} if mapping is not None else set()
    mapped_right = {field.right for field in mapping.fields} if mapping is not None else set()
    for side, mapped in ((report.left, mapped_left), (report.right, mapped_right)):
        others = {name: value for name, value in side.fields.items() if name not in mapped} if side is not None else {}
        if side is not None and others:
            what = "Not mapped" if mapping is not None else "Fields"
            table = make_table("field", "value")
            for name, value in sorted(others.items()):
                table.add_row(plain(name), Text(value_text(value)))
            yield f"{what} of {record_text(side)}", table


def history_table(report: ErrorReport) -> Table:
    """Return what operators ordered about the error, the latest last."""
    table = make_table("at", "ordered", "by", "what followed", right=("at",))
    for one in report.history:
        ordered = f"{one.command} of revision {one.revision}" if one.revision else one.command
        followed = Text("\n").join(
            [plain(one.effect), *([plain(f"because: {one.reason}", "dim")] if one.reason else [])]
        )
        table.add_row(time_text(one.at), plain(ordered), plain(one.by), followed)
    return table


def _when(moment: datetime | None, now: datetime) -> str | None:
    return None if moment is None else f"{time_text(moment)} ({age_text(moment, now)} ago)"


def _held(side: ErrorSide | None, name: str) -> Any:
    return UNSET if side is None else side.fields.get(name, UNSET)
