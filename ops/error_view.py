"""``recouple show``: one error, both versions side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer
from msgspec import UNSET
from rich.table import Table
from rich.text import Text

from messages.errors import Confidence, ErrorReport, ErrorSide, ErrorStatus
from ops.options import AsJson
from ops.printing import UNKNOWN, age_text, make_table, plain, record_text, say, time_text, value_text
from ops.wiring import ExitCode, Session, session
from store import errors as error_store
from workers.mapping import Mapping
from workers.mapping_file import MappingFileError, load_mapping_file

_CONTESTED = "◆"


def show(
    error: Annotated[int, typer.Argument(metavar="ERROR", help="Its number, as `recouple errors` lists it.", min=1)],
    *,
    as_json: AsJson = False,
) -> None:
    """Show an error with both records, field by field: the base, what each side holds now, and what is contested."""
    with session(as_json=as_json) as current, current.store() as store:
        with store.reading() as conn:
            report = error_store.get(conn, error)
        if report is None:
            raise typer.Exit(_not_found(current, error))
        if as_json:
            current.write_json(report)
        else:
            print_error(current, report, _mapping(current, report.mapping))


def print_error(current: Session, report: ErrorReport, mapping: Mapping | None) -> None:
    """Print all there is to know of an error; without its mapping, every field stands among the app's own."""
    for sentence, style in _sentences(current, report):
        say(current.out, sentence, style)
    current.out.print()
    current.out.print(sides_table(report))
    if report.differences or mapping is not None:
        current.out.print()
        current.out.print(fields_table(report, mapping))
    for title, table in _other_tables(report, mapping):
        current.out.print()
        say(current.out, title, "bold")
        current.out.print(table)


def _sentences(current: Session, report: ErrorReport) -> Iterator[tuple[str, str]]:
    coupling = f", coupling {report.coupling}" if report.coupling else ""
    yield f"Error {report.error}: {report.title}", "bold"
    yield f"{report.kind}, {report.status}, revision {report.revision}, mapping {report.mapping}{coupling}", ""
    opened = f"opened {time_text(report.opened_at)} ({age_text(report.opened_at, current.now())} ago)"
    if report.status is ErrorStatus.RESOLVED:
        by = f" by {report.resolved_by}" if report.resolved_by else ""
        yield f"{opened}, resolved {time_text(report.resolved_at)}: {report.resolution}{by}", ""
    else:
        yield opened, ""
    yield report.detail, "bold"
    if report.code:
        again = "another try may help" if report.retryable else "another try alone will not help"
        tried = f" after {report.attempts} attempts" if report.attempts > 1 else ""
        yield f"The app's code: {report.code}{tried}; {again}.", ""
    if report.confidence is Confidence.DEGRADED:
        yield f"Degraded, look twice: {'; '.join(report.confidence_reasons) or 'something was missing'}.", "yellow"
    if report.candidates:
        yield f"Candidates, {len(report.candidates)} of {report.candidates_total}:", ""
        yield from ((f"  {candidate}", "") for candidate in report.candidates)


_SIDE_ROWS: tuple[tuple[str, Callable[[ErrorSide], Any]], ...] = (
    ("record", record_text),
    ("exists", lambda side: {True: "yes", False: "no, deleted", None: None}[side.exists]),
    ("version", lambda side: side.version),
    ("modified by", lambda side: side.modified_by),
    ("modified at", lambda side: time_text(side.modified_at)),
    ("url", lambda side: side.url),
)


def sides_table(report: ErrorReport) -> Table:
    """Return who changed which record when, the two side by side."""
    table = make_table("", "left", "right")
    for name, read in _SIDE_ROWS:
        cells = [UNKNOWN if side is None else read(side) for side in (report.left, report.right)]
        table.add_row(Text(name, style="dim"), *map(plain, cells))
    return table


def fields_table(report: ErrorReport, mapping: Mapping | None) -> Table:
    """Return the mapped fields: those that differ, contested ones first, then those that agree."""
    table = make_table("field", "base", "left", "right", "")
    for one in sorted(report.differences, key=lambda one: not one.contested):
        values = (Text(value_text(value)) for value in (one.base, one.left, one.right))
        mark = Text(f"{_CONTESTED} contested" if one.contested else "differs", style="red" if one.contested else "")
        table.add_row(plain(one.field, "bold" if one.contested else ""), *values, mark)
    differing = {one.field for one in report.differences}
    for field in mapping.fields if mapping is not None else ():
        if field.name not in differing:
            held = (_held(report.left, field.left), _held(report.right, field.right))
            values = (Text(value_text(value), style="dim") for value in (report.base.get(field.name, UNSET), *held))
            table.add_row(plain(field.name, "dim"), *values, "")
    return table


def _other_tables(report: ErrorReport, mapping: Mapping | None) -> Iterator[tuple[str, Table]]:
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


def _held(side: ErrorSide | None, name: str) -> Any:
    return UNSET if side is None else side.fields.get(name, UNSET)


def _mapping(current: Session, name: str) -> Mapping | None:
    """Return the mapping, as far as the file can be read: an error is shown with or without it."""
    try:
        return load_mapping_file(current.settings.config).mappings.get(name)
    except MappingFileError as error:
        current.note(f"Which fields are mapped is not known: {error}")
        return None


def _not_found(current: Session, error: int) -> ExitCode:
    sentence = f"There is no error {error}; `recouple errors --all` lists them, resolved ones until they are purged."
    say(current.err, sentence, "red")
    if current.as_json:
        current.write_json({"error": sentence})
    return ExitCode.REFUSED
