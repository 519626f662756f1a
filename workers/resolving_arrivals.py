"""The commands about a ``match_ambiguous`` error: it belongs to a record that is not coupled, and to no coupling."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from messages.commands import Command, Dismiss, RefusalCode, Retry, Target
from messages.errors import ErrorEvent, ErrorReport, ErrorStatus
from messages.records import RecordRef
from messages.values import Value
from store import arrivals as arrival_store
from store import due as due_store
from store import records as record_store
from store.arrivals import Arrival
from store.due import Due, DueKind
from store.model import OpenError
from workers.arrivals import Ambiguity, tell_ambiguities
from workers.carried import Carried
from workers.context import Context
from workers.handling import handling_of
from workers.refusal import RefusedError
from workers.rules.desk import Desk
from workers.rules.error_life import handled
from workers.rules.reports import report
from workers.rules.situation import Situation
from workers.settling import uncoupled_situation


def resolve_ambiguity(
    conn: Connection, context: Context, command: Command, told: ErrorReport, now: datetime
) -> Carried:
    """Match the record once more, or let it be until its next change.

    Raises:
        RefusedError: the error has moved on, or the command does not apply to it.
    """
    order = command.order
    assert isinstance(order, Target)  # noqa: S101 - the table of handlers says so
    if not isinstance(order, (Retry, Dismiss)):
        detail = f"error {told.error} is about a record that is not coupled; what applies: couple, retry, dismiss"
        raise RefusedError(RefusalCode.NOT_APPLICABLE, detail)
    if told.mapping not in context.file.mappings:
        detail = f"error {told.error} is of the mapping {told.mapping}, which the mapping file does not have any more"
        raise RefusedError(RefusalCode.NOT_APPLICABLE, detail)
    key = (told.mapping, _record(told))
    desk = Desk(context.file, now, record_store.read(conn, [key[1]]), ())
    found = [one for one in arrival_store.lock(conn, [key]) if one.error is not None and one.error.number == told.error]
    if not found or found[0].error is None:
        raise RefusedError(RefusalCode.STALE, f"error {told.error} has just been settled")
    [arrival], error = found, found[0].error
    situation = uncoupled_situation(desk, arrival)
    if order.revision not in (None, error.revision):
        moved = f"from revision {order.revision} to {error.revision}"
        detail = f"error {told.error} has moved on {moved}; look at it again"
        raise RefusedError(RefusalCode.STALE, detail, report(situation, error))
    end = _dismiss if isinstance(order, Dismiss) else _match_again
    ambiguity = end(conn, Waiting(arrival, error, situation), command, now)
    over = ambiguity.event is ErrorEvent.RESOLVED
    result: dict[str, Value] = {
        "error": told.error,
        "coupling": None,
        "error_status": (ErrorStatus.RESOLVED if over else ErrorStatus.OPEN).value,
        "instructions": [],
    }
    lines = tell_ambiguities(conn, context, [ambiguity], now)
    return Carried(result=result, lines=lines, records=(str(key[1]),), effect=DISMISSED if over else MATCHED)


DISMISSED = "dismissed until the record's next change"
MATCHED = "matched once more"


class Waiting(NamedTuple):
    """A record that waits to be matched, with its error and what a report sees of it."""

    arrival: Arrival
    error: OpenError
    situation: Situation


def _dismiss(conn: Connection, one: Waiting, command: Command, now: datetime) -> Ambiguity:
    arrival_store.remove(conn, [(one.arrival.mapping, one.arrival.record)])
    over = _noted(one.error, command, DISMISSED, now)
    return Ambiguity(one.situation, over, ErrorEvent.RESOLVED, command.name)


def _match_again(conn: Connection, one: Waiting, command: Command, now: datetime) -> Ambiguity:
    """In a transaction of its own, as every arrival is matched."""
    noted = msgspec.structs.replace(_noted(one.error, command, MATCHED, now), resolution=None, resolved_by=None)
    noted = msgspec.structs.replace(noted, revision=one.error.revision + 1)
    arrival = one.arrival
    arrival_store.put(conn, [msgspec.structs.replace(arrival, error=noted)])
    due_store.put(conn, [Due(kind=DueKind.ARRIVAL, record=arrival.record, mapping=arrival.mapping, due_at=now)])
    return Ambiguity(one.situation, noted, ErrorEvent.UPDATED)


def _noted(error: OpenError, command: Command, effect: str, now: datetime) -> OpenError:
    return handled(error, handling_of(command, error.revision, now, effect))


def _record(told: ErrorReport) -> RecordRef:
    side = told.left or told.right
    if side is None or side.key is None:
        raise RefusedError(RefusalCode.NOT_APPLICABLE, f"error {told.error} is about no single record")
    return RecordRef(side.app, side.table, side.key)
