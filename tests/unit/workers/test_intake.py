"""What comes through the queues: decoded, tied to its app, ordered; what cannot be taken says why."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from messages.changes import Change
from messages.dead import DeadReason
from messages.outcomes import Applied, Failed
from messages.transport.ports import Delivery, Properties
from workers.context import Context
from workers.intake import Event, Rejected, read_events
from workers.mapping import App, MappingFile, Ordering
from workers.rules.images import Order, microseconds

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "hunter2"  # noqa: S105 - a field value that must not be told
APPS = {
    "bc": App(name="bc", title="BC", order=Ordering.VERSION),
    "sales": App(name="sales", title="Sales", order=Ordering.TIME),
}
CONTEXT = Context(file=MappingFile(apps=APPS, mappings={}), tokens=lambda: "t")
TAGS = itertools.count(1)


def delivery(app: str, queue: str | None = None, **more: Any) -> Delivery:
    """A change event of ``app``; ``more`` replaces attributes, and ``None`` leaves one out."""
    event = {
        "specversion": "1.0",
        "id": "e1",
        "source": app,
        "type": "recouple.record.changed",
        "subject": "customer/1",
        "data": {"operation": "update", "version": 7, "fields": {"name": SECRET}},
        **more,
    }
    body = json.dumps({name: value for name, value in event.items() if value is not None}).encode()
    return Delivery(queue=queue or f"recouple.changes.{app}", body=body, properties=Properties(), tag=next(TAGS))


def outcome(app: str, kind: str, **more: Any) -> Delivery:
    """What ``app`` says of an instruction; ``more`` adds to its data."""
    data = {"instruction": "t-1-left", **({"code": "other"} if kind == "failed" else {}), **more}
    return delivery(app, type=f"recouple.instruction.{kind}", data=data, time=NOW.isoformat())


def read_one(one: Delivery) -> Event | Rejected:
    """What becomes of a single delivery."""
    events, letters = read_events(CONTEXT, [one], NOW)
    assert len(events) + len(letters) == 1
    return events[0] if events else letters[0]


def rejected(one: Delivery) -> Rejected:
    """The letter of a delivery that cannot be taken."""
    read = read_one(one)
    assert isinstance(read, Rejected)
    return read


@pytest.mark.parametrize(
    "queue", ["recouple.changes.crm", "recouple.changes.", "recouple.commands", "other.changes.bc"], ids=str
)
def test_an_app_that_the_mapping_file_does_not_know(queue: str) -> None:
    """A queue left over from an app that was taken out of the file would stop the worker."""
    letter = rejected(delivery("bc", queue)).letter
    assert (letter.reason, letter.field, letter.queue) == (DeadReason.UNKNOWN_APP, "source", queue)
    assert "mapping file" in letter.detail


@pytest.mark.parametrize(
    ("app", "time", "version", "field"),
    [
        ("bc", NOW, None, "data.version"),
        ("bc", None, None, "data.version"),
        ("sales", None, 7, "time"),
        ("sales", None, None, "time"),
    ],
)
def test_an_event_without_what_its_app_orders_by(
    app: str, time: datetime | None, version: int | None, field: str
) -> None:
    """An event that could be older than what we know would overwrite it."""
    data = {"operation": "update", "fields": {"name": SECRET}} | ({} if version is None else {"version": version})
    letter = rejected(delivery(app, time=None if time is None else time.isoformat(), data=data)).letter
    assert (letter.reason, letter.field) == (DeadReason.MISSING_ORDER, field)
    assert app in letter.detail
    assert f"order = {APPS[app].order}" in letter.detail


@pytest.mark.parametrize(
    ("app", "time", "order"),
    [
        ("bc", None, Order(7)),
        ("bc", NOW + timedelta(days=1), Order(7)),
        ("sales", NOW - timedelta(days=1), Order(microseconds(NOW - timedelta(days=1)))),
        ("sales", NOW + timedelta(minutes=5), Order(microseconds(NOW + timedelta(minutes=5)))),
        ("sales", NOW + timedelta(minutes=6), Order(microseconds(NOW), clipped=True)),
    ],
)
def test_what_an_event_is_ordered_by(app: str, time: datetime | None, order: Order) -> None:
    """A fast clock would shut out every later change, or the wrong one of version and time would count."""
    read = read_one(delivery(app, time=None if time is None else time.isoformat()))
    assert isinstance(read, Event)
    assert (read.app, read.order) == (app, order)
    assert isinstance(read.message, Change)


@pytest.mark.parametrize(
    ("one", "kind", "order"),
    [
        pytest.param(outcome("bc", "applied", version=8), Applied, Order(8), id="applied, with version"),
        pytest.param(outcome("bc", "applied"), Applied, None, id="applied, without"),
        pytest.param(outcome("sales", "applied"), Applied, Order(microseconds(NOW)), id="applied, by time"),
        pytest.param(outcome("bc", "failed"), Failed, None, id="failed"),
    ],
)
def test_an_answer_needs_no_order(one: Delivery, kind: type, order: Order | None) -> None:
    """An answer would be buried because it names no version, and its instruction would wait for ever."""
    read = read_one(one)
    assert isinstance(read, Event)
    assert isinstance(read.message, kind)
    assert read.order == order


@pytest.mark.parametrize(
    ("one", "reason", "field"),
    [
        pytest.param(delivery("bc", source="sales"), DeadReason.WRONG_SOURCE, "source", id="another's source"),
        pytest.param(delivery("bc", type="recouple.x"), DeadReason.UNKNOWN_TYPE, "type", id="no type of ours"),
        pytest.param(delivery("bc", data={"version": 1}), DeadReason.MALFORMED, "data.operation", id="no operation"),
    ],
)
def test_a_letter_says_what_and_where(one: Delivery, reason: DeadReason, field: str) -> None:
    """Whoever looks after the dead queue could not tell which app to mend, and what."""
    found = rejected(one)
    assert found.delivery is one
    assert (found.letter.reason, found.letter.field) == (reason, field)
    assert (found.letter.queue, found.letter.at) == (one.queue, NOW)
    assert SECRET not in found.letter.detail


def test_one_bad_message_costs_that_message_only() -> None:
    """The good ones of a batch would go to dead with it, or lose their order."""
    good = [delivery("bc", id=f"e{number}") for number in range(4)]
    bad = [delivery("bc", data="nonsense"), delivery("bc", "recouple.changes.crm")]
    events, buried = read_events(CONTEXT, [good[0], bad[0], good[1], good[2], bad[1], good[3]], NOW)
    assert [event.delivery for event in events] == good
    assert [one.delivery for one in buried] == bad


@pytest.mark.parametrize("key", ["sales.customer.update", "bcc.customer.update", "bc", "", "*.x"])
def test_what_another_app_has_routed_here_is_dead(key: str) -> None:
    """Else an app speaks for another by the headers CC and BCC, which RabbitMQ follows without asking for the right."""
    letter = rejected(structs.replace(delivery("bc"), exchange="recouple.changes", routing_key=key)).letter

    assert (letter.reason, letter.field) == (DeadReason.WRONG_SOURCE, "routing key")


def test_what_an_operator_sends_back_is_taken() -> None:
    """Else `recouple dead replay` would bury what it brings back: it comes through the default exchange."""
    again = structs.replace(delivery("bc"), exchange="", routing_key="recouple.changes.bc")

    assert isinstance(read_one(again), Event)
