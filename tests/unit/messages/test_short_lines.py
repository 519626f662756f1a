"""The short form of a change: what an operator types or exports, with every fault said."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from messages.changes import Change, Operation
from messages.codec import MalformedMessageError, decode_app_message, encode_change, expand_short
from messages.records import RecordRef
from messages.transport.ports import Properties
from tests.unit.messages.samples import ABSENT, LIMITS, NOW, changed

LINE: dict[str, Any] = {
    "app": "bc",
    "table": "customer",
    "key": "A/1",
    "operation": "create",
    "version": 1,
    "fields": {"name": "Adatum"},
}


def nested(depth: int) -> dict[str, Any]:
    """Fields of so many levels."""
    return {"a": [] if depth == 2 else nested(depth - 1)}


def test_a_line() -> None:
    """Every member in its place, and the id made up."""
    change = expand_short(LINE)
    assert change == Change(
        record=RecordRef("bc", "customer", "A/1"),
        id=change.id,
        operation=Operation.CREATE,
        version=1,
        fields={"name": "Adatum"},
    )


def test_optional_members() -> None:
    """What a full event can say, a line can say too."""
    line = LINE | {"id": "e-1", "time": "2026-11-20T10:00:00+02:00", "modified_by": "jane", "instruction": "i-1"}
    change = expand_short(line)
    assert (change.id, change.at, change.modified_by, change.instruction) == ("e-1", NOW, "jane", "i-1")


def test_a_line_arrives() -> None:
    """What ``recouple publish`` accepts, the workers must accept."""
    change = expand_short(LINE)
    publication = encode_change(change, "recouple")
    found = decode_app_message(publication.body, publication.properties, "bc", LIMITS)
    assert msgspec.structs.replace(found, digest="") == change


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("fields", nested(30)),  # in the event they stand a level deeper
        ("operation", "delete"),
        ("no\ud800text", 1),
    ],
)
def test_whatever_is_taken_arrives(path: str, value: Any) -> None:
    """What ``recouple publish`` accepts, the workers must accept, as the very same change."""
    change = expand_short(changed(LINE, path, value))
    found = decode_app_message(encode_change(change, "recouple").body, Properties(), "bc", LIMITS)
    assert msgspec.structs.replace(found, digest="") == change


@pytest.mark.parametrize(
    ("path", "value", "is_same"),
    [
        ("fields", {}, True),
        ("modified_by", "jane", True),
        ("time", "2026-11-20T08:00:00Z", True),
        ("app", "sales", False),
        ("table", "vendor", False),
        ("key", "A/2", False),
        ("operation", "read", False),
        ("version", 2, False),
    ],
)
def test_made_up_id(path: str, value: Any, *, is_same: bool) -> None:
    """A file published twice must be one set of events; two events of one record must be two."""
    assert (expand_short(changed(LINE, path, value)).id == expand_short(LINE).id) is is_same


def test_made_up_id_without_version() -> None:
    """Where times order, they tell events apart."""
    lines = [changed(LINE, "version", ABSENT) | {"time": f"2026-11-20T08:00:0{second}Z"} for second in (0, 1)]
    assert expand_short(lines[0]).id != expand_short(lines[1]).id
    assert expand_short(lines[0]).id == expand_short(lines[0] | {"time": "2026-11-20T10:00:00+02:00"}).id


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("app", ABSENT, "app: missing"),
        ("app", "BC", "app: expected a name of 1 to 40 of the characters a-z"),
        ("app", "bc\n", "app: expected a name"),
        ("table", "a/b", "table: the name of a table must not hold a /"),
        ("table", "", "table: the name of a table must not be empty"),
        ("table", "x" * 151, "table: the name of the table takes 151 bytes"),
        ("table", 5, "table: expected the name of a table, found an integer"),
        ("key", "", "key: expected text of 1 to 1024 bytes, found 0 bytes"),
        ("key", 10000, "key: expected text of 1 to 1024 bytes, found an integer"),
        ("operation", "insert", "operation: expected one of create"),
        ("version", "1", "version: expected an integer"),
        ("fields", ABSENT, "fields: expected an object, found nothing"),
        ("fields", {"a": "\0"}, "fields.a: holds the character U+0000"),
        ("fields", {"a": 10**38}, "fields.a: a number of more than 38 digits"),
        (
            "fields",
            {"a": [Decimal("1e400")]},
            "fields.a[0]: a number of more than 38 digits or with an exponent beyond 308",
        ),
        ("fields", {"a": Decimal("NaN")}, "fields.a: a number"),
        ("operation", "\ud800", "operation: holds half of a surrogate pair"),
        ("time", "0001-01-01T00:00:00+14:00", "time: expected a time in the years 1 to 9999"),
        ("fields", nested(31), "fields: nested deeper than 30 levels"),
    ],
)
def test_bad_line(path: str, value: Any, words: str) -> None:
    """A mistake in a file must be told before anything is published, with the member that it is in."""
    with pytest.raises(MalformedMessageError) as raised:
        expand_short(changed(LINE, path, value))
    assert words in raised.value.detail
    assert raised.value.field.startswith(path)


def test_all_faults_of_a_line() -> None:
    """Files have the same mistakes in every column of a line."""
    with pytest.raises(MalformedMessageError) as raised:
        expand_short({"table": "a/b", "key": "", "version": -1})
    for path in ("app", "table", "key", "operation", "version", "fields"):
        assert f"{path}: " in raised.value.detail
