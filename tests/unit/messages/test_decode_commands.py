"""What is wrong with a command: dead where nobody can be answered, refused where somebody can."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from messages.codec import InvalidCommandError, MalformedMessageError, decode_command, encode_answer, head_of
from messages.commands import Command, Couple, Keep, RefusalCode, Refused
from messages.dead import DeadReason
from messages.faults import CommandHead
from messages.records import RecordRef
from messages.transport.ports import Properties
from tests.unit.messages.samples import ABSENT, COUPLE, LIMITS, NOW, TRACE, changed, compact

REPLY = Properties(reply_to="recouple.replies.jane", user_id="jane")
RECORD = "expected a record as app/table/key, for example bc/customer/10000, found "


def decode(body: dict[str, Any] | bytes, properties: Properties = REPLY) -> Command:
    """Decode under the namespace ``recouple``."""
    return decode_command(body if isinstance(body, bytes) else compact(body), properties, "recouple", LIMITS)


def invalid(body: dict[str, Any] | bytes) -> InvalidCommandError:
    """Return the refusal."""
    with pytest.raises(InvalidCommandError) as raised:
        decode(body)
    return raised.value


def test_a_command() -> None:
    """Each member in its place, and the user as the broker knows it."""
    command = decode(changed(COUPLE, "traceparent", TRACE))
    order = Couple(
        left=RecordRef("bc", "customer", "10000"), right=RecordRef("sales", "account", "A/1"), keep=Keep.LEFT
    )
    assert command == Command(
        id="c-1",
        source="ops/jane",
        name="couple",
        order=order,
        reason="the same firm",
        reply_to="recouple.replies.jane",
        user_id="jane",
        traceparent=TRACE,
        digest=command.digest,
    )


@pytest.mark.parametrize(
    ("body", "properties", "reason", "field"),
    [
        (b"nonsense", REPLY, DeadReason.NOT_JSON, ""),
        (b"[]", REPLY, DeadReason.MALFORMED, ""),
        (b"[" * 100_000, REPLY, DeadReason.TOO_DEEP, ""),
        (b" " * 2_000_000, REPLY, DeadReason.TOO_LARGE, ""),
        (compact(COUPLE), Properties(content_encoding="gzip"), DeadReason.WRONG_ENCODING, ""),
        (changed(COUPLE, "specversion", "2"), REPLY, DeadReason.MALFORMED, "specversion"),
        (changed(COUPLE, "id", ABSENT), REPLY, DeadReason.MALFORMED, "id"),
        (changed(COUPLE, "id", "a\0"), REPLY, DeadReason.NUL_CHARACTER, "id"),
        (changed(COUPLE, "source", ABSENT), REPLY, DeadReason.MALFORMED, "source"),
        (changed(COUPLE, "type", ABSENT), REPLY, DeadReason.MALFORMED, "type"),
        (changed(COUPLE, "type", "recouple.record.changed"), REPLY, DeadReason.UNKNOWN_TYPE, "type"),
        (compact(COUPLE).replace(b'"id"', b'"id":"c-0","id"'), REPLY, DeadReason.DUPLICATE_MEMBER, "id"),
        (COUPLE, Properties(reply_to="recouple.changes.bc"), DeadReason.REPLY_NOT_ALLOWED, "reply_to"),
        (COUPLE, Properties(reply_to=""), DeadReason.REPLY_NOT_ALLOWED, "reply_to"),
        (changed(COUPLE, "data", ABSENT), Properties(reply_to="x"), DeadReason.REPLY_NOT_ALLOWED, "reply_to"),
    ],
)
def test_dead(body: Any, properties: Properties, reason: DeadReason, field: str) -> None:
    """Where it is not known who ordered, or the answer may not go there, nothing may be done and nothing sent."""
    with pytest.raises(MalformedMessageError) as raised:
        decode(body, properties)
    assert (raised.value.reason, raised.value.field) == (reason, field)


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        ("data", ABSENT, "data: missing, expected an object"),
        ("data", [], "data: expected an object, found a list"),
        ("data.left", ABSENT, "data.left: missing, expected a record as app/table/key"),
        ("data.left", "bc/customer", "data.left: " + RECORD + "text"),
        ("data.left", "BC/customer/1", "data.left: " + RECORD + "text"),
        ("data.left", "bc/customer/", "data.left: " + RECORD + "text"),
        ("data.left", "bc//1", "data.left: " + RECORD + "text"),
        ("data.left", "bc/customer/" + "k" * 1025, "data.left: " + RECORD + "text"),
        (
            "data.left",
            "bc/customer/" + "€" * 342,
            "data.left: expected a record with a key of 1 to 1024 bytes, found a",
        ),
        ("data.left", "bc/customer/a\0", "data.left: holds the character U+0000"),
        ("data.right", 5, "data.right: " + RECORD + "an integer"),
        ("data.keep", "both", "data.keep: expected left or right, found text"),
        ("data.mapping", "no such\n", "data.mapping: expected the name of a mapping, found text"),
        ("data.reason", 5, "data.reason: expected text, found an integer"),
        ("type", "recouple.command.uncouple", "type: no such command; there are couple, couple_matching, "),
        ("type", "recouple.command.", "type: no such command; there are couple, couple_matching, "),
        ("type", "recouple.command.X\n" * 9, "type: no such command; there are couple, couple_matching, "),
    ],
)
def test_refused(path: str, value: Any, fault: str) -> None:
    """An operator who mistyped must get an answer that says what, not a time-out."""
    error = invalid(changed(COUPLE, path, value))
    assert any(found.startswith(fault) for found in error.faults), error.faults
    assert (error.command.id, error.command.reply_to) == ("c-1", "recouple.replies.jane")
    refused = Refused(command=error.command.name, code=RefusalCode.INVALID, detail=str(error))
    assert encode_answer(refused, error.command, NOW).routing_key == "recouple.replies.jane"


def test_all_faults_of_a_command() -> None:
    """One answer lists them all."""
    error = invalid(changed(changed(changed(COUPLE, "data.left", 1), "data.right", ABSENT), "data.keep", 2))
    assert [fault.split(":")[0] for fault in error.faults] == ["data.left", "data.right", "data.keep"]


def test_data_twice_is_refused() -> None:
    """Which of two orders was meant is not known."""
    body = compact(COUPLE).replace(b'"data":', b'"data":{},"data":')
    assert invalid(body).faults == ("data: stands twice in one object",)
    body = compact(COUPLE).replace(b'"keep":', b'"keep":"right","keep":')
    assert invalid(body).faults == ("data.keep: stands twice in one object",)


def test_typed_values_are_not_told() -> None:
    """What an operator typed may be personal data; the fault is logged."""
    assert "Smith" not in str(invalid(changed(changed(COUPLE, "data.left", "Smith"), "data.keep", "Smith")))


def test_a_command_that_wants_no_answer() -> None:
    """``--no-wait`` names no queue."""
    assert decode(COUPLE, Properties()).reply_to is None


def test_digest_of_a_command() -> None:
    """The same id with another order must be seen; the same order written differently must not."""
    digest = decode(COUPLE).digest
    assert decode(changed(COUPLE, "unknown", 1)).digest == digest
    assert decode(changed(COUPLE, "data.unknown", 1)).digest == digest
    assert decode(changed(COUPLE, "data.keep", "right")).digest != digest


def test_what_is_not_known_is_not_read() -> None:
    """The name of a member that we do not know may be no text at all; it must not stop a worker."""
    body = json.dumps(changed(COUPLE, "data.no\ud800text", 1)).encode()
    assert decode(body) == decode(COUPLE)


PROPERTIES = Properties(message_id="c1", type="recouple.command.couple", app_id="ops/jane", reply_to="ns.replies.jane")


def test_enough_to_say_no_stands_in_the_properties() -> None:
    """Else a command whose body must not be read, as it kills its reader, could not be answered."""
    head = head_of(replace(PROPERTIES, user_id="jane"), "ns")
    assert head == CommandHead(
        id="c1", source="ops/jane", name="couple", reply_to="ns.replies.jane", user_id="jane", traceparent=None
    )


@pytest.mark.parametrize(
    "properties",
    [
        replace(PROPERTIES, message_id=None),
        replace(PROPERTIES, message_id=""),
        replace(PROPERTIES, type=None),
        replace(PROPERTIES, type="recouple.record.changed"),
        replace(PROPERTIES, reply_to="ns.changes.bc"),
    ],
    ids=["no id", "an empty id", "no type", "no command", "no reply queue"],
)
def test_who_cannot_be_answered_is_not(properties: Properties) -> None:
    """Else an answer would go astray, or into a queue that is not for answers."""
    assert head_of(properties, "ns") is None
