"""Every rule: whom it lets win, and what it leaves to a person."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec import UNSET

from messages.records import RecordRef
from messages.values import Known
from store.model import Form, Image, Side
from tests.rules_world import World, field, mapping_of
from tests.simulated_app import EPOCH
from workers.mapping import Detect, UpdateRule
from workers.rules.differences import FieldState
from workers.rules.policies import RULES, Both, settle

L, R, PERSON = Side.LEFT, Side.RIGHT, None
BASE = Form(left=10, right=10)


def state_of(left: Known, right: Known, form: Form = BASE, **more: Any) -> FieldState:
    """A field that both sides changed."""
    return FieldState(
        field=field("f", **more), left=left, right=right, form=form, agreeing=False, changed=frozenset(Side)
    )


def images(left: float | None, right: float | None) -> tuple[Image, Image]:
    """Two images whose users changed them at these seconds."""
    times = [None if at is None else EPOCH + timedelta(seconds=at) for at in (left, right)]
    return (
        Image(record=RecordRef("l", "t", "k"), user_modified_at=times[0]),
        Image(record=RecordRef("r", "t", "k"), user_modified_at=times[1]),
    )


@pytest.mark.parametrize(
    ("rule", "state", "times", "winner"),
    [
        (UpdateRule.MANUAL, state_of(1, 2), (5, 0), PERSON),
        (UpdateRule.LEFT, state_of(1, 2), (0, 5), L),
        (UpdateRule.LEFT, state_of(UNSET, 2), (0, 5), PERSON),
        (UpdateRule.RIGHT, state_of(1, 2), (5, 0), R),
        (UpdateRule.RIGHT, state_of(1, UNSET), (5, 0), PERSON),
        (UpdateRule.NEWEST, state_of(1, 2), (5, 0), L),
        (UpdateRule.NEWEST, state_of(1, 2), (0, 5), R),
        (UpdateRule.NEWEST, state_of(1, 2), (0, 2.001), R),
        (UpdateRule.NEWEST, state_of(1, 2), (0, 2), PERSON),
        (UpdateRule.NEWEST, state_of(1, 2), (0, 0), PERSON),
        (UpdateRule.NEWEST, state_of(1, 2), (None, 5), PERSON),
        (UpdateRule.NEWEST, state_of(1, 2), (5, None), PERSON),
        (UpdateRule.MIN, state_of(1, 2), (0, 0), L),
        (UpdateRule.MIN, state_of(Decimal("2.5"), 2), (0, 0), R),
        (UpdateRule.MIN, state_of("1", 2), (0, 0), PERSON),
        (UpdateRule.MIN, state_of(True, 2), (0, 0), PERSON),  # noqa: FBT003
        (UpdateRule.MAX, state_of(1, 2), (0, 0), R),
        (UpdateRule.MAX, state_of(3, Decimal("2.5")), (0, 0), L),
        (UpdateRule.MAX, state_of(1, None), (0, 0), PERSON),
        (UpdateRule.ADD, state_of(11, 12), (0, 0), Both.ADD),
        (UpdateRule.ADD, state_of(11, "12"), (0, 0), PERSON),
        (UpdateRule.ADD, state_of(9 * 10**37, 9 * 10**37), (0, 0), PERSON),
        (UpdateRule.ADD, state_of(-9 * 10**37, 9 * 10**37), (0, 0), Both.ADD),
        (UpdateRule.ADD, state_of(Decimal("1e-30"), 10**12), (0, 0), PERSON),
        (UpdateRule.ADD, state_of(11, 12, Form(left=11, right=12, agreed=False)), (0, 0), PERSON),
        (UpdateRule.ADD, state_of(11, 12, Form()), (0, 0), PERSON),
    ],
)
def test_who_wins(
    rule: UpdateRule, state: FieldState, times: tuple[float | None, float | None], winner: Side | Both | None
) -> None:
    """A policy would let the wrong side win, or guess where a person has to be asked."""
    (verdict,) = settle(mapping_of("f", on_update_conflict=rule), (state,), images(*times))
    assert (verdict.winner, verdict.rule) == (winner, f"on_update_conflict={rule}")


def test_every_rule_is_there() -> None:
    """A rule that the mapping file lets in would have nobody to carry it out."""
    assert RULES.keys() == set(UpdateRule)


def test_a_fields_own_rule_counts_where_both_changed_it() -> None:
    """A field's own rule would settle what only one side changed, or the mapping's what both did."""
    mapping = mapping_of("f", on_update_conflict=UpdateRule.LEFT)
    both = state_of(1, 2, on_conflict=UpdateRule.RIGHT)
    one = FieldState(field=both.field, left=1, right=10, form=BASE, agreeing=False, changed=frozenset({L}))
    verdicts = settle(mapping, (both, one), images(0, 0))[0], settle(mapping, (one,), images(0, 0))[0]
    assert [verdict.rule for verdict in verdicts] == ["f.on_conflict=right", "on_update_conflict=left"]


def test_a_group_has_one_winner() -> None:
    """A street would come from one side and its town from the other."""
    fields = [field(name, group="address", on_conflict="right") for name in ("street", "town")]
    w = World(
        mapping_of(*fields, detect=Detect.FIELD, on_update_conflict=UpdateRule.LEFT), {"street": "s", "town": "t"}
    )
    w.deliver(w.L(street="left"), w.R(town="right"))
    w.run()
    assert w.fields(L) == w.fields(R) == {"street": "s", "town": "right"}


@pytest.mark.parametrize(
    ("rules", "left", "right", "end"),
    [
        ({"n": UpdateRule.ADD}, {"n": 7}, {"n": 12}, {"n": 9}),
        ({"n": UpdateRule.MIN}, {"n": 7}, {"n": 12}, {"n": 7}),
        ({"n": UpdateRule.MAX}, {"n": 7}, {"n": 12}, {"n": 12}),
        ({"n": UpdateRule.MAX, "m": UpdateRule.ADD}, {"n": 7, "m": 11}, {"n": 12, "m": 9}, {"n": 12, "m": 10}),
    ],
)
def test_numbers_end_alike_on_both_sides(
    rules: dict[str, UpdateRule], left: dict[str, int], right: dict[str, int], end: dict[str, int]
) -> None:
    """C14: a delta would be lost or counted twice, or the two sides would end with different numbers."""
    w = World(mapping_of(*(field(name, on_conflict=rule) for name, rule in rules.items())), dict.fromkeys(rules, 10))
    w.deliver(w.L(**left), w.R(**right))
    w.run()
    assert w.fields(L) == w.fields(R) == end
    assert "resolved" in w.words


def test_one_field_left_over_leaves_both_sides_unwritten() -> None:
    """What a policy settled would be written although a person has to look at the rest."""
    w = World(
        mapping_of(field("n", on_conflict=UpdateRule.MAX), "a", field("s", direction="to_left")),
        {"n": 1, "a": 1, "s": 1},
    )
    w.deliver(w.L(n=2, a=2), w.R(n=3, a=3, s=3))
    assert w.sent() == []
    assert w.error is not None
    assert w.error.contested == ("n", "a")


@pytest.mark.parametrize("exact", [Decimal("0.1"), Decimal("1234567890123456789012345678901234567.5")])
def test_sums_are_exact(exact: Decimal) -> None:
    """A sum of long numbers would be rounded, and never be the same on both sides."""
    w = World(mapping_of(field("n", on_conflict=UpdateRule.ADD)), {"n": exact})
    w.deliver(w.L(n=exact + 1), w.R(n=exact * 2))
    w.run()
    fields = w.fields(L)
    assert fields is not None
    assert fields == w.fields(R)
    assert w.error is None
    assert w.coupling.base["n"].left == fields["n"]
