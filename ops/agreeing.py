"""Before a command about many records: count, and say so or ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import typer
from sqlalchemy import Connection

from messages.commands import Order
from ops.answers import command_name, tell_refusal
from ops.asking import ask, need_somebody
from ops.forecast import Forecast
from ops.next_steps import spoken
from ops.ordering import Terms
from ops.printing import say
from ops.wiring import ExitCode, Session
from workers.refusal import RefusedError

Foresee: TypeAlias = Callable[[Connection], Forecast]
"""Counts what a command would be about; raises ``RefusedError`` where what it names is not there."""


def agree(current: Session, what: Order, terms: Terms, foresee: Foresee) -> None:
    """Ask, unless ``terms`` say not to; with ``dry_run`` only tell.

    Raises:
        typer.Exit: nothing is to be ordered: it was a dry run, the answer was no, or it would be refused.
    """
    if terms.dry_run:
        found = _count(current, what, foresee)
        if current.as_json:
            current.write_json({"dry_run": True, "command": command_name(what), "concerned": found.concerned})
        else:
            say(current.out, found.sentence)
            current.note("Nothing was ordered: --dry-run.")
        raise typer.Exit(ExitCode.DONE)
    if not terms.yes:
        need_somebody()
        say(current.err, _count(current, what, foresee).sentence)
        ask(current, f"{spoken(command_name(what)).replace('-', ' ').capitalize()}?")


def _count(current: Session, what: Order, foresee: Foresee) -> Forecast:
    with current.store() as store, store.reading() as conn:
        try:
            return foresee(conn)
        except RefusedError as refusal:
            raise typer.Exit(tell_refusal(current, command_name(what), refusal)) from refusal
