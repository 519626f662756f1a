"""The commands about many records at once: each becomes a job, and is answered at its end."""

from __future__ import annotations

from typing import Annotated

import typer

from messages.commands import CoupleMatching, Keep, Order, Purge, RetryAll, Synchronize
from messages.errors import ErrorKind, Family
from ops import forecast
from ops.agreeing import Foresee, agree
from ops.job_progress import job_progress
from ops.options import AsJson, DryRun, MappingName, NoWait, Reason, Timeout, Yes
from ops.ordering import Terms, order
from ops.telling import told_job
from ops.wiring import ExitCode, Session, session
from workers.mapping import MappingFile
from workers.mapping_file import load_mapping_file

DEFAULT_DAYS = 7
MAX_DAYS = 36_500


def couple_matching(  # noqa: PLR0913 - one parameter for each option
    mapping: Annotated[str, typer.Argument(metavar="MAPPING", help="The mapping, by its name.")],
    *,
    keep: Annotated[
        Keep | None, typer.Option(help="Synchronize at once with this side's values; else differences wait.")
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = None,
    no_wait: NoWait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Couple the records of a mapping that match by its match_on.

    What matches none or several is left alone; `recouple jobs JOB` lists it.
    With --keep it asks first, as values are overwritten.
    """
    terms = Terms(reason=reason, wait=not no_wait, timeout=timeout, yes=yes or keep is None, dry_run=dry_run)
    what = CoupleMatching(mapping=mapping, keep=keep)
    with session(as_json=as_json) as current:
        raise typer.Exit(_order(current, what, terms, lambda conn: forecast.of_matching(conn, _file(current), what)))


def retry_all(  # noqa: PLR0913 - one parameter for each option
    *,
    mapping: MappingName = None,
    kind: Annotated[ErrorKind | None, typer.Option(help="Only errors of this kind.")] = None,
    code: Annotated[str | None, typer.Option(help="Only with this failure code of an app.")] = None,
    fingerprint: Annotated[
        str | None, typer.Option(help="Only of this cause; `recouple errors --json` has it of each error.")
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = None,
    no_wait: NoWait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Retry every open error that fits all that is given; every open error where nothing is."""
    terms = Terms(reason=reason, wait=not no_wait, timeout=timeout, yes=yes, dry_run=dry_run)
    what = RetryAll(mapping=mapping, kind=kind, code=code, fingerprint=fingerprint)
    with session(as_json=as_json) as current:
        raise typer.Exit(_order(current, what, terms, lambda conn: forecast.of_retries(conn, what)))


def purge(  # noqa: PLR0913 - one parameter for each option
    *,
    older_than_days: Annotated[
        int | None,
        typer.Option(min=0, max=MAX_DAYS, help=f"Resolved so long ago; {DEFAULT_DAYS} by default.", show_default=False),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="However short ago.")] = False,
    family: Annotated[Family | None, typer.Option(help="Only of this family.")] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = None,
    no_wait: NoWait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Delete resolved errors for good.

    What explains why a coupling is skipped stays, and is counted.
    """
    if everything and older_than_days is not None:
        raise typer.BadParameter("say either --all or --older-than-days", param_hint="--all")
    days = 0 if everything else DEFAULT_DAYS if older_than_days is None else older_than_days
    terms = Terms(reason=reason, wait=not no_wait, timeout=timeout, yes=yes, dry_run=dry_run)
    what = Purge(older_than_days=days, family=family)
    with session(as_json=as_json) as current:
        now = current.now()
        raise typer.Exit(_order(current, what, terms, lambda conn: forecast.of_purge(conn, what, now)))


def synchronize_mapping(mapping: str, keep: Keep, terms: Terms, *, as_json: bool) -> None:
    """Order ``synchronize`` of a whole mapping. Leaves with an exit code.

    Raises:
        typer.Exit: always.
    """
    what = Synchronize(mapping=mapping, keep=keep)
    with session(as_json=as_json) as current:
        raise typer.Exit(
            _order(current, what, terms, lambda conn: forecast.of_synchronization(conn, _file(current), what))
        )


def _order(current: Session, what: Order, terms: Terms, foresee: Foresee) -> ExitCode:
    agree(current, what, terms, foresee)
    return order(current, what, terms, told_job, job_progress)


def _file(current: Session) -> MappingFile:
    return load_mapping_file(current.settings.config)
