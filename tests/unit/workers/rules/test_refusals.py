"""What a refusal, or silence, makes of a coupling."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from messages.errors import ErrorEvent, ErrorKind
from messages.instructions import Action
from messages.outcomes import Failed, FailureCode
from messages.records import RecordRef
from store.model import CouplingStatus, InstructionState, Side
from tests.rules_world import World, mapping_of
from workers.mapping import Confirms, DeletionRule, Detect, Direction
from workers.rules.failures import MISMATCH_LIMIT, Patience

LEFT, RIGHT = Side.LEFT, Side.RIGHT


def asked(limit: int = 3) -> World:
    """A world in which the right app has been instructed."""
    w = World(mapping_of("a"), {"a": 1}, patience=Patience(limit=limit))
    w.deliver(w.L(a=5))
    return w


def refuse(w: World, code: FailureCode, **more: Any) -> None:
    """The right app refuses what it was asked last."""
    sent = w.sent(RIGHT)[0]
    w.engine.outbox.remove(sent)
    w.deliver(
        Failed(app="r", id=f"f-{len(w.past)}", instruction=sent.id, code=code, **({"attempt": sent.attempt} | more))
    )


def test_an_absent_app_is_waited_for_up_to_a_limit() -> None:
    """An app that is away for a minute would be an error; one that is away for good would never be one."""
    w = asked(limit=3)
    ids = set()
    for attempt in (1, 2):
        ids.add(w.sent(RIGHT)[0].id)
        refuse(w, FailureCode.UNAVAILABLE)
        assert (w.words[-2:], w.error) == (["retried", "queued"], None)
        (sent,) = w.coupling.flight
        assert (sent.state, sent.attempt) == (InstructionState.BACKING_OFF, attempt + 1)
        assert w.engine.send_again(w.number)
    refuse(w, FailureCode.UNAVAILABLE)
    assert len(ids) == 1
    assert w.error is not None
    assert (w.error.kind, w.error.code, w.error.attempts) == (ErrorKind.APPLY_FAILED, "unavailable", 3)


def test_retry_after_is_heard() -> None:
    """An app that says when to come back would be asked before."""
    w = asked()
    refuse(w, FailureCode.RATE_LIMITED, retry_after=timedelta(hours=3))
    assert w.coupling.flight[0].due_at == w.now + timedelta(hours=3)


@pytest.mark.parametrize("attempt", [None, 1])
def test_a_refusal_that_comes_again_during_a_back_off(attempt: int | None) -> None:
    """The same refusal twice would count as two attempts, or end a wait that has just begun."""
    w = asked()
    refuse(w, FailureCode.UNAVAILABLE)
    before = w.coupling
    w.deliver(Failed(app="r", id="again", instruction=before.flight[0].id, code=FailureCode.OTHER, attempt=attempt))
    assert w.coupling == before
    assert w.words[-1] == "stale"


def test_a_missing_attempt_means_the_current_one() -> None:
    """A refusal that does not name its attempt would be ignored for ever."""
    w = asked()
    refuse(w, FailureCode.OTHER, attempt=None)
    assert w.error is not None
    assert w.error.kind is ErrorKind.APPLY_FAILED


def test_an_app_that_always_says_the_version_is_wrong() -> None:
    """Read, write, refused, read … would go on for ever."""
    w = asked()
    w.right.refuses = lambda sent: FailureCode.VERSION_MISMATCH if sent.action is Action.UPDATE else None
    w.run()
    assert w.error is not None
    assert (w.error.kind, w.error.code) == (ErrorKind.APPLY_FAILED, "version_mismatch")
    assert len(w.right.received) <= 2 * MISMATCH_LIMIT + 2


def test_mismatches_count_in_a_row_only() -> None:
    """After months, twenty crossings in all would go to a person."""
    w = asked()
    for number in range(MISMATCH_LIMIT + 5):
        w.right.move_silently("k")
        w.L(a=10 + number)
        w.run()
        assert (w.error, w.coupling.mismatches) == (None, 0)


def test_a_record_that_was_never_there() -> None:
    """``couple`` names a record that does not exist: the coupling would ask for it for ever, or call it a deletion."""
    w = World(mapping_of("a"))
    w.L(a=1)
    w.flush()
    w.number = w.engine.couple(w.mapping, RecordRef("l", "t", "k"), RecordRef("r", "t", "nowhere"))
    w.run()
    assert w.coupling.status is CouplingStatus.CLOSED
    event, report = w.engine.told[-1]
    assert (event, report.kind, report.code) == (ErrorEvent.OPENED, ErrorKind.APPLY_FAILED, "not_found")
    assert "r/t/nowhere" in report.detail


def test_a_read_that_is_refused() -> None:
    """A refused read would be asked again at once, and so on; or never, when all is well again."""
    w = World(mapping_of("a"))
    w.L(a=1)
    w.flush()
    w.R(a=1)
    w.waiting[RIGHT].clear()
    w.right.refusals.append(FailureCode.PERMISSION_DENIED)
    w.number = w.engine.couple(w.mapping, RecordRef("l", "t", "k"), RecordRef("r", "t", "k"))
    w.run()
    assert w.error is not None
    assert (w.error.kind, w.error.code) == (ErrorKind.APPLY_FAILED, "permission_denied")
    w.engine.wake(w.number)
    assert w.sent() == []
    w.engine.retry(w.number)
    w.run()
    assert w.error is None


def test_silence() -> None:
    """An app that does not answer would hold its coupling in silence, or lose its slot."""
    w = asked()
    w.engine.silence(w.number)
    assert w.error is not None
    assert (w.error.kind, w.coupling.flight[0].state) == (ErrorKind.NO_ANSWER, InstructionState.UNANSWERED)
    w.deliver(w.L(a=6))
    assert w.words[-1] == "queued"
    w.run()
    assert w.error is None
    assert w.engine.told[-1][1].resolution == "answered"
    assert w.fields(RIGHT) == {"a": 6}


def test_silence_about_a_delete() -> None:
    """The late answer closes the coupling; its error would stay open for ever."""
    w = World(mapping_of("a", on_deletion=DeletionRule.DELETE), {"a": 1})
    w.deliver(w.delete(LEFT))
    w.engine.silence(w.number)
    w.run()
    assert (w.coupling.status, w.error) == (CouplingStatus.CLOSED, None)
    assert w.engine.told[-1][0] is ErrorEvent.RESOLVED


def test_silence_while_an_error_is_being_resolved() -> None:
    """Two errors would be open for one coupling."""
    w = World(mapping_of("a"), {"a": 0})
    w.deliver(w.L(a=1), w.R(a=2))
    error = w.error
    w.engine.instruct(w.number, left={"a": 7})
    w.engine.couplings[w.number] = type(w.coupling)(
        **{name: getattr(w.coupling, name) for name in w.coupling.__struct_fields__} | {"error": error}
    )
    w.engine.silence(w.number)
    assert error is not None
    assert w.error is not None
    assert (w.error.number, w.error.kind, w.error.revision) == (error.number, ErrorKind.NO_ANSWER, error.revision + 1)


def test_two_refusals_of_one_decision() -> None:
    """The second refusal would be asked for again because the first was settled."""
    w = World(mapping_of("a", "b", detect=Detect.FIELD), {"a": 1, "b": 1})
    w.left.refuses = w.right.refuses = lambda _: FailureCode.VALIDATION_FAILED
    w.deliver(w.L(a=2), w.R(b=2))
    w.run()
    assert w.error is not None
    assert (len(w.left.received), len(w.right.received)) == (1, 1)
    w.engine.wake(w.number)
    assert w.sent() == []


def test_an_app_that_never_confirms_is_not_asked() -> None:
    """A record that nobody can read would be asked for, or a refusal of it sent again without end."""
    mapping = mapping_of("a", direction=Direction.TO_RIGHT, right={"confirms": Confirms.NONE})
    w = World(mapping)
    w.L(a=1)
    w.flush()
    w.number = w.engine.couple(w.mapping, RecordRef("l", "t", "k"), RecordRef("r", "t", "k"))
    assert w.sent() == []
    w.deliver(w.L(a=2))
    refuse(w, FailureCode.OTHER)
    assert w.error is not None
    assert w.error.kind is ErrorKind.APPLY_FAILED
    w.engine.wake(w.number)
    assert w.sent() == []


def test_a_refusal_of_somebody_elses_coupling() -> None:
    """A coupling that is over would be woken by a late refusal."""
    w = World(mapping_of("a", on_deletion=DeletionRule.UNCOUPLE), {"a": 1})
    w.deliver(w.L(a=5))
    (sent,) = w.sent()
    closed = {name: getattr(w.coupling, name) for name in w.coupling.__struct_fields__} | {
        "status": CouplingStatus.CLOSED
    }
    w.engine.couplings[w.number] = type(w.coupling)(**closed)
    w.deliver(w.right.refuse(sent, FailureCode.OTHER))
    assert (w.words[-1], w.error) == ("stale", None)


def test_a_late_create_of_a_coupling_that_is_over() -> None:
    """The record that it brought to life would be matched, or created back, after somebody had removed the coupling."""
    w = World(mapping_of("a", only_coupled=False))
    w.deliver(w.L(a=1))
    w.number = w.engine.couple(w.mapping, RecordRef("l", "t", "k"), None)
    closed = {name: getattr(w.coupling, name) for name in w.coupling.__struct_fields__} | {
        "status": CouplingStatus.CLOSED
    }
    w.engine.couplings[w.number] = type(w.coupling)(**closed)
    w.work(RIGHT)
    w.flush()
    ((_, record),) = w.engine.apart
    assert record.app == "r"
    assert w.coupling.right is None


def test_a_refused_update_of_a_record_whose_other_side_is_gone() -> None:
    """R8: people would be told of an update that nobody wants any more, and not of the deletion."""
    w = asked()
    deleted = w.delete(LEFT)
    w.deliver(deleted)
    refuse(w, FailureCode.VALIDATION_FAILED)
    assert w.error is not None
    assert (w.error.kind, w.error.code) == (ErrorKind.DELETION_CONFLICT, None)


def test_a_mismatch_after_which_nothing_is_left_to_send() -> None:
    """Twenty of them, months apart, would make the next one an error."""
    w = asked()
    for number in range(MISMATCH_LIMIT + 2):
        w.right.move_silently("k")
        w.deliver(*w.work(RIGHT))
        w.L(a=1)
        w.run()
        assert w.coupling.mismatches == 0
        w.deliver(w.L(a=10 + number))
