"""The ``couple_matching`` command: couple what ``match_on`` of a mapping finds; a job in phases.

=============== ======================================================================================================
phase           what it does
=============== ======================================================================================================
right, left     keep what every uncoupled record of that side is matched by (``store.matches``)
match-1, …      for each group of ``match_on``: couple the left records that have one match, whose only match they are
rest            look at the right records that stayed alone
clean           forget what the records are matched by, where the mapping does not match new ones by itself
=============== ======================================================================================================

What is alone after the last group is noted: the left ones then and there, the right ones in ``rest``. Group by group,
for a record that is coupled by its e-mail address must not be in the way of another by its name, whichever comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec.structs import replace
from sqlalchemy import Connection

from messages.commands import Command, CoupleMatching, RefusalCode
from messages.records import RecordRef
from store import jobs as job_store
from store import matches as match_store
from store import pauses as pause_store
from store import records as record_store
from store.jobs import Job, JobLine, JobStatus
from store.model import Side
from workers.bulk.jobs import Step, begin
from workers.bulk.matching_chunk import Chunk, Place, couple_pairs, noted, place_of
from workers.bulk.pairing import Search, find_partners
from workers.carried import Carried
from workers.context import Context
from workers.mapping import Mapping
from workers.refusal import RefusedError, no_such
from workers.rules.matching import match_values

JOBS_AT_ONCE = 100
"""So many running jobs are looked through for one that does the same."""
VALUES_PER_RECORD = 10
"""So many values are forgotten in a transaction for each record that is looked at in another one: it is less work."""


def couple_matching(conn: Connection, context: Context, command: Command, now: datetime) -> Carried:
    """Begin the job.

    Raises:
        RefusedError: the mapping is not in the file, has nothing to match by, is paused or is being matched already.
    """
    order = command.order
    assert isinstance(order, CoupleMatching)  # noqa: S101 - the table of handlers says so
    mapping = context.file.mappings.get(order.mapping)
    if mapping is None:
        raise no_such("mapping", order.mapping, context.file.mappings)
    if not mapping.match_on:
        detail = f"mapping {mapping.name} has nothing to match by; give it match_on, or couple its records one by one"
        raise RefusedError(RefusalCode.NOT_APPLICABLE, detail)
    paused = pause_store.read(conn).of(mapping)
    if paused is not None:
        raise RefusedError(RefusalCode.NOT_APPLICABLE, f"{paused} is paused; resume it first")
    for job in job_store.page(conn, JOBS_AT_ONCE, status=JobStatus.RUNNING):
        if (job.name, job.mapping) == (command.name, mapping.name):
            detail = f"job {job.number} is coupling the records of {mapping.name} already; wait for its end"
            raise RefusedError(RefusalCode.NOT_APPLICABLE, detail)
    tables = {side: (mapping.table(side).app, mapping.table(side).name) for side in Side}
    total = sum(record_store.count_uncoupled(conn, mapping.name, side, table) for side, table in tables.items())
    begin(conn, command, now, mapping=mapping.name, total=total)
    return Carried(result=None)


def match_chunk(conn: Connection, context: Context, job: Job, order: CoupleMatching, now: datetime) -> Step:
    """Do the next chunk of the phase that the job is in; the very first says what there is to do."""
    mapping = context.file.mappings.get(order.mapping)
    phases = {} if mapping is None else _phases(mapping)
    place = place_of(job.cursor)
    if mapping is None or (place is not None and place.phase not in phases):
        gone = JobLine("", "failed", f"{order.mapping} is no longer in the mapping file as it was; the rest is left")
        return Step(cursor=None, notes=(gone,))
    if place is None:
        return Step(cursor=_first(mapping, "right"), extra={"unmatched": 0, "ambiguous": 0})
    keep = None if order.keep is None else Side(order.keep)
    step = phases[place.phase](Chunk(conn, context, job, mapping, place, keep, now))
    if step.cursor is not None:
        return step
    following = [*phases, None][[*phases].index(place.phase) + 1]
    return replace(step, cursor=None if following is None else _first(mapping, following))


def skip_record(conn: Connection, job: Job, order: CoupleMatching) -> str | None:
    """Pass over the next record."""
    place = place_of(job.cursor)
    if place is None or place.phase == "clean":
        return None
    side = Side.RIGHT if place.phase in ("right", "rest") else Side.LEFT
    page = record_store.uncoupled(conn, order.mapping, side, place.record, 1)
    return None if page.last is None else place.cursor(page.last)


def _phases(mapping: Mapping) -> dict[str, Callable[[Chunk], Step]]:
    """What is to be done under ``mapping``, in order."""
    matching = {f"match-{number}": _match for number in range(1, len(mapping.match_on) + 1)}
    cleaning = {"clean": _clean} if mapping.only_coupled else {}
    return {"right": _index, "left": _index, **matching, "rest": _rest, **cleaning}


def _first(mapping: Mapping, phase: str) -> str:
    """The cursor at the beginning of a phase."""
    table = mapping.right if phase in ("right", "rest") else mapping.left
    return Place(phase, RecordRef(table.app, table.name, "")).cursor()


def _index(chunk: Chunk) -> Step:
    """Keep what the next records of one side are matched by."""
    side = Side(chunk.place.phase)
    page = chunk.page(side)
    images = record_store.lock(chunk.conn, page.records)
    entries = [
        (chunk.mapping.name, side, record, match_values(chunk.mapping, side, images[record], {}))
        for record in page.records
    ]
    match_store.save(chunk.conn, entries)
    return Step(cursor=chunk.next(page))


def _match(chunk: Chunk) -> Step:
    """Couple those of the next left records that have a partner; after the last group note who has none."""
    page, group = chunk.page(Side.LEFT), int(chunk.place.phase.partition("-")[2])
    search = Search(mapping=chunk.mapping, side=Side.LEFT, groups=group)
    desk, found = find_partners(chunk.conn, chunk.context, search, page.records, chunk.now)
    pairs = [(one.record, one.partner) for one in found if one.partner is not None]
    lines, counters = couple_pairs(chunk, desk, pairs)
    step = Step(counters=counters, done=2 * len(pairs), cursor=chunk.next(page), lines=lines)
    if group < len(chunk.mapping.match_on):
        return step
    return noted(chunk, step, found, len(page.records) - len(pairs))


def _rest(chunk: Chunk) -> Step:
    """Note which of the next right records stayed alone."""
    page = chunk.page(Side.RIGHT)
    search = Search(mapping=chunk.mapping, side=Side.RIGHT, groups=len(chunk.mapping.match_on))
    _, found = find_partners(chunk.conn, chunk.context, search, page.records, chunk.now)
    return noted(chunk, Step(cursor=chunk.next(page)), found, len(page.records))


def _clean(chunk: Chunk) -> Step:
    """Forget what the records are matched by; from the next key on."""
    limit = VALUES_PER_RECORD * chunk.job.chunk
    key = match_store.forget(chunk.conn, chunk.mapping.name, chunk.place.record.key, limit)
    return Step(cursor=None if key is None else chunk.place.cursor(key))
