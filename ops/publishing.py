"""``recouple publish``: change events from a file to the broker, confirmed, in bounded memory."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import IO, Annotated, Any

import msgspec
import typer
from msgspec import UNSET, UnsetType
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from messages.codec import Limits
from messages.transport.ports import BrokerUnavailableError, Publisher, PublishOutcome
from ops.options import AsJson
from ops.printing import counted, say
from ops.reading_lines import Line, read_lines
from ops.wiring import ExitCode, Session, session

BATCH_LINES = 500
BATCH_BYTES = 4 * 1024 * 1024
"""A batch is published when it is as long as one of the two."""

CONFIRM_WITHIN = timedelta(seconds=30)
ATTEMPTS = 3
"""How often a line is published that the broker neither took nor refused; twice the same event does no harm."""

MAX_LISTED = 1_000
"""So many lines that were not published are listed, the others counted; the list is in memory."""


class Report(msgspec.Struct, kw_only=True):
    """What became of a file.

    Attributes:
        refused: ``line``, ``reason`` and ``detail`` of the first ``MAX_LISTED`` that were not published.
        refused_total: Of all.
        error: Why nothing more was published, where the broker was lost.
    """

    published: int = 0
    refused: list[dict[str, Any]] = []
    refused_total: int = 0
    error: str | UnsetType = UNSET

    def refuse(self, line: Line, reason: str, detail: str) -> None:
        """Count and, up to the limit, list a line that was not published."""
        self.refused_total += 1
        if len(self.refused) < MAX_LISTED:
            self.refused.append({"line": line.number, "reason": reason, "detail": detail})


def publish(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="One JSON object a line; - reads from stdin.")],
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Publish nothing if any line is faulty.")] = False,
    as_json: AsJson = False,
) -> None:
    """Publish change events from a file, each line confirmed by the broker.

    A line is a full CloudEvent, or short: app, table, key, operation, version,
    fields; also id, time, modified_by, instruction.

    Faulty lines are listed with all their faults, the others are published.

    The same line published again is the same event, and changes nothing.
    """
    with session(as_json=as_json) as current, _opened(file, rereadable=strict) as lines:
        raise typer.Exit(publish_file(current, lines, strict=strict))


def publish_file(current: Session, file: IO[bytes], *, strict: bool) -> ExitCode:
    """Publish every good line of ``file``, or none if ``strict`` and one is faulty; say what became of them."""
    report = Report()
    ns, limits = current.settings.namespace, Limits(max_body_bytes=current.settings.max_message_bytes)
    with _progress(current, file) as seen:
        if strict:
            for line in seen("checking", read_lines(file, ns, limits)):
                _refuse_faulty(line, report)
            file.seek(0)
        if not report.refused:
            with closing(current.broker().publisher()) as publisher:
                _publish_lines(publisher, seen("publishing", read_lines(file, ns, limits)), report)
    report.refused.sort(key=lambda one: one["line"])
    _tell(current, report, strict=strict)
    return ExitCode.REFUSED if report.refused or report.error else ExitCode.DONE


@contextmanager
def _opened(name: str, *, rereadable: bool) -> Iterator[IO[bytes]]:
    """Give the file, stdin for ``-``; a pipe that has to be read twice is copied first."""
    try:
        opened = nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb")  # noqa: SIM115 - below
    except OSError as error:
        raise typer.BadParameter(f"{name} cannot be read: {error.strerror}") from error
    with opened as file:
        if file.seekable() or not rereadable:
            yield file
            return
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(file, copy)
            copy.seek(0)
            yield copy


@contextmanager
def _progress(current: Session, file: IO[bytes]) -> Iterator[Callable[[str, Iterable[Line]], Iterator[Line]]]:
    """Give what passes lines on and shows how far the reading is, where a person watches."""
    size = os.fstat(file.fileno()).st_size if file.seekable() and current.err.is_terminal else None
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=current.err, transient=True, disable=not current.err.is_terminal) as progress:

        def seen(what: str, lines: Iterable[Line]) -> Iterator[Line]:
            task = progress.add_task(what, total=size)
            for line in lines:
                yield line
                progress.advance(task, line.size_bytes)

        yield seen


def _publish_lines(publisher: Publisher, lines: Iterable[Line], report: Report) -> None:
    batch: list[Line] = []
    size = 0
    try:
        for line in lines:
            if _refuse_faulty(line, report):
                continue
            batch.append(line)
            size += line.size_bytes
            if len(batch) >= BATCH_LINES or size >= BATCH_BYTES:
                _publish_batch(publisher, batch, report)
                batch, size = [], 0
        _publish_batch(publisher, batch, report)
    except BrokerUnavailableError as error:
        report.error = f"{error}. Publish the file again when the broker is back: what it has already is passed over."


def _publish_batch(publisher: Publisher, batch: list[Line], report: Report) -> None:
    left = batch
    for _ in range(ATTEMPTS):
        if not left:
            return
        publications = [line.publication for line in left if line.publication is not None]
        outcomes = publisher.publish(publications, CONFIRM_WITHIN)
        unknown = []
        for line, outcome in zip(left, outcomes, strict=True):
            if outcome is PublishOutcome.UNKNOWN:
                unknown.append(line)
            else:
                _note(line, outcome, report)
        left = unknown
    if left:
        raise BrokerUnavailableError(
            f"the broker did not confirm {counted(len(left), 'line')} from {left[0].number} on"
        )


def _note(line: Line, outcome: PublishOutcome, report: Report) -> None:
    if outcome is PublishOutcome.CONFIRMED:
        report.published += 1
    elif outcome is PublishOutcome.RETURNED:
        detail = "no queue takes it: is its app in the mapping file, and was `recouple setup` run since?"
        report.refuse(line, outcome, detail)
    else:
        detail = "the broker does not take it: its queue is full, we may not publish there, or it is too large"
        report.refuse(line, outcome, detail)


def _refuse_faulty(line: Line, report: Report) -> bool:
    if line.fault is not None:
        report.refuse(line, line.fault.reason, line.fault.detail)
    return line.fault is not None


def _tell(current: Session, report: Report, *, strict: bool) -> None:
    if current.as_json:
        current.write_json(report)
    for one in () if current.as_json else report.refused:
        say(current.err, f"line {one['line']}: {one['detail']} ({one['reason']})", "red")
    hidden = report.refused_total - len(report.refused)
    if hidden:
        say(current.err, f"… and {counted(hidden, 'further line')} that were not published.", "red")
    if report.error:
        say(current.err, report.error, "red")
    if not current.as_json:
        nothing = " Nothing was published, as --strict asks." if strict and report.refused_total else ""
        refused = f", {counted(report.refused_total, 'line')} refused" if report.refused_total else ""
        say(current.out, f"{counted(report.published, 'event')} published{refused}.{nothing}")
