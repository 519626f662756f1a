"""``recouple.toml``: what is taken as it is meant, and every fault with its place."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.unit.workers.mapping_samples import APPS, FIRST, HEAD, NAME, PLACE, faults_of, has_fault
from workers.mapping import (
    App,
    Confirms,
    DeletionRule,
    Detect,
    Direction,
    MappedField,
    Ordering,
    Table,
    UpdateRule,
)
from workers.mapping_file import MappingFileError, load_mapping_file, parse_mapping_file

ROOT = Path(__file__).parents[3]

FAULTS = {
    # the file
    "no TOML": ("[apps", "", "it is not TOML"),
    "the same key twice": ("[apps.bc]\n[apps.bc]", "", "it is not TOML"),
    "no app": (HEAD + NAME, "", "there is no app"),
    "apps that are no table": ("apps = 1" + HEAD + NAME, "", "apps must be a table"),
    "no mapping": (APPS, "", "there is no mapping"),
    "mappings that are no list": (
        APPS.replace("[apps.bc]", "mappings = 1\n[apps.bc]", 1),
        "",
        "mappings must be a list",
    ),
    "a mapping that is no table": ("mappings = [1]" + APPS, "mappings[1]", "must be a table"),
    "an option that is not known": ("maping = 1" + APPS + HEAD + NAME, "", "(did you mean 'mappings'?)"),
    # apps
    "an app that is no table": (
        "[apps]\nbc = 1\n" + APPS.replace("[apps.bc]", "") + HEAD + NAME,
        "apps.bc",
        "must be a",
    ),
    "an app's name": (APPS + "[apps.BC]" + HEAD + NAME, "apps.BC", "'BC' is no name"),
    "an app's long name": (APPS + f"[apps.{'a' * 41}]" + HEAD + NAME, f"apps.{'a' * 41}", "is no name"),
    "a reserved app": (APPS + "[apps.ops]" + HEAD + NAME, "apps.ops", "'ops' is reserved"),
    "another reserved app": (APPS + "[apps.recouple]" + HEAD + NAME, "apps.recouple", "'recouple' is reserved"),
    "an option of an app": (APPS + "confirm = 'echo'" + HEAD + NAME, "apps.silent", "(did you mean 'confirms'?)"),
    "a record_url without key": (
        APPS + "record_url = 'https://x.example/{table}'" + HEAD + NAME,
        "apps.silent",
        "record_url must contain {key}",
    ),
    "a record_url with another name": (
        APPS + "record_url = 'https://x.example/{id}/{key}'" + HEAD + NAME,
        "apps.silent",
        "not {id}",
    ),
    "a record_url that runs code": (
        APPS + "record_url = 'javascript:alert({key})'" + HEAD + NAME,
        "apps.silent",
        "must begin with a scheme",
    ),
    "an order": (APPS + "order = 'versions'" + HEAD + NAME, "apps.silent", "(did you mean 'version'?)"),
    "checks_version that is a text": (APPS + "checks_version = 'no'" + HEAD + NAME, "apps.silent", "true or false"),
    "a length of time": (APPS + "answer_within = '10 min'" + HEAD + NAME, "apps.silent", "is no length of time"),
    "a length of time that is a number": (APPS + "answer_within = 10" + HEAD + NAME, "apps.silent", "a text in quotes"),
    "no time to answer": (APPS + "answer_within = '0s'" + HEAD + NAME, "apps.silent", "longer than nothing"),
    "an empty title": (APPS + "title = ''" + HEAD + NAME, "apps.silent", "title must not be empty"),
    # a mapping
    "no name": (APPS + HEAD.replace('name = "customer"', "") + NAME, "mappings[1]", "name is missing"),
    "a mapping's name": (APPS + HEAD.replace('"customer"', '"Kunde 1"') + NAME, "mappings[1] Kunde 1", "is no name"),
    "a reserved mapping": (APPS + HEAD.replace('"customer"', '"ops"') + NAME, "mappings[1] ops", "is reserved"),
    "an option of a mapping": (APPS + HEAD + "on_delete = 'manual'" + NAME, PLACE, "(did you mean 'on_deletion'?)"),
    "no left": (APPS + HEAD.replace('left = "bc/customer"', "") + NAME, PLACE, "left is missing"),
    "a table without app": (APPS + HEAD.replace("bc/", "") + NAME, PLACE, "left = 'customer' must read app/table"),
    "a table with two slashes": (APPS + HEAD.replace("bc/", "bc/x/") + NAME, PLACE, "must read app/table"),
    "a table without name": (APPS + HEAD.replace("bc/customer", "bc/") + NAME, PLACE, "must read app/table"),
    "a table with U+0000": (APPS + HEAD.replace("bc/", "bc/\\u0000") + NAME, PLACE, "must not hold U+0000"),
    "a table whose routing key is too long": (
        APPS + HEAD.replace("bc/", "bc/" + "ä" * 30) + NAME,
        PLACE,
        "routing key",
    ),
    "an app that is not there": (APPS + HEAD.replace("sales/", "sale/") + NAME, PLACE, "(did you mean 'sales'?)"),
    "a direction": (APPS + HEAD + "direction = 'left'" + NAME, PLACE, "must be one of both, to_left, to_right"),
    "detect": (APPS + HEAD + "detect = 'fields'" + NAME, PLACE, "(did you mean 'field'?)"),
    "arithmetic for a whole mapping": (
        APPS + HEAD + "on_update_conflict = 'max'" + NAME,
        PLACE,
        "must be one of manual",
    ),
    "on_deletion": (APPS + HEAD + "on_deletion = 'left'" + NAME, PLACE, "must be one of manual, restore, delete"),
    "only_coupled": (APPS + HEAD + "only_coupled = 0" + NAME, PLACE, "only_coupled must be true or false"),
    "a negative clock_skew": (APPS + HEAD + "clock_skew = '-2s'" + NAME, PLACE, "'-2s' is no length of time"),
    # match_on
    "match_on without groups": (APPS + HEAD + "match_on = ['name']" + NAME, PLACE, "a list of groups"),
    "match_on with an empty group": (APPS + HEAD + "match_on = [[]]" + NAME, PLACE, "a list of groups"),
    # fields
    "no field": (APPS + HEAD, PLACE, "there is no field"),
    "fields that are no list": (APPS + HEAD + "fields = 1", PLACE, "fields must be a list"),
    "a field without left": (APPS + HEAD + "[[mappings.fields]]\nright = 'a'", FIRST, "left is missing"),
    "a field without right": (APPS + HEAD + "[[mappings.fields]]\nleft = 'a'", FIRST, "right is missing"),
    "an empty field name": (APPS + HEAD + "[[mappings.fields]]\nleft = ''\nright = 'a'", FIRST, "must not be empty"),
    "an option of a field": (APPS + HEAD + NAME + "sensible = true", FIRST, "(did you mean 'sensitive'?)"),
    "sensitive": (APPS + HEAD + NAME + "sensitive = 'yes'", FIRST, "sensitive must be true or false"),
    "on_conflict": (APPS + HEAD + NAME + "on_conflict = 'latest'", FIRST, "must be one of manual, left, right, newest"),
    "a field against its mapping": (
        APPS + HEAD + "direction = 'to_right'" + NAME + "direction = 'to_left'",
        FIRST,
        "runs against the mapping's direction",
    ),
    # values
    "values that are no map": (APPS + HEAD + NAME + "values = 'a'", FIRST, "values must be"),
    "values that are no pairs": (APPS + HEAD + NAME + "values = [['a'], ['b', 'c']]", FIRST, "values must be"),
    "values without any": (APPS + HEAD + NAME + "values = {}", FIRST, "at least one pair"),
    "a value that is a list": (APPS + HEAD + NAME + "values = {a = ['b']}", FIRST, "values: pair 1 must be two texts"),
    "a value that is a date": (APPS + HEAD + NAME + "values = {a = 2024-01-01}", FIRST, "values: pair 1"),
    "a value that no message could hold": (
        APPS + HEAD + NAME + "values = [['a', 1e99999999999999999999], ['b', 1]]",
        FIRST,
        "values: pair 1 must be two texts, numbers, or true or false; a number has at most 38 digits",
    ),
    "a value of too many digits": (APPS + HEAD + NAME + f"values = {{a = {'9' * 39}}}", FIRST, "values: pair 1"),
    "an option that is no number at all": (
        APPS + "title = 1e999999999999999999999" + HEAD + NAME,
        "apps.silent",
        "title",
    ),
    "a value that is no number": (APPS + HEAD + NAME + "values = {a = nan}", FIRST, "values: pair 1"),
    # references
    "if_uncoupled": (APPS + HEAD + NAME + "reference = 'customer'\nif_uncoupled = 'skip'", FIRST, "one of error, omit"),
    "if_uncoupled of nothing": (APPS + HEAD + NAME + "if_uncoupled = 'omit'", FIRST, "there is no reference"),
}


@pytest.mark.parametrize(("text", "place", "sentence"), FAULTS.values(), ids=FAULTS)
def test_names_the_fault_and_its_place(text: str, place: str, sentence: str) -> None:
    """Else a mapping that cannot work would be run, or nobody would find what is wrong with it."""
    faults = faults_of(text)

    assert has_fault(faults, place, sentence), faults


ALONE = FAULTS.keys() - {"apps that are no table", "no app", "an app that is no table", "a mapping that is no table"}


@pytest.mark.parametrize("name", sorted(ALONE))
def test_one_fault_is_one_sentence(name: str) -> None:
    """Else faults that follow from the first would hide what has to be mended."""
    faults = faults_of(FAULTS[name][0])

    assert len(faults) == 1, faults


def test_lists_every_fault_at_once() -> None:
    """Else a file with many faults would take as many attempts to mend."""
    faults = faults_of("""
        [apps.bc]
        answer_within = "soon"
        [apps.sales]
        order = "date"
        color = "red"
        [[mappings]]
        name = "customer"
        left = "bc/customer"
        right = "sles/account"
        detect = "all"
        match_on = [["city"]]
        [[mappings.fields]]
        left = "name"
        [[mappings.fields]]
        left = "limit"
        right = "creditlimit"
        direction = "to_left"
        on_conflict = "add"
    """)

    assert [fault.partition(": ")[0] for fault in faults] == [
        "apps.bc",
        "apps.sales",
        "apps.sales",
        "mappings[1] customer",
        "mappings[1] customer.fields[1]",
        "mappings[1] customer",
        "mappings[1] customer",
        "mappings[1] customer.fields[2]",
    ]


def test_says_all_of_it_in_one_text() -> None:
    """Else the command line would have to know how to put faults together."""
    with pytest.raises(MappingFileError, match=r"recouple.toml has 2 faults; nothing runs until it is mended:\n.*\n.*"):
        parse_mapping_file("[apps.bc]\nx = 1", "recouple.toml")


def test_leaves_values_out_of_its_sentences() -> None:
    """Else a customer's value that stands in a value map would reach a log."""
    text = APPS + HEAD + NAME + "values = [['secret', 'x'], ['other', 'x'], ['secret', {}]]"

    assert not [fault for fault in faults_of(text) if "secret" in fault]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "cannot be read"), (b"\xff\xfe", "not UTF-8 text, from byte 0 on")],
    ids=["missing", "another encoding"],
)
def test_says_why_a_file_cannot_be_read(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    """Else the operator would see a stack trace."""
    path = tmp_path / "recouple.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(MappingFileError, match=sentence):
        load_mapping_file(path)


def test_reads_a_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    """Else a file from a Windows editor would be no TOML."""
    path = tmp_path / "recouple.toml"
    path.write_text(APPS + HEAD + NAME, encoding="utf-8-sig")

    assert list(load_mapping_file(path).mappings) == ["customer"]


def test_fills_in_the_documented_defaults() -> None:
    """Else what the design and the example promise would not be what runs."""
    file = parse_mapping_file(APPS + HEAD + NAME, "recouple.toml")
    mapping = file.mappings["customer"]

    assert file.apps["bc"] == App(
        name="bc",
        title="bc",
        record_url=None,
        order=Ordering.VERSION,
        checks_version=True,
        confirms=Confirms.OUTCOME,
        answer_within=timedelta(minutes=10),
    )
    assert (mapping.left, mapping.right) == (Table(app="bc", name="customer"), Table(app="sales", name="account"))
    assert (mapping.left_app, mapping.right_app) == (file.apps["bc"], file.apps["sales"])
    assert mapping.fields == (MappedField(left="name", right="fullname"),)
    assert (mapping.direction, mapping.detect) == (Direction.BOTH, Detect.RECORD)
    assert (mapping.on_update_conflict, mapping.on_deletion) == (UpdateRule.MANUAL, DeletionRule.MANUAL)
    assert (mapping.only_coupled, mapping.match_on, mapping.clock_skew) == (True, (), timedelta(seconds=2))


def test_takes_every_option_as_it_is_meant() -> None:
    """Else an option would be read and forgotten."""
    file = parse_mapping_file(
        """
        [apps.bc]
        title = "ERP"
        record_url = "bc://open/{table}/{key}"
        order = "time"
        checks_version = false
        confirms = "echo"
        answer_within = "1h30m"
        [apps.sales]
        confirms = "none"
        [[mappings]]
        name = "customer"
        left = "bc/Kunde: ä.#*"
        right = "sales/account"
        direction = "to_right"
        detect = "field"
        on_update_conflict = "newest"
        on_deletion = "restore"
        only_coupled = false
        match_on = [["email"], ["name", "email"]]
        clock_skew = "500ms"
        [[mappings.fields]]
        left = "name"
        right = "fullname"
        direction = "both"
        on_conflict = "left"
        group = "g"
        sensitive = true
        [[mappings.fields]]
        left = "email"
        right = "emailaddress1"
        values = { "" = 1, "b" = 1.5, "c" = true, "d" = "D" }
        [[mappings.fields]]
        left = "parent"
        right = "parentid"
        reference = "customer"
        if_uncoupled = "omit"
        """,
        "recouple.toml",
    )
    mapping = file.mappings["customer"]

    assert file.apps["bc"] == App(
        name="bc",
        title="ERP",
        record_url="bc://open/{table}/{key}",
        order=Ordering.TIME,
        checks_version=False,
        confirms=Confirms.ECHO,
        answer_within=timedelta(hours=1, minutes=30),
    )
    assert str(mapping.left) == "bc/Kunde: ä.#*"
    assert (mapping.direction, mapping.detect) == (Direction.TO_RIGHT, Detect.FIELD)
    assert (mapping.on_update_conflict, mapping.on_deletion) == (UpdateRule.NEWEST, DeletionRule.RESTORE)
    assert (mapping.only_coupled, mapping.clock_skew) == (False, timedelta(milliseconds=500))
    assert mapping.match_on == (("email",), ("name", "email"))
    name, email, parent = mapping.fields
    assert name == MappedField(
        left="name",
        right="fullname",
        direction=Direction.TO_RIGHT,
        on_conflict=UpdateRule.LEFT,
        group="g",
        sensitive=True,
    )
    assert email.values == (("", 1), ("b", Decimal("1.5")), ("c", True), ("d", "D"))
    assert (parent.reference, parent.if_uncoupled) == ("customer", "omit")


def test_the_example_is_in_order_and_shows_every_option() -> None:
    """Else the file that everybody starts from would be refused, or would hide an option."""
    path = ROOT / "recouple.toml"
    file, text = load_mapping_file(path), path.read_text(encoding="utf-8")

    assert (list(file.apps), list(file.mappings)) == (["bc", "sales"], ["salesperson", "customer", "contact"])
    computed = {"left_app", "right_app", "fields", "also_sensitive"}
    for kind in (App, MappedField, type(file.mappings["customer"])):
        for option in set(kind.__struct_fields__) - computed - ({"name"} if kind is App else set()):
            assert re.search(rf"^{option} = ", text, re.MULTILINE), option
