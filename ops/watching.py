"""``--watch``: a list that is drawn again and again, or told change by change to a program."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import typer
from rich.console import RenderableType
from rich.live import Live

from ops.printing import json_text
from ops.wiring import Session

WATCH_EVERY = timedelta(seconds=2)
"""How often a list is looked at, unless ``--every`` says."""

Rows = Mapping[int, Any]
"""What is on the list now, by number."""


def watch(current: Session, every: timedelta, read: Callable[[], Rows], draw: Callable[[Rows], RenderableType]) -> None:
    """Show the list until Ctrl-C; with ``--json`` a line for each row that comes, changes or goes.

    Raises:
        typer.BadParameter: it would be drawn where nobody watches.
    """
    if not current.as_json and not current.out.is_terminal:
        raise typer.BadParameter("it draws on a terminal; for a program add --json", param_hint="--watch")
    try:
        if current.as_json:
            _tell(current, every, read)
        else:
            _draw(current, every, read, draw)
    except KeyboardInterrupt:
        return


def changes(before: Rows, after: Rows) -> Iterator[dict[str, Any]]:
    """Yield, for each row that is new, other or gone, an object with ``change``, ``number`` and ``row``."""
    for number, row in after.items():
        if number not in before:
            yield {"change": "listed", "number": number, "row": row}
        elif row != before[number]:
            yield {"change": "changed", "number": number, "row": row}
    for number in before.keys() - after.keys():
        yield {"change": "gone", "number": number, "row": None}


def _tell(current: Session, every: timedelta, read: Callable[[], Rows]) -> None:
    before: Rows = {}
    while True:
        after = read()
        for change in changes(before, after):
            current.out.file.write(f"{json_text(change)}\n")
        current.out.file.flush()
        before = after
        time.sleep(every.total_seconds())


def _draw(current: Session, every: timedelta, read: Callable[[], Rows], draw: Callable[[Rows], RenderableType]) -> None:
    with Live(draw(read()), console=current.out, auto_refresh=False, vertical_overflow="ellipsis") as live:
        while True:
            time.sleep(every.total_seconds())
            live.update(draw(read()), refresh=True)
