"""An app is called silent only if it could have answered: over real looks at a real broker, on both stores."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from messages.changes import Operation
from messages.codec import encode_outcome
from messages.errors import ErrorKind, ErrorStatus
from messages.outcomes import Applied
from messages.topology import changes_queue, topology
from messages.transport.connect import connect
from messages.transport.ports import Broker, BrokerUnavailableError
from store import due as due_store
from store import instructions as instruction_store
from store import listening as listening_store
from store import outbox as outbox_store
from store.due import Due, DueKind
from store.hearing import Hearing
from tests.contract.workers.by_hand import NS, ByHand, by_hand, change
from tests.mapping_files import ONE_FIELD
from workers.changes import handle_changes
from workers.listening import Listening
from workers.rules.silence import LONGEST_RHYTHM
from workers.silence import wait_on
from workers.workplace import Workplace

WITHIN = timedelta(minutes=10)
"""``answer_within``, by default."""

NOTHING = timedelta()
UPDATE = Operation.UPDATE
OPEN = [(ErrorKind.NO_ANSWER, ErrorStatus.OPEN)]


class World:
    """A store with an instruction in flight to ``sales``, a broker, and two workers that listen.

    The instruction waits in the outbox.
    """

    def __init__(self, hands: ByHand, broker: Broker) -> None:
        hands.listens, hands.now = False, datetime.now(UTC)
        self.hands, self._broker = hands, broker
        self._place = Workplace(hands.store, hands.context, lambda: hands.now)
        self._workers = [self.begin() for _ in range(2)]
        hands.say(change("bc/customer/1", 1, name="x"), change("sales/account/9", 1, title="x"))
        hands.couple("bc/customer/1", "sales/account/9")
        hands.say(change("bc/customer/1", 2, UPDATE, name="y"))
        with hands.store.reading() as conn:
            (row,) = instruction_store.in_flight(conn, 10)
        self._answer = Applied(app="sales", id="o1", instruction=row.id, version=2)

    def begin(self) -> Listening:
        """Another worker that listens."""
        return Listening(self._place, self._broker, NOTHING)

    def publish(self) -> None:
        """All that waits in the outbox is published."""
        with self.hands.store.transaction() as conn:
            waiting = outbox_store.claim(conn, 100, self.hands.now, timedelta(seconds=1))
            outbox_store.done(conn, [one.id for one in waiting])

    def answer(self) -> None:
        """The app answers: its outcome waits in its queue."""
        publisher = self._broker.publisher()
        publisher.publish([encode_outcome(self._answer, NS)], timedelta(seconds=10))
        publisher.close()

    def read(self) -> None:
        """All that waits in the queue is handled."""
        for one in self._broker.take(changes_queue(NS, "sales"), 10):
            with self.hands.store.transaction() as conn:
                handle_changes(conn, self.hands.context, [one], self.hands.now)

    def pass_time(self, duration: timedelta, *, listening: bool = True) -> None:
        """Time passes; what is due meanwhile is done."""
        until = self.hands.now + duration
        while self.hands.now < until:
            self.hands.now += LONGEST_RHYTHM / 3
            for one in self._workers if listening else ():
                one.step()
            self.hands.do_due_work()

    def look_in_vain(self) -> None:
        """A worker looks while the broker is away."""
        away = Listening(self._place, connect(f"amqp://guest:guest@127.0.0.1:{closed_port()}//"), NOTHING)
        with pytest.raises(BrokerUnavailableError):
            away.step()

    def hearing(self) -> Hearing:
        """What is known of ``sales``."""
        with self.hands.store.reading() as conn:
            return listening_store.read(conn)["sales"]

    def errors(self) -> list[tuple[ErrorKind, ErrorStatus]]:
        """The errors there are, or were."""
        return [(one.kind, one.status) for one in self.hands.known_errors()]


def closed_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    """A world on each store."""
    broker = connect(f"embedded:///{tmp_path}/broker.db")
    with by_hand(store_url, ONE_FIELD) as hands:
        broker.declare(topology(NS, hands.context.file.apps))
        yield World(hands, broker)


def test_who_does_not_answer_is_silent(world: World) -> None:
    """Nobody would be told of an app that does not answer; or twice, as two workers listen."""
    world.publish()
    world.pass_time(WITHIN)
    assert world.errors() == []
    world.pass_time(3 * LONGEST_RHYTHM)
    assert world.errors() == OPEN
    assert world.hands.due() == 0


def test_an_outage_is_no_silence(world: World) -> None:
    """A night without the broker would be an error for each instruction in flight, and hide those that matter."""
    world.publish()
    world.pass_time(WITHIN / 2)
    for _ in range(5):
        world.pass_time(WITHIN, listening=False)
        world.look_in_vain()
    assert world.errors() == []
    world.pass_time(WITHIN)
    assert world.errors() == []  # it may have to connect again first
    world.pass_time(3 * LONGEST_RHYTHM)
    assert world.errors() == OPEN


def test_workers_that_come_back_read_first(world: World) -> None:
    """All who answered while no worker ran would be called silent, a moment before their answers are read."""
    world.publish()
    world.pass_time(WITHIN / 2)
    world.hands.now += 10 * WITHIN
    world.answer()
    world.pass_time(3 * WITHIN)  # a long queue, of which this is the end
    assert world.errors() == []
    world.read()
    world.pass_time(2 * WITHIN)
    assert world.errors() == []


def test_what_was_never_published_is_not_unanswered(world: World) -> None:
    """A relay that is behind would have apps called silent that were never asked."""
    world.pass_time(3 * WITHIN)
    assert world.errors() == []
    world.publish()
    world.pass_time(WITHIN)
    assert world.errors() == []
    world.pass_time(4 * LONGEST_RHYTHM)
    assert world.errors() == OPEN


def test_a_restart_is_no_outage(world: World) -> None:
    """Workers that are restarted more often than an app has time to answer in would never tell of its silence."""
    world.publish()
    for _ in range(4):
        world.pass_time(WITHIN / 4)
        world.hands.now += LONGEST_RHYTHM
    world.pass_time(3 * LONGEST_RHYTHM)
    assert world.errors() == OPEN


def test_one_look_serves_all(world: World) -> None:
    """A hundred workers would ask the broker a hundred times as often."""
    world.publish()
    world.pass_time(2 * LONGEST_RHYTHM)
    looked_at = world.hearing().looked_at
    world.hands.now = looked_at + LONGEST_RHYTHM / 2
    world.begin().step()
    assert world.hearing().looked_at == looked_at


def test_where_no_answer_is_awaited_nobody_looks(world: World) -> None:
    """An idle installation would connect to its broker twice a minute, for nothing."""
    world.publish()
    world.answer()
    world.read()
    world.pass_time(WITHIN)
    with world.hands.store.reading() as conn:
        assert listening_store.read(conn) == {}


def test_what_is_put_off_has_not_been_tried(world: World) -> None:
    """After each restart, what is waited for would be handled as if processes had died over it."""
    hands = world.hands
    with hands.store.transaction() as conn:
        (row,) = instruction_store.in_flight(conn, 10)
        begun = Due(kind=DueKind.ANSWER, coupling=1, instruction=row.id, due_at=hands.now, starts=1)
        assert wait_on(conn, hands.context.file, [begun], {row.id: row}, hands.now) == []
        put_off = [one for one in due_store.claim(conn, hands.now + 2 * WITHIN, 10) if one.instruction == row.id]
    assert {one.starts for one in put_off} == {0}
    assert len(put_off) == 2  # with the one that was there
