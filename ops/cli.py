"""The ``recouple`` command line, put together."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from ops.command_table import COMMANDS
from ops.printing import json_text
from ops.wiring import ExitCode, quiet_libraries
from workers.printable import printable

_EPILOG = """\
Exit codes:
  0  done
  1  refused, or the store or the broker is away
  2  wrong usage, settings or mapping file
  3  a command was sent and not answered in time; it may still be carried out

With --json stdout holds one JSON document: an array, or an object for a
single thing. When something fails it is an object with the member error;
of a command that is refused, with code and detail.
The sentence for people is on stderr either way.

Settings are environment variables, RECOUPLE_…; without any of them store
and broker are files in the folder .recouple.
"""


class _Recouple(TyperGroup):
    """Takes no argument that is no text, and tells a wrong one harmlessly; as JSON, too, where JSON was asked for."""

    _as_json = False

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> Any:
        self._as_json = "--json" in args
        with self._told():
            _check_text(args)
            return super().make_context(info_name, args, *more, **extra)

    def invoke(self, ctx: Any) -> Any:
        with self._told():
            return super().invoke(ctx)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except TyperException as fault:
            if self._as_json and fault.exit_code == ExitCode.USAGE:
                typer.echo(json_text({"error": fault.format_message()}))
            # It quotes what was typed, which may have been copied from a record.
            fault.message = "\n".join(map(printable, fault.message.split("\n")))
            raise


def _check_text(args: Sequence[str]) -> None:
    """See that all that was typed can be stored and sent: bytes that are no UTF-8 arrive here as lone surrogates."""
    for number, text in enumerate(args, 1):
        if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
            raise typer.BadParameter(f"argument {number} is no text in UTF-8")


app = typer.Typer(
    name="recouple",
    cls=_Recouple,
    help="Keeps coupled records of two business apps in step, and tells people when they fall out of it.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they show local variables, and those hold field values and passwords
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer's signature
    if wanted:
        try:
            typer.echo(f"recouple {version('recouple')}")
        except PackageNotFoundError:
            typer.echo("recouple, from a checkout that is not installed")
        raise typer.Exit


@app.callback()
def _recouple(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


for _one in COMMANDS:
    _examples = "\n".join(("Examples:", *(f"  {line}" for line in _one.examples)))
    app.command(_one.name, rich_help_panel=_one.panel, epilog=_examples)(_one.run)


def main() -> None:
    """Run the command line; the entry point ``recouple``."""
    quiet_libraries()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # whatever the terminal cannot show, nothing crashes on it
    app(prog_name="recouple")
