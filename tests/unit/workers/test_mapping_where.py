"""``where``, limits and paces in the mapping file: what is taken as it is meant, and every fault with its place."""

from __future__ import annotations

from decimal import Decimal

import pytest

from store.model import Side
from tests.unit.workers.mapping_samples import APPS, HEAD, NAME, PLACE, faults_of, has_fault
from workers.mapping import Comparison, Condition
from workers.mapping_file import parse_mapping_file

FIRST = f"{PLACE}.where[1]"


def where(*lines: str) -> str:
    """A mapping file with these conditions."""
    return f"{APPS}{HEAD}where = [{', '.join(lines)}]\n{NAME}"


def one(rest: str) -> str:
    """A mapping file with one condition on the left field ``f``."""
    return where(f"{{ side = 'left', field = 'f', {rest} }}")


FAULTS = {
    "where that is no list": (f"{APPS}{HEAD}where = 'f'\n{NAME}", PLACE, "where must be a list"),
    "where without any": (where(), PLACE, "where must hold a condition, or be left out"),
    "no side": (where("{ field = 'f', is = '=', value = 1 }"), FIRST, "side is missing"),
    "another side": (where("{ side = 'lft', field = 'f', is = '=', value = 1 }"), FIRST, "did you mean 'left'?"),
    "no field": (where("{ side = 'left', is = '=', value = 1 }"), FIRST, "field is missing"),
    "an empty field": (where("{ side = 'left', field = '', is = '=', value = 1 }"), FIRST, "must not be empty"),
    "no comparison": (one("value = 1"), FIRST, "is is missing"),
    "another comparison": (one("is = '==', value = 1"), FIRST, "must be one of =, !=, <, <=, >, >=, in, not in"),
    "no value": (one("is = '='"), FIRST, "value is missing"),
    "an option that is not known": (one("is = '=', value = 1, vale = 2"), FIRST, "(did you mean 'value'?)"),
    "in without a list": (one("is = 'in', value = 'DE'"), FIRST, "value must be a list, because is = 'in'"),
    "not in without a list": (one("is = 'not in', value = 1"), FIRST, "value must be a list, because is = 'not in'"),
    "an empty list": (one("is = 'in', value = []"), FIRST, "value must not be an empty list"),
    "a list for another": (one("is = '=', value = ['DE']"), FIRST, "not '='"),
    "texts and numbers": (one("is = 'in', value = ['1', 1]"), FIRST, "value mixes"),
    "numbers and flags": (one("is = 'in', value = [true, 1]"), FIRST, "value mixes"),
    "a list of lists": (one("is = 'in', value = [['DE']]"), FIRST, "must be a list of texts, numbers"),
    "an order of flags": (one("is = '<', value = true"), FIRST, "neither less nor greater"),
    "a date": (one("is = '<', value = 2024-01-01"), FIRST, "must be a text, a number, or true or false"),
    "a table": (one("is = '=', value = {}"), FIRST, "must be a text, a number, or true or false"),
    "a number that no message could hold": (one("is = '<', value = 1e400"), FIRST, "an exponent up to 308"),
    "no number": (one("is = '<', value = nan"), FIRST, "must be a text, a number, or true or false"),
    "U+0000": (one('is = "=", value = "\\u0000"'), FIRST, "must be a text"),
    "a limit below nothing": (
        APPS + HEAD + "max_deletes_per_minute = -1" + NAME,
        PLACE,
        "max_deletes_per_minute must be a whole number from 0",
    ),
    "a limit that is a flag": (APPS + HEAD + "max_creates_per_minute = true" + NAME, PLACE, "must be a whole number"),
    "a limit that is a text": (APPS + HEAD + "max_creates_per_minute = '9'" + NAME, PLACE, "must be a whole number"),
    "a limit that is a fraction": (APPS + HEAD + "max_creates_per_minute = 0.5" + NAME, PLACE, "a whole number"),
    "a pace of nothing": (
        APPS + "max_instructions_per_second = 0" + HEAD + NAME,
        "apps.silent",
        "max_instructions_per_second must be a whole number from 1",
    ),
}


@pytest.mark.parametrize(("text", "place", "sentence"), FAULTS.values(), ids=FAULTS)
def test_names_the_fault_and_its_place(text: str, place: str, sentence: str) -> None:
    """Else a filter would let in what it was written to keep out, or nobody would find what is wrong with it."""
    faults = faults_of(text)

    assert has_fault(faults, place, sentence), faults
    assert len(faults) == 1, faults


def test_lists_every_fault_at_once() -> None:
    """Else a filter with many faults would take as many attempts to mend."""
    faults = faults_of(where("1", "{ side = 'up', field = 'f', is = 'in', value = [] }", "{ side = 'left' }"))

    assert [fault.partition(": ")[0] for fault in faults].count(f"{PLACE}.where[2]") == 2
    assert [fault.partition(": ")[0] for fault in faults].count(f"{PLACE}.where[3]") == 3
    assert has_fault(faults, FIRST, "must be a table")


def test_leaves_values_out_of_its_sentences() -> None:
    """Else a customer's value that stands in a filter would reach a log."""
    assert not [fault for fault in faults_of(one("is = 'in', value = ['secret', 1]")) if "secret" in fault]


def test_takes_every_condition_as_it_is_meant() -> None:
    """Else a condition would be read and forgotten."""
    text = where(
        "{ side = 'left', field = 'country', is = 'in', value = ['DE', 'AT'] }",
        "{ side = 'right', field = 'limit', is = '>=', value = 1.50 }",
        "{ side = 'right', field = 'active', is = '!=', value = false }",
    )
    assert parse_mapping_file(text, "recouple.toml").mappings["customer"].where == (
        Condition(side=Side.LEFT, field="country", comparison=Comparison.IN, value=("DE", "AT")),
        Condition(side=Side.RIGHT, field="limit", comparison=Comparison.GREATER_OR_EQUAL, value=Decimal("1.50")),
        Condition(side=Side.RIGHT, field="active", comparison=Comparison.NOT_EQUAL, value=False),
    )


def test_takes_limits_and_paces_as_they_are_meant() -> None:
    """Else a limit would be read and forgotten, or one be there that nobody wrote."""
    text = (
        APPS
        + "max_instructions_per_second = 5"
        + HEAD
        + "max_deletes_per_minute = 0\nmax_creates_per_minute = 7"
        + NAME
    )
    file = parse_mapping_file(text, "recouple.toml")
    mapping = file.mappings["customer"]
    assert (mapping.max_deletes_per_minute, mapping.max_creates_per_minute) == (0, 7)
    assert [app.max_instructions_per_second for app in file.apps.values()] == [None, None, None, 5]

    default = parse_mapping_file(APPS + HEAD + NAME, "recouple.toml").mappings["customer"]
    assert (default.where, default.max_deletes_per_minute, default.max_creates_per_minute) == ((), 100, 1000)
