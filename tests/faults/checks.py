"""What has to hold whenever all is quiet, whatever has happened before: guarantees 1, 2 and 3 of DESIGN.md section 7.

Each check returns a sentence for everything that is wrong. What was published and what arrived stands in the ledger,
what was committed in the store.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

import sqlalchemy as sa

from store import tables
from store.model import InstructionState
from tests.acceptance.harness import FAULTS
from tests.faults.ledger import Given
from tests.faults.stage import FaultStage

OVER = (InstructionState.APPLIED, InstructionState.FAILED)


def lost(stage: FaultStage) -> Iterator[str]:
    """Everything that was published or committed and came to nothing."""
    ledger = stage.ledger
    for app in stage.apps:
        yield from (f"the event {one} of {app} was never handled" for one in _missing(stage, app))
    for command in ledger.published["ops"] - ledger.answers.keys():
        yield f"the command {command} was never answered"
    with stage.store.reading() as conn:
        given = conn.execute(sa.select(tables.instructions)).all()
        errors = conn.execute(sa.select(tables.errors.c.number, tables.errors.c.report)).all()
    for row in given:
        if not ledger.instructions[Given(row.id, row.attempt)] and row.state != InstructionState.BACKING_OFF:
            yield f"attempt {row.attempt} of the instruction {row.id} ({row.state}) never reached its app"
    for number, report in errors:
        revision = json.loads(report)["revision"]
        if revision not in ledger.told[number]:
            yield f"revision {revision} of the error {number} was never told, only {sorted(ledger.told[number])}"
    for body in ledger.poison - ledger.dead.keys():
        yield f"what could not be read is not in the dead queue: {body!r}"


def _missing(stage: FaultStage, app: str) -> set[str]:
    return stage.ledger.published[app] - stage.handled_ids(app)


def doubled(stage: FaultStage) -> Iterator[str]:
    """Every event that was taken twice for one record, and every command that became two jobs."""
    moments: dict[tuple[str, str], set[datetime]] = defaultdict(set)
    with stage.store.reading() as conn:
        rows = conn.execute(sa.select(tables.log.c.at, tables.log.c.line).where(tables.log.c.outcome != "duplicate"))
        for at, text in rows:
            line = json.loads(text)
            if line.get("event"):
                moments[line["event"], line["record"]].add(at)
        orders = conn.execute(sa.select(tables.jobs.c.command, sa.func.count()).group_by(tables.jobs.c.command)).all()
    for (event, record), found in moments.items():
        if len(found) > 1:
            yield f"the event {event} was taken {len(found)} times for {record}"
    yield from (f"the command {command} became {count} jobs" for command, count in orders if count > 1)


def uncommitted(stage: FaultStage) -> Iterator[str]:
    """Everything that arrived and that the store knows nothing of."""
    ledger = stage.ledger
    with stage.store.reading() as conn:
        attempts = {row.id: row.attempt for row in conn.execute(sa.select(tables.instructions))}
        rows = conn.execute(sa.select(tables.errors.c.number, tables.errors.c.report))
        revisions = {number: json.loads(report)["revision"] for number, report in rows}
        kept = sa.select(tables.commands.c.id).where(tables.commands.c.answer.is_not(None))
        answered = set(conn.execute(kept).scalars())
    for given in ledger.instructions:
        if given.attempt > attempts.get(given.id, 0):
            yield f"attempt {given.attempt} of the instruction {given.id} arrived and was never committed"
    for number, told in ledger.told.items():
        if told and max(told) > revisions.get(number, 0):
            yield f"revision {max(told)} of the error {number} was told and never committed"
    for command in ledger.answers.keys() - answered:
        yield f"the command {command} was answered and the answer never committed"


def contradictions(stage: FaultStage) -> Iterator[str]:
    """Every id that came with two contents, and every answer that was not the same again."""
    ledger = stage.ledger
    for (queue, id_, attempt), digests in ledger.bodies.items():
        if len(digests) > 1:
            yield f"{queue}: {id_} (attempt {attempt}) came with {len(digests)} contents"
    for id_, contents in ledger.contents.items():
        if len(contents) > 1:
            yield f"the instruction {id_} asked for different things: {sorted(contents)}"


def unruly(stage: FaultStage) -> Iterator[str]:
    """Everything in the store that one decision at a time would not have made."""
    with stage.store.reading() as conn:
        for side in ("left", "right"):
            columns = [tables.couplings.c[name] for name in ("mapping", f"{side}_app", f"{side}_table", f"{side}_key")]
            query = sa.select(*columns).where(~tables.couplings.c.closed, columns[-1].is_not(None))
            for row in conn.execute(query.group_by(*columns).having(sa.func.count() > 1)):
                yield f"{row} is in two couplings"
        unsettled = sa.select(tables.errors.c.coupling_id).where(
            tables.errors.c.status != "resolved", tables.errors.c.coupling_id.is_not(None)
        )
        for row in conn.execute(unsettled.group_by(tables.errors.c.coupling_id).having(sa.func.count() > 1)):
            yield f"two errors are open about the coupling {row.coupling_id}"
        query = sa.select(tables.instructions.c.id, tables.instructions.c.coupling_id)
        flying = {row.id: row.coupling_id for row in conn.execute(query.where(~tables.instructions.c.state.in_(OVER)))}
    couplings = {one.id: one for one in stage.couplings()}
    held = {sent.id: one.id for one in couplings.values() for sent in one.flight}
    for coupling in couplings.values():
        apps = [sent.record.app for sent in coupling.flight]
        if len(set(apps)) < len(apps):
            yield f"two instructions to one app are in flight for the coupling {coupling.id}"
    for id_, number in held.items() - flying.items():
        yield f"the coupling {number} waits for the instruction {id_}, which is over"
    for id_, number in flying.items() - held.items():
        if number in couplings:
            yield f"the instruction {id_} is in flight, and its coupling {number} does not know of it"


def misplaced(stage: FaultStage) -> Iterator[str]:
    """Everything that is left in a queue, or dead and was not meant to be."""
    yield from (f"{depth} messages are left in {queue}" for queue, depth in stage.depths().items())
    yield from (f"dead: {one.body[:300]!r} {one.headers}" for one in stage.dead())


def faulty(stage: FaultStage) -> Iterator[str]:
    """Every line in which a worker tells of a fault of its own, and every worker that left unasked."""
    yield from stage.crew.surprises
    for worker in stage.crew.everyone:
        yield from (f"{line}" for name in FAULTS for line in worker.events(name))


CHECKS: Mapping[str, Callable[[FaultStage], Iterator[str]]] = {
    "lost": lost,
    "doubled": doubled,
    "uncommitted": uncommitted,
    "contradictions": contradictions,
    "unruly": unruly,
    "misplaced": misplaced,
    "faulty": faulty,
}


def findings(stage: FaultStage) -> dict[str, list[str]]:
    """Everything that is wrong, by check."""
    return {name: found for name, check in CHECKS.items() if (found := list(check(stage)))}
