"""The life of an error over real stores: what operators order, what apps answer, and what the error feed is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from messages.changes import Operation
from messages.commands import (
    Answer,
    DeleteRecord,
    Dismiss,
    Done,
    Keep,
    RefusalCode,
    Refused,
    RemoveCoupling,
    RestoreRecord,
    Retry,
    Synchronize,
)
from messages.errors import ErrorEvent, ErrorKind, ErrorReport, ErrorStatus
from messages.instructions import Action, Reason
from messages.outcomes import FailureCode
from messages.records import RecordRef
from store import commands as command_store
from store import log as log_store
from store import records as record_store
from store.couplings import Standing
from tests.contract.workers import states
from tests.contract.workers.by_hand import MANY, ByHand, answer_read, applied, change, couple, refused
from tests.contract.workers.one_transaction import in_one_transaction
from tests.contract.workers.scene import MAPPING_FILE

UPDATE = Operation.UPDATE
OPENED, UPDATED, RESOLVED = ErrorEvent.OPENED, ErrorEvent.UPDATED, ErrorEvent.RESOLVED
LEFT, RIGHT = "bc/customer/1", "sales/account/9"


@pytest.fixture
def hands(store_url: str) -> Iterator[ByHand]:
    """Nothing is there yet."""
    with in_one_transaction(store_url, MAPPING_FILE) as hands:
        yield hands


def told(hands: ByHand) -> list[tuple[ErrorEvent, ErrorKind, ErrorStatus, int]]:
    """What the error feed has been told since."""
    return [
        (one.event, one.report.kind, one.report.status, one.report.revision)
        for one in hands.errors()
        if one.report.mapping == "customer"
    ]


def the_error(hands: ByHand) -> ErrorReport:
    """The only error that there ever was."""
    (error,) = hands.known_errors()
    return error


def done(answer: Answer) -> dict[str, Any]:
    """The result of a command that was carried out."""
    assert isinstance(answer, Done), answer
    return answer.result


# Open, resolving, resolved.


def test_an_error_is_over_when_its_resolution_is_confirmed(hands: ByHand) -> None:
    """An error would be gone before the app has done anything, or stay after it has; or nobody knew who settled it."""
    states.update_conflict(hands)
    assert told(hands) == [(OPENED, ErrorKind.UPDATE_CONFLICT, ErrorStatus.OPEN, 1)]
    result = done(hands.order(Synchronize(error=the_error(hands).error, revision=1, keep=Keep.LEFT), "c-1"))
    assert told(hands) == [(UPDATED, ErrorKind.UPDATE_CONFLICT, ErrorStatus.RESOLVING, 2)]
    assert (result["status"], result["error_status"]) == ("in_flight", "resolving")
    assert the_error(hands).actions == ("remove_coupling",)
    sent = hands.instruction()
    assert (sent.app, sent.action, sent.reason, sent.fields) == (
        "sales",
        Action.UPDATE,
        Reason.SYNCHRONIZE,
        {"title": "l"},
    )
    assert (sent.if_version, sent.attempt) == (2, 1)
    [named] = result["instructions"]
    assert named == {"id": sent.id, "app": "sales", "action": "update", "record": RIGHT, "fields": ["title"]}
    hands.say(applied(sent, 3))
    assert told(hands) == [(RESOLVED, ErrorKind.UPDATE_CONFLICT, ErrorStatus.RESOLVED, 3)]
    error = the_error(hands)
    assert (error.resolution, error.resolved_by, error.resolved_at) == ("synchronize", "ops/jane", hands.now)
    assert hands.coupling(LEFT).error is None
    hands.say(change(LEFT, 3, UPDATE, name="again"))
    assert hands.instruction().fields == {"title": "again"}


def test_an_order_that_sends_nothing_ends_the_error_at_once(hands: ByHand) -> None:
    """An error whose cause has been put right in the mapping file would wait for an app that nobody has asked."""
    scene = states.value_not_mapped(hands)
    hands.say(change(RIGHT, 2, UPDATE, grade="none"))
    mended = ByHand(hands.store, MAPPING_FILE.replace('B = "silver"', 'B = "silver", Z = "none"'))
    result = done(mended.order(Retry(error=scene.error)))
    assert (result["instructions"], result["status"], result["error_status"]) == ([], "synchronized", "resolved")
    assert (the_error(hands).resolution, the_error(hands).resolved_by) == ("retry", "ops/jane")
    assert hands.instructions() == []


def test_a_refusal_opens_the_error_again(hands: ByHand) -> None:
    """A resolution that an app refuses would settle the error all the same, or open a second one beside it."""
    states.resolving(hands)
    number = the_error(hands).error
    told(hands)
    hands.say(refused(hands.instruction(), FailureCode.VALIDATION_FAILED))
    assert told(hands) == [(UPDATED, ErrorKind.APPLY_FAILED, ErrorStatus.OPEN, 3)]
    error = the_error(hands)
    assert (error.error, error.code, error.resolution, error.resolved_by) == (number, "validation_failed", None, None)
    assert "synchronize" in error.actions
    assert (hands.instructions(), hands.coupling(LEFT).flight) == ([], ())
    stale = hands.refusal(
        Synchronize(error=number, revision=2, keep=Keep.LEFT)
    )  # what was chosen is to be chosen again
    assert stale.code is RefusalCode.STALE
    done(hands.order(Synchronize(error=number, revision=3, keep=Keep.RIGHT)))
    again = hands.instruction()
    assert (again.app, again.fields) == ("bc", {"name": "r"})
    hands.say(applied(again, 9))
    assert (the_error(hands).error, the_error(hands).status) == (number, ErrorStatus.RESOLVED)
    assert [one.command for one in the_error(hands).history] == ["synchronize", "synchronize"]


@pytest.mark.parametrize("heard", [False, True], ids=["the record is read", "its change has come already"])
def test_a_record_that_has_moved_opens_the_error_again(hands: ByHand, *, heard: bool) -> None:
    """What an operator chose on the old values would overwrite new ones that they have never seen."""
    states.resolving(hands)
    told(hands)
    sent = hands.instruction()
    if heard:
        hands.say(change(RIGHT, 5, UPDATE, title="newest"))
    hands.say(refused(sent, FailureCode.VERSION_MISMATCH))
    if not heard:
        read = hands.instruction()
        assert (read.action, read.key) == (Action.READ, "9")
        hands.say(answer_read(read, 5, title="newest", grade="gold", owner=""))
    assert hands.instructions() == []
    error = the_error(hands)
    assert (error.kind, error.status) == (ErrorKind.UPDATE_CONFLICT, ErrorStatus.OPEN)
    assert (error.resolution, error.resolved_by) == (None, None)
    assert [one.right for one in error.differences] == ["newest"]
    revisions = [one[-1] for one in told(hands)]
    assert revisions == sorted(set(revisions))
    assert revisions[0] > 2


def test_a_retry_that_meets_a_record_that_has_moved_goes_on(hands: ByHand) -> None:
    """An administrator would have to retry as often as anybody touches the record, although they chose nothing."""
    scene = states.update_refused(hands)
    done(hands.order(Retry(error=scene.error)))
    told(hands)
    hands.say(refused(hands.instruction(), FailureCode.VERSION_MISMATCH))
    hands.say(answer_read(hands.instruction(), 5, title="x", grade="gold", owner=""))
    sent = hands.instruction()
    assert (sent.app, sent.fields, sent.if_version) == ("sales", {"title": "l"}, 5)
    assert the_error(hands).status is ErrorStatus.RESOLVING
    hands.say(applied(sent, 6))
    error = the_error(hands)
    assert (error.status, error.resolution, error.resolved_by) == (ErrorStatus.RESOLVED, "retry", "ops/jane")
    assert len(error.history) == 1


def test_a_record_that_is_not_there_any_more(hands: ByHand) -> None:
    """A choice between two records would be taken for carried out though one of them is deleted."""
    scene = states.resolving(hands)
    hands.say(refused(hands.instruction(), FailureCode.NOT_FOUND))
    error = the_error(hands)
    assert (error.error, error.kind, error.status) == (scene.error, ErrorKind.DELETION_CONFLICT, ErrorStatus.OPEN)
    assert error.actions == ("restore_record", "delete_record", "retry", "remove_coupling")
    assert (error.resolution, error.resolved_by) == (None, None)


def test_an_error_that_an_operator_is_settling_settles_itself(hands: ByHand) -> None:
    """Users who agree meanwhile would find their error open for ever."""
    states.resolving(hands)
    sent = hands.instruction()
    hands.say(change(RIGHT, 5, UPDATE, title="l"))
    hands.say(refused(sent, FailureCode.VERSION_MISMATCH))
    assert hands.instructions() == []
    assert (the_error(hands).status, the_error(hands).resolution) == (ErrorStatus.RESOLVED, "converged")


# One side gone.


def test_restore_points_the_coupling_to_the_new_key(hands: ByHand) -> None:
    """The record that was made would stand beside a coupling with a ghost, or come without what is not mapped."""
    scene = states.right_gone(hands)
    done(hands.order(RestoreRecord(error=scene.error)))
    create = hands.instruction()
    assert (create.app, create.action, create.reason) == ("sales", Action.CREATE, Reason.RESTORE)
    assert create.fields == {"title": "x", "grade": "gold", "owner": "", "fax": "9"}
    hands.say(applied(create, 1, key="10"))
    error = the_error(hands)
    assert (error.status, error.resolution, error.resolved_by) == (ErrorStatus.RESOLVED, "restore_record", "ops/jane")
    assert hands.pairs() == [(LEFT, "sales/account/10", Standing.SYNCHRONIZED)]
    old = RecordRef.parse(RIGHT)
    with hands.store.reading() as conn:
        assert record_store.apart(conn, [old]) == {("customer", old)}
    assert hands.instructions() == []
    hands.say(change(LEFT, 3, UPDATE, name="l"))
    sent = hands.instruction()
    assert sent.key == "10"
    hands.say(applied(sent, 2))
    hands.say(change("sales/account/10", 5, UPDATE, title="r"))
    assert hands.instruction().fields == {"name": "r"}


def test_what_the_restored_record_was_changed_to_before_its_answer(hands: ByHand) -> None:
    """A user's change to the record that was just made would be lost: it is heard of before we know whose it is."""
    scene = states.right_gone(hands)
    done(hands.order(RestoreRecord(error=scene.error)))
    create = hands.instruction()
    hands.say(change("sales/account/10", 7, UPDATE, title="r", grade="gold", owner=""))
    hands.say(applied(create, 1, key="10"))
    assert hands.pairs()[0][1] == "sales/account/10"
    back = hands.instruction()
    assert (back.app, back.fields) == ("bc", {"name": "r"})


