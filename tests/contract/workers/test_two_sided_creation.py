"""Histories that need a store: two workers at once, records that wait for their counterpart, records that are apart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection

from messages.records import RecordRef
from store import couplings as coupling_store
from store import records as record_store
from store.couplings import Standing
from store.model import Coupling, CouplingStatus
from tests.acceptance.wire import Message, applied, change, command, failed
from tests.contract.workers.conftest import Workshop
from workers.changes import handle_changes
from workers.commands import handle_command
from workers.consume import handle_commands
from workers.pipeline import process

LEFT, RIGHT = "bc/vendor/L1", "sales/supplier/R1"
PATIENCE_S = 20.0


def now() -> datetime:
    """What the clock shows."""
    return datetime.now(UTC)


def load(workshop: Workshop) -> None:
    """Say that both tables of vendors are known."""
    orders = [command("loaded", "", {"table": table}) for table in ("bc/vendor", "sales/supplier")]
    process(workshop.handling(handle_commands), workshop.deliveries(orders))
    workshop.do_due_work()


def created(record: str, name: str = "ACME", version: int = 1) -> Message:
    """A user creates a record."""
    return change(record, "create", version, {"name": name})


def couplings(workshop: Workshop) -> list[Coupling]:
    """Every coupling of vendors that is not over."""
    with workshop.store.reading() as conn:
        found = coupling_store.page(conn, mapping="vendor", limit=100)
    return [one for one in found if one.status is not CouplingStatus.CLOSED]


def pairs(workshop: Workshop) -> set[tuple[str, str]]:
    """The records that are coupled."""
    return {(str(one.left), str(one.right)) for one in couplings(workshop)}


def at_once(*jobs: Callable[[], object]) -> None:
    """Run these in threads of their own, all at the same time."""
    faults: list[BaseException] = []

    def run(job: Callable[[], object]) -> None:
        try:
            job()
        except BaseException as fault:  # noqa: BLE001 - told below
            faults.append(fault)

    threads = [Thread(target=run, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not any(thread.is_alive() for thread in threads), "they wait for each other"
    assert faults == []


@pytest.mark.parametrize(
    "batches", [[(LEFT, RIGHT)], [(LEFT,), (RIGHT,)], [(RIGHT,), (LEFT,)]], ids=["one", "two", "turned"]
)
def test_two_sided_creation(workshop: Workshop, batches: list[tuple[str, ...]]) -> None:
    """Two records of one vendor that are created on both sides would become four."""
    load(workshop)
    for batch in batches:
        workshop.handle(*(created(record) for record in batch))
    workshop.do_due_work()
    assert pairs(workshop) == {(LEFT, RIGHT)}
    assert workshop.instructions() == []


def test_two_sided_creation_in_two_workers(workshop: Workshop) -> None:
    """The same, in two workers at the same moment: each would see no counterpart, and create one."""
    load(workshop)
    for number in range(5):
        left, right = (created(f"{record}-{number}", f"ACME {number}") for record in (LEFT, RIGHT))
        at_once(lambda one=left: workshop.handle(one), lambda one=right: workshop.handle(one))  # type: ignore[misc]
        at_once(workshop.do_due_work, workshop.do_due_work)
    assert pairs(workshop) == {(f"{LEFT}-{number}", f"{RIGHT}-{number}") for number in range(5)}
    assert workshop.instructions() == []


def handle_and_work(workshop: Workshop, message: Message) -> None:
    """What a worker does that has both roles."""
    workshop.handle(message)
    workshop.do_due_work()


def test_two_sided_creation_in_two_workers_from_end_to_end(workshop: Workshop) -> None:
    """One may be through before the other is heard of; then the other waits, and nothing is created twice."""
    load(workshop)
    for number in range(5):
        left, right = (created(f"{record}-{number}", f"ACME {number}") for record in (LEFT, RIGHT))
        at_once(
            lambda one=left: handle_and_work(workshop, one),  # type: ignore[misc]
            lambda one=right: handle_and_work(workshop, one),  # type: ignore[misc]
        )
    workshop.do_due_work()
    assert len(pairs(workshop)) == 5
    creating = sum(one.status is CouplingStatus.CREATING for one in couplings(workshop))
    assert len(workshop.instructions()) == creating


def create_on_the_right(workshop: Workshop) -> dict[str, Any]:
    """A record of the left has no counterpart: its create is in flight."""
    load(workshop)
    workshop.handle(created(LEFT))
    workshop.do_due_work()
    (create,) = workshop.instructions()
    assert (create["data"]["action"], create["subject"]) == ("create", "supplier/")
    return create


@pytest.mark.parametrize("echo_first", [True, False])
def test_the_echo_of_our_own_create(workshop: Workshop, echo_first: bool) -> None:  # noqa: FBT001
    """R15: the record that we had created would be a new one, created back, and so on without end."""
    create = create_on_the_right(workshop)
    answers = [created(RIGHT), applied("sales", create, 1, key="R1")]
    for answer in answers if echo_first else answers[::-1]:
        workshop.handle(answer)
        workshop.do_due_work()
    assert pairs(workshop) == {(LEFT, RIGHT)}
    assert workshop.instructions() == []


def test_a_record_that_was_created_meanwhile(workshop: Workshop) -> None:
    """The app has two of them now: one would be created back, or coupled to nobody in silence."""
    create = create_on_the_right(workshop)
    workshop.handle(created(RIGHT))
    workshop.do_due_work()
    workshop.handle(applied("sales", create, 1, key="R2"))
    workshop.do_due_work()
    assert pairs(workshop) == {(LEFT, "sales/supplier/R2")}
    assert workshop.instructions() == []
    (told,) = workshop.sent("errors")
    assert told.event["data"]["kind"] == "match_ambiguous"
    assert told.event["data"]["candidates"] == [LEFT]


def test_an_app_that_has_the_record_already(workshop: Workshop) -> None:
    """The create is refused as a duplicate of a record that we hear of: the two would never be coupled."""
    create = create_on_the_right(workshop)
    workshop.handle(created(RIGHT))
    workshop.do_due_work()
    workshop.handle(failed("sales", create, "duplicate"))
    workshop.do_due_work()
    assert pairs(workshop) == {(LEFT, RIGHT)}
    assert workshop.instructions() == []
    assert [one.event["type"].rsplit(".", 1)[1] for one in workshop.sent("errors")] == ["opened", "resolved"]


def test_an_app_that_answers_with_a_coupled_record(workshop: Workshop) -> None:
    """An app that finds the record there already names it: the batch would fail for ever on a record coupled twice."""
    load(workshop)
    workshop.handle(created(LEFT), created(RIGHT))
    workshop.do_due_work()
    workshop.handle(created("bc/vendor/L2", "ACME Ltd"))
    workshop.do_due_work()
    (create,) = workshop.instructions()
    workshop.handle(applied("sales", create, 1, key="R1"))
    assert workshop.sent("dead") == []
    (told,) = workshop.sent("errors")
    assert (told.event["data"]["kind"], told.event["data"]["code"]) == ("apply_failed", "duplicate")


def test_uncoupled_then_a_change(workshop: Workshop) -> None:
    """A coupling that a person removed would come back with the next change, or its record be created again."""
    load(workshop)
    workshop.handle(created(LEFT), created(RIGHT))
    workshop.do_due_work()
    remove(workshop)
    workshop.handle(change(LEFT, "update", 2, {"name": "ACME"}), change(RIGHT, "update", 2, {"name": "Other"}))
    workshop.do_due_work()
    assert couplings(workshop) == []
    assert workshop.instructions() == []
    assert workshop.outcomes(LEFT)[-1] == "uncoupled"


def remove(workshop: Workshop) -> None:
    """What ``remove_coupling`` leaves behind: a coupling that is over, and two records apart."""
    records = [RecordRef.parse(LEFT), RecordRef.parse(RIGHT)]
    with workshop.store.transaction() as conn:
        record_store.lock(conn, records)
        (one,) = coupling_store.lock(conn, records).values()
        coupling_store.save(conn, [replace(one, status=CouplingStatus.CLOSED)])
        record_store.mark_apart(conn, [("vendor", record) for record in records])


def holding(workshop: Workshop, job: Callable[[Connection], object], other: Callable[[], object]) -> None:
    """Do ``job``, let ``other`` begin in another worker before it is committed, and commit."""
    begun = Event()

    def first() -> None:
        with workshop.store.transaction() as conn:
            job(conn)
            begun.set()
            Event().wait(0.3)  # long enough for the other worker to come to the lock; if it does not, nothing is proved

    def second() -> None:
        assert begun.wait(PATIENCE_S)
        other()

    at_once(first, second)


@pytest.mark.parametrize("couple_first", [True, False])
def test_a_couple_that_races_an_event(workshop: Workshop, couple_first: bool) -> None:  # noqa: FBT001
    """There is no coupling to lock yet: the event would be decided by nobody, the command on an image that is old."""
    base: list[Message] = [
        change("bc/customer/1", "create", 1, {"name": "base", "city": "x"}),
        change("sales/account/1", "create", 1, {"title": "base", "town": "x"}),
    ]
    workshop.handle(*base)
    order = workshop.deliveries(
        [command("couple", "", {"left": "bc/customer/1", "right": "sales/account/1", "keep": "left"})]
    )
    event = workshop.deliveries([change("bc/customer/1", "update", 2, {"name": "new", "city": "x"})])

    def couple(conn: Connection) -> object:
        return handle_command(conn, workshop.context, order[0], now())

    def hear(conn: Connection) -> object:
        return handle_changes(conn, workshop.context, event, now())

    first, second = (couple, hear) if couple_first else (hear, couple)

    def in_another_worker() -> None:
        with workshop.store.transaction() as conn:
            second(conn)

    holding(workshop, first, in_another_worker)
    (instruction,) = workshop.instructions()
    assert instruction["data"]["fields"] == {"title": "new"}
    assert workshop.standing("1") is Standing.IN_FLIGHT
