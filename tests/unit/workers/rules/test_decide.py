"""Rows 5 to 11, and row 8 for every kind of error: what is logged, sent and told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from messages.errors import ErrorEvent, ErrorKind, ErrorStatus
from messages.instructions import Action
from messages.outcomes import FailureCode
from messages.records import RecordRef
from store.model import Coupling, CouplingStatus, Side, Wait
from tests.rules_world import World, field, mapping_of
from workers.mapping import DeletionRule, Detect, Direction, UpdateRule

LEFT, RIGHT = Side.LEFT, Side.RIGHT
FIELDS = ("a", "b", field("out", direction="to_right"), field("s", values=(("x", "x"), ("y", "y"))))
START = {"a": 1, "b": 1, "out": 1, "s": "x", "unmapped": 1}


def world(**more: Any) -> World:
    """Two records that agree."""
    return World(mapping_of(*FIELDS, **more), START)


@pytest.mark.parametrize(
    ("edits", "more", "word", "sent", "kind"),
    [
        pytest.param([("left", {"a": 1})], {}, "unchanged", [], None, id="9 nothing changed (C01)"),
        pytest.param([("left", {"unmapped": 2})], {}, "unchanged", [], None, id="9 nothing that is mapped"),
        pytest.param([("left", {"a": 2})], {}, "sent", ["right"], None, id="10 one side (C02)"),
        pytest.param([("right", {"a": 2})], {}, "sent", ["left"], None, id="10 the other side"),
        pytest.param([("right", {"out": 2})], {}, "ignored", [], None, id="10 the direction forbids"),
        pytest.param([("left", {"a": 2}), ("right", {"a": 2})], {}, "unchanged", [], None, id="both alike (C07)"),
        pytest.param(
            [("left", {"a": 2}), ("right", {"b": 2})],
            {"detect": Detect.FIELD},
            "merged",
            ["left", "right"],
            None,
            id="11 merged (C04)",
        ),
        pytest.param([("left", {"out": 2}), ("right", {"out": 3})], {}, "sent", ["right"], None, id="11 one-way (C06)"),
        pytest.param(
            [("left", {"a": 2}), ("right", {"b": 2})], {}, "conflict", [], ErrorKind.UPDATE_CONFLICT, id="11 by record"
        ),
        pytest.param(
            [("left", {"a": 2}), ("right", {"a": 3})],
            {"detect": Detect.FIELD},
            "conflict",
            [],
            ErrorKind.UPDATE_CONFLICT,
            id="11 by field (C03)",
        ),
        pytest.param(
            [("left", {"a": 2}), ("right", {"a": 3})],
            {"on_update_conflict": UpdateRule.LEFT},
            "resolved",
            ["right"],
            None,
            id="11 by policy",
        ),
        pytest.param([("left", {"s": "z"})], {}, "error", [], ErrorKind.VALUE_NOT_MAPPED, id="a value without a form"),
        pytest.param([("left", None)], {}, "conflict", [], ErrorKind.DELETION_CONFLICT, id="7 one gone"),
        pytest.param([("left", None), ("right", None)], {}, "uncoupled", [], None, id="6 both gone"),
    ],
)
def test_rows(
    edits: list[tuple[str, dict[str, object] | None]],
    more: dict[str, object],
    word: str,
    sent: list[str],
    kind: ErrorKind | None,
) -> None:
    """A row of the law would do something else than it says."""
    w = world(**more)
    told = [w.delete(Side(side)) if fields is None else w.edit(Side(side), fields) for side, fields in edits]
    w.deliver(*told)
    assert w.words[-1] == word or word in w.words[-3:]
    assert sorted(one.side for one in w.sent()) == sent
    assert (None if w.error is None else w.error.kind) is kind
    assert w.coupling.status is (CouplingStatus.CLOSED if word == "uncoupled" else CouplingStatus.ACTIVE)


def test_row_5_only_images_move() -> None:
    """A second decision would be made before the first is answered."""
    w = world()
    w.deliver(w.L(a=2))
    before = w.coupling
    w.deliver(w.L(a=3), w.R(b=3))
    assert (w.words[-1], w.coupling) == ("queued", before)
    assert w.image(LEFT).fields["a"] == 3


def refuse(w: World) -> None:
    """The right app will not have it."""
    w.right.refusals.append(FailureCode.OTHER)
    w.L(a=2)
    w.run()


def hear_nothing(w: World) -> None:
    """The right app does not answer."""
    w.deliver(w.L(a=2))
    w.engine.silence(w.number)


OPEN: dict[ErrorKind, Callable[[World], None]] = {
    ErrorKind.UPDATE_CONFLICT: lambda w: w.deliver(w.L(a=2), w.R(a=3)),
    ErrorKind.DELETION_CONFLICT: lambda w: w.deliver(w.delete(RIGHT)),
    ErrorKind.VALUE_NOT_MAPPED: lambda w: w.deliver(w.L(s="z")),
    ErrorKind.APPLY_FAILED: refuse,
    ErrorKind.NO_ANSWER: hear_nothing,
}
"""How each kind of error comes about."""


@pytest.mark.parametrize("kind", OPEN)
def test_row_8_the_error_stays_and_tells_what_is_new(kind: ErrorKind) -> None:
    """Another error would be opened, or people would not learn that what they look at has changed."""
    w = world()
    OPEN[kind](w)
    assert w.error is not None
    number, revision, told, sent = w.error.number, w.error.revision, len(w.engine.told), w.engine.sent_count
    w.engine.wake(w.number)
    assert (w.error.revision, len(w.engine.told)) == (revision, told)
    w.deliver(w.L(unmapped=7))
    assert w.error.kind is kind
    assert (w.error.number, w.engine.sent_count) == (number, sent)
    if kind is not ErrorKind.NO_ANSWER:  # while an answer is missing, only images move
        assert (w.words[-1], w.error.revision) == ("skipped", revision + 1)
        event, report = w.engine.told[-1]
        assert (event, report.left.fields["unmapped"] if report.left else None) == (ErrorEvent.UPDATED, 7)


@pytest.mark.parametrize(
    ("kind", "settle"),
    [
        pytest.param(ErrorKind.UPDATE_CONFLICT, lambda w: w.L(a=3), id="alike"),
        pytest.param(ErrorKind.UPDATE_CONFLICT, lambda w: w.R(a=1), id="set back"),
        pytest.param(ErrorKind.DELETION_CONFLICT, lambda w: w.R(**START), id="there again"),
        pytest.param(ErrorKind.DELETION_CONFLICT, lambda w: w.delete(LEFT), id="both gone"),
        pytest.param(ErrorKind.VALUE_NOT_MAPPED, lambda w: w.L(s="y"), id="a value with a form"),
        pytest.param(ErrorKind.APPLY_FAILED, lambda w: w.L(a=1), id="set back after a refusal"),
        pytest.param(ErrorKind.APPLY_FAILED, lambda w: w.L(a=4), id="another value"),
        pytest.param(ErrorKind.APPLY_FAILED, lambda w: w.R(a=2), id="the other side has it"),
        pytest.param(ErrorKind.NO_ANSWER, lambda _: None, id="the answer comes"),
    ],
)
def test_row_8_the_error_settles_itself(kind: ErrorKind, settle: Callable[[World], object]) -> None:
    """An error whose cause is gone would wait for a person."""
    w = world()
    OPEN[kind](w)
    settle(w)
    w.run()
    assert w.error is None
    event, report = w.engine.told[-1]
    assert (event, report.status) == (ErrorEvent.RESOLVED, ErrorStatus.RESOLVED)
    if w.coupling.status is CouplingStatus.ACTIVE:
        assert w.fields(LEFT) == w.fields(RIGHT)


@pytest.mark.parametrize(
    ("kind", "cause", "then"),
    [
        pytest.param(ErrorKind.UPDATE_CONFLICT, lambda w: w.delete(LEFT), ErrorKind.DELETION_CONFLICT, id="deleted"),
        pytest.param(ErrorKind.VALUE_NOT_MAPPED, lambda w: w.R(s="y"), ErrorKind.UPDATE_CONFLICT, id="both changed"),
        pytest.param(
            ErrorKind.APPLY_FAILED, lambda w: w.R(a=9), ErrorKind.UPDATE_CONFLICT, id="changed after a refusal"
        ),
        pytest.param(
            ErrorKind.APPLY_FAILED, lambda w: w.delete(RIGHT), ErrorKind.DELETION_CONFLICT, id="deleted after a refusal"
        ),
        pytest.param(
            ErrorKind.APPLY_FAILED, lambda w: w.L(s="z"), ErrorKind.VALUE_NOT_MAPPED, id="no form after a refusal"
        ),
    ],
)
def test_the_same_error_changes_its_kind(kind: ErrorKind, cause: Callable[[World], object], then: ErrorKind) -> None:
    """One coupling would have two errors, or an error would speak of what is over."""
    w = world()
    OPEN[kind](w)
    number = None if w.error is None else w.error.number
    cause(w)
    w.run()
    assert w.error is not None
    assert (w.error.number, w.error.kind, w.error.revision) == (number, then, 2)
    assert [event for event, _ in w.engine.told] == [ErrorEvent.OPENED, ErrorEvent.UPDATED]


def test_a_refused_create_is_tried_again_with_other_values() -> None:
    """R8: a create that was refused for its values would never be tried with better ones."""
    w = World(mapping_of("a"))
    w.deliver(w.L(a="bad"))
    w.right.refuses = lambda sent: FailureCode.VALIDATION_FAILED if sent.fields["a"] == "bad" else None
    w.number = w.engine.couple(w.mapping, RecordRef("l", "t", "k"), None)
    w.run()
    assert w.error is not None
    w.engine.wake(w.number)
    assert w.sent() == []
    w.L(a="good")
    w.run()
    assert w.fields(RIGHT) == {"a": "good"}
    assert w.engine.told[-1][0] is ErrorEvent.RESOLVED


def test_retry_decides_on_todays_policies() -> None:
    """A policy that was added for a conflict would not be used by ``retry``."""
    w = world()
    OPEN[ErrorKind.UPDATE_CONFLICT](w)
    w.engine.file = replace(w.engine.file, mappings={"m": replace(w.mapping, on_update_conflict=UpdateRule.RIGHT)})
    w.engine.wake(w.number)
    assert w.sent() == []
    w.engine.retry(w.number)
    w.run()
    assert (w.error, w.fields(LEFT)) == (None, w.fields(RIGHT))
    assert w.engine.told[-1][1].resolution == "retry"


def test_a_failure_reopens_the_error_that_was_being_resolved() -> None:
    """An operator's choice that an app refused would seem to be under way for ever."""
    w = world()
    OPEN[ErrorKind.UPDATE_CONFLICT](w)
    assert w.error is not None
    resolving = replace(w.error, status=ErrorStatus.RESOLVING, resolution="synchronize")
    w.engine.instruct(w.number, left={"a": 3})
    w.engine.couplings[w.number] = replace(w.coupling, error=resolving)
    w.left.refusals.append(FailureCode.OTHER)
    w.run()
    assert w.error is not None
    assert (w.error.number, w.error.status, w.error.revision) == (
        resolving.number,
        ErrorStatus.OPEN,
        resolving.revision + 1,
    )


