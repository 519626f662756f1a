"""Which commands apply, state by state: the table at the head of ``workers.rules.applicability``."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from messages.commands import DeleteRecord, Dismiss, Keep, RemoveCoupling, RestoreRecord, Retry, Synchronize
from messages.errors import ErrorKind, Handling
from messages.outcomes import Failed, FailureCode
from messages.records import RecordRef
from store.model import OpenError, Side
from tests.rules_world import World, field, mapping_of
from workers.mapping import Comparison, Condition, Confirms
from workers.refusal import RefusedError
from workers.rules.applicability import applicable, both_exist, gone, held_by, unanswered
from workers.rules.resolutions import Resolution, resolve
from workers.rules.situation import Situation

LEFT, RIGHT = Side.LEFT, Side.RIGHT
WHERE = (Condition(side=LEFT, field="country", comparison=Comparison.EQUAL, value="DE"),)


def well() -> World:
    """Two records that agree."""
    fields = ("a", field("s", values=(("x", "x"),)), field("ref", reference="other"))
    return World(mapping_of(*fields, where=WHERE), {"a": 1, "s": "x", "ref": "", "country": "DE"})


def conflict() -> World:
    """Both users have changed ``a``."""
    w = well()
    w.deliver(w.L(a=2), w.R(a=3))
    return w


def one_gone(side: Side = RIGHT) -> World:
    """The record on ``side`` is deleted."""
    w = well()
    w.deliver(w.delete(side))
    return w


def asked() -> World:
    """The right app has been instructed."""
    w = well()
    w.deliver(w.L(a=2))
    return w


def refuse(w: World, code: FailureCode = FailureCode.VALIDATION_FAILED) -> World:
    """The app refuses what it was asked."""
    [sent] = w.sent()
    w.engine.outbox.clear()
    app = w.mapping.app(sent.side).name
    w.deliver(Failed(app=app, id=f"f{len(w.past)}", instruction=sent.id, code=code, attempt=sent.attempt))
    return w


def silent() -> World:
    """The right app has not answered."""
    w = asked()
    w.engine.silence(w.number)
    return w


def ordered(w: World, order: Resolution) -> World:
    """An operator orders this."""
    w.engine.order(w.number, order)
    return w


def not_mapped() -> World:
    """The value map does not know the left value."""
    w = well()
    w.deliver(w.L(s="z"))
    return w


def not_coupled() -> World:
    """The left record points to a record that is not coupled."""
    w = well()
    w.deliver(w.L(ref="k7"))
    return w


def both_gone() -> World:
    """Both are deleted."""
    w = one_gone()
    w.deliver(w.delete(LEFT))
    return w


def creating() -> World:
    """The right app is creating the counterpart."""
    w = World(mapping_of("a"))
    w.L(a=1)
    w.flush()
    w.number = w.engine.couple(w.mapping, w.ref(LEFT), None)
    return w


def outside() -> World:
    """The left record has left the mapping's ``where``."""
    w = well()
    w.deliver(w.L(country="FR", a=2))
    return w


def never_there() -> World:
    """The left record was coupled to one that its app does not know."""
    w = World(mapping_of("a"))
    w.L(a=1)
    w.flush()
    w.number = w.engine.couple(w.mapping, w.ref(LEFT), RecordRef("r", "t", "nobody"))
    return refuse(w, FailureCode.NOT_FOUND)


REMOVE = "remove_coupling"
TABLE: list[tuple[str, Callable[[], World], tuple[str, ...]]] = [
    ("all is well", well, ("synchronize", REMOVE)),
    ("update_conflict", conflict, ("synchronize", "retry", REMOVE)),
    ("deletion_conflict, right gone", one_gone, ("restore_record", "delete_record", "retry", REMOVE)),
    ("deletion_conflict, left gone", lambda: one_gone(LEFT), ("restore_record", "delete_record", "retry", REMOVE)),
    ("apply_failed of an update", lambda: refuse(asked()), ("retry", "synchronize", REMOVE, "dismiss")),
    (
        "apply_failed of a delete",
        lambda: refuse(ordered(one_gone(), DeleteRecord(coupling=1))),
        ("retry", "restore_record", "delete_record", REMOVE, "dismiss"),
    ),
    (
        "apply_failed of a restore",
        lambda: refuse(ordered(one_gone(), RestoreRecord(coupling=1))),
        ("retry", "restore_record", "delete_record", REMOVE, "dismiss"),
    ),
    ("apply_failed of a create", lambda: refuse(creating()), ("retry", REMOVE, "dismiss")),
    ("value_not_mapped", not_mapped, ("retry", "synchronize", REMOVE, "dismiss")),
    ("reference_not_coupled", not_coupled, ("retry", "synchronize", REMOVE, "dismiss")),
    ("no_answer", silent, ("retry", REMOVE)),
    ("no_answer, asked again", lambda: ordered(silent(), Retry(coupling=1)), (REMOVE,)),
    ("in flight", asked, (REMOVE,)),
    ("backing off", lambda: refuse(asked(), FailureCode.UNAVAILABLE), (REMOVE,)),
    ("resolving", lambda: ordered(conflict(), Synchronize(coupling=1, keep=Keep.LEFT)), (REMOVE,)),
    ("creating", creating, (REMOVE,)),
    (
        "one gone, dismissed",
        lambda: ordered(refuse(ordered(one_gone(), DeleteRecord(coupling=1))), Dismiss(error=1)),
        ("restore_record", "delete_record", REMOVE),
    ),
    ("outside where", outside, (REMOVE,)),
    ("both gone", both_gone, ()),
    ("coupled to what was never there", never_there, ("dismiss",)),
    ("removed", lambda: ordered(well(), RemoveCoupling(coupling=1)), ()),
]
"""State, how it comes about, the commands that apply, the most likely one first."""


