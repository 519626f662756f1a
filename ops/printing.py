"""How things look: text of others made harmless, values, times and ages for people, JSON for programs.

Consoles made here know no markup, so that a key like ``[red]`` stays what it is. Control characters are taken care of
by ``plain``, ``value_text`` and ``json_text``; whatever comes from a record, a message or an app goes through one of
them.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import IO, Any, Protocol

import msgspec
from msgspec import UNSET
from rich.console import Console
from rich.table import Table
from rich.text import Text

from messages.values import Known, decode_json, encode_json
from workers.printable import printable, printable_json

UNKNOWN = "—"
"""Stands where nothing is known, or nothing is."""

ROOMY = 110
"""Columns of a terminal on which a row of a list fits into a line."""

MAX_VALUE_CHARACTERS = 300
"""Of one value on the screen; ``--json`` has it whole."""

_UNITS = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1)), ("s", timedelta(seconds=1)))


def make_console(file: IO[str] | None = None, *, stderr: bool = False) -> Console:
    """Return a console that takes every text as it is; its colours go where nobody sees them, or by ``NO_COLOR``."""
    return Console(file=file, stderr=stderr, markup=False, emoji=False, highlight=False)


def make_table(*columns: str, right: Collection[str] = ()) -> Table:
    """Return a table without lines; what does not fit into a cell goes on below, nothing is cut off.

    Columns in ``right`` hold something short, aligned to the right and kept in one line.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        short = name in right
        table.add_column(name, overflow="fold", header_style="dim", no_wrap=short, justify="right" if short else "left")
    return table


def plain(text: object, style: str = "") -> Text:
    """Return ``text`` as it may be printed: what could drive a terminal is written out. ``None`` is ``UNKNOWN``."""
    return Text(UNKNOWN if text is None or text == "" else printable(str(text)), style=style)


def say(console: Console, sentence: str, style: str = "") -> None:
    """Print a sentence in one line, however long, so that it can be searched for."""
    console.print(Text("\n".join(map(printable, sentence.split("\n"))), style=style), soft_wrap=True)


def value_text(value: Known) -> str:
    """Return a field's value for people: text as it is, in quotes only where it could be taken for something else."""
    if value is UNSET:
        return UNKNOWN
    if isinstance(value, str) and not _needs_quotes(value):
        shown = printable(value)
    else:
        shown = printable(encode_json(value).decode())
    if len(shown) <= MAX_VALUE_CHARACTERS:
        return shown
    return f"{shown[:MAX_VALUE_CHARACTERS]}… ({len(shown):,} characters, whole with --json)"


def _needs_quotes(text: str) -> bool:
    if not text or text != text.strip() or text == UNKNOWN:
        return True
    try:
        decode_json(text)
    except (ValueError, ArithmeticError, RecursionError):
        return False
    return True


def json_text(value: Any) -> str:
    """Return ``value`` as JSON in one line; what could drive a terminal is escaped there, which JSON reads the same."""
    return printable_json(encode_json(value).decode())


def time_text(moment: datetime | None) -> str:
    """Return ``2026-11-20 08:00:00Z``, UTC wherever the reader is."""
    return UNKNOWN if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def told_time(told: Any) -> Text:
    """Return in the short form what a message says is a time; as it stands where it is none."""
    try:
        return Text(time_text(msgspec.convert(told, datetime | None)))
    except (ValueError, OverflowError):
        return plain(told)


def age_text(since: datetime, now: datetime) -> str:
    """Return how long ago ``since`` was, in its largest unit: ``3d``, ``17m``; a clock that is ahead says ``0s``."""
    passed = max(now - since, timedelta())
    return next((f"{passed // unit}{name}" for name, unit in _UNITS if passed >= unit), "0s")


class NamesRecord(Protocol):
    """A side of an error or of a coupling."""

    @property
    def app(self) -> str:
        """The app."""

    @property
    def table(self) -> str:
        """The table."""

    @property
    def key(self) -> str | None:
        """The key; ``None`` while the record is being created."""


def record_text(side: NamesRecord | None) -> str:
    """Return ``app/table/key``, ``UNKNOWN`` where there is no record yet."""
    return UNKNOWN if side is None or side.key is None else f"{side.app}/{side.table}/{side.key}"


def record_cell(side: NamesRecord | None, *, narrow: bool) -> Text:
    """Return ``app/table/key`` for a list; the key goes on the next line where there is little room."""
    if side is None or side.key is None or not narrow:
        return plain(record_text(side))
    return Text(f"{printable(side.app)}/{printable(side.table)}/\n{printable(side.key)}")


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return ``1 line``, ``2 lines``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
