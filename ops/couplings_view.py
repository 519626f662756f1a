"""``recouple couplings``: which records are tied together, and how they stand."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection

from messages.errors import ErrorStatus
from messages.records import RecordRef
from ops.options import DEFAULT_LIMIT, After, AsJson, Limit, MappingName, OfRecord
from ops.printing import ROOMY, make_table, plain, record_cell, say, time_text
from ops.wiring import session
from store import couplings as coupling_store
from store import pauses as pause_store
from store import records as record_store
from store.couplings import Standing, standing
from store.model import Coupling, Image


class RecordRow(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a coupling; ``exists`` and ``version`` are ``None`` where nobody has told us."""

    app: str
    table: str
    key: str
    exists: bool | None
    version: int | None


class CouplingRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``recouple couplings --json``; a record that is still being created is ``None``.

    Attributes:
        error: The number of the error that is open or being resolved.
        paused: What held it when it was last decided: ``mapping <name>``, ``app <name>``, or ``where``, the filter of
            its mapping.
    """

    coupling: int
    mapping: str
    status: Standing
    left: RecordRow | None
    right: RecordRow | None
    error: int | None
    paused: str | None


def couplings(  # noqa: PLR0913 - one parameter for each option
    *,
    mapping: MappingName = None,
    record: OfRecord = None,
    status: Annotated[Standing | None, typer.Option(help="Only of this status.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    after: After = 0,
    as_json: AsJson = False,
) -> None:
    """List couplings by number; closed ones are among them, unless a status is given."""
    with session(as_json=as_json) as current, current.store() as store:
        with store.reading() as conn:
            found = coupling_store.page(
                conn, mapping=mapping, record=record, status=status, limit=limit + 1, after_id=after
            )
            page = coupling_rows(conn, found[:limit])
            paused = list(pause_store.read(conn))
        if as_json:
            current.write_json(page)
        elif not page:
            say(current.out, "No further couplings." if after else "No couplings.")
        else:
            current.out.print(couplings_table(page, current.out.width))
        if len(found) > len(page):
            current.note(f"There are more; those that follow: --after {page[-1].coupling}")
        for pause in paused:
            why = f": {pause.reason}" if pause.reason else ""
            current.note(f"The {pause} is paused since {time_text(pause.at)} by {pause.by}{why}")


def coupling_rows(conn: Connection, couplings: list[Coupling]) -> list[CouplingRow]:
    """Return the couplings with what is known of their records, read at once."""
    records = {record for one in couplings for record in (one.left, one.right) if record is not None}
    images = record_store.read(conn, records)
    return [
        CouplingRow(
            coupling=one.id,
            mapping=one.mapping,
            status=standing(one),
            left=_record(one.left, images),
            right=_record(one.right, images),
            error=one.error.number if one.error is not None and one.error.status is not ErrorStatus.RESOLVED else None,
            paused=one.held_by,
        )
        for one in couplings
    ]


def couplings_table(rows: list[CouplingRow], width: int) -> Table:
    """Return the list for a terminal of ``width``."""
    table = make_table("coupling", "status", "mapping", "left", "right", "error", "paused", right=("coupling", "error"))
    narrow = width < ROOMY
    for row in rows:
        cells = (_cell(side, narrow=narrow) for side in (row.left, row.right))
        named = (plain(row.coupling), plain(row.status), plain(row.mapping))
        table.add_row(*named, *cells, plain(row.error), plain(row.paused))
    return table


def _cell(side: RecordRow | None, *, narrow: bool) -> Text:
    if side is None:
        return Text("being created", style="dim")
    return Text.assemble(record_cell(side, narrow=narrow), "\n" if narrow else "  ", (_state(side), "dim"))


def _record(record: RecordRef | None, images: dict[RecordRef, Image]) -> RecordRow | None:
    if record is None:
        return None
    image = images[record]
    return RecordRow(app=record.app, table=record.table, key=record.key, exists=image.exists, version=image.version)


def _state(side: RecordRow) -> str:
    if side.exists is None:
        return "unknown"
    at = "" if side.version is None else f"v{side.version}"
    return at if side.exists else f"deleted {at}".strip()
