"""``where``: which records are in, value by value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from messages.records import RecordRef
from store.model import Image, Side
from tests.rules_world import mapping_of
from workers.mapping import Comparison, Condition, Mapping
from workers.rules.filters import inside, outside
from workers.rules.matching import match_values

LEFT, RIGHT = Side.LEFT, Side.RIGHT


def condition(comparison: str, value: Any, field: str = "f", side: Side = LEFT) -> Condition:
    """One line of ``where``."""
    return Condition(side=side, field=field, comparison=Comparison(comparison), value=value)


def mapping(*conditions: Condition) -> Mapping:
    """A mapping with these conditions."""
    return mapping_of("a", "b", where=conditions, match_on=(("a",),))


def image(**fields: Any) -> Image:
    """What is known of a record."""
    return Image(record=RecordRef("l", "t", "1"), exists=True, fields=fields, version=1)


@pytest.mark.parametrize(
    ("comparison", "bound", "holds", "fails"),
    [
        ("=", "DE", ["DE"], ["de", "DE ", "", None, 1, True]),
        ("=", 1, [1, Decimal("1.00")], [True, "1", None, 2]),
        ("=", True, [True], [False, 1, "true", None]),
        ("!=", "DE", ["de", None, 1], ["DE"]),
        ("!=", 1, [2, "1", True, None], [1, Decimal("1.0")]),
        ("<", 10, [9, Decimal("9.99"), -1], [10, Decimal("10.00"), 11, "9", None, False]),
        ("<=", Decimal("1.5"), [Decimal("1.50"), 1], [2, "1", None]),
        (">", 0, [1, Decimal("0.01")], [0, -1, "1", None, True]),
        (">=", 0, [0, 1], [-1, None]),
        ("<", "b", ["a", "B", ""], ["b", "ä", 1, None]),
        (">=", "b", ["b", "ä", "ba"], ["a", "B"]),
        ("in", ("DE", "AT"), ["DE", "AT"], ["CH", "at", None, 1]),
        ("in", (1, Decimal("2.0")), [1, 2, Decimal("1.0")], [3, True, "1", None]),
        ("not in", ("DE", "AT"), ["CH", "", None], ["DE", "AT"]),
    ],
)
def test_what_a_condition_lets_in(comparison: str, bound: Any, holds: list[Any], fails: list[Any]) -> None:
    """Records would be kept in step that nobody wants in the other app, or be left out."""
    one = mapping(condition(comparison, bound))
    assert [inside(one, LEFT, image(f=value)) for value in holds] == [True] * len(holds)
    assert [inside(one, LEFT, image(f=value)) for value in fails] == [False] * len(fails)


def test_unknown_is_not_outside() -> None:
    """A record whose event does not speak of the field would be left alone, though nothing says that it is out."""
    assert inside(mapping(condition("=", "DE"), condition(">", 1, "g")), LEFT, image(a=1))


def test_all_conditions_of_the_side_must_hold() -> None:
    """A second condition would widen what the first one lets in."""
    both = mapping(condition("=", "DE"), condition(">", 1, "g"), condition("=", "x", "f", RIGHT))
    assert inside(both, LEFT, image(f="DE", g=2))
    assert not inside(both, LEFT, image(f="DE", g=1))
    assert not inside(both, LEFT, image(f="AT", g=2))


@pytest.mark.parametrize(
    ("left", "right", "side"),
    [("DE", "x", None), ("AT", "x", LEFT), ("DE", "y", RIGHT), ("AT", "y", LEFT)],
)
def test_either_side_can_be_outside(left: str, right: str, side: Side | None) -> None:
    """The conditions of one side would be held against the record of the other."""
    both = mapping(condition("=", "DE"), condition("=", "x", "f", RIGHT))
    assert outside(both, (image(f=left), image(f=right))) is side


def test_a_deleted_record_is_judged_by_what_it_last_held() -> None:
    """A record that had left the filter would come back into it by its deletion, and take the other one with it."""
    grave = Image(record=RecordRef("l", "t", "1"), exists=False, fields={"f": "AT"}, version=2)
    assert outside(mapping(condition("=", "DE")), (grave, image())) is LEFT


def test_without_conditions_everything_is_in() -> None:
    """A mapping without ``where`` would keep nothing in step."""
    assert outside(mapping(), (image(f=None), image())) is None


def test_a_record_outside_is_found_by_nobody() -> None:
    """It would be matched with a record that is in."""
    one = mapping(condition("=", "DE"))
    assert match_values(one, LEFT, image(a="x", f="DE"), {}) != ()
    assert match_values(one, LEFT, image(a="x", f="AT"), {}) == ()