@pytest.mark.parametrize("keep", Side)
def test_keep_synchronizes_at_once(keep: Side) -> None:
    """``couple`` with ``keep`` would wait for the first change, or keep the wrong side; or go on keeping afterwards."""
    w = World(mapping_of("a", "b"), {"a": 1, "b": 2}, right_start={"a": 7, "b": 2}, keep=keep)
    w.run()
    kept = {"a": 1 if keep is LEFT else 7, "b": 2}
    assert w.fields(LEFT) == w.fields(RIGHT) == kept
    assert (w.error, w.coupling.keep) == (None, None)
    assert "resolved" in w.words
    w.deliver(w.L(a=8), w.R(a=9))
    assert w.error is not None


def test_keep_survives_a_version_that_has_moved() -> None:
    """A record that moved under the first try would leave the two as they were."""
    w = World(mapping_of("a"))
    w.L(a=1)
    w.R(a=7)
    w.flush()
    w.right.move_silently("k")
    w.number = w.engine.couple(w.mapping, RecordRef("l", "t", "k"), RecordRef("r", "t", "k"), LEFT)
    w.run()
    assert (w.error, w.fields(RIGHT)) == (None, {"a": 1})


def test_what_differed_at_the_start_waits_for_the_first_change() -> None:
    """No base: coupling two records that differ would start a conflict, or overwrite one of them."""
    w = World(mapping_of("a", "b"), {"a": 1, "b": 2}, right_start={"a": 7, "b": 2})
    assert (w.words[-1], w.sent(), w.error) == ("coupled", [], None)
    w.deliver(w.L(b=3))
    assert w.error is not None
    assert w.error.contested == ("a", "b")
    assert "no base" in w.error.confidence_reasons[-1]


