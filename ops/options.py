"""Options that several commands share, and how their texts are read."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, TypeAlias

import typer

from messages.records import MalformedRecordNameError, RecordRef
from workers.address import Address, parse_address
from workers.durations import MalformedDurationError, parse_duration

DEFAULT_LIMIT = 50
MAX_LIMIT = 10_000
"""Rows of one page: they are all in memory at once."""

MAX_NUMBER = 2**63 - 1
"""The largest number that both stores keep."""


def read_record(text: str) -> RecordRef:
    """Read ``app/table/key``; a usage error where it is none."""
    try:
        return RecordRef.parse(text)
    except MalformedRecordNameError as error:
        raise typer.BadParameter(str(error)) from error


def read_address(text: str) -> Address:
    """Read ``host:port``; a usage error where it is none."""
    try:
        address = parse_address(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--worker") from error
    if address is None or not address.port:
        raise typer.BadParameter("write host:port, as 127.0.0.1:9464", param_hint="--worker")
    return address


def read_wait(text: str) -> timedelta:
    """Read a length of time: ``500ms``, ``30s``, ``10m``, or seconds as a plain number."""
    try:
        return parse_duration(f"{text}s" if text.isdecimal() else text)
    except MalformedDurationError as error:
        raise typer.BadParameter(str(error)) from error


def read_age(text: str) -> timedelta:
    """Read an age: ``90m``, ``2h``, ``7d``; a usage error where it is none."""
    try:
        return parse_duration(text)
    except MalformedDurationError as error:
        raise typer.BadParameter(str(error)) from error


AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Limit: TypeAlias = Annotated[int, typer.Option(min=1, max=MAX_LIMIT, help="At most so many rows.")]
After: TypeAlias = Annotated[int, typer.Option(min=0, max=MAX_NUMBER, help="Begin after this number, to page on.")]
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

Yes: TypeAlias = Annotated[bool, typer.Option("--yes", help="Do not ask; needed where nobody can be asked.")]
DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Order nothing, only say what would happen.")]
TheError: TypeAlias = Annotated[
    int | None,
    typer.Argument(
        metavar="ERROR", min=1, max=MAX_NUMBER, help="Its number, as `recouple errors` lists it.", show_default=False
    ),
]
TheCoupling: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--coupling", metavar="N", min=1, max=MAX_NUMBER, help="A coupling by its number, instead of an error."
    ),
]
Revision: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--revision",
        metavar="N",
        min=1,
        max=MAX_NUMBER,
        help="Only if this is still the error's revision, else refuse.",
    ),
]
Watch: TypeAlias = Annotated[
    bool, typer.Option("--watch", help="Go on showing it until Ctrl-C; with --json a line for every change.")
]
Every: TypeAlias = Annotated[
    timedelta | None,
    typer.Option("--every", parser=read_wait, metavar="DURATION", help="How often --watch looks; 2s by default."),
]
