"""What apps may say, in all the ways in which they may say it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from messages.changes import Change, Operation
from messages.outcomes import Applied, Failed, FailureCode
from messages.records import RecordRef
from tests.unit.messages.samples import ABSENT, APPLIED, CHANGE, FAILED, NOW, TRACE, changed, compact, decode


def change(event: dict[str, Any] | bytes) -> Change:
    """Decode what must be a change."""
    message = decode(event)
    assert isinstance(message, Change)
    return message


def test_a_change() -> None:
    """Each member must arrive in its own place; one taken for another corrupts images."""
    message = change(changed(CHANGE, "traceparent", TRACE))
    assert message == Change(
        record=RecordRef("bc", "customer", "10000"),
        id="e-1",
        operation=Operation.UPDATE,
        version=17,
        at=NOW,
        fields={"name": "Adatum", "limit": 10000},
        modified_by="jane",
        instruction="i-9",
        traceparent=TRACE,
        digest=message.digest,
    )
    assert len(message.digest) == 32


def test_an_applied_outcome() -> None:
    """The key and version that the app gives are what a coupling goes by afterwards."""
    message = decode(APPLIED)
    assert message == Applied(
        app="bc", id="e-2", instruction="i-9", attempt=1, key="K1", version=18, fields={"name": "Adatum"},
        digest=message.digest,
    )  # fmt: skip


def test_a_failed_outcome() -> None:
    """Code and wait decide what follows."""
    message = decode(FAILED)
    assert message == Failed(
        app="bc", id="e-3", instruction="i-9", attempt=2, code=FailureCode.RATE_LIMITED, detail="slow down",
        retry_after=timedelta(seconds=1.5), digest=message.digest,
    )  # fmt: skip


def test_what_may_be_left_out() -> None:
    """Small apps leave out all that is optional, large ones write null for it; both are heard, and mean the same."""
    lean = {**CHANGE, "data": {"operation": "delete"}}
    del lean["time"]
    full = {**lean, "time": None, "data": {"operation": "delete"} | dict.fromkeys(
        ("version", "fields", "modified_by", "instruction")
    )}  # fmt: skip
    for event in (lean, full):
        message = change(event)
        assert (message.version, message.at, message.fields, message.modified_by, message.instruction) == (
            None, None, {}, None, None,
        )  # fmt: skip
    outcome = decode({**APPLIED, "data": {"instruction": "i-9"}})
    assert outcome == Applied(app="bc", id="e-2", instruction="i-9", digest=outcome.digest)
    failure = decode({**FAILED, "data": {"instruction": "i-9", "code": "other", "retry_after": None, "detail": None}})
    assert failure == Failed(app="bc", id="e-3", instruction="i-9", code=FailureCode.OTHER, digest=failure.digest)


@pytest.mark.parametrize("operation", list(Operation))
def test_empty_fields(operation: Operation) -> None:
    """An event without any field of interest is still an event: it moves the version."""
    event = changed(changed(CHANGE, "data.operation", operation.value), "data.fields", {})
    assert change(event).fields == {}


def test_fields_of_a_delete_are_dropped() -> None:
    """A deleted record has no fields; kept ones would look like a record that is alive."""
    assert change(changed(CHANGE, "data.operation", "delete")).fields == {}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("partitionkey", "7"),
        ("datacontenttype", "application/json"),
        ("unknown", {"a": "\0", "b": [10**50]}),
        ("data.unknown", {"a": "\0", "b": [10**50]}),
        ("data.unknown", None),
    ],
)
def test_unknown_members_are_ignored(path: str, value: Any) -> None:
    """The contract promises that an app may say more than we know; refusing it would stop every newer app."""
    assert change(changed(CHANGE, path, value)) == change(CHANGE)


def test_unknown_members_may_stand_twice() -> None:
    """What is ignored is ignored whole."""
    body = compact(CHANGE).replace(b'"data":{', b'"x":1,"x":2,"data":{"y":1,"y":1,')
    assert change(body) == change(CHANGE)


@pytest.mark.parametrize("trace", ["", "nonsense", 7, None, TRACE.upper(), TRACE + "\n", TRACE.replace("4bf9", "00-0")])
def test_a_broken_trace_loses_only_the_trace(trace: Any) -> None:
    """Tracing is a convenience; a broken header of some proxy must not stop data, nor reach a log as it is."""
    assert change(changed(CHANGE, "traceparent", trace)).traceparent is None


@pytest.mark.parametrize(
    ("subject", "table", "key"),
    [
        ("customer/10000", "customer", "10000"),
        ("customer/A/1/", "customer", "A/1/"),
        ("Sales Invoice/ü €", "Sales Invoice", "ü €"),
        ("customer/a\nb\tc\x7f\x01", "customer", "a\nb\tc\x7f\x01"),
        ("customer/" + "k" * 1024, "customer", "k" * 1024),
        ("customer/ ", "customer", " "),
    ],
)
def test_subjects(subject: str, table: str, key: str) -> None:
    """Keys are the app's own: all that it can write in JSON is a key, and the table ends at the first slash."""
    assert change(changed(CHANGE, "subject", subject)).record == RecordRef("bc", table, key)


