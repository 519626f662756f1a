"""``recouple errors``: what people have to settle, as a list."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from messages.errors import ErrorKind, ErrorReport, ErrorStatus, Family
from ops.next_steps import spoken
from ops.options import DEFAULT_LIMIT, After, AsJson, Every, Limit, MappingName, OfRecord, Watch, read_age
from ops.printing import ROOMY, age_text, counted, make_table, plain, record_text, say
from ops.watching import WATCH_EVERY, Rows, watch
from ops.wiring import Session, session
from store import errors as error_store
from store.connect import Store
from store.errors import ErrorFilters
from workers.mapping_file import load_mapping_file
from workers.spelling import did_you_mean

UNSETTLED = frozenset({ErrorStatus.OPEN, ErrorStatus.RESOLVING})
"""What is listed unless all are asked for."""


def errors(  # noqa: PLR0913 - one parameter for each option
    *,
    family: Annotated[
        Family | None, typer.Option(help="Only what users settle, or only what administrators do.")
    ] = None,
    kind: Annotated[ErrorKind | None, typer.Option(help="Only of this kind.")] = None,
    mapping: MappingName = None,
    app: Annotated[str | None, typer.Option(help="Only of mappings that have this app on either side.")] = None,
    code: Annotated[str | None, typer.Option(help="Only with this failure code of an app.")] = None,
    fingerprint: Annotated[str | None, typer.Option(help="Only of this cause, as `retry-all` takes it.")] = None,
    record: OfRecord = None,
    older_than: Annotated[
        timedelta | None, typer.Option(parser=read_age, metavar="DURATION", help="Only opened longer ago, e.g. 2h.")
    ] = None,
    newer_than: Annotated[
        timedelta | None, typer.Option(parser=read_age, metavar="DURATION", help="Only opened since, e.g. 7d.")
    ] = None,
    status: Annotated[ErrorStatus | None, typer.Option(help="Only of this status.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    limit: Limit = DEFAULT_LIMIT,
    after: After = 0,
    watching: Watch = False,
    every: Every = None,
    as_json: AsJson = False,
) -> None:
    """List errors, the oldest first: open disagreements and failures that a person may have to settle.

    --watch draws the list anew; with --json it prints a line for each error
    that is listed, changed or gone: {"change", "number", "row"}.
    """
    if status is not None and everything:
        raise typer.BadParameter("say either --all or --status", param_hint="--all")
    with session(as_json=as_json) as current, current.store() as store:
        now = current.now()
        filters = ErrorFilters(
            family=family,
            kind=kind,
            mapping=mapping,
            mappings=None if app is None else _mappings_of(current, app),
            code=code,
            fingerprint=fingerprint,
            record=record,
            status=_statuses(status, everything=everything),
            opened_before=None if older_than is None else now - older_than,
            opened_after=None if newer_than is None else now - newer_than,
        )
        if watching:
            _watch(current, store, (filters, limit, after), every or WATCH_EVERY)
        else:
            _list(current, store, (filters, limit, after))


_Page = tuple[ErrorFilters, int, int]


def _list(current: Session, store: Store, asked: _Page) -> None:
    filters, limit, after = asked
    with store.reading() as conn:
        found = error_store.page(conn, filters, limit + 1, after)
        total = error_store.count(conn, filters)
    page = found[:limit]
    if current.as_json:
        current.write_json(page)
    elif not page:
        say(current.out, "No further errors." if after else "No errors.")
    else:
        current.out.print(errors_table(page, current.now(), current.out.width))
    if len(found) > len(page):
        current.note(f"{counted(total, 'error')} in all; those that follow: --after {page[-1].error}")


def _watch(current: Session, store: Store, asked: _Page, every: timedelta) -> None:
    filters, limit, after = asked

    def read() -> Rows:
        with store.reading() as conn:
            return {one.error: one for one in error_store.page(conn, filters, limit, after)}

    watch(current, every, read, lambda rows: errors_table(list(rows.values()), current.now(), current.out.width))


def errors_table(errors: list[ErrorReport], now: datetime, width: int) -> Table:
    """Return the list for a terminal of ``width``.

    ``age`` is since an error opened, ``rev`` its revision; below its title stands what applies now. Where there is
    little room the mapping stands below the kind.
    """
    narrow = width < ROOMY
    names = ["error", "age", "rev", "kind", "mapping", "records", "what"]
    if narrow:
        names.remove("mapping")
    table = make_table(*names, right=("error", "age", "rev"))
    for error in errors:
        kind = [_kind(error.kind, narrow=narrow)] + ([plain(error.code, "dim")] if error.code else [])
        mapping = plain(error.mapping, "dim" if narrow else "")
        records = [plain(record_text(side)) for side in (error.left, error.right) if side is not None]
        table.add_row(
            plain(error.error),
            plain(age_text(error.opened_at, now)),
            plain(error.revision),
            Text("\n").join([*kind, mapping] if narrow else kind),
            *([] if narrow else [mapping]),
            Text("\n").join(records),
            Text("\n").join(_what(error)),
        )
    return table


def _kind(kind: ErrorKind, *, narrow: bool) -> Text:
    return Text(kind.replace("_", "_\n", 1) if narrow and len(kind) > len("version_mismatch") else kind)


def _what(error: ErrorReport) -> list[Text]:
    status = "" if error.status is ErrorStatus.OPEN else f" ({error.status})"
    told = [plain(f"{error.title}{status}")]
    if error.actions and error.status is not ErrorStatus.RESOLVED:
        told.append(plain(", ".join(map(spoken, error.actions)), "dim"))
    return told


def _statuses(status: ErrorStatus | None, *, everything: bool) -> frozenset[ErrorStatus] | None:
    if status is not None:
        return frozenset({status})
    return None if everything else UNSETTLED


def _mappings_of(current: Session, app: str) -> frozenset[str]:
    """The mappings of an app: an error also belongs to the app in which its record is still to be created."""
    file = load_mapping_file(current.settings.config)
    if app not in file.apps:
        words = f"{app!r} is no app of the mapping file{did_you_mean(app, file.apps)}; there are {', '.join(file.apps)}"
        raise typer.BadParameter(words, param_hint="--app")
    return frozenset(name for name, mapping in file.mappings.items() if app in (mapping.left.app, mapping.right.app))
