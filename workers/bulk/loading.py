"""What waited for the tables of a mapping to be ``loaded``: matched, created on the other side, told about; a job."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from messages.commands import Loaded
from messages.instructions import Action
from messages.records import RecordRef
from store import arrivals as arrival_store
from store.arrivals import Arrival, Place
from store.jobs import Counters, Job
from store.model import CouplingStatus
from workers.arrivals import Settled, settle_arrivals
from workers.bulk.jobs import Step
from workers.context import Context


def settle_chunk(conn: Connection, context: Context, job: Job, order: Loaded, now: datetime) -> Step:  # noqa: ARG001 - a step
    """Settle the next records that waited; those that arrive meanwhile are settled as they come."""
    waiting = arrival_store.gated(conn, job.mapping or "", job.chunk, _place(job))
    if not waiting:
        return Step(cursor=None)
    settled = settle_arrivals(conn, context, {(one.mapping, one.record) for one in waiting}, now)
    return Step(counters=_count(settled, waiting), done=len(waiting), cursor=_cursor(waiting[-1]), lines=settled.lines)


def skip_arrival(conn: Connection, job: Job, order: Loaded) -> str | None:  # noqa: ARG001 - a step
    """Pass over the next record."""
    waiting = arrival_store.gated(conn, job.mapping or "", 1, _place(job))
    return _cursor(waiting[0]) if waiting else None


def _cursor(arrival: Arrival) -> str:
    return f"{arrival.since.isoformat()} {arrival.record}"


def _place(job: Job) -> Place:
    if not job.cursor:
        return arrival_store.FIRST
    since, _, record = job.cursor.partition(" ")
    return datetime.fromisoformat(since), RecordRef.parse(record)


def _count(settled: Settled, waiting: Sequence[Arrival]) -> Counters:
    """Count the pairs that were coupled, the counterparts that are created, and the records that stay as they are."""
    bench = settled.bench
    paired = sum(one.status is CouplingStatus.ACTIVE for one in bench.made)
    adopted = sum(touch.word == "coupled" and touch.coupling is not None for touch in bench.touches)
    ambiguous = {(after.mapping, after.record) for _, after in bench.kept if after.error is not None}
    alone = {(one.mapping, one.record) for one in waiting} - bench.taken
    creating = [one.decision for one in settled.decided if one.decision.coupling.status is CouplingStatus.CREATING]
    held = sum(decision.word == "paused" for decision in creating)
    return Counters(
        coupled=paired + adopted,
        inserted=sum(sent.action is Action.CREATE for decision in creating for sent in decision.send),
        failed=len(alone & ambiguous),
        skipped=len(alone - ambiguous) + held,
    )