@pytest.mark.parametrize(
    ("time", "at"),
    [
        ("2026-11-20T08:00:00Z", NOW),
        ("2026-11-20T10:00:00+02:00", NOW),
        ("2026-11-20T08:00:00.123456Z", NOW.replace(microsecond=123456)),
        ("2026-11-20T08:00:00.1234564Z", NOW.replace(microsecond=123456)),
    ],
)
def test_times(time: str, at: datetime) -> None:
    """Where ``time`` orders, an offset taken wrongly is an order taken wrongly; all times leave here in UTC."""
    message = change(changed(CHANGE, "time", time))
    assert message.at == at
    assert message.at is not None
    assert message.at.tzinfo is UTC


@pytest.mark.parametrize("version", [0, 1, 2**53 + 1, 2**63 - 1])
def test_versions(version: int) -> None:
    """A version that passed through a float would tie two different ones from 2⁵³ on."""
    assert change(changed(CHANGE, "data.version", version)).version == version


def test_values_arrive_as_they_were_sent() -> None:
    """A decimal must not become a float, nor true a number, nor null a missing field, at any depth."""
    fields = b'{"a":0.10,"b":1e2,"c":true,"d":null,"e":[1.50,{"f":"\\\\u0000"}],"g":-0.0,"h":"2026-11-20T08:00:00Z"}'
    body = compact(CHANGE).replace(b'{"name":"Adatum","limit":10000}', fields)
    found = change(body).fields
    assert found == {
        "a": Decimal("0.10"),
        "b": Decimal("1e2"),
        "c": True,
        "d": None,
        "e": [Decimal("1.50"), {"f": "\\u0000"}],
        "g": Decimal("-0.0"),
        "h": "2026-11-20T08:00:00Z",
    }
    assert str(found["a"]) == "0.10"


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(CHANGE).encode(),
        json.dumps(CHANGE, indent=4).encode(),
        json.dumps(CHANGE, separators=(" , ", " : ")).encode(),
        json.dumps(CHANGE, sort_keys=True).encode(),
        b"\r\n\t " + compact(CHANGE) + b"\n",
        compact(CHANGE).replace(b'"id"', b'"\\u0069d"'),
    ],
)
def test_every_spelling_of_the_same_json(body: bytes) -> None:
    """White space and the order of members mean nothing; a duplicate is known whatever program wrote it again."""
    assert change(body) == change(CHANGE)


@pytest.mark.parametrize(
    ("path", "value", "is_same"),
    [
        ("time", "2026-11-20T09:00:00Z", True),
        ("traceparent", TRACE, True),
        ("source", "bc", True),
        ("unknown", 1, True),
        ("subject", "customer/10001", False),
        ("data.version", 18, False),
        ("data.version", ABSENT, False),
        ("data.operation", "read", False),
        ("data.fields.name", "adatum", False),
        ("data.fields.name", None, False),
        ("data.fields.name", ABSENT, False),
        ("data.fields.limit", "10000", False),
        ("data.modified_by", "joe", False),
        ("data.instruction", "i-10", False),
    ],
)
def test_digest_is_of_the_content(path: str, value: Any, *, is_same: bool) -> None:
    """Too coarse, and an id used twice swallows a change; too fine, and a message sent again goes to dead."""
    assert (change(changed(CHANGE, path, value)).digest == change(CHANGE).digest) is is_same


@pytest.mark.parametrize("few_or_many", [2, 500])
def test_digest_does_not_depend_on_the_order_of_members(few_or_many: int) -> None:
    """An app whose library shuffles them would send an event again, and it would be dead for its id."""
    names = [f"{chr(0x10FFFF - 7 * one)}{one}é" for one in range(few_or_many)]
    fields = {name: {"b": 1, "a": [{"d": 1, "c": 2}]} for name in names}
    turned = {name: {"a": [{"c": 2, "d": 1}], "b": 1} for name in reversed(names)}
    assert (
        change(changed(CHANGE, "data.fields", fields)).digest == change(changed(CHANGE, "data.fields", turned)).digest
    )


def test_digest_tells_types_apart() -> None:
    """An outcome that bears the id of a change is no duplicate of it."""
    data = {"instruction": "i-9"}
    assert decode({**APPLIED, "data": data}).digest != decode({**FAILED, "data": data | {"code": "other"}}).digest


@pytest.mark.parametrize("number", [b"1e-400", b"0." + b"1" * 50, b"604800.0" + b"0" * 50])
@pytest.mark.parametrize("more", [b"", b'"unknown":[1],'])
def test_a_wait_of_any_precision(number: bytes, more: bytes) -> None:
    """Whether an answer is taken must not depend on what else stands in it; a wait is no field value."""
    body = compact(FAILED).replace(b"1.5", number).replace(b"{", b"{" + more, 1)
    failed = decode(body)
    assert isinstance(failed, Failed)
    assert failed.retry_after is not None
    assert abs(failed.retry_after.total_seconds() - float(number)) < 1e-6