def test_delete_closes_the_coupling_when_confirmed(hands: ByHand) -> None:
    """The coupling would be closed though its record lives, or stay with two that are gone."""
    scene = states.right_gone(hands)
    done(hands.order(DeleteRecord(error=scene.error)))
    assert hands.pairs() == [(LEFT, RIGHT, Standing.IN_FLIGHT)]
    sent = hands.instruction()
    assert (sent.app, sent.action, sent.key, sent.if_version) == ("bc", Action.DELETE, "1", 1)
    hands.say(applied(sent, 2))
    assert hands.pairs() == [(LEFT, RIGHT, Standing.CLOSED)]
    error = the_error(hands)
    assert (error.status, error.resolution, error.resolved_by) == (ErrorStatus.RESOLVED, "delete_record", "ops/jane")


def test_an_edit_meets_an_ordered_deletion(hands: ByHand) -> None:
    """What a user has just entered would be deleted by an operator who has not seen it."""
    scene = states.right_gone(hands)
    done(hands.order(DeleteRecord(error=scene.error)))
    sent = hands.instruction()
    hands.say(change(LEFT, 2, UPDATE, name="new"))
    hands.say(refused(sent, FailureCode.VERSION_MISMATCH))
    error = the_error(hands)
    assert (error.error, error.kind, error.status) == (scene.error, ErrorKind.DELETION_CONFLICT, ErrorStatus.OPEN)
    assert error.left is not None
    assert error.left.fields["name"] == "new"
    assert hands.instructions() == []


