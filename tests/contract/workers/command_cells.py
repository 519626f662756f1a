"""One cell of the table of commands and states: what a command did, written as one line that a person can read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from messages.commands import (
    CoupleMatching,
    DeleteRecord,
    Dismiss,
    Done,
    Keep,
    Loaded,
    Order,
    Pause,
    Purge,
    RemoveCoupling,
    RestoreRecord,
    Resume,
    Retry,
    RetryAll,
    Synchronize,
)
from messages.errors import ErrorEvent, ErrorMessage, ErrorStatus
from messages.instructions import Instruction
from messages.records import RecordRef
from store import log as log_store
from store.couplings import standing
from store.jobs import Counters
from store.model import LogLine
from tests.contract.workers.by_hand import MANY, ByHand, couple
from tests.contract.workers.one_transaction import OneTransaction
from tests.contract.workers.scene import Scene

NOBODY = 999_999
"""The number of no error and of no coupling."""

JOBS = CoupleMatching | RetryAll | Purge
"""Orders that are answered at the end of a job."""

COMMAND = "the-command"
"""The id of the command that a cell is about."""


def orders(scene: Scene) -> dict[str, Order]:
    """Every command, about this scene; what an error is named by the error."""
    named: dict[str, Any] = {"coupling": scene.coupling} if scene.error is None else {"error": scene.error}
    table = RecordRef.parse(scene.left)
    return {
        "remove_coupling": RemoveCoupling(**named),
        "retry": Retry(**named),
        "synchronize": Synchronize(**named, keep=Keep.LEFT),
        "restore_record": RestoreRecord(**named),
        "delete_record": DeleteRecord(**named),
        "dismiss": Dismiss(error=scene.error or NOBODY),  # it is of an error only
        "couple": couple(scene.left, scene.right, scene.mapping),
        "couple_matching": CoupleMatching(mapping=scene.mapping),
        "retry_all": RetryAll(mapping=scene.mapping),
        "purge": Purge(older_than_days=0),
        "pause": Pause(mapping=scene.mapping),
        "resume": Resume(mapping=scene.mapping),
        "loaded": Loaded(app=table.app, table=table.table),
    }


def cell(hands: ByHand, scene: Scene, order: Order) -> str:
    """Order this, do what is due at once because of it, and say in a line what came of it.

    After the answer: what apps are instructed; what became of errors, and by how much their revision grew; what the
    synchronization logs of the two records say; where the coupling stands, if that is new. Of a refusal its code alone.
    """
    store = hands.store
    assert isinstance(store, OneTransaction)
    hands.instructions(), hands.errors(), hands.answers()
    known = {one.error: one.revision for one in hands.known_errors()}
    before, stood = store.everything(), _stands(hands, scene)
    log = {name: len(hands.log(name)) for name in (scene.left, scene.right)}
    answer = hands.job(order, COMMAND) if isinstance(order, JOBS) else hands.order(order, COMMAND)
    if not isinstance(answer, Done):
        assert hands.instructions() == [], "a refused command has instructed somebody"
        assert hands.errors() == [], "a refused command has told of an error"
        assert store.everything() == before, "a refused command has changed something"
        return answer.code.value
    hands.do_due_work()
    stands = _stands(hands, scene)
    parts = [
        " ".join(["done", *_counted(answer)]),
        *map(_instructed, hands.instructions()),
        *(_told(one, known.get(one.report.error)) for one in hands.errors()),
        *_logged(hands, log),
        "" if stands == stood else stands,
    ]
    return "; ".join(part for part in parts if part)


def _counted(answer: Done) -> Iterator[str]:
    """What a job counted, but noughts."""
    for name in (*Counters.__struct_fields__, "kept", "unmatched", "ambiguous"):
        if answer.result.get(name):
            yield f"{name}={answer.result[name]}"


def _instructed(sent: Instruction) -> str:
    attempt = f", attempt {sent.attempt}" if sent.attempt > 1 else ""
    return f"{sent.app}: {sent.action} {sent.key or 'new'} ({' '.join(sorted(sent.fields))}) {sent.reason}{attempt}"


def _told(message: ErrorMessage, revision: int | None) -> str:
    """What became of an error; who has settled it is whoever ordered it."""
    told = message.report
    over = told.status is ErrorStatus.RESOLVED
    expected = ErrorEvent.OPENED if revision is None else ErrorEvent.RESOLVED if over else ErrorEvent.UPDATED
    assert message.event is expected
    by = {"ops/jane": "", None: " of nobody"}[told.resolved_by] if over else ""
    ended = f" by {told.resolution}{by}" if over else ""
    return f"{told.kind} {told.status} +{told.revision - (revision or 0)}{ended}"


def _logged(hands: ByHand, before: dict[str, int]) -> Iterator[str]:
    """The new lines of each record's log: outcome and rule. ``*`` is the line that says who ordered what, and why."""
    for record, count in before.items():
        with hands.store.reading() as conn:
            fresh = log_store.of_record(conn, record, MANY)[count:]
        if fresh:
            yield f"{record.partition('/')[0]} log: {' '.join(map(_line, fresh))}"


def _line(line: LogLine) -> str:
    if line.command is not None and line.outcome == "done":
        assert line.command == COMMAND
        assert line.detail.startswith("by ops/jane (why not): ")
        return "*"
    return f"{line.outcome}({line.rule})" if line.rule else line.outcome


def _stands(hands: ByHand, scene: Scene) -> str:
    """Where the couplings of the scene's mapping stand."""
    found = [one for one in hands.couplings() if one.mapping == scene.mapping]
    return ", ".join(f"{standing(one)}{' held' if one.held_by else ''}" for one in found)
