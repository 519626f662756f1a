"""What waits, in numbers, and what is known of whether apps can be heard: the same on both stores."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection

from messages.errors import ErrorKind, ErrorStatus
from messages.transport.ports import Properties
from store import due, errors, gauges, instructions, listening, outbox
from store.due import Due, DueKind
from store.gauges import Waits
from store.hearing import Hearing
from store.model import InstructionState, Side
from tests.contract.store.samples import NOW, SECOND, bc, publication, report, sent

MINUTE = timedelta(minutes=1)


def test_an_empty_store(connection: Connection) -> None:
    """A new installation could not be scraped."""
    found = gauges.read(connection, NOW)
    assert (found.outbox, found.oldest_at) == ({"answers": 0, "at_once": 0, "in_turn": 0}, None)
    assert found.due == dict.fromkeys(DueKind, Waits(0, None))
    assert (found.errors, found.instructions) == ({}, {})


def test_what_waits(connection: Connection) -> None:
    """An alarm on the relay or the timers would never go off, or go off at work that is not due."""
    paced = replace(publication(), properties=Properties(message_id="paced"))
    answer = replace(publication(), exchange="", properties=Properties())
    outbox.put(connection, [(publication(), None), (paced, None), (answer, None)], {"paced": NOW})
    items = [Due(kind=DueKind.WAKE, coupling=1, due_at=NOW + seconds * SECOND) for seconds in (-3, -1, 5)]
    due.put(connection, [*items, Due(kind=DueKind.JOB, job=1, due_at=NOW)])
    found = gauges.read(connection, NOW)
    assert found.outbox == {"answers": 1, "at_once": 1, "in_turn": 1}
    assert found.oldest_at is not None
    assert found.oldest_at.tzinfo is not None
    assert found.due[DueKind.WAKE] == Waits(2, NOW - 3 * SECOND)
    assert found.due[DueKind.JOB] == Waits(1, NOW)
    assert found.due[DueKind.RETRY] == Waits(0, None)


def test_what_stands(connection: Connection) -> None:
    """An alarm on open errors, or on an app that does not answer, would count what is over."""
    errors.save(connection, [report(1), report(2), report(3, status=ErrorStatus.RESOLVED, resolved_at=NOW)])
    states = (InstructionState.SENT, InstructionState.UNANSWERED, InstructionState.APPLIED)
    given = [(1, sent(number, state=state)) for number, state in enumerate(states)]
    instructions.save(connection, [*given, (1, sent("b", record=bc(1), side=Side.LEFT))])
    found = gauges.read(connection, NOW)
    assert found.errors == {(ErrorKind.UPDATE_CONFLICT, "open"): 2}
    assert found.instructions == {("sales", "sent"): 1, ("sales", "unanswered"): 1, ("bc", "sent"): 1}


def test_what_was_seen_of_an_app_is_kept(connection: Connection) -> None:
    """Each worker would begin anew, and an app be silent when its worker has been there for long enough, or never."""
    first = Hearing(since=NOW, looked_at=NOW)
    later = Hearing(since=NOW, looked_at=NOW + MINUTE, empty_at=NOW + MINUTE, heard_at=NOW)
    listening.save(connection, {"bc": first, "sales": first})
    assert listening.lock(connection, ["sales"]) == {"sales": first}
    listening.save(connection, {"sales": later})
    assert listening.read(connection) == {"bc": first, "sales": later}


def test_whether_answers_are_awaited(connection: Connection) -> None:
    """Nobody would listen while an app has something to do, or all would for nothing."""
    instructions.save(connection, [(1, sent(1, state=InstructionState.APPLIED))])
    assert not listening.awaits_answers(connection)
    instructions.save(connection, [(1, sent(2, state=InstructionState.UNANSWERED))])
    assert listening.awaits_answers(connection)


@pytest.mark.parametrize("many", [1, 600])
def test_what_is_held_up_in_the_outbox(connection: Connection, many: int) -> None:
    """An app would be called silent over what nobody has published; or none ever, over what waits for another."""
    sample = publication()
    outbox.put(connection, [(sample, None)] * many)
    put_at = gauges.read(connection, NOW).oldest_at
    assert put_at is not None
    before, after = put_at - MINUTE, put_at + MINUTE
    assert listening.held_up(connection, sample.exchange, before) == (set(), False)
    assert listening.held_up(connection, sample.exchange, after) == ({sample.routing_key}, many > 500)
    assert listening.held_up(connection, "another", after) == (set(), many > 500)
    rows = outbox.claim(connection, many, after, SECOND)
    outbox.put_off(connection, [one.id for one in rows], after + MINUTE)  # as what a full queue refuses
    assert listening.held_up(connection, sample.exchange, after) == (set(), False)
