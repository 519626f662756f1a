"""What has to fit together in a mapping, and what may stand beside each other."""

from __future__ import annotations

import pytest

from tests.unit.workers.mapping_samples import (
    APPS,
    FIELD,
    FIRST,
    HEAD,
    NAME,
    PLACE,
    SECOND,
    faults_of,
    has_fault,
    other_mapping,
)
from workers.mapping_file import parse_mapping_file

TIMED = """
[apps.timed]
order = "time"
"""

FAULTS = {
    # a mapping
    "two of one name": (
        APPS + HEAD + NAME + other_mapping("bc/a", "sales/a", "customer"),
        "mappings[2] customer",
        "an earlier mapping has the name",
    ),
    "a table to itself": (APPS + HEAD.replace("sales/account", "bc/customer") + NAME, PLACE, "are the same table"),
    "deletion without versions, right": (
        APPS + HEAD.replace("sales/", "careless/") + "on_deletion = 'delete'" + NAME,
        PLACE,
        "'careless' does not check versions",
    ),
    "deletion without versions, left": (
        APPS + HEAD.replace("bc/", "careless/") + "on_deletion = 'delete'" + NAME,
        PLACE,
        "'careless' does not check versions",
    ),
    "deletion by time": (
        APPS + TIMED + HEAD.replace("sales/", "timed/") + "on_deletion = 'delete'" + NAME,
        PLACE,
        "'timed' does not check versions (order = 'time')",
    ),
    "sums by time": (
        APPS + TIMED + HEAD.replace("bc/", "timed/") + NAME + "on_conflict = 'add'",
        FIRST,
        "'timed' does not check versions (order = 'time')",
    ),
    "a silent app, two-way": (APPS + HEAD.replace("sales/", "silent/") + NAME, PLACE, "write direction = 'to_right'"),
    "a silent app as source": (
        APPS + HEAD.replace("sales/", "silent/") + "direction = 'to_left'" + NAME,
        PLACE,
        "can only be the target",
    ),
    "a silent app on the left": (APPS + HEAD.replace("bc/", "silent/") + NAME, PLACE, "write direction = 'to_left'"),
    # match_on
    "match_on of a field that is not mapped": (
        APPS + HEAD + "match_on = [['nam']]" + NAME,
        PLACE,
        "no mapped field has the left name 'nam' (did you mean 'name'?)",
    ),
    "match_on by the right name": (APPS + HEAD + "match_on = [['fullname']]" + NAME, PLACE, "no mapped field"),
    "match_on of one field twice": (APPS + HEAD + "match_on = [['name', 'name']]" + NAME, PLACE, "a field twice"),
    "match_on of a reference": (
        APPS + HEAD + "match_on = [['name']]" + NAME + "reference = 'customer'",
        PLACE,
        "'name' is a reference",
    ),
    "match_on of a map that does not lead back": (
        APPS + HEAD + "match_on = [['name']]" + NAME + "direction = 'to_right'\nvalues = {a = 'x', b = 'x'}",
        PLACE,
        "not one-to-one",
    ),
    # fields
    "a left field twice": (
        APPS + HEAD + NAME + FIELD.replace("phone_no", "name"),
        SECOND,
        "the left field 'name' is mapped already, as fields[1]",
    ),
    "a left field twice, each way": (
        APPS + HEAD + NAME + "direction = 'to_left'" + FIELD.replace("phone_no", "name") + "direction = 'to_right'",
        SECOND,
        "the left field 'name' is mapped already",
    ),
    "a right field twice": (
        APPS + HEAD + NAME + FIELD.replace("telephone1", "fullname") + "direction = 'to_right'",
        SECOND,
        "the right field 'fullname' is mapped already, in the same direction",
    ),
    # groups
    "a group of two directions": (
        APPS + HEAD + NAME + "group = 'g'" + FIELD + "group = 'g'\ndirection = 'to_left'",
        PLACE,
        "group 'g': 'name' flows both and 'phone_no' flows to_left",
    ),
    "a group of two rules": (
        APPS + HEAD + NAME + "group = 'g'\non_conflict = 'left'" + FIELD + "group = 'g'",
        PLACE,
        "'name' has on_conflict = 'left' and 'phone_no' 'manual'",
    ),
    "arithmetic in a group": (APPS + HEAD + NAME + "group = 'g'\non_conflict = 'min'", FIRST, "a group moves together"),
    # arithmetic
    "arithmetic one-way": (
        APPS + HEAD + NAME + "on_conflict = 'max'\ndirection = 'to_left'",
        FIRST,
        "for two-way fields",
    ),
    "arithmetic in a one-way mapping": (
        APPS + HEAD + "direction = 'to_left'" + NAME + "on_conflict = 'min'",
        FIRST,
        "for two-way fields",
    ),
    "arithmetic on mapped values": (
        APPS + HEAD + NAME + "on_conflict = 'min'\nvalues = {a = 1}",
        FIRST,
        "plain numbers",
    ),
    "arithmetic on a reference": (
        APPS + HEAD + NAME + "on_conflict = 'max'\nreference = 'customer'",
        FIRST,
        "plain numbers",
    ),
    "add without versions": (
        APPS + HEAD.replace("bc/", "careless/") + NAME + "on_conflict = 'add'",
        FIRST,
        "could count a change twice, because 'careless'",
    ),
    # values
    "two left values of one right": (
        APPS + HEAD + NAME + "values = {a = 1, b = 2, c = 1.0}",
        FIRST,
        "pairs 1 and 3 have the same right value",
    ),
    "two right values of one left": (
        APPS + HEAD + NAME + "values = [[1, 'a'], [1, 'b']]",
        FIRST,
        "pairs 1 and 2 have the same left value",
    ),
    "two right values of one left, one-way": (
        APPS + HEAD + NAME + "direction = 'to_right'\nvalues = [[1, 'a'], [1, 'b']]",
        FIRST,
        "have the same left value",
    ),
    "values and a reference": (
        APPS + HEAD + NAME + "values = {a = 'b'}\nreference = 'customer'",
        FIRST,
        "values or a reference, not both",
    ),
    # references
    "a reference to nothing": (APPS + HEAD + NAME + "reference = 'custmer'", FIRST, "(did you mean 'customer'?)"),
    "a reference to other apps": (
        APPS + HEAD + NAME + "reference = 'contact'\n" + other_mapping("bc/contact", "careless/contact"),
        FIRST,
        "mapping 'contact' has bc on the left and careless on the right",
    ),
    "a reference the wrong way round": (
        APPS + HEAD + NAME + "reference = 'contact'\n" + other_mapping("sales/contact", "bc/contact"),
        FIRST,
        "it must have bc and sales",
    ),
}


