"""One side is gone: every policy, and every condition under which a person is asked instead."""

from __future__ import annotations

import pytest

from messages.errors import ErrorEvent, ErrorKind
from messages.instructions import Action
from messages.outcomes import Applied, FailureCode
from store.model import CouplingStatus, Side
from tests.rules_world import World, field, mapping_of
from tests.simulated_app import Habits
from workers.mapping import Confirms, DeletionRule, Direction

LEFT, RIGHT = Side.LEFT, Side.RIGHT
START = {"a": 1, "b": 1}


def world(rule: DeletionRule, direction: Direction = Direction.BOTH) -> World:
    """Two records, with an unmapped field each."""
    fields = [field(name, direction=direction) for name in START]
    return World(mapping_of(*fields, direction=direction, on_deletion=rule), {**START, "unmapped": "u"})


def asked(w: World) -> bool:
    """A person is asked, and nothing is sent."""
    kind = None if w.error is None else w.error.kind
    return kind is ErrorKind.DELETION_CONFLICT and not w.sent() and w.coupling.status is CouplingStatus.ACTIVE


@pytest.mark.parametrize("gone", Side)
@pytest.mark.parametrize("rule", DeletionRule)
def test_every_policy(rule: DeletionRule, gone: Side) -> None:
    """C17, C19, C20: a policy would do something else than it says."""
    w = world(rule)
    w.delete(gone)
    w.run()
    left, right = w.fields(LEFT), w.fields(RIGHT)
    if rule is DeletionRule.MANUAL:
        assert asked(w)
        assert [left, right].count(None) == 1
    elif rule is DeletionRule.RESTORE:
        assert left == right == {**START, "unmapped": "u"}
        assert w.coupling.status is CouplingStatus.ACTIVE
    elif rule is DeletionRule.DELETE:
        assert left is right is None
        assert w.coupling.status is CouplingStatus.CLOSED
    else:
        assert w.coupling.status is CouplingStatus.CLOSED
        assert {record for _, record in w.engine.apart} == {w.ref(LEFT), w.ref(RIGHT)}
        assert [left, right].count(None) == 1
    assert (w.error is not None) is (rule is DeletionRule.MANUAL)


@pytest.mark.parametrize("rule", DeletionRule)
@pytest.mark.parametrize("gone", Side)
@pytest.mark.parametrize("direction", [Direction.TO_LEFT, Direction.TO_RIGHT])
def test_a_policy_does_not_write_where_nothing_flows(rule: DeletionRule, gone: Side, direction: Direction) -> None:
    """R10: the source of a one-way mapping would be deleted, or created, by its target."""
    w = world(rule, direction)
    w.delete(gone)
    w.flush()
    source_is_gone = direction.flows_from(gone)
    acts = {
        DeletionRule.MANUAL: False,
        DeletionRule.UNCOUPLE: True,
        DeletionRule.RESTORE: not source_is_gone,
        DeletionRule.DELETE: source_is_gone,
    }
    assert asked(w) is not acts[rule]


@pytest.mark.parametrize("rule", [DeletionRule.RESTORE, DeletionRule.DELETE, DeletionRule.UNCOUPLE])
def test_what_the_gone_record_had_not_passed_on(rule: DeletionRule) -> None:
    """The last edit before the deletion would be lost."""
    w = world(rule)
    w.deliver(w.L(a=5), w.delete(LEFT))
    assert asked(w)
    assert w.image(LEFT).fields["a"] == 5


def test_an_edit_of_the_other_side_holds_the_delete_back() -> None:
    """C22, R10: an edit would be deleted."""
    w = world(DeletionRule.DELETE)
    w.deliver(w.R(a=5), w.delete(LEFT))
    assert asked(w)


def test_an_edit_that_was_not_told_holds_the_delete_back() -> None:
    """The delete would be tried although the app says that its record has moved."""
    w = world(DeletionRule.DELETE)
    deleted = w.delete(LEFT)
    edit = w.R(a=5)
    w.deliver(deleted)
    w.deliver(*w.work(RIGHT))
    w.waiting[RIGHT].clear()
    w.run()
    w.deliver(edit)
    assert asked(w)
    assert w.fields(RIGHT) == {"a": 5, "b": 1, "unmapped": "u"}


