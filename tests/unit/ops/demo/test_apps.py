"""The demo's simulated apps: what they promise is what the README asks of a real one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from messages.changes import Change, Operation
from messages.codec import Limits, decode_app_message, encode_instruction
from messages.instructions import Action, Instruction, Reason
from messages.outcomes import Applied, Failed, FailureCode
from messages.records import RecordRef
from messages.topology import changes_queue, instructions_queue, topology
from messages.transport.connect import connect
from messages.transport.ports import Broker, Delivery
from ops.demo.apps import INTEGRATION_USER, App, Connector

NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)
CARD = RecordRef("a", "card", "K0001")


@pytest.fixture
def app() -> App:
    """An app with one record, in version 1."""
    app = App("a", {"card": "K"}, lambda: NOW)
    app.create("card", "jane", {"name": "A", "phone": "1"})
    return app


def instruction(action: Action, key: str | None = "K0001", **more: Any) -> Instruction:
    """An instruction to change the phone number of the one record, unless told otherwise."""
    given = {"id": "i", "fields": {"phone": "2"}, "if_version": None, "reason": Reason.SYNC} | more
    return Instruction(app="a", action=action, table="card", key=key, coupling=1, **given)


def test_versions_grow_over_deletion_and_creation(app: App) -> None:
    """Else the record that came back would look older than its own deletion, and be dropped as stale."""
    changes = [
        app.edit(CARD, "jane", phone="2"),
        app.delete(CARD, "jane"),
        app.create("card", "jane", {"name": "B"}, "K0001"),
    ]

    versions = [change.version or 0 for change in app.changes]
    assert app.changes[1:] == changes
    assert versions == sorted(set(versions))
    assert len({change.id for change in app.changes}) == len(app.changes)


def test_an_edit_says_the_whole_record_and_who_did_it(app: App) -> None:
    """Else the fields that were not edited would be unknown to the other side."""
    change = app.edit(CARD, "jane", phone="2")

    assert (change.record, change.operation, change.modified_by) == (CARD, Operation.UPDATE, "jane")
    assert change.fields == {"name": "A", "phone": "2"}
    assert app.records()[CARD].fields == change.fields


def test_applies_an_instruction_once_and_says_so_again(app: App) -> None:
    """Else a message that comes twice would be two writes, and the second outcome another one."""
    first = app.obey(instruction(Action.UPDATE, if_version=1))
    again = app.obey(instruction(Action.UPDATE, if_version=1, attempt=2))

    applied, echo = first
    assert isinstance(applied, Applied)
    assert isinstance(echo, Change)
    assert (applied.instruction, applied.key, applied.version) == ("i", "K0001", 2)
    assert (echo.version, echo.modified_by, echo.fields["phone"]) == (2, INTEGRATION_USER, "2")
    assert again == first
    assert app.records()[CARD].version == 2
    assert len(app.received) == 2


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (instruction(Action.UPDATE, if_version=7), FailureCode.VERSION_MISMATCH),
        (instruction(Action.DELETE, if_version=7), FailureCode.VERSION_MISMATCH),
        (instruction(Action.UPDATE, "K0002"), FailureCode.NOT_FOUND),
        (instruction(Action.READ, "K0002"), FailureCode.NOT_FOUND),
    ],
)
def test_refuses_what_it_cannot_do(app: App, given: Instruction, code: FailureCode) -> None:
    """Else a user's edit would be overwritten, or an update would make a record of nothing."""
    [refusal] = app.obey(given)

    assert isinstance(refusal, Failed)
    assert (refusal.code, refusal.instruction, refusal.attempt) == (code, "i", 1)
    assert app.obey(given) == [refusal]
    assert app.records()[CARD].fields == {"name": "A", "phone": "1"}


def test_a_locked_record_is_written_to_by_nobody_else_until_it_is_unlocked(app: App) -> None:
    """Else the demo could not show what becomes of a refusal."""
    app.locked.add(CARD)
    read, refused = app.obey(instruction(Action.READ, id="r")), app.obey(instruction(Action.UPDATE))
    app.locked.clear()

    assert isinstance(read[0], Change)
    assert isinstance(refused[0], Failed)
    assert refused[0].code is FailureCode.PERMISSION_DENIED
    assert app.obey(instruction(Action.UPDATE)) == refused
    assert isinstance(app.obey(instruction(Action.UPDATE, id="again"))[0], Applied)


def test_looks_again_at_the_next_attempt(app: App) -> None:
    """Else what was refused once would be refused for ever."""
    app.delete(CARD, "jane")
    app.obey(instruction(Action.UPDATE))
    app.create("card", "jane", {"name": "A"}, "K0001")

    applied, _ = app.obey(instruction(Action.UPDATE, attempt=2))

    assert isinstance(applied, Applied)
    assert applied.attempt == 2


def test_creates_under_the_next_free_key(app: App) -> None:
    """Else a record that comes back would take the place of another."""
    app.delete(CARD, "jane")

    applied, echo = app.obey(instruction(Action.CREATE, None))

    assert isinstance(applied, Applied)
    assert isinstance(echo, Change)
    assert (applied.key, echo.record.key, echo.operation) == ("K0002", "K0002", Operation.CREATE)


def test_answers_a_read_with_the_record_as_it_stands(app: App) -> None:
    """Else an image that is not known would stay so."""
    [change] = app.obey(instruction(Action.READ))

    assert isinstance(change, Change)
    assert (change.operation, change.instruction, change.version) == (Operation.READ, "i", 1)
    assert change.fields == {"name": "A", "phone": "1"}


@pytest.fixture
def broker(tmp_path: Path) -> Broker:
    """An embedded broker with the queues of one app."""
    broker = connect(f"embedded:///{tmp_path / 'broker.db'}")
    broker.declare(topology("demo", ["a"]))
    return broker


@pytest.fixture
def connector(app: App, broker: Broker) -> Iterator[Connector]:
    """The app's connector, at work."""
    connector = Connector(app, broker, "demo")
    connector.start()
    yield connector
    connector.close()


@pytest.mark.usefixtures("connector")
def test_the_connector_brings_instructions_and_publishes_what_is_said(broker: Broker) -> None:
    """Else the app would never hear from us, or we from it."""
    publisher = broker.publisher()
    publisher.publish([encode_instruction(instruction(Action.UPDATE), "demo", NOW)], timedelta(seconds=10))
    publisher.close()

    said = [decode_app_message(one.body, one.properties, "a", Limits()) for one in taken(broker, 2)]

    assert {type(message) for message in said} == {Applied, Change}
    assert broker.depth(instructions_queue("demo", "a")) == 0


def test_the_connector_stops_when_told(connector: Connector) -> None:
    """Else the demo would not come to its end."""
    connector.close()

    assert not connector.is_alive()
    assert connector not in threading.enumerate()


def taken(broker: Broker, number: int) -> list[Delivery]:
    """What comes from the app, waited for."""
    found: list[Delivery] = []
    deadline = time.monotonic() + 10
    while len(found) < number and time.monotonic() < deadline:
        found += broker.take(changes_queue("demo", "a"), number)
    return found