@pytest.mark.parametrize("order", [RestoreRecord, DeleteRecord])
def test_a_record_that_came_back_is_neither_restored_nor_deleted(hands: ByHand, order: type) -> None:
    """Exactly one side is gone when it is ordered, and none when it is carried out."""
    scene = states.right_gone(hands)
    hands.say(change(RIGHT, 3, Operation.CREATE, title="x", grade="gold", owner=""))
    assert the_error(hands).resolution == "converged"
    for target in ({"coupling": scene.coupling}, {"error": scene.error}):
        assert hands.refusal(order(**target)).code is RefusalCode.NOT_APPLICABLE
    assert hands.instructions() == []


# No answer.


@pytest.mark.parametrize("attempt", [1, 2], ids=["to the first attempt", "to the second"])
def test_an_answer_after_a_retry(hands: ByHand, attempt: int) -> None:
    """The app would do it twice, under two ids; or its first answer be thrown away, and the error stay for ever."""
    states.in_flight(hands)
    first = hands.instruction()
    hands.now += states.ONE_HOUR
    hands.do_due_work()
    number = the_error(hands).error
    done(hands.order(Retry(error=number, revision=1)))
    second = hands.instruction()
    assert replace(second, attempt=1) == first
    assert second.attempt == 2
    assert the_error(hands).status is ErrorStatus.RESOLVING
    late = replace(refused(first, FailureCode.VALIDATION_FAILED), attempt=1)
    hands.say(late)  # a refusal of an earlier attempt says nothing of this one
    assert the_error(hands).status is ErrorStatus.RESOLVING
    hands.say(replace(applied(second, 3), attempt=attempt))
    error = the_error(hands)
    assert (error.status, error.resolution, error.resolved_by) == (ErrorStatus.RESOLVED, "retry", "ops/jane")
    assert hands.pairs() == [(LEFT, RIGHT, Standing.SYNCHRONIZED)]
    assert hands.instructions() == []


