"""One message of a large batch makes its handling fail, each time in another way: it costs that message only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pytest
from sqlalchemy import Connection, text

from messages.transport.ports import Delivery
from store.connect import Store
from tests.acceptance.wire import Message, change, command
from tests.contract.workers.conftest import Workshop
from workers.changes import handle_changes
from workers.context import Context
from workers.log_lines import Line
from workers.pipeline import Handler, process

SIZE, MIDDLE = 500, 250
POISON = "poison"

TOO_NARROW = {
    "postgresql": ["CREATE INDEX too_narrow ON records (image)"],  # an entry of an index holds some 2,700 bytes
    "sqlite": [
        """CREATE TRIGGER too_narrow BEFORE UPDATE ON records WHEN length(new.image) > 3000
        BEGIN SELECT RAISE(ABORT, 'index row size exceeds the maximum'); END"""
    ],
}
"""What makes one row of a batch, the one with the long value, impossible to write."""

LATE = {
    "postgresql": [
        """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'refused at commit'; END $$""",
        """CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON records DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (length(new.image) > 3000) EXECUTE FUNCTION refuse()""",
    ],
    "sqlite": [
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
        """CREATE TRIGGER late AFTER UPDATE ON records WHEN length(new.image) > 3000
        BEGIN INSERT INTO child VALUES (1); END""",
    ],
}
"""What makes the commit fail, when all statements have gone well."""


def edits() -> list[Message]:
    """Return a batch; the one in the middle has a value that compresses badly and is named in its id."""
    long = "".join(chr(0x4E00 + 7919 * number % 20_000) for number in range(3000))
    made = [change(f"bc/customer/{number}", "update", 2, {"name": "new"}) for number in range(SIZE)]
    made[MIDDLE] = change(f"bc/customer/{MIDDLE}", "update", 2, {"name": long}, id=POISON)
    return made


def prepare(store: Store, statements: Sequence[str]) -> None:
    """Change the tables."""
    with store.transaction() as conn:
        for statement in statements:
            conn.execute(text(statement))


def raising(fault: BaseException, handler: Handler) -> Handler:
    """Return a handler that raises ``fault`` for the poison."""

    def handle(conn: Connection, context: Context, deliveries: Sequence[Delivery], now: datetime) -> list[Line]:
        lines = handler(conn, context, deliveries, now)
        if any(one.properties.message_id == POISON for one in deliveries):
            raise fault
        return lines

    return handle


def endless(depth: int = 0) -> int:
    """Call itself until Python gives up."""
    return endless(depth + 1) + 1


def check_that_one_is_dead(workshop: Workshop, batch: list[Message]) -> None:
    """See that all but the poison were handled once, and that it lies in the dead queue as it was."""
    with workshop.store.reading() as conn:
        query = (
            "SELECT count(*), count(DISTINCT record), sum(CASE WHEN outcome = 'duplicate' THEN 1 ELSE 0 END) FROM log"
        )
        lines, records, duplicates = conn.execute(text(query)).one()
    assert (lines, records, duplicates) == (SIZE - 1, SIZE - 1, 0)
    (dead,) = workshop.sent("dead")
    assert dead.body == batch[MIDDLE].body
    assert dead.headers["x-recouple-reason"] == "failed_here"
    (line,) = workshop.logged("batch.failed")
    assert line["messages"] == 1


@pytest.mark.parametrize("how", ["an over-long row", "an error at commit"])
def test_a_row_that_the_database_refuses_costs_its_message_only(workshop: Workshop, how: str) -> None:
    """Else one value stops the queue of its app for ever: the batch comes again, and fails again."""
    prepare(workshop.store, (TOO_NARROW if how == "an over-long row" else LATE)[workshop.store.dialect])
    batch = edits()
    process(workshop.handling(handle_changes), workshop.deliveries(batch))

    check_that_one_is_dead(workshop, batch)


@pytest.mark.parametrize("fault", [MemoryError(), RecursionError(), AssertionError()], ids=repr)
def test_whatever_is_raised_costs_its_message_only(workshop: Workshop, fault: Exception) -> None:
    """Else a fault of a kind that nobody thought of ends the worker, each time that it is started."""
    batch = edits()
    process(workshop.handling(raising(fault, handle_changes)), workshop.deliveries(batch))

    check_that_one_is_dead(workshop, batch)


def test_a_handler_that_runs_out_of_stack_costs_its_message_only(workshop: Workshop) -> None:
    """Else burying the message would fail where handling it did, deep in the stack."""

    def handle(conn: Connection, context: Context, deliveries: Sequence[Delivery], now: datetime) -> list[Line]:
        if any(one.properties.message_id == POISON for one in deliveries):
            endless()
        return handle_changes(conn, context, deliveries, now)

    batch = edits()
    process(workshop.handling(handle), workshop.deliveries(batch))

    check_that_one_is_dead(workshop, batch)


def test_the_broker_hears_from_a_worker_that_halves_a_batch(workshop: Workshop) -> None:
    """Else a batch in which much fails takes so long that the broker gives the messages to somebody else meanwhile."""
    heard: list[int] = []
    handling = workshop.handling(raising(MemoryError(), handle_changes))
    process(handling._replace(between=lambda: heard.append(1)), workshop.deliveries(edits()))

    assert len(heard) >= 2 * 8  # twice for every halving of 500


@pytest.mark.parametrize("body", [None, b"["], ids=["readable", "unreadable"])
@pytest.mark.parametrize("fault", [MemoryError(), RecursionError()], ids=repr)
def test_a_command_whose_handling_fails_is_answered_once(
    workshop: Workshop, body: bytes | None, fault: Exception
) -> None:
    """Else an operator waits for an answer that never comes; to read the command may be what fails."""
    reply_to = f"{workshop.context.namespace}.replies.test"
    ordered = order(reply_to, body)
    process(workshop.handling(raising(fault, nothing)), workshop.deliveries([ordered]))

    (answer,) = workshop.answers(reply_to)
    assert answer["type"] == "recouple.command.refused"
    assert (answer["id"], answer["data"]["code"]) == (POISON, "failed")
    (dead,) = workshop.sent("dead")
    assert (dead.body, dead.headers["x-recouple-reason"]) == (ordered.body, "failed_here")


def test_a_command_that_may_not_be_answered_is_not(workshop: Workshop) -> None:
    """Else a command that fails would be a way to write into another's queue."""
    victim = f"{workshop.context.namespace}.changes.bc"
    ordered = order(victim, b"[")
    process(workshop.handling(raising(MemoryError(), nothing)), workshop.deliveries([ordered]))

    assert workshop.answers(victim) == []
    (dead,) = workshop.sent("dead")
    assert dead.body == ordered.body


def order(reply_to: str, body: bytes | None) -> Message:
    """Return a command with this body, its own where none is given."""
    ordered = command("dismiss", reply_to, {"error": 1})
    if body is None:
        body = ordered.body.replace(ordered.id.encode(), POISON.encode())
    return ordered._replace(body=body, properties={**ordered.properties, "message_id": POISON})


def nothing(_conn: Connection, _context: Context, _deliveries: Sequence[Delivery], _now: datetime) -> list[Line]:
    """Handle nothing."""
    return []
