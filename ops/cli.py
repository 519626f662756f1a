"""The ``recouple`` command line, put together."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from ops.commands import couple, loaded
from ops.couplings_view import couplings
from ops.dead import dead
from ops.error_view import show
from ops.errors_view import errors
from ops.log_view import log
from ops.publishing import publish
from ops.queues_view import tap
from ops.running import demo, setup, work
from ops.wiring import quiet_libraries

_RUN, _LOOK, _ORDER = "Run", "Look", "Order"

_EPILOG = """\
Exit codes:
  0  done
  1  refused, or the store or the broker is away
  2  wrong usage, settings or mapping file
  3  a command was sent and not answered in time; it may still be carried out

With --json stdout holds one JSON document: an array, or an object for a
single thing. When something fails it is an object with the member error.
The sentence for people is on stderr either way.

Settings are environment variables, RECOUPLE_…; without any of them store
and broker are files in the folder .recouple.
"""

app = typer.Typer(
    name="recouple",
    help="Keeps coupled records of two business apps in step, and tells people when they fall out of it.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they show local variables, and those hold field values and passwords
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _examples(*lines: str) -> str:
    return "Examples:\n" + "\n".join(f"  {line}" for line in lines)


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


app.command("demo", rich_help_panel=_RUN, epilog=_examples("recouple demo", "recouple demo --keep northwind"))(demo)
app.command("setup", rich_help_panel=_RUN, epilog=_examples("recouple setup", "recouple setup --json"))(setup)
app.command(
    "work",
    rich_help_panel=_RUN,
    epilog=_examples(
        "recouple work",
        "recouple work --role changes --app bc --processes 4",
        "recouple work --drain",
    ),
)(work)
app.command(
    "publish",
    rich_help_panel=_RUN,
    epilog=_examples(
        "recouple publish changes.jsonl",
        "export-customers | recouple publish - --strict",
        """echo '{"app": "bc", "table": "customer", "key": "1", "operation": "delete", \\""",
        """        "version": 17}' | recouple publish -""",
    ),
)(publish)

app.command(
    "errors",
    rich_help_panel=_LOOK,
    epilog=_examples(
        "recouple errors",
        "recouple errors --family coupled_data --mapping customer",
        "recouple errors --record bc/customer/10000 --all",
        "recouple errors --json | jq '.[].fingerprint'",
    ),
)(errors)
app.command("show", rich_help_panel=_LOOK, epilog=_examples("recouple show 12", "recouple show 12 --json"))(show)
app.command(
    "couplings",
    rich_help_panel=_LOOK,
    epilog=_examples(
        "recouple couplings --status skipped",
        "recouple couplings --record sales/account/9 --json",
        "recouple couplings --mapping customer --limit 1000 --after 5000",
    ),
)(couplings)
app.command(
    "log",
    rich_help_panel=_LOOK,
    epilog=_examples("recouple log bc/customer/10000", "recouple log bc/customer/10000 --limit 500 --json"),
)(log)
app.command(
    "tap",
    rich_help_panel=_LOOK,
    epilog=_examples("recouple tap errors", "recouple tap instructions.bc --max 1 --json"),
)(tap)
app.command(
    "dead",
    rich_help_panel=_LOOK,
    epilog=_examples(
        "recouple dead",
        "recouple dead show --reason id_reused --json",
        "recouple dead replay --queue changes.bc",
        "recouple dead drop --reason not_json --yes",
    ),
)(dead)

app.command(
    "couple",
    rich_help_panel=_ORDER,
    epilog=_examples(
        "recouple couple bc/customer/10000 sales/account/9",
        "recouple couple bc/customer/1 sales/account/9 --keep left --reason 'ERP is right'",
        "recouple couple bc/customer/10000 sales/account/9 --json --timeout 5s",
    ),
)(couple)
app.command(
    "loaded",
    rich_help_panel=_ORDER,
    epilog=_examples("recouple loaded bc/customer", "recouple loaded sales/account --no-wait"),
)(loaded)


def main() -> None:
    """Run the command line; the entry point ``recouple``."""
    quiet_libraries()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # whatever the terminal cannot show, nothing crashes on it
    app(prog_name="recouple")