def test_what_differed_at_the_start_is_logged_when_a_policy_overwrites_it() -> None:
    """R11: the value would be nowhere."""
    mapping = mapping_of("a", "b", on_update_conflict=UpdateRule.LEFT)
    w = World(mapping, {"a": 1, "b": 2}, right_start={"a": 7, "b": 2})
    w.L(b=3)
    w.run()
    assert [line.values for line in w.engine.log if line.values] == [{"a": {"left": 1, "right": 7}}]
    assert w.fields(RIGHT) == {"a": 1, "b": 3}


def test_unknown_images_are_asked_for() -> None:
    """Two records of which nothing is known would be coupled blindly."""
    w = World(mapping_of("a"))
    w.L(a=1)
    w.R(a=1)
    for queue in w.waiting.values():
        queue.clear()
    w.number = w.engine.couple(w.mapping, RecordRef("l", "t", "k"), RecordRef("r", "t", "k"))
    assert [one.action for one in w.sent()] == [Action.READ, Action.READ]
    w.run()
    assert w.coupling.based
    assert w.words[-1] == "coupled"


def test_a_reference_waits_until_it_is_coupled() -> None:
    """A key of one app would be sent to the other, or the record would wait for ever."""
    mapping = mapping_of("a", field("person", reference="salesperson"), detect=Detect.FIELD)
    w = World(mapping, {"a": 1, "person": ""})
    w.deliver(w.L(person="10"))
    assert w.error is not None
    assert (w.error.kind, w.error.field) == (ErrorKind.REFERENCE_NOT_COUPLED, "person")
    assert w.coupling.waits == (Wait("salesperson", LEFT, "10"),)
    w.engine.references[Wait("salesperson", LEFT, "10")] = "x-10"
    w.engine.wake(w.number)
    assert [one.fields for one in w.sent()] == [{"person": "x-10"}]
    assert w.engine.couplings[w.number].waits == ()
    assert w.engine.told[-1][0] is ErrorEvent.RESOLVED


