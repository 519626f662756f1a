"""A worker's loop over each store and each broker: who is handled with whom, what is acknowledged, what comes again.

A process that dies is a handler that raises what nobody catches; its consumer closes, and what it held comes again.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, text

from messages.topology import changes_queue, topology
from messages.transport.connect import connect
from messages.transport.ports import Broker, Delivery, Properties, Publication, PublishOutcome
from store.failures import RowLockedError, StoreUnavailableError
from tests.acceptance.wire import Message, change
from tests.contract.workers.conftest import Workshop
from workers import consume
from workers.changes import handle_changes
from workers.consume import Consuming, Job
from workers.context import Context
from workers.log_lines import Line
from workers.pipeline import Handling
from workers.suspects import MAX_DEATHS, SUSPECT_AFTER, Suspects
from workers.workplace import Workplace

WAIT = timedelta(seconds=10)
POISON = b'"poison"'


class DeathError(BaseException):
    """The end of the process."""


class Plant:
    """A store, a broker, and the queue of one app; processes come and go."""

    def __init__(self, workshop: Workshop, broker: Broker, namespace: str) -> None:
        self.workshop, self.broker = workshop, broker
        self.context = replace(workshop.context, namespace=namespace)
        self.queue = changes_queue(namespace, "bc")
        self.batches: list[list[bytes]] = []
        self._fault: BaseException = DeathError()
        self._processes = 0

    def publish(self, *messages: Message) -> None:
        """Publish these, in order."""
        publisher = self.broker.publisher()
        given = [
            Publication(
                exchange=f"{self.context.namespace}.{one.exchange}",
                routing_key=one.routing_key,
                body=one.body,
                properties=Properties(message_id=one.id, content_type=one.properties["content_type"]),
            )
            for one in messages
        ]
        assert set(publisher.publish(given, WAIT)) == {PublishOutcome.CONFIRMED}
        publisher.close()

    def redeliver(self, count: int) -> list[Delivery]:
        """Have the first ``count`` messages delivered to a process that does not come to handling them."""
        consumer, got = self.broker.consumer([self.queue], prefetch=count), list[Delivery]()
        deadline = datetime.now(UTC) + WAIT
        while len(got) < count:
            got += consumer.receive(count - len(got), timedelta(seconds=0.1))
            assert datetime.now(UTC) < deadline
        consumer.close()
        return got

    def kill_over(self, count: int) -> None:
        """Have two processes die while they have the first ``count`` messages at hand, the second over all of them."""
        handling = Handling(self.workshop.store, self.context, dying, lambda: datetime.now(UTC))
        suspects = Suspects(handling, "who died")
        self.redeliver(count)
        assert suspects.take_in(self.redeliver(count)) == []
        with pytest.raises(DeathError):
            suspects.handle_next()

    def start(self, batch: int = 300, fault: BaseException | None = None) -> Consuming:
        """Start a process; it raises ``fault``, or dies, over the poison."""
        self._processes += 1
        self._fault = fault or DeathError()
        place = Workplace(self.workshop.store, self.context, lambda: datetime.now(UTC))
        consumer = self.broker.consumer([self.queue], prefetch=2 * batch)
        return Consuming(Job("changes", self._handle, batch), consumer, place, timedelta(seconds=0.1))

    def depth(self) -> int:
        """How many messages wait."""
        return self.broker.depth(self.queue)

    def handled(self) -> list[str]:
        """The records of which an event was handled, duplicates not counted."""
        with self.workshop.store.reading() as conn:
            return list(conn.execute(text("SELECT record FROM log WHERE outcome <> 'duplicate' ORDER BY id")).scalars())

    def marks(self) -> int:
        """How many messages are marked."""
        with self.workshop.store.reading() as conn:
            return int(conn.execute(text("SELECT count(*) FROM suspects")).scalar_one())

    def _handle(self, conn: Connection, context: Context, deliveries: Sequence[Delivery], now: datetime) -> list[Line]:
        self.batches.append([b"new" if b"/new" in one.body else b"old" for one in deliveries])
        if any(POISON in one.body for one in deliveries):
            raise self._fault
        return handle_changes(conn, context, deliveries, now)


@pytest.fixture
def plant(workshop: Workshop, broker_url: str, namespace: str) -> Plant:
    """A plant on each pair."""
    broker = connect(broker_url)
    broker.declare(topology(namespace, ["bc", "sales"]))
    return Plant(workshop, broker, namespace)


def dying(_conn: Connection, _context: Context, _deliveries: Sequence[Delivery], _now: datetime) -> list[Line]:
    """Die."""
    raise DeathError


def edit(key: str, name: str = "new") -> Message:
    """An update of a record that nothing is coupled with."""
    return change(f"bc/customer/{key}", "update", 2, {"name": name})


def run(process: Consuming, until: int, plant: Plant) -> None:
    """Let a process work until so many messages were handled."""
    deadline = datetime.now(UTC) + WAIT
    while len(plant.handled()) < until:
        process.step()
        assert datetime.now(UTC) < deadline


def test_what_came_before_is_handled_apart_from_the_fresh_ones(plant: Plant) -> None:
    """Else a message that kills takes along what has only just come."""
    plant.publish(*(edit(f"old {number}") for number in range(5)))
    plant.redeliver(5)
    plant.publish(*(edit(f"new {number}") for number in range(3)))
    process = plant.start()
    run(process, 8, plant)
    process.close()

    assert {b"old", b"new"} == {kind for batch in plant.batches for kind in batch}
    assert all(len(set(batch)) == 1 for batch in plant.batches)
    assert plant.depth() == plant.marks() == 0


def test_fresh_ones_do_not_wait_for_suspects_nor_suspects_for_fresh_ones(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two deaths in a row would make the queue stand still, or a steady stream would keep them for ever."""
    monkeypatch.setattr(consume, "SUSPECTS_FOR", timedelta())
    plant.publish(*(edit(f"old {number}") for number in range(7)))
    plant.kill_over(7)
    process, stream = plant.start(), itertools.count()
    deadline = datetime.now(UTC) + WAIT
    while sum("old" in record for record in plant.handled()) < 7:
        plant.publish(edit(f"new {next(stream)}"))
        process.step()
        assert datetime.now(UTC) < deadline
    process.close()

    kinds = ["new" in record for record in plant.handled()]
    first = kinds.index(False)
    assert any(kinds[first : first + 6])  # not all of the old ones went before the next that came
    assert [batch for batch in plant.batches if b"old" in batch] == [[b"old"]] * 7
    assert plant.marks() == 0


