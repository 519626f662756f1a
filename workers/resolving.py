"""The commands that settle one error, or one coupling: find it, lock it, decide by the pure rules, write it.

The preview of the command line finds what is meant (``targets``) and decides in the same way, so that it shows what
would happen.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from messages.commands import Command, RefusalCode, RemoveCoupling, Target
from messages.errors import ErrorStatus, Handling
from messages.values import Value
from store import couplings as coupling_store
from store.couplings import standing
from store.model import CouplingStatus, OpenError
from workers.carried import Carried
from workers.context import Context
from workers.deciding import Decided
from workers.handling import handling_of
from workers.log_lines import Line
from workers.refusal import RefusedError
from workers.resolving_arrivals import resolve_ambiguity
from workers.rules.desk import Desk
from workers.rules.reports import report
from workers.rules.resolutions import Resolution, resolve
from workers.rules.situation import Decision, Situation
from workers.targets import find, situation_of, with_typed_references
from workers.writing import write_desk


def resolve_one(conn: Connection, context: Context, command: Command, now: datetime) -> Carried:
    """Carry out a resolution of one error or coupling.

    Raises:
        RefusedError: there is no such error or coupling, it has moved on, or the command does not apply to it.
    """
    order = command.order
    assert isinstance(order, Target)  # noqa: S101 - the table of handlers says so
    named = find(conn, order.error, order.coupling, order.revision)
    if named.coupling is None:
        assert named.error is not None  # noqa: S101 - what names no coupling names an error
        return resolve_ambiguity(conn, context, command, named.error, now)
    return resolve_coupling(conn, context, command, named.coupling, now)[0]


def resolve_coupling(
    conn: Connection, context: Context, command: Command, number: int, now: datetime
) -> tuple[Carried, Decided]:
    """Carry out a resolution of this coupling; return what is answered, and what was decided.

    Raises:
        RefusedError: there is no such coupling, its error has moved on, or the command does not apply.
    """
    order = command.order
    desk = Desk(context.file, now, {}, coupling_store.lock(conn, (), [number]).values())
    situation = with_typed_references(conn, situation_of(conn, desk, number, order), order)
    assert isinstance(order, Target)  # noqa: S101 - the table of handlers says so
    _refuse_stale(order, situation)
    error = situation.coupling.error
    handling = handling_of(command, 0 if error is None else error.revision, now)
    decided = carry_out(situation, order, handling)
    lines = write_resolved(conn, context, desk, [decided])
    records = tuple(str(one) for one in (situation.coupling.left, situation.coupling.right) if one is not None)
    result = _result(decided, desk) | ({"records": list(records)} if isinstance(order, RemoveCoupling) else {})
    return Carried(result=result, lines=lines, records=records, effect=effect_of(decided.decision)), decided


def _refuse_stale(order: Target, situation: Situation) -> None:
    error = situation.coupling.error
    now = None if error is None else report(situation, error)
    if order.error is not None and (error is None or error.number != order.error):
        raise RefusedError(RefusalCode.STALE, f"error {order.error} has just been settled", now)
    if order.revision is None:
        return
    if error is None:
        detail = f"revision {order.revision} was named, but no error of coupling {situation.coupling.id} is open"
        raise RefusedError(RefusalCode.STALE, detail)
    if error.revision != order.revision:
        detail = (
            f"error {error.number} has moved on from revision {order.revision} to {error.revision}; look at it again"
        )
        raise RefusedError(RefusalCode.STALE, detail, now)


def carry_out(situation: Situation, order: Resolution, handling: Handling) -> Decided:
    """Decide by the pure rules, and note in the error's history what came of it.

    Raises:
        RefusedError: it does not apply.
    """
    decision = resolve(situation, order, handling)
    effect = effect_of(decision)
    error, coupling = (_told(one, handling, effect) for one in (decision.error, decision.coupling.error))
    coupled = msgspec.structs.replace(decision.coupling, error=coupling)
    return Decided(situation=situation, decision=msgspec.structs.replace(decision, error=error, coupling=coupled))


def _told(error: OpenError | None, handling: Handling, effect: str) -> OpenError | None:
    if error is None:
        return None
    history = tuple(
        msgspec.structs.replace(one, effect=effect) if one.id == handling.id and not one.effect else one
        for one in error.history
    )
    return msgspec.structs.replace(error, history=history)


def effect_of(decision: Decision) -> str:
    """Say in a few words, and without values, what a resolution did."""
    told = [f"{sent.action} {sent.record if sent.record.key else sent.record.app}" for sent in decision.send]
    told += [f"{sent.action} {sent.record} once more" for sent in decision.resend]
    instructed = f"instructed: {', '.join(told)}" if told else "nothing to instruct"
    error = decision.coupling.error
    if decision.coupling.status is CouplingStatus.CLOSED:
        return "the coupling is removed" if not told else instructed
    return instructed if error is None else f"{instructed}; the error is {error.status}"


def write_resolved(conn: Connection, context: Context, desk: Desk, decided: Sequence[Decided]) -> list[Line]:
    """Write what operators resolved, and send once more what they ask once more."""
    for one in decided:
        desk.take(one.decision)
    return write_desk(conn, context, desk, decided, [])


def _result(decided: Decided, desk: Desk) -> dict[str, Value]:
    """What the answer says: the coupling and its error as they are now, and who was instructed to do what."""
    coupling = desk.couplings[decided.situation.coupling.id]
    before, error = decided.situation.coupling.error, coupling.error
    result: dict[str, Value] = {"coupling": coupling.id, "status": standing(coupling).value}
    if before is not None or error is not None:
        result["error"] = (error or before).number  # type: ignore[union-attr]
        result["error_status"] = ErrorStatus.RESOLVED.value if error is None else error.status.value
    sends = (*decided.decision.send, *decided.decision.resend)
    result["instructions"] = [
        {
            "id": sent.id,
            "app": sent.record.app,
            "action": sent.action.value,
            "record": str(sent.record) if sent.record.key else None,
            "fields": sorted(sent.fields),
        }
        for sent in sends
    ]
    return result
