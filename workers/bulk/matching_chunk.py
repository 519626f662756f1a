"""One chunk of ``couple_matching``: where it stands, the pairs that it couples, and what it notes of the others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace
from sqlalchemy import Connection

from messages.records import RecordRef
from messages.values import Value
from store import couplings as coupling_store
from store import log as log_store
from store import records as record_store
from store.jobs import Counters, Job, JobLine
from store.model import LogLine, Side
from store.records import Uncoupled
from workers.arrivals import reconsider
from workers.bulk.counting import count
from workers.bulk.jobs import Step
from workers.bulk.pairing import Found
from workers.context import Context
from workers.coupling import end_arrivals
from workers.deciding import decide_touched
from workers.handling import handling_of_job
from workers.log_lines import Line
from workers.mapping import Mapping
from workers.rules.desk import Desk, Touch
from workers.settling import new_coupling
from workers.writing import write_desk

NAMED = 3
"""How many of the records that match are named in a line."""


class Place(NamedTuple):
    """How far a job is: its phase, and the record that was looked at last, with an empty key before the first."""

    phase: str
    record: RecordRef

    def cursor(self, key: str | None = None) -> str:
        """The cursor that says so; ``key`` is that of another record of the same table."""
        record = self.record
        return f"{self.phase} {record.app}/{record.table}/{record.key if key is None else key}"


def place_of(cursor: str) -> Place | None:
    """Return how far a job is; ``None`` before its first chunk."""
    if not cursor:
        return None
    phase, _, name = cursor.partition(" ")
    return Place(phase, RecordRef(*name.split("/", 2)))


class Chunk(NamedTuple):
    """One chunk of a job, and what it is given."""

    conn: Connection
    context: Context
    job: Job
    mapping: Mapping
    place: Place
    keep: Side | None
    now: datetime

    def page(self, side: Side) -> Uncoupled:
        """The next uncoupled records of this side."""
        return record_store.uncoupled(self.conn, self.mapping.name, side, self.place.record, self.job.chunk)

    def next(self, page: Uncoupled) -> str | None:
        """The cursor after a page; ``None`` at the end of the phase."""
        return None if page.last is None else self.place.cursor(page.last)


def couple_pairs(chunk: Chunk, desk: Desk, pairs: Sequence[tuple[RecordRef, RecordRef]]) -> tuple[list[Line], Counters]:
    """Couple left and right records that lie locked on the desk, and decide the couplings."""
    conn, context, job, mapping = chunk.conn, chunk.context, chunk.job, chunk.mapping
    fresh = [replace(new_coupling(mapping, context.tokens(), *pair), keep=chunk.keep) for pair in pairs]
    touches = []
    for coupling in coupling_store.insert(conn, fresh):
        desk.put(coupling)
        desk.decide[coupling.id] = None
        if job.traceparent is not None:
            desk.traces[coupling.id] = job.traceparent
        records = [record for record in (coupling.left, coupling.right) if record is not None]
        touches += [Touch(record=one, word="coupled", coupling=coupling.id, rule=mapping.name) for one in records]
    keys = [(mapping.name, record) for pair in pairs for record in pair]
    ordered = handling_of_job(job, 0, chunk.now, "coupled by what it matches")
    lines = end_arrivals(conn, context, desk, keys, ordered)
    decided = decide_touched(conn, desk)
    lines += write_desk(conn, context, desk, decided, touches)
    reconsider(conn, keys, chunk.now)
    counted = count(decided)
    return lines, Counters(coupled=len(pairs), modified=counted.modified, failed=counted.failed)


def noted(chunk: Chunk, step: Step, found: Sequence[Found], looked_at: int) -> Step:
    """Add who stayed alone, and why; of those that are ``unmatched``, the ``ambiguous`` ones match several."""
    alone = [one for one in found if one.partner is None]
    notes = tuple(JobLine(str(one.record), *_said(one)) for one in alone)
    unmatched = [note for note in notes if note.outcome == "unmatched"]
    log_store.append(chunk.conn, [_log_line(chunk, note) for note in unmatched])
    ambiguous = sum(one.candidates.total > 0 for one in alone)
    skipped = len(notes) - len(unmatched)
    before = chunk.job.extra
    extra: dict[str, Value] = {
        "unmatched": before["unmatched"] + len(unmatched),
        "ambiguous": before["ambiguous"] + ambiguous,
    }
    counters = step.counters.plus(Counters(skipped=skipped, failed=ambiguous))
    return replace(step, counters=counters, done=step.done + looked_at, notes=notes, extra=extra)


def _said(found: Found) -> tuple[str, str]:
    """The outcome and the detail of the line about a record that stayed alone."""
    if found.passed_over is not None:
        return "skipped", found.passed_over
    total, first = found.candidates.total, found.candidates.records[:NAMED]
    if not total:
        return "unmatched", "matches none"
    names = ", ".join(str(record) for record in first) + (", …" if total > len(first) else "")
    return "unmatched", f"matches {total}: {names}" + (", and so do others" if total == 1 else "")


def _log_line(chunk: Chunk, note: JobLine) -> LogLine:
    return LogLine(
        at=chunk.now,
        record=note.record,
        outcome="unmatched",
        rule=chunk.mapping.name,
        command=chunk.job.command,
        detail=note.detail,
    )
