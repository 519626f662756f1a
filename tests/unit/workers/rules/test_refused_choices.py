"""What an operator chose and an app refused: it is told, and stays until the choice is made again or is moot."""

from __future__ import annotations

import pytest

from messages.commands import Keep, Synchronize
from messages.errors import ErrorKind, ErrorStatus
from messages.outcomes import FailureCode
from messages.values import Value
from store.model import Side
from tests.rules_world import World, field, mapping_of
from workers.mapping import Detect, UpdateRule

LEFT, RIGHT = Side.LEFT, Side.RIGHT


def refused(world: World, order: Synchronize) -> None:
    """The operator orders this, and the right app refuses."""
    world.right.refusals.append(FailureCode.VALIDATION_FAILED)
    world.engine.order(world.number, order)
    world.run()


@pytest.mark.parametrize(
    ("right", "order"),
    [
        pytest.param({"a": 7, "b": 2}, {"keep": Keep.LEFT}, id="what differed when it was coupled"),
        pytest.param({"a": 1, "b": 2}, {"values": {"a": 5}}, id="typed over what agrees"),
    ],
)
def test_the_refusal_of_a_manual_synchronization_is_told(right: dict[str, Value], order: dict[str, object]) -> None:
    """Else the records would go on differing, and nobody would know that the app had refused."""
    world = World(mapping_of("a", "b"), {"a": 1, "b": 2}, right_start=right)
    world.run()

    refused(world, Synchronize(coupling=world.number, **order))  # type: ignore[arg-type]

    assert world.error is not None
    assert (world.error.kind, world.error.code) == (ErrorKind.APPLY_FAILED, "validation_failed")


def test_a_refused_choice_stays_refused_until_something_else_is_contested() -> None:
    """An echo or a doubled message would hide what the app said, and show the bare conflict again."""
    world = World(mapping_of("a", "b", detect=Detect.FIELD), {"a": 1, "b": 2})
    world.L(a=2)
    world.R(a=3)
    world.run()
    refused(world, Synchronize(coupling=world.number, keep=Keep.LEFT))
    before = world.error

    world.engine.wake(world.number)
    assert world.error == before
    assert before is not None
    assert (before.kind, before.contested, before.status) == (ErrorKind.APPLY_FAILED, ("a",), ErrorStatus.OPEN)

    world.R(a=2)
    world.run()
    assert world.error is None


def test_the_choice_is_made_again() -> None:
    """An operator who has mended the app could not carry out what was decided."""
    world = World(mapping_of("a", "b"), {"a": 1, "b": 2})
    world.L(a=2)
    world.R(a=3)
    world.run()
    refused(world, Synchronize(coupling=world.number, keep=Keep.LEFT))
    number = world.error and world.error.number

    world.engine.order(world.number, Synchronize(coupling=world.number, keep=Keep.LEFT))
    world.run()

    assert world.error is None
    assert world.fields(RIGHT) == world.fields(LEFT) == {"a": 2, "b": 2}
    _, told = world.engine.told[-1]
    assert (told.error, told.resolution, told.resolved_by) == (number, "synchronize", "ops/test")
    assert [one.command for one in told.history] == ["synchronize", "synchronize"]


def test_a_group_that_a_policy_gives_back_is_no_fight() -> None:
    """A user's edit after our write would be called an app that turns values back, and stop the coupling (R13)."""
    group = (field("address", group="g"), field("city", group="g"))
    mapping = mapping_of(*group, detect=Detect.FIELD, on_update_conflict=UpdateRule.RIGHT)
    world = World(mapping, {"address": "a1", "city": "c0"})
    world.R(city="c1")
    world.run()
    world.L(city="c2")
    world.R(address="a2")

    world.run()

    assert world.error is None
    assert world.fields(LEFT) == world.fields(RIGHT) == {"address": "a2", "city": "c1"}
