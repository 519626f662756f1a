"""Options that several commands share, and how their texts are read."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, TypeAlias

import typer

from messages.records import MalformedRecordNameError, RecordRef
from workers.durations import MalformedDurationError, parse_duration

DEFAULT_LIMIT = 50
MAX_LIMIT = 10_000
"""Rows of one page: they are all in memory at once."""


def read_record(text: str) -> RecordRef:
    """Read ``app/table/key``; a usage error where it is none."""
    try:
        return RecordRef.parse(text)
    except MalformedRecordNameError as error:
        raise typer.BadParameter(str(error)) from error


def read_wait(text: str) -> timedelta:
    """Read a length of time: ``500ms``, ``30s``, ``10m``, or seconds as a plain number."""
    try:
        return parse_duration(f"{text}s" if text.isdecimal() else text)
    except MalformedDurationError as error:
        raise typer.BadParameter(str(error)) from error


AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Limit: TypeAlias = Annotated[int, typer.Option(min=1, max=MAX_LIMIT, help="At most so many rows.")]
After: TypeAlias = Annotated[int, typer.Option(min=0, help="Begin after this number, to page on.")]
MappingName: TypeAlias = Annotated[str | None, typer.Option(help="Only of this mapping.")]
OfRecord: TypeAlias = Annotated[
    RecordRef | None,
    typer.Option(parser=read_record, metavar="APP/TABLE/KEY", help="Only with this record on either side."),
]
Reason: TypeAlias = Annotated[str | None, typer.Option(help="Why, for the audit; never logged.")]
NoWait: TypeAlias = Annotated[bool, typer.Option("--no-wait", help="Do not wait for the answer.")]
Timeout: TypeAlias = Annotated[
    timedelta | None,
    typer.Option(
        parser=read_wait, metavar="DURATION", help="Wait so long for the answer; RECOUPLE_COMMAND_TIMEOUT by default."
    ),
]
