"""What each resolution of an operator makes of one coupling: the table at the head of ``workers.rules.resolutions``."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from messages.commands import DeleteRecord, Dismiss, Keep, RemoveCoupling, RestoreRecord, Retry, Synchronize
from messages.errors import ErrorEvent, ErrorKind, ErrorStatus, Handling
from messages.instructions import Action, Reason
from messages.outcomes import Applied, Failed, FailureCode
from messages.values import Value
from store.model import CouplingStatus, InstructionState, Side
from tests.rules_world import World, field, mapping_of
from tests.simulated_app import Habits
from workers.mapping import DeletionRule, UpdateRule
from workers.refusal import RefusedError
from workers.rules.resolutions import Resolution, resolve

LEFT, RIGHT = Side.LEFT, Side.RIGHT
FIELDS = ("a", "b", field("s", values=(("x", "x"), ("y", "y"))))
START: dict[str, Value] = {"a": 1, "b": 1, "s": "x", "unmapped": 1}


def world(**more: Any) -> World:
    """Two records that agree."""
    return World(mapping_of(*FIELDS, **more), START)


def order(w: World, what: Resolution) -> list[tuple[str, str, str]]:
    """Order it; who is instructed to do what, and why."""
    decision = w.engine.order(w.number, replace(what, coupling=w.number))
    return [(sent.side.value, sent.action.value, sent.reason.value) for sent in decision.send]


def refusal(w: World, what: Resolution) -> str:
    """Order it in vain; why it was refused."""
    before = w.coupling, list(w.engine.outbox), list(w.engine.log), list(w.engine.told)
    with pytest.raises(RefusedError) as raised:
        order(w, what)
    assert (w.coupling, w.engine.outbox, w.engine.log, w.engine.told) == before
    return f"{raised.value.code}: {raised.value}"


def refuse(w: World, code: FailureCode = FailureCode.VALIDATION_FAILED) -> None:
    """The app refuses the last that it was asked."""
    sent = w.engine.outbox.pop()
    app = w.mapping.app(sent.side).name
    w.deliver(Failed(app=app, id=f"f{len(w.past)}", instruction=sent.id, code=code, attempt=sent.attempt))


def gone(side: Side = RIGHT, **more: Any) -> World:
    """The record on ``side`` is deleted, and a person has to say what follows."""
    w = world(**more)
    w.deliver(w.delete(side))
    assert w.error is not None
    return w


# remove_coupling


def test_remove_coupling_whatever_is_in_flight() -> None:
    """An operator could not stop what is going wrong; or the two be matched again at once."""
    w = world()
    w.deliver(w.L(a=2))
    sent = w.coupling.flight[0]
    assert order(w, RemoveCoupling()) == []
    assert (w.coupling.status, w.coupling.flight, w.coupling.error) == (CouplingStatus.CLOSED, (), None)
    assert w.engine.apart == {("m", w.coupling.left), ("m", w.coupling.right)}
    w.deliver(Applied(app="r", id="late", instruction=sent.id, version=9))
    assert (w.coupling.status, w.engine.told) == (CouplingStatus.CLOSED, [])


def test_remove_coupling_of_a_record_that_is_being_created() -> None:
    """The one record that there is would be coupled again at its next change."""
    w = World(mapping_of("a"))
    w.L(a=1)
    w.flush()
    w.number = w.engine.couple(w.mapping, w.ref(LEFT), None)
    order(w, RemoveCoupling())
    assert w.engine.apart == {("m", w.coupling.left)}


# retry


def test_retry_decides_on_the_policies_of_today() -> None:
    """A policy that was mended after an error would never be asked about it."""
    w = world()
    w.deliver(w.L(a=2), w.R(a=3))
    situation = w.engine.situation(w.number)
    mended = replace(situation, mapping=replace(w.mapping, on_update_conflict=UpdateRule.RIGHT))
    by = Handling(at=w.now, command="retry", id="c1", by="ops/test")
    decision = resolve(mended, Retry(coupling=1), by)
    assert [(sent.side, sent.fields, sent.reason) for sent in decision.send] == [(LEFT, {"a": 3}, Reason.POLICY)]
    assert (decision.event, decision.coupling.error and decision.coupling.error.status) == (
        ErrorEvent.UPDATED,
        ErrorStatus.RESOLVING,
    )
    assert resolve(situation, Retry(coupling=1), by).send == ()


def test_retry_of_a_deletion_decides_on_the_policies_of_today() -> None:
    """While an error is open no policy deletes; when an operator says so, it does."""
    w = gone()
    situation = w.engine.situation(w.number)
    by = Handling(at=w.now, command="retry", id="c1", by="ops/test")
    for policy, action in ((DeletionRule.DELETE, Action.DELETE), (DeletionRule.RESTORE, Action.CREATE)):
        mended = replace(situation, mapping=replace(w.mapping, on_deletion=policy))
        assert [sent.action for sent in resolve(mended, Retry(coupling=1), by).send] == [action]
    uncoupled = resolve(
        replace(situation, mapping=replace(w.mapping, on_deletion=DeletionRule.UNCOUPLE)), Retry(coupling=1), by
    )
    assert (uncoupled.coupling.status, uncoupled.resolution) == (CouplingStatus.CLOSED, "retry")


def test_retry_of_a_refusal_sends_what_is_there_now() -> None:
    """What a user has put right meanwhile would not be sent, but what was refused."""
    w = world()
    w.deliver(w.L(a=2))
    refuse(w)
    assert order(w, Retry()) == [("right", "update", "sync")]
    assert [sent.fields for sent in w.sent()] == [{"a": 2}]


def test_retry_of_silence_is_the_same_instruction_again() -> None:
    """The app would do it twice, under two ids."""
    w = world()
    w.deliver(w.L(a=2))
    [first] = w.sent()
    w.engine.outbox.clear()
    w.engine.silence(w.number)
    decision = w.engine.order(w.number, Retry(coupling=w.number))
    assert decision.send == ()
    [again] = decision.resend
    assert (again.id, again.fields, again.if_version, again.attempt) == (first.id, first.fields, first.if_version, 2)
    assert again.state is InstructionState.SENT
    assert again.due_at is not None
    assert (w.error and w.error.status, w.words[-1]) == (ErrorStatus.RESOLVING, "retried")
    w.run()
    assert (w.fields(RIGHT), w.error) == (START | {"a": 2}, None)


def test_retry_of_silence_on_both_sides_asks_both() -> None:
    """Only one of two apps that are silent would be asked again."""
    w = world()
    w.deliver(w.L(a=2), w.R(a=3))
    order(w, Synchronize(values={"a": 9}))
    w.engine.outbox.clear()
    w.engine.silence(w.number)
    decision = w.engine.order(w.number, Retry(coupling=w.number))
    assert {sent.side for sent in decision.resend} == {LEFT, RIGHT}


# synchronize


def test_synchronize_without_an_error() -> None:
    """What was dismissed, or never sent, could not be sent without touching the record."""
    w = world()
    w.deliver(w.L(a=2))
    refuse(w)
    order(w, Dismiss())
    assert w.error is None
    assert order(w, Synchronize(keep=Keep.LEFT)) == [("right", "update", "synchronize")]
    assert len(w.engine.told) == 2  # of the error that was dismissed; there is none now


def test_synchronize_of_what_agrees_sends_nothing() -> None:
    """Two apps would be written to for nothing."""
    w = world()
    assert order(w, Synchronize(keep=Keep.RIGHT)) == []
    assert w.words[-1] == "unchanged"


def test_synchronize_that_would_end_in_trouble_is_refused() -> None:
    """An operator would be told that it is done, and find the error as it was."""
    w = world()
    w.deliver(w.L(s="z"))
    assert "s does not stand in its value map" in refusal(w, Synchronize(keep=Keep.LEFT)).replace("the value of ", "")
    assert refusal(w, Synchronize(keep=Keep.LEFT)).startswith("not_applicable")
    assert order(w, Synchronize(values={"s": "y"})) == [
        ("left", "update", "synchronize"),
        ("right", "update", "synchronize"),
    ]


# restore_record and delete_record


@pytest.mark.parametrize("side", list(Side))
def test_restore_record_creates_it_again(side: Side) -> None:
    """It would come back without its unmapped fields, or with what it held before the other's user changed it."""
    w = gone(side)
    w.deliver(w.edit(side.other, {"b": 5}))
    assert order(w, RestoreRecord()) == [(side.value, "create", "restore")]
    assert w.sent()[0].fields == START | {"b": 5}
    w.run()
    assert (w.fields(side), w.error) == (START | {"b": 5}, None)
    assert w.coupling.status is CouplingStatus.ACTIVE
    assert w.engine.told[-1][1].resolution == "restore_record"


