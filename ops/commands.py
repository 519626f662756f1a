"""``recouple couple`` and ``recouple loaded``: what operators order."""

from __future__ import annotations

from typing import Annotated

import typer

from messages.commands import Couple, Keep, Loaded
from messages.records import RecordRef
from messages.values import Value
from ops.options import AsJson, NoWait, Reason, Timeout, read_record
from ops.ordering import Terms, order
from ops.wiring import session


def _read_table(text: str) -> tuple[str, str]:
    app, _, table = text.partition("/")
    if not app or not table or "/" in table:
        raise typer.BadParameter(f"{text!r} is no table: write app/table, for example bc/customer")
    return app, table


_Left = Annotated[RecordRef, typer.Argument(parser=read_record, metavar="LEFT", help="The one record, app/table/key.")]
_Right = Annotated[RecordRef, typer.Argument(parser=read_record, metavar="RIGHT", help="The other, app/table/key.")]
_Table = Annotated[str, typer.Argument(metavar="TABLE", help="The table, app/table.")]


def couple(  # noqa: PLR0913 - one parameter for each option
    left: _Left,
    right: _Right,
    *,
    mapping: Annotated[str | None, typer.Option(help="Which mapping, where several tie the two tables.")] = None,
    keep: Annotated[
        Keep | None, typer.Option(help="Synchronize at once with this side's values; else differences wait.")
    ] = None,
    reason: Reason = None,
    no_wait: NoWait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Tie two records together, so that they are kept in step.

    Both must be uncoupled under the mapping. What is not known of them is asked of their apps.
    """
    with session(as_json=as_json) as current:
        what = Couple(left=left, right=right, mapping=mapping, keep=keep)
        terms = Terms(reason=reason, wait=not no_wait, timeout=timeout)
        raise typer.Exit(order(current, what, terms, lambda result: _coupled(left, right, result)))


def loaded(
    table: _Table,
    *,
    reason: Reason = None,
    no_wait: NoWait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Say that all records of a table have been announced.

    Once both tables of a mapping with only_coupled = false are loaded,
    records that waited are matched, or created on the other side.
    """
    app, name = _read_table(table)
    with session(as_json=as_json) as current:
        terms = Terms(reason=reason, wait=not no_wait, timeout=timeout)
        raise typer.Exit(order(current, Loaded(app=app, table=name), terms, _loaded))


def _coupled(left: RecordRef, right: RecordRef, result: dict[str, Value]) -> str:
    told = f"{left} and {right} are coupled under {result['mapping']}: coupling {result['coupling']}"
    if result.get("error"):
        return f"{told}. They disagree: see `recouple show {result['error']}`"
    return f"{told}, {str(result['status']).replace('_', ' ')}."


def _loaded(result: dict[str, Value]) -> str:
    opened = ", ".join(result.get("opened") or ())
    waiting = ", ".join(result.get("waiting_for_the_other_table") or ())
    told = f"{result['table']} is loaded."
    jobs = " and ".join(f"`recouple jobs {number}`" for number in result.get("jobs") or ())
    watched = f": {jobs} shows how far it is" if jobs else ""
    told += f" What waited under {opened} is matched or created now{watched}." if opened else ""
    return told + (f" Under {waiting} the other table is still to be loaded." if waiting else "")