def test_what_waits_for_a_row_and_the_others_take_turns(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a row that somebody holds would keep all commands waiting, or a steady stream of them the one over it."""
    monkeypatch.setattr(consume, "LOCKED_REST", timedelta())
    plant.publish(edit("locked", name="poison"))
    process, stream = plant.start(1, fault=RowLockedError("somebody holds it")), itertools.count()
    deadline = datetime.now(UTC) + WAIT
    while len(plant.batches) < 10:
        plant.publish(edit(f"new {next(stream)}"))
        process.step()
        assert datetime.now(UTC) < deadline
    assert plant.batches == [[b"old"], [b"old"], *[[b"new"], [b"old"]] * 4]
    assert all("new" in record for record in plant.handled())

    monkeypatch.setattr(consume, "LOCKED_REST", timedelta(hours=1))
    while plant.batches[-1] == [b"new"]:
        process.step()
    assert process.at_work
    process.close()
    monkeypatch.setattr("tests.contract.workers.test_consuming.POISON", b"nothing")
    process = plant.start(1)
    run(process, next(stream) + 1, plant)
    assert "bc/customer/locked" in plant.handled()
    process.close()


@pytest.mark.parametrize("position", [0, 10, 19])
def test_a_message_that_kills_its_process_costs_few_deaths_and_itself(plant: Plant, position: int) -> None:
    """Else it kills whatever is started, for ever; and what is near it is handled twice, or never, or dead with it."""
    messages = [edit(f"{number}") for number in range(20)]
    messages[position] = edit("it", name="poison")
    plant.publish(*messages)
    deaths = 0
    while True:
        process = plant.start()
        try:
            run(process, 19, plant)
            while process.step():
                pass
        except DeathError:
            deaths += 1
        else:
            break
        finally:
            process.close()
        assert deaths <= SUSPECT_AFTER + MAX_DEATHS

    assert deaths == SUSPECT_AFTER + MAX_DEATHS == 5
    assert sorted(plant.handled()) == sorted(f"bc/customer/{number}" for number in range(20) if number != position)
    plant.workshop.context = plant.context
    (dead,) = plant.workshop.sent("dead")
    assert (dead.body, dead.headers["x-recouple-reason"]) == (messages[position].body, "killed_worker")
    assert plant.depth() == plant.marks() == 0


def test_what_was_handled_before_a_death_does_not_come_again(plant: Plant) -> None:
    """Else each death would charge, and have handled again, what the process had long done."""
    plant.publish(*(edit(f"{number}") for number in range(4)), edit("it", name="poison"), edit("5"))
    plant.kill_over(6)
    process = plant.start()
    with pytest.raises(DeathError):
        run(process, 6, plant)
    process.close()

    done = len(plant.handled())
    assert plant.batches == [[b"old"]] * (done + 1)
    assert plant.depth() == plant.marks() == 6 - done


def test_a_process_that_lives_gives_suspects_back_unmarked(plant: Plant) -> None:
    """Else stopping and starting workers, or an outage of the store, would condemn whatever is at hand."""
    plant.publish(edit("it", name="poison"), edit("1"))
    for _ in range(2 * MAX_DEATHS):
        plant.redeliver(2)
        process = plant.start(fault=StoreUnavailableError("away"))
        with pytest.raises(StoreUnavailableError):
            run(process, 2, plant)
        process.close()
    process = plant.start(fault=MemoryError())
    run(process, 1, plant)
    while process.at_work:
        process.step()
    process.close()

    plant.workshop.context = plant.context
    (dead,) = plant.workshop.sent("dead")
    assert dead.headers["x-recouple-reason"] == "failed_here"
    assert plant.depth() == plant.marks() == 0