@pytest.mark.parametrize(("build", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_applies(build: Callable[[], World], expected: tuple[str, ...]) -> None:
    """An operator would be offered what is refused, or not be offered what would help."""
    w = build()
    assert applicable(w.engine.situation(w.number)) == expected


EVERY: dict[str, Resolution] = {
    REMOVE: RemoveCoupling(coupling=1),
    "retry": Retry(coupling=1),
    "synchronize": Synchronize(coupling=1, keep=Keep.LEFT),
    "restore_record": RestoreRecord(coupling=1),
    "delete_record": DeleteRecord(coupling=1),
    "dismiss": Dismiss(error=1),
}


@pytest.mark.parametrize(("build", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_does_not_apply_is_refused(build: Callable[[], World], expected: tuple[str, ...]) -> None:
    """What ``actions`` says of an error and what the commands do would be two things."""
    w = build()
    situation = w.engine.situation(w.number)
    for name, order in EVERY.items():
        ordered_by = Handling(at=w.now, command=name, id="c", by="ops/test")
        if name in expected:
            continue
        with pytest.raises(RefusedError) as refusal:
            resolve(situation, order, ordered_by)
        assert refusal.value.code == "not_applicable"
        assert f"{name} does not apply to coupling {w.number}" in str(refusal.value)
        assert all(other in str(refusal.value) for other in expected)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (well, (REMOVE,)),
        (conflict, (REMOVE,)),
        (lambda: refuse(asked()), ("dismiss", REMOVE)),
        (silent, ("retry", REMOVE)),
    ],
    ids=["all is well", "update_conflict", "apply_failed", "no_answer"],
)
def test_while_it_is_paused(build: Callable[[], World], expected: tuple[str, ...]) -> None:
    """What is paused would be written to all the same, or an administrator could not even clear it away."""
    w = build()
    situation = replace(w.engine.situation(w.number), paused="mapping m")
    assert applicable(situation) == expected
    assert held_by(situation) == "mapping m"


def test_a_record_that_is_not_coupled_and_matches_several() -> None:
    """A person would be offered to synchronize a record that has no counterpart."""
    w = well()
    situation = w.engine.situation(w.number)
    error = OpenError(kind=ErrorKind.MATCH_AMBIGUOUS, opened_at=w.now)
    situation = replace(situation, coupling=replace(situation.coupling, error=error))
    assert applicable(situation) == ("couple", "retry", "dismiss")


@pytest.mark.parametrize("exists", [(True, True), (False, True), (True, False), (False, False), (None, True)])
def test_who_is_there(exists: tuple[bool | None, bool | None]) -> None:
    """A record of which nobody has told us would be taken for deleted, or both be taken for one."""
    w = well()
    situation: Situation = w.engine.situation(w.number)
    left, right = exists
    situation = replace(
        situation, left=replace(situation.left, exists=left), right=replace(situation.right, exists=right)
    )
    assert both_exist(situation) == (left is not False and right is not False)
    assert gone(situation) is (None if exists.count(False) != 1 else LEFT if left is False else RIGHT)


def test_an_app_that_never_confirms_is_not_unanswered() -> None:
    """A retry would be offered of what nobody ever answers."""
    w = World(mapping_of(field("a", direction="to_right"), right={"confirms": Confirms.NONE}), {"a": 1})
    w.deliver(w.L(a=2))
    assert unanswered(w.engine.situation(w.number)) == ()
