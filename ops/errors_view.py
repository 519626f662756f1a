"""``recouple errors``: what people have to settle, as a list."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from messages.errors import ErrorKind, ErrorReport, ErrorStatus, Family
from ops.options import DEFAULT_LIMIT, After, AsJson, Limit, MappingName, OfRecord
from ops.printing import ROOMY, age_text, counted, make_table, plain, record_cell, say
from ops.wiring import session
from store import errors as error_store
from store.errors import ErrorFilters

UNSETTLED = frozenset({ErrorStatus.OPEN, ErrorStatus.RESOLVING})
"""What is listed unless all are asked for."""


def errors(  # noqa: PLR0913 - one parameter for each option
    *,
    family: Annotated[
        Family | None, typer.Option(help="Only what users settle, or only what administrators do.")
    ] = None,
    kind: Annotated[ErrorKind | None, typer.Option(help="Only of this kind.")] = None,
    mapping: MappingName = None,
    code: Annotated[str | None, typer.Option(help="Only with this failure code of an app.")] = None,
    record: OfRecord = None,
    everything: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    limit: Limit = DEFAULT_LIMIT,
    after: After = 0,
    as_json: AsJson = False,
) -> None:
    """List errors, the oldest first: open disagreements and failures that a person may have to settle."""
    filters = ErrorFilters(
        family=family, kind=kind, mapping=mapping, code=code, record=record, status=None if everything else UNSETTLED
    )
    with session(as_json=as_json) as current, current.store() as store:
        with store.reading() as conn:
            found = error_store.page(conn, filters, limit + 1, after)
            total = error_store.count(conn, filters)
        page = found[:limit]
        if as_json:
            current.write_json(page)
        elif not page:
            say(current.out, "No further errors." if after else "No errors.")
        else:
            current.out.print(errors_table(page, current.now(), current.out.width))
        if len(found) > len(page):
            current.note(f"{counted(total, 'error')} in all; those that follow: --after {page[-1].error}")


def errors_table(errors: list[ErrorReport], now: datetime, width: int) -> Table:
    """Return the list for a terminal of ``width``; ``age`` is since an error opened, ``rev`` its revision."""
    narrow = width < ROOMY
    table = make_table(
        "error", "kind", "mapping", "left", "right", "title", "age", "rev", right=("error", "age", "rev")
    )
    for error in errors:
        table.add_row(
            plain(error.error),
            _kind(error.kind, narrow=narrow),
            plain(error.mapping),
            record_cell(error.left, narrow=narrow),
            record_cell(error.right, narrow=narrow),
            plain(error.title if error.status is ErrorStatus.OPEN else f"{error.title} ({error.status})"),
            plain(age_text(error.opened_at, now)),
            plain(error.revision),
        )
    return table


def _kind(kind: ErrorKind, *, narrow: bool) -> Text:
    return Text(kind.replace("_", "_\n", 1) if narrow and len(kind) > 12 else kind)
