"""Rule 4 at work: uncoupled records are matched, created on the other side, or told about.

In a transaction of its own, after the images were committed: two records of one customer that arrive at once on the two
sides, in two workers, both see each other's image, and the lock on their match value lets one of the two couple them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace
from sqlalchemy import Connection

from messages.codec import encode_error
from messages.errors import ErrorEvent, ErrorMessage
from messages.records import RecordRef
from store import arrivals as arrival_store
from store import couplings as coupling_store
from store import due as due_store
from store import errors as error_store
from store import instructions as instruction_store
from store import loaded as loaded_store
from store import matches as match_store
from store import outbox as outbox_store
from store import pauses as pause_store
from store import records as record_store
from store.due import Due, DueKind
from store.model import OpenError, Side
from workers.context import Context
from workers.deciding import Decided, decide_touched
from workers.gates import both_loaded
from workers.holding import hold_up
from workers.log_lines import Line
from workers.mapping import Mapping
from workers.rules.desk import Desk
from workers.rules.matching import echo_marks, match_values
from workers.rules.reports import Ending, report
from workers.rules.situation import Situation
from workers.settling import Bench, Key, Surroundings
from workers.writing import write_desk


class Settled(NamedTuple):
    """What became of uncoupled records.

    Attributes:
        lines: To be logged after the commit.
        bench: Who was coupled, and who waits.
        decided: What was decided on the couplings that were made.
    """

    lines: list[Line]
    bench: Bench
    decided: list[Decided]


def match_arrivals(conn: Connection, context: Context, keys: Collection[Key], now: datetime) -> list[Line]:
    """Settle the fate of these uncoupled records; return the lines to be logged after the commit."""
    return settle_arrivals(conn, context, keys, now).lines


def settle_arrivals(conn: Connection, context: Context, keys: Collection[Key], now: datetime) -> Settled:
    """Settle the fate of these uncoupled records."""
    mappings, tables = context.file.mappings, loaded_store.all(conn)
    known = {key for key in keys if key[0] in mappings and both_loaded(mappings[key[0]], tables)}
    pauses = pause_store.read(conn)
    paused = {key for key in known if pauses.of(mappings[key[0]]) is not None}
    known -= paused
    around = _look_around(conn, context, known)
    partners = {(key[0], one) for key, found in around.candidates.items() if found.total == 1 for one in found.records}
    unmade = {found[0] for found in around.unmade.values() if len(found) == 1}
    images = record_store.lock(conn, {record for _, record in known | partners} | unmade)
    couplings = coupling_store.lock(conn, images.keys(), {row.coupling_id for row in around.rows.values()})
    desk = Desk(context.file, now, images, couplings.values())
    apart = record_store.apart(conn, images.keys())
    bench = Bench(desk, around, context.tokens)
    arrivals = arrival_store.lock(conn, known | partners)
    for arrival in arrivals:
        key = (arrival.mapping, arrival.record)
        if key in known:
            bench.settle(arrival, apart=key in apart)
    bench.end_taken(arrivals)
    for coupling, trace in zip(coupling_store.insert(conn, bench.made), bench.traces, strict=True):
        desk.put(coupling)
        desk.decide[coupling.id] = None
        if trace is not None:
            desk.traces[coupling.id] = trace
    decided = decide_touched(conn, desk)
    told = write_desk(conn, context, desk, decided, bench.touches)
    told += _write_arrivals(conn, context, bench, now)
    reconsider(conn, bench.taken, now)
    hold_up(conn, context.file, [_due(key, now) for key in sorted(paused)])
    return Settled(told, bench, decided)


def _due(key: Key, now: datetime) -> Due:
    return Due(kind=DueKind.ARRIVAL, record=key[1], mapping=key[0], due_at=now)


def reconsider(conn: Connection, keys: Collection[Key], now: datetime) -> None:
    """These records can be matched no more: what was ambiguous because of them is due to be looked at again."""
    waiting = arrival_store.ambiguous_about(conn, keys)
    due_store.put(conn, [Due(kind=DueKind.ARRIVAL, record=one, mapping=name, due_at=now) for name, one in waiting])


def _look_around(conn: Connection, context: Context, keys: Collection[Key]) -> Surroundings:
    """Lock the match values of the arrivals, then find whom they match and which creates they may be the echo of."""
    seen = record_store.read(conn, {record for _, record in keys})
    values, marks, wanted = {}, set(), set()
    for name, record in keys:
        mapping = context.file.mappings[name]
        side = _side_of(mapping, record)
        found = match_values(mapping, side, seen[record], {})
        values[name, record] = found
        wanted |= {(name, side.other, group, value) for group, value in found}
        marks |= {(name, mark) for mark in echo_marks(mapping, side, seen[record].fields)}
    matched = {(name, value) for (name, _), found in values.items() for _, value in found}
    match_store.lock_values(conn, matched)
    creates = match_store.creating(conn, matched | marks)
    waited = {one.waits_for for one in arrival_store.read(conn, keys) if one.waits_for}
    names = waited | {instruction for found in creates.values() for instruction, _ in found}
    return Surroundings(
        values=values,
        candidates=match_store.candidates(conn, wanted),
        creates=creates,
        rows=instruction_store.find(conn, names),
        unmade=match_store.unmade(conn, wanted),
    )


def _side_of(mapping: Mapping, record: RecordRef) -> Side:
    left = (mapping.left.app, mapping.left.name) == (record.app, record.table)
    return Side.LEFT if left else Side.RIGHT


def _write_arrivals(conn: Connection, context: Context, bench: Bench, now: datetime) -> list[Line]:
    """Keep who still waits, drop who does not, and tell of ambiguities that began, changed or ended."""
    arrival_store.remove(conn, [(one.mapping, one.record) for one in bench.gone])
    opened = [after for _, after in bench.kept if after.error is not None and not after.error.number]
    numbers = dict(zip((one.record for one in opened), error_store.numbers(conn, len(opened)), strict=True))
    told = [
        Ambiguity(bench.situation(one), one.error, ErrorEvent.RESOLVED, bench.how_it_ended(one))
        for one in bench.gone
        if one.error is not None
    ]
    kept = []
    for before, after in bench.kept:
        if after.error is not None and after.record in numbers:
            numbered = replace(after, error=replace(after.error, number=numbers[after.record]))
            told.append(Ambiguity(bench.situation(numbered), numbered.error, ErrorEvent.OPENED))
            kept.append(numbered)
            continue
        if after.error != before.error and after.error is not None:
            told.append(Ambiguity(bench.situation(after), after.error, ErrorEvent.UPDATED))
        kept.append(after)
    arrival_store.put(conn, kept)
    again = [Due(kind=DueKind.ARRIVAL, record=one.record, mapping=one.mapping, due_at=now) for one in bench.again]
    due_store.put(conn, again)
    return tell_ambiguities(conn, context, told, now)


class Ambiguity(NamedTuple):
    """What happened to the ``match_ambiguous`` error of an uncoupled record, if it has one, and what ended it."""

    situation: Situation
    error: OpenError | None
    event: ErrorEvent
    resolution: str = ""


def tell_ambiguities(conn: Connection, context: Context, told: Sequence[Ambiguity], now: datetime) -> list[Line]:
    """Write and publish the ``match_ambiguous`` errors that began, changed or ended."""
    messages = []
    for situation, found, event, resolution in told:
        if found is None:
            continue
        error, ending = found, None
        if event is ErrorEvent.RESOLVED:  # which an operator sees, so its revision grows
            error = replace(error, revision=error.revision + 1)
            ending = Ending(at=now, resolution=resolution, by=error.resolved_by)
        data = report(situation, error, ending)
        name = f"error-{data.error}-{data.revision}-{event}"
        messages.append(ErrorMessage(id=name, event=event, report=data, at=now))
    error_store.save(conn, [message.report for message in messages])
    outbox_store.put(conn, [(encode_error(message, context.namespace), None) for message in messages])
    return [
        Line(
            event=f"error.{message.event}",
            fields={
                "error": message.report.error,
                "kind": message.report.kind,
                "revision": message.report.revision,
                "mapping": message.report.mapping,
                "resolution": message.report.resolution,
            },
        )
        for message in messages
    ]