def test_while_an_error_is_open_no_policy_acts() -> None:
    """A record about which a person was asked would be deleted under their hands."""
    w = world(DeletionRule.DELETE)
    w.deliver(w.L(a=5), w.R(a=6))
    number = w.error.number if w.error else 0
    w.deliver(w.delete(LEFT))
    assert asked(w)
    assert w.error is not None
    assert (w.error.number, w.error.revision) == (number, 2)


def test_both_gone_closes_and_settles() -> None:
    """The coupling of two deleted records would ask a person what to do with them."""
    w = world(DeletionRule.MANUAL)
    w.deliver(w.delete(LEFT))
    w.deliver(w.delete(RIGHT))
    assert (w.coupling.status, w.error) == (CouplingStatus.CLOSED, None)
    event, report = w.engine.told[-1]
    assert (event, report.resolution) == (ErrorEvent.RESOLVED, "closed")


def test_not_found_is_a_deletion_learned_late() -> None:
    """An update of a deleted record would be an integration error, and be tried again and again."""
    w = world(DeletionRule.MANUAL)
    w.delete(RIGHT)
    w.waiting[RIGHT].clear()
    w.L(a=5)
    w.run()
    assert asked(w)
    assert w.image(RIGHT).exists is False


def test_a_newer_version_settles_the_error() -> None:
    """A record that is there again would stay in conflict; and what was changed meanwhile would not be passed on."""
    w = world(DeletionRule.MANUAL)
    w.deliver(w.delete(RIGHT))
    w.deliver(w.L(a=5))
    assert asked(w)
    w.deliver(w.R(**START, unmapped="u"))
    assert w.error is None
    w.run()
    assert w.fields(RIGHT) == {"a": 5, "b": 1, "unmapped": "u"}


def test_a_record_that_comes_back_without_mapped_fields() -> None:
    """An event about other fields would be ignored, and the record stay deleted for us."""
    w = World(mapping_of("a"), {"a": 1}, habits=(Habits(), Habits(sparse=True)))
    w.deliver(w.delete(RIGHT))
    w.right.row("k").exists = True
    w.deliver(w.R(unmapped="here again"))
    assert w.error is None


def test_our_own_delete_ends_the_coupling() -> None:
    """The echo of our delete would be a deletion by the other side's user."""
    w = world(DeletionRule.DELETE)
    w.deliver(w.delete(LEFT))
    for message in w.work(RIGHT):
        w.deliver(message)
    assert (w.coupling.status, w.error, w.sent()) == (CouplingStatus.CLOSED, None, [])


def test_a_repeated_outcome_of_a_delete_does_not_delete_again() -> None:
    """The app answers the same instruction twice; meanwhile a user has created the record anew."""
    w = world(DeletionRule.DELETE)
    w.deliver(w.delete(LEFT))
    (sent,) = w.sent()
    w.deliver(*w.work(RIGHT))
    w.deliver(w.right.edit("k", {"a": 9}))
    w.right.work(sent)
    w.flush()
    assert w.image(RIGHT).exists is True


def test_a_refused_restore_says_why() -> None:
    """The error would speak of a deletion that a policy was to settle, not of the app that would not have it."""
    w = world(DeletionRule.RESTORE)
    w.right.refusals.append(FailureCode.PERMISSION_DENIED)
    w.delete(RIGHT)
    w.run()
    assert w.error is not None
    assert (w.error.kind, w.error.code) == (ErrorKind.APPLY_FAILED, "permission_denied")
    w.L(a=7)
    w.run()
    assert (w.error.kind, w.error.code) == (ErrorKind.APPLY_FAILED, "permission_denied")
    w.engine.retry(w.number)
    w.run()
    assert w.error is None
    assert w.fields(RIGHT) == {"a": 7, "b": 1, "unmapped": "u"}