def test_a_restored_record_that_keeps_its_key() -> None:
    """A record that got its key back would be marked apart from itself."""
    w = World(mapping_of("a"), {"a": 1}, habits=(Habits(), Habits(keeps_keys=True)))
    w.deliver(w.delete(RIGHT))
    order(w, RestoreRecord())
    w.run()
    assert (w.fields(RIGHT), w.engine.apart, w.error) == ({"a": 1}, set(), None)


def test_restore_record_against_a_direction_brings_back_what_it_held() -> None:
    """Where nothing flows to the deleted record, an operator could not have it back at all."""
    w = World(mapping_of(field("a", direction="to_right")), {"a": 1, "unmapped": 1})
    w.deliver(w.delete(LEFT))
    assert order(w, RestoreRecord()) == [("left", "create", "restore")]
    assert w.sent()[0].fields == {"a": 1, "unmapped": 1}


def test_restore_record_of_which_nothing_is_known() -> None:
    """An empty record would be created."""
    w = World(mapping_of(field("a", direction="to_right")), {"a": 1})
    w.deliver(w.delete(LEFT))
    situation = w.engine.situation(w.number)
    empty = replace(situation, left=replace(situation.left, fields={}))
    with pytest.raises(RefusedError, match="nothing is known of what the left record held"):
        resolve(empty, RestoreRecord(coupling=1), Handling(at=w.now, command="restore_record", id="c", by="x"))