@pytest.mark.parametrize("create", [False, True])
def test_a_reference_that_may_be_left_out(create: bool) -> None:  # noqa: FBT001
    """``omit``: the record would wait for its reference, or the reference would never follow."""
    mapping = mapping_of("a", field("person", reference="salesperson", if_uncoupled="omit"))
    if create:
        w = World(mapping)
        w.right.habits.sparse = False
        w.deliver(w.L(a=2, person="10"))
        w.number = w.engine.couple(w.mapping, RecordRef("l", "t", "k"), None)
        w.run()
        w.deliver(w.R(person=None))  # as an app tells of a field that it knows and that is empty
    else:
        w = World(mapping, {"a": 1, "person": ""})
        w.L(a=2, person="10")
        w.run()
    right = w.fields(RIGHT)
    assert right is not None
    assert (w.error, right["a"], right["person"] or "") == (None, 2, "")
    w.engine.references[Wait("salesperson", LEFT, "10")] = "x-10"
    w.engine.wake(w.number)
    w.run()
    assert (w.error, right["person"]) == (None, "x-10")


def test_everything_flows_one_way() -> None:
    """A one-way mapping would write back, or its target's edits would be conflicts."""
    fields = [field(name, direction="to_left") for name in ("a", "b")]
    w = World(mapping_of(*fields, direction=Direction.TO_LEFT, on_deletion=DeletionRule.RESTORE), {"a": 1, "b": 1})
    w.L(a=5)
    w.R(b=6)
    w.run()
    assert (w.fields(LEFT), w.fields(RIGHT), w.error) == ({"a": 5, "b": 6}, {"a": 1, "b": 6}, None)
    assert w.right.received == []


def test_a_closed_coupling_stays_closed() -> None:
    """A late event would decide something that is over."""
    w = world()
    w.deliver(w.delete(LEFT), w.delete(RIGHT))
    before: Coupling = w.coupling
    w.engine.wake(w.number)
    assert (w.words[-1], w.coupling) == ("uncoupled", before)


def test_two_worlds_decide_alike() -> None:
    """A replay would give other instruction ids, and the app would do everything twice."""
    worlds = world(), world()
    for w in worlds:
        w.deliver(w.L(a=2))
    assert [one.id for one in worlds[0].sent()] == [one.id for one in worlds[1].sent()] != []