def test_an_answer_without_a_retry(hands: ByHand) -> None:
    """An app that is only slow would leave an error to a person that nobody needs to look at."""
    states.in_flight(hands)
    sent = hands.instruction()
    hands.now += states.ONE_HOUR
    hands.do_due_work()
    hands.say(applied(sent, 3))
    error = the_error(hands)
    assert (error.status, error.resolution, error.resolved_by) == (ErrorStatus.RESOLVED, "answered", None)


def test_silence_after_a_retry(hands: ByHand) -> None:
    """An app that stays silent would leave an error resolving for ever, and nobody could ask it again."""
    scene = states.asked_again(hands)
    hands.instructions()
    told(hands)
    hands.now += states.ONE_HOUR
    hands.do_due_work()
    assert told(hands) == [(UPDATED, ErrorKind.NO_ANSWER, ErrorStatus.OPEN, 3)]
    assert the_error(hands).actions == ("retry", "remove_coupling")
    done(hands.order(Retry(error=scene.error, revision=3)))
    assert hands.instruction().attempt == 3


def test_silence_after_a_choice(hands: ByHand) -> None:
    """A choice that an app does not confirm would be given a second error, or its late answer be forgotten."""
    scene = states.resolving(hands)
    sent = hands.instruction()
    told(hands)
    hands.now += states.ONE_HOUR
    hands.do_due_work()
    assert told(hands) == [(UPDATED, ErrorKind.NO_ANSWER, ErrorStatus.OPEN, 3)]
    hands.say(applied(sent, 3))
    error = the_error(hands)
    assert (error.error, error.status) == (scene.error, ErrorStatus.RESOLVED)
    assert [one.command for one in error.history] == ["synchronize"]
    assert hands.pairs() == [(LEFT, RIGHT, Standing.SYNCHRONIZED)]


