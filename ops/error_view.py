"""``recouple show``: one error, both versions side by side, and what can be done about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console

from messages.errors import Confidence, ErrorReport, ErrorStatus
from ops.error_tables import differences_table, fields_table, history_table, other_tables, sides_table
from ops.next_steps import next_steps
from ops.options import MAX_NUMBER, AsJson
from ops.printing import age_text, say, time_text
from ops.wiring import ExitCode, Session, session
from store import errors as error_store
from store import pauses as pause_store
from workers.mapping import Mapping
from workers.mapping_file import MappingFileError, load_mapping_file


def show(
    error: Annotated[
        int, typer.Argument(metavar="ERROR", help="Its number, as `recouple errors` lists it.", min=1, max=MAX_NUMBER)
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Show an error: both records field by field, the base, what is contested, and what can be done about it."""
    with session(as_json=as_json) as current, current.store() as store:
        with store.reading() as conn:
            report = error_store.get(conn, error)
            pauses = pause_store.read(conn)
        if report is None:
            raise typer.Exit(_not_found(current, error))
        if as_json:
            current.write_json(report)
        else:
            mapping = mapping_of(current, report.mapping)
            print_error(current.out, report, mapping, current.now())
            held = None if mapping is None or report.status is ErrorStatus.RESOLVED else pauses.of(mapping)
            if held is not None and report.coupling is not None:
                current.note(f"\nPaused ({held}): until it is resumed, at most remove-coupling and dismiss apply.")


def print_error(console: Console, report: ErrorReport, mapping: Mapping | None, now: datetime) -> None:
    """Print all there is to know of an error; without its mapping, every field stands among the app's own."""
    for sentence, style in _sentences(report, now):
        say(console, sentence, style)
    if report.left is not None or report.right is not None:
        console.print()
        console.print(sides_table(report, now))
        if report.differences or mapping is not None:
            console.print()
            console.print(fields_table(report, mapping))
    for title, table in other_tables(report, mapping):
        console.print()
        say(console, title, "bold")
        console.print(table)
    if report.history:
        console.print()
        say(console, "What was ordered about it", "bold")
        console.print(history_table(report))
    steps = list(next_steps(report, mapping))
    if steps:
        console.print()
        say(console, "What can be done", "bold")
        for line, what_for in steps:
            say(console, f"  {line}" + (f"  # {what_for}" if what_for else ""))


def print_briefly(console: Console, report: ErrorReport, now: datetime) -> None:
    """Print what is needed to decide: which records, who changed them when, and where they differ."""
    say(console, f"Error {report.error}, revision {report.revision}: {report.title}", "bold")
    say(console, report.detail)
    if report.left is not None or report.right is not None:
        console.print(sides_table(report, now))
    if report.differences:
        console.print()
        console.print(differences_table(report))


def mapping_of(current: Session, name: str) -> Mapping | None:
    """Return the mapping, as far as the file can be read: an error is shown with or without it."""
    try:
        return load_mapping_file(current.settings.config).mappings.get(name)
    except MappingFileError as error:
        current.note(f"Which fields are mapped is not known: {error}")
        return None


def _sentences(report: ErrorReport, now: datetime) -> Iterator[tuple[str, str]]:
    coupling = f", coupling {report.coupling}" if report.coupling else ""
    yield f"Error {report.error}: {report.title}", "bold"
    yield f"{report.kind}, {report.status}, revision {report.revision}, mapping {report.mapping}{coupling}", ""
    opened = f"opened {time_text(report.opened_at)} ({age_text(report.opened_at, now)} ago)"
    by = f" by {report.resolved_by}" if report.resolved_by else ""
    if report.status is ErrorStatus.RESOLVED:
        yield f"{opened}, resolved {time_text(report.resolved_at)}: {report.resolution}{by}", ""
    elif report.status is ErrorStatus.RESOLVING and report.resolution:
        yield f"{opened}; being resolved: {report.resolution}{by}. It is settled when the app confirms.", ""
    else:
        yield opened, ""
    yield report.detail, "dim" if report.status is ErrorStatus.RESOLVED else "bold"
    yield from _causes(report)


def _causes(report: ErrorReport) -> Iterator[tuple[str, str]]:
    if report.code:
        again = "another try may help" if report.retryable else "another try alone will not help"
        tried = f" after {report.attempts} attempts" if report.attempts > 1 else ""
        yield f"The app's code: {report.code}{tried}; {again}.", ""
    if report.confidence is Confidence.DEGRADED:
        yield f"Degraded, look twice: {'; '.join(report.confidence_reasons) or 'something was missing'}.", "yellow"
    if report.candidates:
        yield f"Candidates, {len(report.candidates)} of {report.candidates_total}:", ""
        yield from ((f"  {candidate}", "") for candidate in report.candidates)


def _not_found(current: Session, error: int) -> ExitCode:
    sentence = f"There is no error {error}; `recouple errors --all` lists them, resolved ones until they are purged."
    say(current.err, sentence, "red")
    if current.as_json:
        current.write_json({"error": sentence})
    return ExitCode.REFUSED