def test_restore_record_that_lacks_the_form_of_a_value_is_refused() -> None:
    """The operator would be told that it is done, and nothing be created."""
    w = gone()
    w.deliver(w.L(s="z"))
    assert "does not stand in its value map" in refusal(w, RestoreRecord())


@pytest.mark.parametrize("side", list(Side))
def test_delete_record_deletes_the_other_one(side: Side) -> None:
    """The wrong one would go, or the coupling stay with two that are gone."""
    w = gone(side)
    assert order(w, DeleteRecord()) == [(side.other.value, "delete", "delete")]
    w.run()
    assert (w.fields(side.other), w.coupling.status, w.error) == (None, CouplingStatus.CLOSED, None)
    assert w.engine.told[-1][1].resolution == "delete_record"


def test_delete_record_is_more_than_a_policy() -> None:
    """An operator who has seen an unsent change and wants the record gone all the same could not have it."""
    w = world(on_deletion=DeletionRule.DELETE)
    w.deliver(w.delete(RIGHT), w.L(a=2))
    assert w.error is not None
    assert w.error.kind is ErrorKind.DELETION_CONFLICT
    assert order(w, DeleteRecord()) == [("left", "delete", "delete")]


@pytest.mark.parametrize("what", [RestoreRecord(), DeleteRecord()])
def test_exactly_one_side_is_gone_also_when_it_is_carried_out(what: Resolution) -> None:
    """A record that came back while the order waited would be created twice, or deleted."""
    w = gone()
    w.deliver(w.R(**START))
    assert refusal(w, what).startswith("not_applicable")


def test_delete_record_of_one_that_has_moved() -> None:
    """What a user has just entered would be deleted unseen."""
    w = gone()
    order(w, DeleteRecord())
    w.deliver(w.L(a=7))
    refuse(w, FailureCode.VERSION_MISMATCH)
    assert w.error is not None
    assert (w.error.kind, w.error.status, w.sent()) == (ErrorKind.DELETION_CONFLICT, ErrorStatus.OPEN, [])


# dismiss


def test_dismiss_sends_nothing_and_the_next_change_tries_again() -> None:
    """Dismissing would be a way to lose a change for good."""
    w = world()
    w.deliver(w.L(a=2))
    refuse(w)
    assert order(w, Dismiss()) == []
    assert (w.error, w.sent(), w.coupling.status) == (None, [], CouplingStatus.ACTIVE)
    w.deliver(w.L(b=2))
    assert [sent.fields for sent in w.sent()] == [{"a": 2, "b": 2}]


# Every one of them.


def test_a_refusal_says_where_the_coupling_stands_and_what_applies() -> None:
    """An operator would be told no, and not what to do."""
    w = gone()
    assert refusal(w, Synchronize(keep=Keep.LEFT)) == (
        "not_applicable: synchronize does not apply to coupling 1: the right record is deleted; what applies: "
        "restore_record, delete_record, retry, remove_coupling"
    )
    w = world()
    w.deliver(w.L(a=2))
    assert "a decision is in flight; what applies: remove_coupling" in refusal(w, Retry())
    w.engine.silence(w.number)
    assert "an app has not answered yet; what applies: retry, remove_coupling" in refusal(w, Dismiss())
    w = world()
    assert "both records exist and no error is open" in refusal(w, Dismiss())
    order(w, RemoveCoupling())
    assert refusal(w, RemoveCoupling()).endswith("it is closed")


def test_the_rules_look_only() -> None:
    """A preview would carry out what it shows."""
    w = gone()
    situation, before = w.engine.situation(w.number), w.coupling
    by = Handling(at=w.now, command="delete_record", id="c1", by="ops/test", revision=1)
    assert resolve(situation, DeleteRecord(coupling=1), by) == resolve(situation, DeleteRecord(coupling=1), by)
    assert (w.coupling, w.sent()) == (before, [])
