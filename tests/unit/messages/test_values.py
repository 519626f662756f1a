"""Field values: when two are the same, and numbers to the last digit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec import UNSET

from messages.values import add, decode_json, encode_json, plain_number, same, subtract

LONG = Decimal("0.100000000000000000000000000000001")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, Decimal("1.00"), True),
        (1, True, False),
        ("1", 1, False),
        ("a", "A", False),
        (None, UNSET, False),
        (UNSET, UNSET, False),
        ({"a": [1]}, {"a": [Decimal("1.0")]}, True),
        ([1, 2], [1], False),
        (LONG, Decimal("0.1"), False),
    ],
)
def test_same(one: Any, other: Any, *, expected: bool) -> None:
    """Else a record would look changed that is not, or unchanged that is."""
    assert same(one, other) is same(other, one) is expected


def test_numbers_travel_digit_for_digit() -> None:
    """Else amounts change on their way."""
    assert decode_json(encode_json({"n": LONG})) == {"n": LONG}
    assert encode_json(Decimal("1.10")) == b"1.10"


def test_sums_are_exact() -> None:
    """Else deltas that meet would lose what is small beside what is large."""
    assert add(Decimal("1E+30"), LONG) == Decimal("1000000000000000000000000000000.100000000000000000000000000000001")
    assert subtract(add(10**30, LONG), 10**30) == LONG


@pytest.mark.parametrize(
    ("number", "spelled"), [(1, "1"), (Decimal("1.00"), "1"), (Decimal("1E+2"), "100"), (LONG, str(LONG))]
)
def test_one_number_has_one_spelling(number: int | Decimal, spelled: str) -> None:
    """Else two records would match that differ far behind the point, or not match for how a number is written."""
    assert plain_number(number) == spelled
