"""What is encoded is what is decoded, for every message; and each goes where the contract says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from messages import codec
from messages.changes import Change, Operation
from messages.commands import Command, Couple, Done, Keep, Loaded, RefusalCode, Refused
from messages.errors import (
    Difference,
    ErrorEvent,
    ErrorKind,
    ErrorMessage,
    ErrorReport,
    ErrorSide,
    ErrorStatus,
    Handling,
)
from messages.instructions import Action, Instruction, Reason
from messages.outcomes import Applied, Failed, FailureCode
from messages.records import RecordRef
from messages.transport.ports import Properties, Publication
from messages.values import decode_json, encode_json
from tests.unit.messages.samples import LIMITS, NOW, TRACE

FIELDS = {"name": "Ada\ttüm", "limit": Decimal("10000.50"), "blocked": False, "note": None, "tags": ["a", {"b": 1}]}
BIG = 10**30

CHANGES = [
    Change(
        record=RecordRef("bc", "Sales Invoice", "A/1"),
        id="e-1",
        operation=Operation.CREATE,
        version=17,
        at=NOW,
        fields=FIELDS | {"big": BIG},
        modified_by="jane",
        instruction="i-1",
        traceparent=TRACE,
    ),
    Change(record=RecordRef("bc", "customer", "1"), id="e-2", operation=Operation.DELETE, version=0),
    Change(record=RecordRef("bc", "customer", "1"), id="e-3", operation=Operation.READ, at=NOW),
]
OUTCOMES: list[Applied | Failed] = [
    Applied(app="bc", id="o-1", instruction="i-1"),
    Applied(
        app="bc",
        id="o-2",
        instruction="i-1",
        attempt=3,
        key="K/1",
        version=18,
        at=NOW,
        fields=FIELDS,
        traceparent=TRACE,
    ),
    Applied(app="bc", id="o-3", instruction="i-1", fields={}),
    Failed(app="bc", id="o-4", instruction="i-1", code=FailureCode.OTHER),
    Failed(
        app="bc",
        id="o-5",
        instruction="i-1",
        code=FailureCode.UNAVAILABLE,
        attempt=2,
        detail="down for repair",
        retry_after=timedelta(seconds=0),
        at=NOW,
        traceparent=TRACE,
    ),
]
INSTRUCTION = Instruction(
    app="sales",
    id="i-1",
    action=Action.UPDATE,
    table="account",
    key="A/1",
    fields={"telephone1": "+49 30 1", "limit": Decimal("1.50")},
    if_version=16,
    coupling=12,
    reason=Reason.SYNC,
    attempt=2,
    traceparent=TRACE,
)
REPORT = ErrorReport(
    error=7,
    kind=ErrorKind.UPDATE_CONFLICT,
    family=ErrorKind.UPDATE_CONFLICT.family,
    status=ErrorStatus.OPEN,
    revision=3,
    mapping="customer",
    coupling=12,
    title="Both sides changed",
    detail="bc/customer/1 and sales/account/2 both changed phone_no; choose one.",
    left=ErrorSide(app="bc", table="customer", key="1", exists=True, version=4, modified_at=NOW, fields=FIELDS),
    right=ErrorSide(app="sales", table="account", key="2"),
    base={"phone_no": "1"},
    differences=(
        Difference(field="phone_no", contested=True, base="1", left="2", right=None),
        Difference(field="name", contested=False, left=Decimal("1.50")),
    ),
    actions=("synchronize", "remove_coupling"),
    opened_at=NOW,
    history=(
        Handling(at=NOW, command="retry", id="c-7", by="ops/jane (jane)", reason="again", revision=2, effect="sent"),
        Handling(at=NOW + timedelta(microseconds=1), command="retry_all", id="c-8", by="ops/kim"),
    ),
)
COMMANDS = [
    Command(
        id="c-1",
        source="ops/jane",
        name="couple",
        order=Couple(left=RecordRef("bc", "customer", "1/2"), right=RecordRef("sales", "account", "A"), keep=Keep.LEFT),
        reason="the same firm",
        reply_to="recouple.replies.jane",
        traceparent=TRACE,
    ),
    Command(
        id="c-2",
        source="ops/jane",
        name="couple",
        order=Couple(left=RecordRef("bc", "customer", "1"), right=RecordRef("sales", "account", "A"), mapping="m-1"),
    ),
    Command(id="c-3", source="ops", name="loaded", order=Loaded(app="bc", table="Sales Invoice")),
]
ANSWERS: list[Done | Refused] = [
    Done(command="couple", result={"coupling": 12, "sum": Decimal("1.50")}),
    Refused(command="couple", code=RefusalCode.NOT_FOUND, detail="no such error"),
    Refused(command="couple", code=RefusalCode.STALE, detail="moved on", error={"error": 7, "revision": 4}),
    Refused(command="retry", code=RefusalCode.STALE, detail="moved on", error=decode_json(encode_json(REPORT))),
]


def without_digest(message: Any) -> Any:
    """Return the message as it was before it travelled."""
    return msgspec.structs.replace(message, digest="")


def address(publication: Publication) -> tuple[str, str]:
    """Where it goes."""
    return publication.exchange, publication.routing_key


@pytest.mark.parametrize("change", CHANGES)
def test_change(change: Change) -> None:
    """The command line and the demo speak as apps do; were they not understood, nobody could try anything."""
    publication = codec.encode_change(change, "recouple")
    found = codec.decode_app_message(publication.body, publication.properties, "bc", LIMITS)
    assert without_digest(found) == change
    table = {"Sales Invoice": "Sales%20Invoice"}.get(change.record.table, change.record.table)
    assert address(publication) == ("recouple.changes", f"bc.{table}.{change.operation}")


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_outcome(outcome: Applied | Failed) -> None:
    """The reference adapter answers through this."""
    publication = codec.encode_outcome(outcome, "recouple")
    found = codec.decode_app_message(publication.body, publication.properties, "bc", LIMITS)
    assert without_digest(found) == outcome
    assert address(publication) == ("recouple.changes", "bc.outcome")


@pytest.mark.parametrize(
    "instruction",
    [
        INSTRUCTION,
        msgspec.structs.replace(INSTRUCTION, action=Action.CREATE, key=None, if_version=None, traceparent=None),
    ],
)
def test_instruction(instruction: Instruction) -> None:
    """An app must be able to read what it is told."""
    publication = codec.encode_instruction(instruction, "recouple", NOW)
    assert codec.decode_instruction(publication.body, "sales") == instruction
    assert address(publication) == ("recouple.instructions", f"sales.account.{instruction.action}")


@pytest.mark.parametrize("event", list(ErrorEvent))
def test_error(event: ErrorEvent) -> None:
    """The error feed must say what the store knows; a value that nobody knows stays absent, null stays null."""
    message = ErrorMessage(
        id="m-1", event=event, report=REPORT, at=NOW, traceparent=TRACE, extensions={"partitionkey": "12"}
    )
    publication = codec.encode_error(message, "recouple")
    assert codec.decode_error(publication.body) == message
    assert address(publication) == ("recouple.errors", "update_conflict.customer")
    document = json.loads(publication.body)
    assert (document["type"], document["subject"]) == (f"recouple.error.{event}", "7")
    assert document["data"]["differences"] == [
        {"field": "phone_no", "contested": True, "base": "1", "left": "2", "right": None},
        {"field": "name", "contested": False, "left": 1.5},
    ]


def test_an_error_of_before_there_was_a_history() -> None:
    """A feed that was filled by an older Recouple, and keeps 100000 messages, must still be read."""
    document = json.loads(
        codec.encode_error(ErrorMessage(id="m-1", event=ErrorEvent.OPENED, report=REPORT, at=NOW), "recouple").body
    )
    del document["data"]["history"]
    document["data"]["a member of tomorrow"] = 1
    found = codec.decode_error(json.dumps(document).encode())
    assert (found.report.error, found.report.history) == (7, ())


def test_the_error_in_an_answer_is_the_error() -> None:
    """Who is told ``stale`` decides anew on the error as it is, to the last digit and microsecond."""
    publication = codec.encode_answer(ANSWERS[-1], COMMANDS[0], NOW)
    found = codec.decode_answer(publication.body)
    assert isinstance(found, Refused)
    assert msgspec.convert(found.error, ErrorReport) == REPORT


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command: Command) -> None:
    """What an operator orders must be what is done."""
    publication = codec.encode_command(command, "recouple", NOW)
    found = codec.decode_command(publication.body, publication.properties, "recouple", LIMITS)
    assert without_digest(found) == command
    assert address(publication) == ("recouple.commands", command.name)


@pytest.mark.parametrize("answer", ANSWERS)
def test_answer(answer: Done | Refused) -> None:
    """The answer goes to the caller's queue alone, with the command's id, and is the same each time."""
    publication = codec.encode_answer(answer, COMMANDS[0], NOW)
    assert codec.decode_answer(publication.body) == answer
    assert address(publication) == ("", "recouple.replies.jane")
    assert publication.properties.correlation_id == "c-1"
    assert publication == codec.encode_answer(answer, COMMANDS[0], NOW)


def test_no_answer_without_reply_to() -> None:
    """An empty routing key on the default exchange would be a message to nobody."""
    with pytest.raises(codec.NoReplyWantedError):
        codec.encode_answer(ANSWERS[0], COMMANDS[1], NOW)


def test_instruction_to_the_letter() -> None:
    """Apps are written against this document; a member renamed breaks them all."""
    publication = codec.encode_instruction(INSTRUCTION, "recouple", NOW.astimezone(timezone(timedelta(hours=2))))
    assert publication.body.decode() == (
        '{"specversion":"1.0","id":"i-1","type":"recouple.instruction","source":"recouple",'
        '"time":"2026-11-20T08:00:00Z","traceparent":"' + TRACE + '","subject":"account/A/1",'
        '"data":{"action":"update","table":"account","key":"A/1","fields":{"telephone1":"+49 30 1","limit":1.50},'
        '"if_version":16,"coupling":12,"reason":"sync","attempt":2}}'
    )
    assert publication.properties == Properties(
        message_id="i-1",
        type="recouple.instruction",
        app_id="recouple",
        content_type="application/cloudevents+json",
        timestamp_s=int(datetime(2026, 11, 20, 8, tzinfo=UTC).timestamp()),
    )


def test_create_without_key_to_the_letter() -> None:
    """An app that assigns keys itself must see that there is none."""
    create = msgspec.structs.replace(INSTRUCTION, action=Action.CREATE, key=None)
    document = json.loads(codec.encode_instruction(create, "recouple", NOW).body)
    assert (document["subject"], document["data"]["key"]) == ("account/", None)


def test_part_of_an_app_as_source() -> None:
    """An app of several companies says which one speaks."""
    publication = codec.encode_change(CHANGES[0], "recouple", source="bc/company-1")
    assert json.loads(publication.body)["source"] == publication.properties.app_id == "bc/company-1"


@pytest.mark.parametrize(
    "decode", [lambda body: codec.decode_instruction(body, "bc"), codec.decode_error, codec.decode_answer]
)
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"\xff", b"[" * 9999, b"1e99999999999999999999", b'{"id":"\\ud800"}']
)
def test_nonsense_in_our_own_queues(decode: Any, body: bytes) -> None:
    """A tool that looks into a queue must say what it found, not die of it."""
    with pytest.raises(codec.MalformedMessageError):
        decode(body)


@pytest.mark.parametrize("time", ["2026-11-20T08:00:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
def test_a_time_that_is_none(time: str) -> None:
    """A time without its offset is another moment for every reader; one beyond the calendar cannot be told again."""
    message = ErrorMessage(id="m-1", event=ErrorEvent.OPENED, report=REPORT, at=NOW)
    document = json.loads(codec.encode_error(message, "recouple").body)
    with pytest.raises(codec.MalformedMessageError, match="time"):
        codec.decode_error(json.dumps(document | {"time": time}).encode())
