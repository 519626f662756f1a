"""The way of a command about one error or coupling: look, show, ask, order."""

from __future__ import annotations

import msgspec
import typer

from ops.answers import Told, command_name, tell_refusal
from ops.asking import ask, need_somebody
from ops.error_view import print_briefly
from ops.next_steps import spoken
from ops.ordering import Terms, order
from ops.preview import Preview, Settling, look_ahead, preview_data, print_preview
from ops.wiring import ExitCode, Session, session
from workers.mapping_file import load_mapping_file
from workers.refusal import RefusedError


def settle(what: Settling, terms: Terms, told: Told, *, as_json: bool) -> None:
    """Order ``what``; where it asks, show first what it will do. Leaves with an exit code.

    The revision that was shown is sent along: if the error has moved on since, the command is refused as stale.

    Raises:
        typer.Exit: always.
    """
    with session(as_json=as_json) as current:
        if terms.dry_run:
            raise typer.Exit(_only_say(current, what, terms))
        if not terms.yes:
            need_somebody()
            what = _agreed(current, what, terms)
        raise typer.Exit(order(current, what, terms, told))


def _only_say(current: Session, what: Settling, terms: Terms) -> ExitCode:
    preview = _look(current, what, terms)
    if current.as_json:
        current.write_json(preview_data(preview))
    else:
        print_preview(current.out, preview)
        current.note("Nothing was ordered: --dry-run.")
    return ExitCode.DONE


def _agreed(current: Session, what: Settling, terms: Terms) -> Settling:
    """Show the error and what would follow, ask, and return the order with the revision that was shown."""
    preview = _look(current, what, terms)
    if preview.error is not None:
        print_briefly(current.err, preview.error, current.now())
        current.err.print()
    print_preview(current.err, preview)
    ask(current, f"{spoken(preview.command).replace('-', ' ').capitalize()}?")
    if what.revision is not None or preview.error is None:
        return what
    # By its number: a later error of the same coupling counts its revisions from 1 again.
    return msgspec.structs.replace(what, error=preview.error.error, coupling=None, revision=preview.error.revision)


def _look(current: Session, what: Settling, terms: Terms) -> Preview:
    """Look ahead; what a worker would refuse is refused here, and not ordered."""
    file = load_mapping_file(current.settings.config)
    with current.store() as store, store.reading() as conn:
        try:
            return look_ahead(current, conn, file, what, terms.reason)
        except RefusedError as refusal:
            raise typer.Exit(tell_refusal(current, command_name(what), refusal)) from refusal