def test_a_restored_record_takes_the_living_sides_values() -> None:
    """The record would come back as it was, without what changed since, or without what is not mapped."""
    w = world(DeletionRule.RESTORE)
    w.deliver(w.L(a=5), w.delete(RIGHT))
    (create,) = w.sent(RIGHT)
    assert (create.action, create.record.key) == (Action.CREATE, "")
    assert create.fields == {"a": 5, "b": 1, "unmapped": "u"}


def test_a_repeated_outcome_without_version() -> None:
    """The same, of an app that names no version with a delete: the new record would count as gone."""
    w = world(DeletionRule.DELETE)
    w.deliver(w.delete(LEFT))
    (sent,) = w.sent()
    w.work(RIGHT)
    w.waiting[RIGHT].clear()
    w.deliver(Applied(app="r", id="first", instruction=sent.id))
    assert (w.coupling.status, w.image(RIGHT).exists) == (CouplingStatus.CLOSED, False)
    w.deliver(w.right.edit("k", {"a": 9}))
    w.deliver(Applied(app="r", id="second", instruction=sent.id))
    assert w.image(RIGHT).exists is True


def test_an_uncoupled_record_that_comes_back_without_mapped_fields() -> None:
    """It would be ignored, and never be matched or created on the other side."""
    w = World(mapping_of("a", only_coupled=False), habits=(Habits(sparse=True), Habits()))
    w.deliver(w.L(a=1))
    w.deliver(w.delete(LEFT))
    w.engine.uncoupled.clear()
    w.left.row("k").exists = True
    w.deliver(w.L(unmapped="here again"))
    assert w.engine.uncoupled == {("m", w.ref(LEFT))}


def test_a_late_event_is_no_echo_of_a_restore() -> None:
    """An event from before the deletion looks like the restored record: the create would count as done."""
    mapping = mapping_of("a", on_deletion=DeletionRule.RESTORE, right={"confirms": Confirms.ECHO})
    w = World(mapping, {"a": 1})
    late = w.R(a=1)
    w.waiting[RIGHT].clear()
    w.deliver(w.delete(RIGHT))
    assert [sent.action for sent in w.sent(RIGHT)] == [Action.CREATE]
    w.deliver(late)
    w.run()
    assert w.fields(RIGHT) == {"a": 1}
    assert len(w.right.received) == 1


def test_a_restore_that_lacks_a_form_for_a_value() -> None:
    """The next pass would tell of a deletion instead, the one after that of the value again, and so on."""
    mapping = mapping_of(field("s", values=(("A", "one"),)), on_deletion=DeletionRule.RESTORE)
    w = World(mapping, {"s": "A"}, right_start={"s": "one"})
    w.deliver(w.L(s="unheard of"), w.delete(RIGHT))
    for _ in range(3):
        assert w.error is not None
        assert (w.error.kind, w.error.revision) == (ErrorKind.VALUE_NOT_MAPPED, 1)
        w.engine.wake(w.number)


def test_a_restore_is_no_fight() -> None:
    """What the app once made of a value would hold back the record that it comes back with (R13)."""
    mapping = mapping_of(field("a", direction="to_right"), on_deletion=DeletionRule.RESTORE)
    w = World(mapping, {"a": 1})
    w.L(a=5)
    w.run()
    w.deliver(w.R(a=1), w.delete(RIGHT))
    w.run()
    assert w.error is None
    assert w.fields(RIGHT) == {"a": 5}


@pytest.mark.parametrize("confirms", [Confirms.OUTCOME, Confirms.ECHO])
def test_a_restore_that_keeps_its_key(confirms: Confirms) -> None:
    """The record would seem to be coupled already, namely to itself, and the restore to be refused."""
    mapping = mapping_of("a", on_deletion=DeletionRule.RESTORE, right={"confirms": confirms})
    w = World(mapping, {"a": 1}, habits=(Habits(), Habits(keeps_keys=True)))
    old = w.ref(RIGHT)
    w.delete(RIGHT)
    w.run()
    assert (w.ref(RIGHT), w.fields(RIGHT)) == (old, {"a": 1})
    assert w.engine.told == []
    assert w.engine.apart == set()
