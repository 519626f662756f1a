"""One value, two forms: value maps, references, null and the empty string."""

from __future__ import annotations

import pytest
from msgspec import UNSET

from messages.errors import ErrorKind
from messages.values import Known, Value
from store.model import Side, Wait
from tests.rules_world import field
from workers.mapping import Direction
from workers.rules.forms import Untranslatable, agree, in_mapping_terms, translate, wait_for

STATUS = field("status", values=(("JO", "john"), ("LM", "lena"), (1, True)))
PERSON = field("person", reference="salesperson")
PLAIN = field("name")
KNOWN = {Wait("salesperson", Side.LEFT, "10"): "x-10", Wait("salesperson", Side.RIGHT, "x-10"): "10"}


@pytest.mark.parametrize(
    ("one", "value", "source", "expected"),
    [
        (PLAIN, "JO", Side.LEFT, "JO"),
        (PLAIN, None, Side.LEFT, None),
        (STATUS, "JO", Side.LEFT, "john"),
        (STATUS, "lena", Side.RIGHT, "LM"),
        (STATUS, 1, Side.LEFT, True),
        (STATUS, None, Side.LEFT, None),
        (STATUS, "", Side.RIGHT, ""),
        (field("s", values=(("", "none"),)), "", Side.LEFT, "none"),
        (PERSON, "10", Side.LEFT, "x-10"),
        (PERSON, 10, Side.LEFT, "x-10"),
        (PERSON, "x-10", Side.RIGHT, "10"),
        (PERSON, None, Side.LEFT, None),
        (PERSON, "", Side.RIGHT, ""),
    ],
)
def test_translated(one: object, value: Value, source: Side, expected: Value) -> None:
    """A value would arrive in the wrong form; null and "" would be refused although nothing maps them."""
    found = translate(one, value, source, KNOWN)  # type: ignore[arg-type]
    assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize(
    ("one", "value", "source", "kind"),
    [
        (STATUS, "XX", Side.LEFT, ErrorKind.VALUE_NOT_MAPPED),
        (STATUS, "JO", Side.RIGHT, ErrorKind.VALUE_NOT_MAPPED),
        (STATUS, True, Side.LEFT, ErrorKind.VALUE_NOT_MAPPED),
        (PERSON, "11", Side.LEFT, ErrorKind.REFERENCE_NOT_COUPLED),
        (PERSON, "10", Side.RIGHT, ErrorKind.REFERENCE_NOT_COUPLED),
    ],
)
def test_not_translated(one: object, value: Value, source: Side, kind: ErrorKind) -> None:
    """A value without a form on the other side would be sent as it is."""
    found = translate(one, value, source, KNOWN)  # type: ignore[arg-type]
    assert isinstance(found, Untranslatable)
    assert found.kind is kind
    assert (found.wait is not None) is (kind is ErrorKind.REFERENCE_NOT_COUPLED)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("JO", "john", True),
        ("JO", "lena", False),
        ("JO", "JO", False),
        ("XX", "XX", False),
        ("", "", True),
        (None, None, True),
        (None, "", False),
        (UNSET, "john", False),
        ("JO", UNSET, False),
        (UNSET, UNSET, False),
    ],
)
@pytest.mark.parametrize("direction", Direction)
def test_agree(left: Known, right: Known, expected: bool, direction: Direction) -> None:  # noqa: FBT001
    """Two spellings of one value would differ, or two unknowns would agree, whichever way the field flows."""
    one = field("status", values=STATUS.values, direction=direction)
    assert agree(one, left, right, {}) is expected


def test_mapping_terms() -> None:
    """People would be shown a value in the wrong spelling, or none where there is no translation."""
    assert in_mapping_terms(STATUS, "john", Side.RIGHT, {}) == "JO"
    assert in_mapping_terms(STATUS, "JO", Side.LEFT, {}) == "JO"
    assert in_mapping_terms(STATUS, "unheard of", Side.RIGHT, {}) == "unheard of"
    assert in_mapping_terms(STATUS, UNSET, Side.RIGHT, {}) is UNSET


def test_what_is_waited_for() -> None:
    """A field that points nowhere would wait for ever."""
    assert wait_for(PERSON, "10", Side.LEFT) == Wait("salesperson", Side.LEFT, "10")
    assert [wait_for(PERSON, value, Side.LEFT) for value in (None, "", UNSET)] == [None] * 3
    assert wait_for(PLAIN, "10", Side.LEFT) is None