# Removed.


@pytest.mark.parametrize("state", ["resolving", "in flight", "no answer"])
def test_a_late_answer_after_the_coupling_is_removed(hands: ByHand, state: str) -> None:
    """What is uncoupled would be coupled, written or told about again by an app that is late."""
    scene = states.STATES[state](hands)
    sent = hands.instruction()
    done(hands.order(RemoveCoupling(coupling=scene.coupling)))
    hands.say(applied(sent, 3))
    hands.say(change(LEFT, 5, UPDATE, name="z"))
    assert hands.pairs() == [(LEFT, RIGHT, Standing.CLOSED)]
    assert hands.instructions() == []
    assert all(one.status is ErrorStatus.RESOLVED for one in hands.known_errors())
    done(hands.order(couple(LEFT, RIGHT, keep=Keep.LEFT)))
    assert hands.instruction().fields == {"title": "z"}


def test_a_record_that_is_created_after_its_coupling_was_removed(hands: ByHand) -> None:
    """The record that an app made too late would be coupled after all, or one more be made for the same."""
    scene = states.creating(hands)
    create = hands.instruction()
    done(hands.order(RemoveCoupling(coupling=scene.coupling)))
    hands.say(applied(create, 1, key="77"))
    hands.say(change("sales/supplier/77", 1, name="x"), change(scene.left, 2, UPDATE, name="x"))
    hands.do_due_work()
    assert (hands.instructions(), [one.right for one in hands.couplings()]) == ([], [None])


# Stale, twice, two at once.


def test_a_stale_command_is_told_how_things_stand(hands: ByHand) -> None:
    """An operator would settle what they have not seen, or not be told what there is to see."""
    scene = states.update_conflict(hands)
    hands.say(change(RIGHT, 3, UPDATE, title="new"))
    before = hands.known_errors(), hands.couplings()
    order = Synchronize(revision=1, keep=Keep.LEFT)
    for target in (replace(order, error=scene.error), replace(order, coupling=scene.coupling)):
        answer = hands.refusal(target)
        assert answer.code is RefusalCode.STALE
        assert answer.error is not None
        assert (answer.error["error"], answer.error["revision"], answer.error["status"]) == (scene.error, 2, "open")
        assert answer.error["right"]["fields"]["title"] == "new"
    assert (hands.known_errors(), hands.couplings()) == before
    assert hands.instructions() == []
    done(hands.order(Synchronize(coupling=scene.coupling, revision=2, keep=Keep.LEFT)))


def test_a_revision_where_no_error_is_open(hands: ByHand) -> None:
    """A command for an error that has just settled itself would be carried out on a coupling that is well."""
    scene = states.settled(hands)
    answer = hands.refusal(Synchronize(coupling=scene.coupling, revision=1, keep=Keep.LEFT))
    assert (answer.code, answer.error) == (RefusalCode.STALE, None)


FIRST = [
    Synchronize(keep=Keep.LEFT),
    RemoveCoupling(),
]


@pytest.mark.parametrize("first", FIRST, ids=["is being settled", "is settled"])
def test_two_operators_at_once(hands: ByHand, first: Synchronize | RemoveCoupling) -> None:
    """The second would undo what the first has just done, or be told nothing of it."""
    scene = states.update_conflict(hands)
    done(hands.order(replace(first, error=scene.error, revision=1)))
    sent, before = hands.instructions(), hands.couplings()
    answer = hands.refusal(Synchronize(error=scene.error, revision=1, keep=Keep.RIGHT))
    assert (answer.code, hands.couplings(), hands.instructions()) == (RefusalCode.STALE, before, [])
    assert answer.error is not None
    assert answer.error["revision"] == 2
    assert len(sent) == (1 if isinstance(first, Synchronize) else 0)


