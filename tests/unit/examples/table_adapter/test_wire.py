"""What the adapter writes by hand, read by Recouple; and the other way round."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from examples.table_adapter.wire import MalformedInstructionError, message_of, read_instruction
from messages.changes import Change, Operation
from messages.codec import Limits, decode_app_message, encode_instruction
from messages.instructions import Action, Instruction, Reason
from messages.outcomes import Applied, Failed, FailureCode
from messages.topology import change_key, outcome_key
from messages.transport.ports import Properties

AT = datetime(2026, 11, 20, 8, 0, 0, 123456, tzinfo=UTC)
COLUMNS = ("record_table", "record_key", "operation", "version", "fields", "modified_by", "instruction", "outcome")


def row(**columns: Any) -> sa.Row[Any]:
    """A row of the outbox."""
    said: dict[str, Any] = dict.fromkeys((*COLUMNS, "traceparent")) | {
        "id": 17,
        "said_at": "2026-11-20T08:00:00.123456Z",
    }
    values = ", ".join(f":{name} AS {name}" for name in said)
    with sa.create_engine("sqlite://").connect() as conn:
        return conn.execute(sa.text(f"SELECT {values}"), said | columns).one()


def test_recouple_reads_a_change() -> None:
    """Else what happens in the app would go to dead, or arrive as something else."""
    fields = '{"name": "Bólido", "credit": 1.50, "fax": null}'
    about = {"record_table": "kunden.alt", "record_key": "A/1", "operation": "update", "version": 2**62}

    message = message_of("erp", row(**about, fields=fields, modified_by="jane", instruction="i-1"))
    change = decode_app_message(message.body, Properties(), "erp", Limits())

    assert isinstance(change, Change)
    assert (str(change.record), change.id, change.operation) == ("erp/kunden.alt/A/1", "erp-17", Operation.UPDATE)
    assert (change.version, change.at) == (2**62, AT)
    assert change.fields == {"name": "Bólido", "credit": Decimal("1.50"), "fax": None}
    assert (change.modified_by, change.instruction) == ("jane", "i-1")
    assert message.routing_key == change_key("erp", "kunden.alt", "update")


def test_recouple_reads_a_delete_that_knows_no_more_than_that() -> None:
    """Else a deletion would go to dead for what it cannot say."""
    about = {"record_table": "customer", "record_key": "A", "operation": "delete", "version": 0}

    change = decode_app_message(message_of("erp", row(**about)).body, Properties(), "erp", Limits())

    assert isinstance(change, Change)
    assert (change.operation, change.version, change.fields, change.modified_by) == (Operation.DELETE, 0, {}, None)


@pytest.mark.parametrize(
    ("outcome", "kind", "more"),
    [
        (
            '{"instruction": "i", "attempt": 2, "key": "7", "version": 3, "fields": {}}',
            Applied,
            {"key": "7", "version": 3},
        ),
        ('{"instruction": "i", "attempt": 2, "code": "other", "detail": "no"}', Failed, {"code": FailureCode.OTHER}),
    ],
)
def test_recouple_reads_an_outcome(outcome: str, kind: type, more: dict[str, Any]) -> None:
    """Else an instruction would stay unanswered, and its records out of step."""
    trace = f"00-{'a' * 32}-{'b' * 16}-01"

    message = message_of("erp", row(instruction="i", outcome=outcome, traceparent=trace))
    answer = decode_app_message(message.body, Properties(), "erp", Limits())

    assert isinstance(answer, kind)
    assert {name: getattr(answer, name) for name in more} == more
    assert isinstance(answer, (Applied, Failed))
    assert (answer.instruction, answer.attempt, answer.at, answer.traceparent) == ("i", 2, AT, trace)
    assert message.routing_key == outcome_key("erp")


@pytest.mark.parametrize("key", [None, "A/1"])
def test_the_adapter_reads_what_recouple_asks_for(key: str | None) -> None:
    """Else it would apply something else than what was decided."""
    sent = Instruction(
        app="erp",
        id="i-1",
        action=Action.UPDATE,
        table="customer",
        key=key,
        fields={"name": None, "credit": Decimal("0.10")},
        if_version=0,
        coupling=1,
        reason=Reason.SYNC,
        attempt=3,
    )

    read = read_instruction(encode_instruction(sent, "recouple", AT).body)

    assert (read.id, read.traceparent) == ("i-1", None)
    for name in ("action", "table", "key", "fields", "if_version", "attempt"):
        assert getattr(read.data, name) == getattr(sent, name)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"\xff", b'{"id": "i"}', b'{"id": "i", "data": {"action": 1, "table": ""}}']
)
def test_what_is_no_instruction_is_told_from_one(body: bytes) -> None:
    """Else it would stop the adapter, again whenever it is delivered."""
    with pytest.raises(MalformedInstructionError):
        read_instruction(body)
