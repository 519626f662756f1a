"""Each command, read: what is taken and as what, and every fault of what is not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from messages.codec import InvalidCommandError, decode_command
from messages.commands import (
    CoupleMatching,
    DeleteRecord,
    Dismiss,
    Keep,
    Order,
    Pause,
    Purge,
    RemoveCoupling,
    RestoreRecord,
    Resume,
    Retry,
    RetryAll,
    Synchronize,
)
from messages.errors import ErrorKind, Family
from messages.orders import ORDERS
from messages.transport.ports import Properties
from tests.unit.messages.samples import LIMITS, ORDERED, compact, ordered

BIGGEST = 2**63 - 1
NUMBER = f"expected an integer from 1 to {BIGGEST}, found "
TARGET = "data: expected exactly one of error, coupling; found "
SCOPE = "data: expected exactly one of app, mapping; found "
CHOICE = "data: expected either keep, or fields and values; found "
NAME = "expected the name of a mapping, found "
DAYS = "data.older_than_days: expected an integer from 0 to 36500, found "
TYPED = "expected text, a number, true, false or null, found "


def read(name: str, data: Any) -> Order:
    """Return what is ordered."""
    return decode_command(compact(ordered(name, data)), Properties(), "recouple", LIMITS).order


def faults(name: str, data: Any) -> list[str]:
    """Return why it is refused, fault by fault."""
    with pytest.raises(InvalidCommandError) as raised:
        read(name, data)
    return list(raised.value.faults)


TAKEN: list[tuple[str, dict[str, Any], Order]] = [
    ("couple_matching", {"mapping": "m"}, CoupleMatching(mapping="m")),
    ("couple_matching", {"mapping": "m", "keep": "right"}, CoupleMatching(mapping="m", keep=Keep.RIGHT)),
    ("remove_coupling", {"error": 1, "coupling": None}, RemoveCoupling(error=1)),
    ("remove_coupling", {"coupling": BIGGEST, "revision": 2}, RemoveCoupling(coupling=BIGGEST, revision=2)),
    ("retry", {"error": 1, "revision": BIGGEST, "unknown": []}, Retry(error=1, revision=BIGGEST)),
    ("retry", {"coupling": 1, "revision": None, "error": None}, Retry(coupling=1)),
    ("restore_record", {"coupling": 1}, RestoreRecord(coupling=1)),
    ("delete_record", {"error": 1}, DeleteRecord(error=1)),
    ("dismiss", {"error": 1, "revision": 2}, Dismiss(error=1, revision=2)),
    ("synchronize", {"error": 1, "keep": "left"}, Synchronize(error=1, keep=Keep.LEFT)),
    ("synchronize", {"mapping": "m", "keep": "left", "fields": {}}, Synchronize(mapping="m", keep=Keep.LEFT)),
    (
        "synchronize",
        {"coupling": 1, "revision": 2, "keep": None, "fields": {"a": "left"}, "values": {"b": None, "c": 1.50}},
        Synchronize(coupling=1, revision=2, fields={"a": Keep.LEFT}, values={"b": None, "c": Decimal("1.5")}),
    ),
    ("synchronize", {"error": 1, "values": {"b": ""}}, Synchronize(error=1, values={"b": ""})),
    ("synchronize", {"error": 1, "values": {"b": False}}, Synchronize(error=1, values={"b": False})),
    ("synchronize", {"error": 1, "values": {"b": 10**38 - 1}}, Synchronize(error=1, values={"b": 10**38 - 1})),
    ("retry_all", {}, RetryAll()),
    ("retry_all", {"kind": "no_answer", "code": None}, RetryAll(kind=ErrorKind.NO_ANSWER)),
    ("retry_all", {"mapping": "m", "code": "c", "fingerprint": "f"}, RetryAll(mapping="m", code="c", fingerprint="f")),
    ("purge", {}, Purge(older_than_days=7)),
    ("purge", {"older_than_days": 0, "all": False}, Purge(older_than_days=0)),
    ("purge", {"older_than_days": 36_500, "all": None}, Purge(older_than_days=36_500)),
    ("purge", {"all": True, "family": "integration"}, Purge(older_than_days=0, family=Family.INTEGRATION)),
    ("pause", {"app": "bc"}, Pause(app="bc")),
    ("pause", {"mapping": "m", "app": None}, Pause(mapping="m")),
    ("resume", {"mapping": "m"}, Resume(mapping="m")),
]


@pytest.mark.parametrize(("name", "data", "order"), TAKEN)
def test_taken(name: str, data: dict[str, Any], order: Order) -> None:
    """What is ordered must be what is done: nothing more, and nothing that was not said."""
    found = read(name, data)
    assert (type(found), found) == (type(order), order)


REFUSED: list[tuple[str, Any, list[str]]] = [
    ("couple_matching", {}, ["data.mapping: missing, expected the name of a mapping"]),
    ("couple_matching", {"mapping": None}, [f"data.mapping: {NAME}null"]),
    (
        "couple_matching",
        {"mapping": "No", "keep": 1},
        [f"data.mapping: {NAME}text", "data.keep: expected left or right, found an integer"],
    ),
    *(
        (name, data, expected)
        for name in ("remove_coupling", "retry", "restore_record", "delete_record")
        for data, expected in [
            ([], ["data: expected an object, found a list"]),
            ({}, [f"{TARGET}none of them"]),
            ({"error": None}, [f"{TARGET}none of them"]),
            ({"error": 1, "coupling": 2}, [f"{TARGET}error, coupling"]),
            ({"error": 0}, [f"data.error: {NUMBER}an integer"]),
            ({"error": True}, [f"data.error: {NUMBER}true or false"]),
            ({"coupling": BIGGEST + 1}, [f"data.coupling: {NUMBER}an integer"]),
            ({"coupling": "12"}, [f"data.coupling: {NUMBER}text"]),
            ({"error": 1.0}, [f"data.error: {NUMBER}a number with a fraction or exponent"]),
            ({"revision": 0}, [f"data.revision: {NUMBER}an integer", f"{TARGET}none of them"]),
            (
                {"error": "a", "coupling": [], "revision": {"a": 1}, "reason": 1},
                [
                    "data.reason: expected text, found an integer",
                    f"data.error: {NUMBER}text",
                    f"data.coupling: {NUMBER}a list",
                    f"data.revision: {NUMBER}an object",
                    f"{TARGET}error, coupling",
                ],
            ),
        ]
    ),
    ("dismiss", {"coupling": 1}, [f"data.error: missing, {NUMBER[: -len(', found ')]}"]),
    ("dismiss", {"error": None, "revision": "1"}, [f"data.error: {NUMBER}null", f"data.revision: {NUMBER}text"]),
    (
        "synchronize",
        {},
        ["data: expected exactly one of error, coupling, mapping; found none of them", f"{CHOICE}none of them"],
    ),
    (
        "synchronize",
        {"error": 1, "mapping": "m", "keep": "left"},
        ["data: expected exactly one of error, coupling, mapping; found error, mapping"],
    ),
    ("synchronize", {"error": 1, "fields": {}, "values": {}}, [f"{CHOICE}none of them"]),
    ("synchronize", {"error": 1, "keep": "left", "fields": {"a": "left"}}, [f"{CHOICE}keep, fields"]),
    ("synchronize", {"error": 1, "keep": "left", "values": {"a": 1}}, [f"{CHOICE}keep, values"]),
    ("synchronize", {"error": 1, "keep": "newest"}, ["data.keep: expected left or right, found text"]),
    (
        "synchronize",
        {"mapping": "m", "revision": 1, "fields": {"a": "left"}, "values": {"b": 1}},
        [
            "data.revision: expected none with mapping: a revision is that of one error",
            "data.fields: expected none with mapping: there, keep alone says which values win",
            "data.values: expected none with mapping: there, keep alone says which values win",
        ],
    ),
    (
        "synchronize",
        {"error": 1, "fields": ["a"], "values": "b"},
        [
            "data.fields: expected an object with left or right for each field, found a list",
            "data.values: expected an object with a value for each field, found text",
        ],
    ),
    (
        "synchronize",
        {"error": 1, "fields": {"a": "up", "b": None, "c": "left", "d": "left"}, "values": {"c": [1], "d": 1}},
        [
            "data.fields.a: expected left or right, found text",
            "data.fields.b: expected left or right, found null",
            f"data.values.c: {TYPED}a list",
            "data.values.c: expected a field that fields does not name",
            "data.values.d: expected a field that fields does not name",
        ],
    ),
    (
        "synchronize",
        {"error": 1, "fields": {"": "left"}, "values": {"": 1, "b": {}}},
        [
            "data.fields: expected the names of fields, found an empty name",
            "data.values: expected the names of fields, found an empty name",
            "data.values.: expected a field that fields does not name",
            f"data.values.b: {TYPED}an object",
        ],
    ),
    (
        "synchronize",
        {"error": 1, "values": {"a": "\0", "b\0": 1, "c": 10**38}},
        [
            "data.values.a: holds the character U+0000",
            "data.values.b\\x00: its name holds the character U+0000",
            "data.values.c: a number of more than 38 digits or with an exponent beyond 308",
        ],
    ),
    (
        "retry_all",
        {"mapping": "", "kind": "conflict", "code": "", "fingerprint": "ü" * 101},
        [
            f"data.mapping: {NAME}text",
            f"data.kind: expected one of {', '.join(ErrorKind)}, found text",
            "data.code: expected text of 1 to 200 bytes, found 0 bytes",
            "data.fingerprint: expected text of 1 to 200 bytes, found 202 bytes",
        ],
    ),
    ("purge", {"older_than_days": -1}, [f"{DAYS}an integer"]),
    ("purge", {"older_than_days": 36_501}, [f"{DAYS}an integer"]),
    ("purge", {"older_than_days": 7.0}, [f"{DAYS}a number with a fraction or exponent"]),
    ("purge", {"older_than_days": True}, [f"{DAYS}true or false"]),
    (
        "purge",
        {"older_than_days": 0, "all": True, "family": "all"},
        [
            "data.family: expected one of coupled_data, integration, found text",
            "data: expected at most one of older_than_days, all; found both",
        ],
    ),
    ("purge", {"all": "yes"}, ["data.all: expected true or false, found text"]),
    *(
        (name, data, expected)
        for name in ("pause", "resume")
        for data, expected in [
            ({}, [f"{SCOPE}none of them"]),
            ({"app": "bc", "mapping": "m"}, [f"{SCOPE}app, mapping"]),
            ({"app": "BC"}, ["data.app: expected the name of an app, found text"]),
            ({"mapping": 1}, [f"data.mapping: {NAME}an integer"]),
        ]
    ),
]


@pytest.mark.parametrize(("name", "data", "expected"), REFUSED)
def test_refused(name: str, data: Any, expected: list[str]) -> None:
    """An operator must be told all that is wrong at once, and nothing may be done that was half said."""
    assert faults(name, data) == expected


def test_every_command_stands_in_these_tables() -> None:
    """Else a command could be added that no table looks at."""
    others = {"couple", "loaded"}  # of which test_decode_commands tells
    assert ORDERED.keys() == ORDERS.keys() == {name for name, *_ in TAKEN} | others
    assert {name for name, *_ in REFUSED} | others == ORDERS.keys()


@pytest.mark.parametrize("name", ORDERED)
def test_typed_values_are_not_told(name: str) -> None:
    """What an operator typed may be personal data; the detail of a refusal is logged."""
    typed = "Mrs Smith"
    data = {member: [typed] for member in ORDERED[name]} | {"reason": [typed]}
    assert not any(typed in fault for fault in faults(name, data))
    if name == "synchronize":
        wrong = {"error": typed, "keep": typed, "fields": {"a": typed}, "values": {"a": [typed], "b": typed + "\0"}}
        assert not any(typed in fault for fault in faults(name, wrong))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (b'"error":7', b'"error":7,"error":8', "data.error: stands twice in one object"),
        (b'"name":"left"', b'"name":"left","name":"right"', "data.fields.name: stands twice in one object"),
        (b'"limit":1.5', b'"limit":1.5,"limit":2.5', "data.values.limit: stands twice in one object"),
        (b'"limit":1.5', b'"limit":1e400', "data.values.limit: a number of more than 38 digits"),
        (b'"limit":1.5', b'"limit":"\\ud800"', "data.values.limit: holds half of a surrogate pair"),
    ],
)
def test_what_was_meant_is_not_known(old: bytes, new: bytes, fault: str) -> None:
    """A value that cannot be kept, or that was said twice, must not be written to both apps."""
    body = compact(ordered("synchronize", ORDERED["synchronize"])).replace(old, new)
    with pytest.raises(InvalidCommandError) as raised:
        decode_command(body, Properties(), "recouple", LIMITS)
    assert len(raised.value.faults) == 1
    assert raised.value.faults[0].startswith(fault)
