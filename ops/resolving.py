"""The commands that settle one error, or one coupling: what they would do is shown, asked for, ordered."""

from __future__ import annotations

from typing import Annotated

import typer

from messages.commands import (
    DeleteRecord,
    Dismiss,
    Keep,
    RemoveCoupling,
    RestoreRecord,
    Retry,
    Synchronize,
)
from ops.bulk import synchronize_mapping
from ops.choices import Fields, Values, read_fields, read_values
from ops.options import (
    MAX_NUMBER,
    AsJson,
    DryRun,
    NoWait,
    Reason,
    Revision,
    TheCoupling,
    TheError,
    Timeout,
    Yes,
)
from ops.ordering import Terms
from ops.settling import settle
from ops.telling import told_dismissal, told_removal, told_resolution


def remove_coupling(  # noqa: PLR0913 - one parameter for each option
    error: TheError = None,
    *,
    coupling: TheCoupling = None,
    revision: Revision = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = None,
    no_wait: NoWait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Uncouple two records and leave both as they are.

    They are not matched or created again until they are coupled anew.
    """
    what = RemoveCoupling(**_target(error, coupling, revision))
    terms = Terms(reason=reason, wait=not no_wait, timeout=timeout, yes=yes, dry_run=dry_run)
    settle(what, terms, told_removal, as_json=as_json)


def retry(  # noqa: PLR0913 - one parameter for each option
    error: TheError = None,
    *,
    coupling: TheCoupling = None,
    revision: Revision = None,
    dry_run: DryRun = False,
    yes: Yes = False,  # noqa: ARG001 - taken, so that a script may say it of every command
    reason: Reason = None,
    no_wait: NoWait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Decide anew, on what the records and the policies are now.

    Where an app has not answered, the same instruction goes out once more.
    It does not ask.
    """
    what = Retry(**_target(error, coupling, revision))
    terms = Terms(reason=reason, wait=not no_wait, timeout=timeout, yes=True, dry_run=dry_run)
    settle(what, terms, told_resolution, as_json=as_json)


def synchronize(  # noqa: PLR0913 - one parameter for each option
    error: TheError = None,
    *,
    coupling: TheCoupling = None,
    mapping: Annotated[
        str | None, typer.Option(help="Instead: every coupling of this mapping, as a job; with --keep.")
    ] = None,
    keep: Annotated[Keep | None, typer.Option(help="The side that wins every contested field.")] = None,
    field: Fields = None,
    value: Values = None,
    revision: Revision = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = None,
    no_wait: NoWait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Say which values win, and synchronize.

    --keep settles every contested field; what only one side changed flows as
    ever. --field and --value name, together, every contested field.
    """
    fields, values = read_fields(field or ()), read_values(value or ())
    if (keep is not None) == bool(fields or values):
        raise typer.BadParameter("say either --keep, or --field and --value", param_hint="--keep")
    terms = Terms(reason=reason, wait=not no_wait, timeout=timeout, yes=yes, dry_run=dry_run)
    if mapping is None:
        _target(error, coupling, revision)
        what = Synchronize(error=error, coupling=coupling, revision=revision, keep=keep, fields=fields, values=values)
        settle(what, terms, told_resolution, as_json=as_json)
    elif keep is None or (error, coupling, revision) != (None, None, None):
        raise typer.BadParameter("a whole mapping takes --keep, and neither error, --coupling nor --revision")
    else:
        synchronize_mapping(mapping, keep, terms, as_json=as_json)


def restore(  # noqa: PLR0913 - one parameter for each option
    error: TheError = None,
    *,
    coupling: TheCoupling = None,
    revision: Revision = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = None,
    no_wait: NoWait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Create the deleted record again, in the app where it was deleted.

    It stays coupled; its app may give it another key.
    """
    what = RestoreRecord(**_target(error, coupling, revision))
    terms = Terms(reason=reason, wait=not no_wait, timeout=timeout, yes=yes, dry_run=dry_run)
    settle(what, terms, told_resolution, as_json=as_json)


def delete(  # noqa: PLR0913 - one parameter for each option
    error: TheError = None,
    *,
    coupling: TheCoupling = None,
    revision: Revision = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = None,
    no_wait: NoWait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Delete the record that is still there, too, in its app."""
    what = DeleteRecord(**_target(error, coupling, revision))
    terms = Terms(reason=reason, wait=not no_wait, timeout=timeout, yes=yes, dry_run=dry_run)
    settle(what, terms, told_resolution, as_json=as_json)


def dismiss(  # noqa: PLR0913 - one parameter for each option
    error: Annotated[
        int, typer.Argument(metavar="ERROR", min=1, max=MAX_NUMBER, help="Its number, as `recouple errors` lists it.")
    ],
    *,
    revision: Revision = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = None,
    no_wait: NoWait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Close an integration error without effect; the next change of its records tries again."""
    terms = Terms(reason=reason, wait=not no_wait, timeout=timeout, yes=yes, dry_run=dry_run)
    settle(Dismiss(error=error, revision=revision), terms, told_dismissal, as_json=as_json)


def _target(error: int | None, coupling: int | None, revision: int | None) -> dict[str, int | None]:
    if (error is None) == (coupling is None):
        raise typer.BadParameter("name one: the number of an error, or --coupling N", param_hint="ERROR")
    return {"error": error, "coupling": coupling, "revision": revision}
