"""The ``couple`` command: two records are tied together, and what stood apart stands apart no more."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace
from sqlalchemy import Connection

from messages.commands import Command, Couple, Keep, RefusalCode
from messages.errors import ErrorEvent, Handling
from messages.records import RecordRef
from messages.values import Value
from store import arrivals as arrival_store
from store import couplings as coupling_store
from store import records as record_store
from store.couplings import standing
from store.model import Side
from workers.arrivals import Ambiguity, reconsider, tell_ambiguities
from workers.carried import Carried
from workers.context import Context
from workers.deciding import decide_touched
from workers.handling import handling_of
from workers.log_lines import Line
from workers.mapping import Mapping
from workers.refusal import RefusedError, no_such
from workers.rules.desk import Desk, Touch
from workers.rules.error_life import handled
from workers.settling import new_coupling, uncoupled_situation
from workers.writing import write_desk


def couple(conn: Connection, context: Context, command: Command, now: datetime) -> Carried:
    """Tie the two records and decide at once: images that are not known are asked for with ``read``.

    Raises:
        RefusedError: no mapping fits, a record is deleted, or one of the two is already coupled.
    """
    order = command.order
    assert isinstance(order, Couple)  # noqa: S101 - the table of handlers says so
    mapping, left, right = _fitting(context, order)
    images = record_store.lock(conn, {left, right})
    desk = Desk(context.file, now, images, coupling_store.lock(conn, images.keys()).values())
    for record in (left, right):
        _refuse_coupled(desk, mapping, record)
        if images[record].exists is False:
            raise RefusedError(RefusalCode.NOT_APPLICABLE, f"{record} is deleted; couple records that exist")
    record_store.clear_apart(conn, [(mapping.name, left), (mapping.name, right)])
    keep = None if order.keep is None else Side.LEFT if order.keep is Keep.LEFT else Side.RIGHT
    coupling = coupling_store.insert(conn, [replace(new_coupling(mapping, context.tokens(), left, right), keep=keep)])[
        0
    ]
    desk.put(coupling)
    desk.decide[coupling.id] = None
    touches = [
        Touch(record=record, word="coupled", coupling=coupling.id, rule=mapping.name) for record in (left, right)
    ]
    effect = f"coupled as {coupling.id} under {mapping.name}"
    keys = [(mapping.name, left), (mapping.name, right)]
    told = end_arrivals(conn, context, desk, keys, handling_of(command, 0, now, effect))
    told += write_desk(conn, context, desk, decide_touched(conn, desk), touches)
    reconsider(conn, keys, now)
    after = desk.couplings[coupling.id]
    result: dict[str, Value] = {"coupling": coupling.id, "mapping": mapping.name, "status": standing(after).value}
    if after.error is not None:
        result["error"] = after.error.number
    return Carried(result=result, lines=told, records=(str(left), str(right)), effect=effect)


def _fitting(context: Context, order: Couple) -> tuple[Mapping, RecordRef, RecordRef]:
    """Find the mapping of the two tables; the records may be named in either order."""
    found = [
        (mapping, *pair)
        for mapping in context.file.mappings.values()
        for pair in ((order.left, order.right), (order.right, order.left))
        if order.mapping in (None, mapping.name) and _fits(mapping, *pair)
    ]
    if len(found) == 1:
        return found[0]
    if order.mapping is not None and order.mapping not in context.file.mappings:
        raise no_such("mapping", order.mapping, context.file.mappings, RefusalCode.INVALID)
    if not found:
        tables = f"{order.left.app}/{order.left.table} and {order.right.app}/{order.right.table}"
        raise RefusedError(RefusalCode.INVALID, f"no mapping ties {tables}; see [[mappings]] in the mapping file")
    names = ", ".join(mapping.name for mapping, _, _ in found)
    raise RefusedError(RefusalCode.INVALID, f"several mappings tie these tables, name one of them: {names}")


def _fits(mapping: Mapping, left: RecordRef, right: RecordRef) -> bool:
    tables = ((mapping.left.app, mapping.left.name), (mapping.right.app, mapping.right.name))
    return ((left.app, left.table), (right.app, right.table)) == tables


def _refuse_coupled(desk: Desk, mapping: Mapping, record: RecordRef) -> None:
    for coupling, its_mapping, side in desk.of(record):
        if its_mapping.name == mapping.name:
            other = coupling.record(side.other) or "a record that is being created"
            detail = f"{record} is already coupled to {other} under {mapping.name} (coupling {coupling.id})"
            raise RefusedError(RefusalCode.DUPLICATE_COUPLING, detail)


def end_arrivals(
    conn: Connection, context: Context, desk: Desk, keys: list[tuple[str, RecordRef]], ordered: Handling
) -> list[Line]:
    """Records that waited to be matched wait no more; their ambiguity is settled by what was ordered."""
    ended = arrival_store.lock(conn, keys)
    arrival_store.remove(conn, keys)
    told = [
        Ambiguity(
            uncoupled_situation(desk, one),
            handled(one.error, replace(ordered, revision=one.error.revision)),
            ErrorEvent.RESOLVED,
            ordered.command,
        )
        for one in ended
        if one.error is not None
    ]
    return tell_ambiguities(conn, context, told, desk.now)
