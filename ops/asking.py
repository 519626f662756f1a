"""Asking before something is done that cannot be taken back by the next command."""

from __future__ import annotations

import sys

import typer

from ops.printing import say
from ops.wiring import ExitCode, Session


def need_somebody() -> None:
    """See that somebody can be asked.

    Raises:
        typer.BadParameter: nobody can; ``--yes`` says that nobody needs to be.
    """
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            "it asks before it is done, and nobody can be asked here: say --yes, or look first with --dry-run",
            param_hint="--yes",
        )


def ask(current: Session, question: str, declined: str = "Nothing was ordered.") -> None:
    """Ask ``question`` on stderr; stdout is for the result alone. Anything but yes is no.

    Raises:
        typer.Exit: the answer is no; nothing was ordered.
    """
    current.err.file.write(f"{question} [y/N]: ")
    current.err.file.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        say(current.err, declined)
        raise typer.Exit(ExitCode.REFUSED)
