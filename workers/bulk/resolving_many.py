"""A chunk of couplings resolved alike, set by set, by the same rules as a single one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from store import couplings as coupling_store
from store import pauses as pause_store
from store.jobs import Counters, Job
from store.model import Coupling
from workers.brake import brake
from workers.bulk.counting import count
from workers.context import Context
from workers.deciding import Decided, look_at
from workers.handling import handling_of_job
from workers.log_lines import Line
from workers.refusal import RefusedError
from workers.resolving import carry_out, write_resolved
from workers.rules.desk import Desk
from workers.rules.resolutions import Resolution


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """What a chunk came to."""

    counters: Counters
    lines: list[Line]


def resolve_many(
    conn: Connection, context: Context, job: Job, orders: Mapping[int, Resolution], now: datetime
) -> Resolved:
    """Carry out one order per coupling; where it does not apply, the coupling is skipped."""
    desk = Desk(context.file, now, {}, coupling_store.lock(conn, (), orders.keys()).values())
    pairs = [
        (one, context.file.mappings[one.mapping])
        for one in desk.couplings.values()
        if one.mapping in context.file.mappings
    ]
    pauses = pause_store.read(conn)
    decided: list[Decided] = []
    for found in look_at(conn, desk, sorted(pairs, key=lambda pair: pair[0].id)):
        order, error = orders[found.coupling.id], found.coupling.error
        if not _is_meant(order, found.coupling):
            continue
        situation = msgspec.structs.replace(found, paused=pauses.of(found.mapping))
        handling = handling_of_job(job, 0 if error is None else error.revision, now)
        try:
            decided.append(carry_out(situation, order, handling))
        except RefusedError:
            continue  # it has been settled, is in flight or is paused: counted as skipped
    braked = brake(conn, desk, [(one.situation, one.decision) for one in decided])
    decided = [Decided(situation=situation, decision=decision) for situation, decision in braked]
    lines = write_resolved(conn, context, desk, decided)
    counters = count(decided).plus(Counters(skipped=len(orders) - len(decided)))
    return Resolved(counters=counters, lines=lines)


def _is_meant(order: Resolution, coupling: Coupling) -> bool:
    """Say whether the error that the order is about is still the coupling's."""
    return order.error is None or (coupling.error is not None and coupling.error.number == order.error)