def test_two_operators_dismiss(hands: ByHand) -> None:
    """The second would be told that they did it."""
    scene = states.update_refused(hands)
    done(hands.order(Dismiss(error=scene.error, revision=1)))
    answer = hands.refusal(Dismiss(error=scene.error, revision=1))
    assert answer.code is RefusalCode.STALE


def test_the_same_resolution_twice(hands: ByHand) -> None:
    """A command that is delivered again would send a second instruction, or be refused by what it did itself."""
    scene = states.update_conflict(hands)
    order = Synchronize(error=scene.error, revision=1, keep=Keep.LEFT)
    first = hands.order(order, "c-1")
    sent = hands.instruction()
    assert hands.order(order, "c-1") == first
    hands.say(applied(sent, 3))
    told(hands)
    assert hands.order(order, "c-1") == first
    assert (hands.instructions(), told(hands)) == ([], [])
    other = hands.order(replace(order, keep=Keep.RIGHT), "c-1")
    assert isinstance(other, Refused)
    assert other.code is RefusalCode.ID_REUSED
    assert (hands.instructions(), told(hands)) == ([], [])


# The audit.


def test_the_audit_of_a_resolution(hands: ByHand) -> None:
    """Nobody could tell who settled it, why, on what they saw, and what came of it."""
    scene = states.update_conflict(hands)
    hands.order(Synchronize(error=scene.error, keep=Keep.LEFT), "c-1")
    [handling] = the_error(hands).history
    assert (handling.command, handling.id, handling.by, handling.reason) == (
        "synchronize",
        "c-1",
        "ops/jane",
        "why not",
    )
    assert (handling.at, handling.revision) == (hands.now, 1)
    assert handling.effect == f"instructed: update {RIGHT}; the error is resolving"
    with hands.store.reading() as conn:
        row = command_store.page(conn, MANY)[-1]
        lines = [log_store.of_record(conn, record, MANY)[-1] for record in (LEFT, RIGHT)]
    assert (row.ordered.id, row.ordered.source, row.ordered.reason) == ("c-1", "ops/jane", "why not")
    assert json.loads(row.ordered.body) == {"error": scene.error, "keep": "left"}
    assert row.answered_at == hands.now
    assert {(one.outcome, one.rule, one.command) for one in lines} == {("done", "synchronize", "c-1")}
    assert {one.detail for one in lines} == {f"by ops/jane (why not): {handling.effect}"}


def test_what_was_overwritten_by_a_choice_is_kept(hands: ByHand) -> None:
    """The version that an operator gave up would be lost for good."""
    scene = states.update_conflict(hands)
    hands.order(Synchronize(error=scene.error, keep=Keep.LEFT))
    with hands.store.reading() as conn:
        [line] = [one for one in log_store.of_record(conn, RIGHT, MANY) if one.values]
    assert line.values == {"name": {"base": "x", "left": "l", "right": "r"}}
    assert line.rule == "keep=left"


def test_what_operators_write_stays_out_of_the_structured_log(hands: ByHand) -> None:
    """A reason, a field value or an app's words would stand in a log that leaves the house."""
    scene = states.update_conflict(hands)
    hands.order(Synchronize(error=scene.error, values={"name": "typed-secret"}))
    for sent in hands.instructions():
        hands.say(applied(sent, 7))
    assert the_error(hands).status is ErrorStatus.RESOLVED
    words = [str(line) for line in hands.lines]
    assert not [one for one in words if "typed-secret" in one or "why not" in one]
    assert {line.event for line in hands.lines} >= {"command.done", "error.updated", "error.resolved"}