@pytest.mark.parametrize(("text", "place", "sentence"), FAULTS.values(), ids=FAULTS)
def test_names_the_fault_and_its_place(text: str, place: str, sentence: str) -> None:
    """Else a mapping that cannot work would be run, or nobody would find what is wrong with it."""
    faults = faults_of(text)

    assert has_fault(faults, place, sentence), faults


@pytest.mark.parametrize("text", [text for text, _, _ in FAULTS.values()], ids=FAULTS)
def test_one_fault_is_one_sentence(text: str) -> None:
    """Else faults that follow from the first would hide what has to be mended."""
    faults = faults_of(text)

    assert len(faults) == 1, faults


ALLOWED = {
    "a value map that is one-to-one": NAME + "values = [[1, 'a'], ['1', 'b'], [true, 'c'], [1.5, '']]",
    "several left values of one right, to the right": NAME + "direction = 'to_right'\nvalues = {a = 'x', b = 'x'}",
    "several right values of one left, to the left": NAME + "direction = 'to_left'\nvalues = [[1, 'a'], [1, 'b']]",
    "a right field that comes and goes apart": (
        NAME + "direction = 'to_right'" + FIELD.replace("telephone1", "fullname") + "direction = 'to_left'"
    ),
    "a group whose rule is written once and inherited once": (
        NAME + "group = 'g'\non_conflict = 'manual'" + FIELD + "group = 'g'"
    ),
    "arithmetic on two-way numbers": NAME + "on_conflict = 'add'" + FIELD + "on_conflict = 'min'",
    "a reference to its own mapping": NAME + "reference = 'customer'",
    "a reference to another mapping of the same apps": (
        NAME + "reference = 'contact'\n" + other_mapping("bc/contact", "sales/contact")
    ),
    "two mappings of one pair of tables": NAME + other_mapping("bc/customer", "sales/account", "second"),
}


@pytest.mark.parametrize("fields", ALLOWED.values(), ids=ALLOWED)
def test_allows(fields: str) -> None:
    """Else a mapping that works would be refused."""
    assert "customer" in parse_mapping_file(APPS + HEAD + fields, "recouple.toml").mappings


@pytest.mark.parametrize("deletion", ["restore", "delete", "uncouple"])
def test_allows_every_deletion_rule_under_a_one_way_mapping(deletion: str) -> None:
    """Else the rule that acts as manual where nothing flows would have to be left out by hand."""
    text = APPS + HEAD + f"direction = 'to_left'\non_deletion = '{deletion}'" + NAME

    assert parse_mapping_file(text, "recouple.toml").mappings["customer"].on_deletion == deletion
