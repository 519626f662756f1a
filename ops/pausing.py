"""``recouple pause`` and ``recouple resume``: the brake that an operator pulls."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from messages.commands import Pause, Resume
from ops.agreeing import agree
from ops.forecast import of_pause
from ops.options import AsJson, DryRun, NoWait, Reason, Timeout, Yes
from ops.ordering import Terms, order
from ops.telling import told_pause
from ops.wiring import session
from workers.mapping_file import load_mapping_file

_OfApp: TypeAlias = Annotated[str | None, typer.Option("--app", help="Every mapping of this app.")]
_OfMapping: TypeAlias = Annotated[str | None, typer.Option("--mapping", help="This mapping.")]


def pause(  # noqa: PLR0913 - one parameter for each option
    *,
    app: _OfApp = None,
    mapping: _OfMapping = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = None,
    no_wait: NoWait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Decide and send nothing under a mapping, or with an app, until it is resumed.

    What changes meanwhile is kept, and decided then. What an app was
    instructed already stays instructed.
    """
    _one_of(app, mapping)
    what = Pause(app=app, mapping=mapping)
    terms = Terms(reason=reason, wait=not no_wait, timeout=timeout, yes=yes, dry_run=dry_run)
    with session(as_json=as_json) as current:
        agree(current, what, terms, lambda conn: of_pause(conn, load_mapping_file(current.settings.config), what))
        raise typer.Exit(order(current, what, terms, told_pause))


def resume(  # noqa: PLR0913 - one parameter for each option
    *,
    app: _OfApp = None,
    mapping: _OfMapping = None,
    yes: Yes = False,  # noqa: ARG001 - taken, so that a script may say it of every command
    reason: Reason = None,
    no_wait: NoWait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Go on with a mapping or an app that is paused, with all that has changed meanwhile. It does not ask."""
    _one_of(app, mapping)
    terms = Terms(reason=reason, wait=not no_wait, timeout=timeout)
    with session(as_json=as_json) as current:
        raise typer.Exit(order(current, Resume(app=app, mapping=mapping), terms, told_pause))


def _one_of(app: str | None, mapping: str | None) -> None:
    if (app is None) == (mapping is None):
        raise typer.BadParameter("name one: --app A or --mapping M", param_hint="--mapping")
