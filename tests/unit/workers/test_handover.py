"""From a transaction to the relay of its process: nothing is lost or waits for its lease, all keep their order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from messages.transport.ports import BrokerUnavailableError, Properties, Publication
from store import outbox as outbox_store
from store.connect import Store
from tests.unit.workers.test_relay import CONTEXT, Away, Saying
from workers.relay import Relay
from workers.workplace import Workplace

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)
LIMIT = 3


class Office:
    """A loop that handles changes, a relay, and the clock of both.

    Attributes:
        now: What the clock shows.
        said: What the broker was given.
    """

    def __init__(self, store: Store, publisher: Saying | Away) -> None:
        self.store, self.now, self.publisher = store, START, publisher
        self.place = Workplace(store, CONTEXT, lambda: self.now)
        self.relay = Relay(publisher, self.place, LIMIT)

    @contextmanager
    def transaction(self, *names: str, turns: dict[str, datetime] | None = None, size: int = 2) -> Iterator[None]:
        """A transaction that has to say these; it is not committed before the block is left."""
        made = [publication(name, size) for name in names]
        handover = self.place.handover.of_transaction(self.store, lambda: self.now + LEASE)
        with handover as outgoing, self.store.transaction() as conn:
            outgoing.put(conn, [(one, None) for one in made], turns or {})
            yield

    def say(self, *names: str) -> None:
        """A transaction has said these."""
        with self.transaction(*names):
            pass

    def leave(self, *names: str) -> None:
        """Another loop of the worker, or another worker, has said these."""
        with self.store.transaction() as conn:
            outbox_store.put(conn, [(publication(name), None) for name in names])

    def others(self) -> list[str | None]:
        """What another worker finds in the outbox now; it takes it."""
        with self.store.transaction() as conn:
            return [one.publication.properties.message_id for one in outbox_store.claim(conn, 100, self.now, LEASE)]

    def left(self) -> int:
        """How many rows the outbox has."""
        with self.store.reading() as conn:
            return outbox_store.count(conn)


def publication(name: str, size: int = 2) -> Publication:
    """A message of this id."""
    properties = Properties(message_id=name)
    return Publication(exchange="x.instructions", routing_key="bc.t.update", body=b"x" * size, properties=properties)


@pytest.fixture
def office(store: Store) -> Office:
    """An office whose broker answers."""
    return Office(store, Saying())


def published(office: Office) -> list[list[str | None]]:
    """What the broker was given, window by window."""
    assert isinstance(office.publisher, Saying)
    return office.publisher.published


def test_what_is_handed_over_is_published_and_forgotten(office: Office) -> None:
    """Else every message would be read back from the outbox, or stay there."""
    office.say("a", "b")
    assert office.others() == []
    assert office.relay.has_more
    assert office.relay.step()[0] == 2
    assert (published(office), office.left()) == ([["a", "b"]], 0)


def test_what_is_not_committed_is_not_published(office: Office) -> None:
    """Else an app would be told what nobody decided."""
    with pytest.raises(ZeroDivisionError), office.transaction("a"):
        raise ZeroDivisionError
    assert office.relay.step() == (0, [])
    assert (published(office), office.left()) == ([], 0)


def test_where_a_process_dies_another_publishes_it(office: Office) -> None:
    """Else what was handed over would be lost with the memory of the process."""
    office.say("a")
    office.now += LEASE
    assert office.others() == ["a"]


def test_what_another_may_have_taken_is_not_published_again(office: Office) -> None:
    """Else a relay that was held up for long would publish what another has published meanwhile."""
    office.say("a")
    office.now += LEASE
    assert office.others() == ["a"]
    assert office.relay.step() == (0, [])
    assert published(office) == []


def test_what_does_not_fit_waits_in_the_outbox_and_keeps_its_order(office: Office) -> None:
    """Else a broker that is slow would fill the memory, or a later revision of an error would be told first."""
    office.place.handover._limit = LIMIT  # noqa: SLF001 - a thousand otherwise
    office.say("a", "b")
    office.say("c", "d")  # does not fit
    office.say("e")  # would fit, and is later
    while office.relay.step()[0]:
        pass
    office.say("f")
    assert office.relay.has_more
    office.relay.step()
    assert [name for window in published(office) for name in window] == [*"abcdef"]
    assert office.left() == 0


def test_a_large_batch_waits_in_the_outbox(office: Office) -> None:
    """Else messages of a MiB would stand in memory by the hundred."""
    with office.transaction("a", "b", size=outbox_store.ENOUGH_BYTES):
        pass
    assert not office.relay.has_more
    assert office.others() == ["a"]


def test_many_batches_of_one_large_message_are_as_large(office: Office) -> None:
    """Else a broker that is slow would have hundreds of MiB stand in memory, a message at a time."""
    half = outbox_store.ENOUGH_BYTES // 2
    for name in "abc":
        with office.transaction(name, size=half):
            pass
    assert len(office.place.handover) == 2
    while office.relay.step()[0]:
        pass
    assert [name for window in published(office) for name in window] == [*"abc"]
    with office.transaction("d", size=half):
        pass
    assert len(office.place.handover) == 1


def test_what_has_its_turn_later_is_not_handed_over(office: Office) -> None:
    """Else an app would get more in a second than it said that it can take."""
    with office.transaction("a", turns={"a": START + timedelta(seconds=9)}):
        pass
    assert office.relay.step() == (0, [])
    office.now += timedelta(seconds=9)
    assert office.relay.step()[0] == 1


def test_all_is_given_back_when_the_broker_is_away(store: Store) -> None:
    """Else it would wait for its lease after the broker is back."""
    office = Office(store, Away())
    office.say("a", "b")
    with pytest.raises(BrokerUnavailableError):
        office.relay.step()
    office.say("c")
    assert not office.relay.has_more
    assert office.others() == [*"abc"]


def test_all_is_given_back_at_the_end(office: Office) -> None:
    """Else each restart of a worker would hold up some messages for as long as a lease."""
    office.say("a")
    office.relay.close()
    office.say("b")
    assert office.others() == [*"ab"]


def test_what_is_committed_after_the_relay_has_left_is_given_back(office: Office) -> None:
    """Else the last batch of each worker that stops would wait for its lease."""
    with office.transaction("a"):
        office.place.handover.leave()
    assert office.others() == ["a"]


def test_it_opens_again_only_when_nothing_is_left(office: Office) -> None:
    """Else what comes later would be published before what waits."""
    office.place.handover.shut()
    office.leave("a")
    office.say("b")
    assert not office.relay.has_more
    office.relay.step()
    assert published(office) == [[*"ab"]]
    office.say("c")
    assert office.relay.has_more


def test_it_stays_shut_for_what_is_not_committed_yet(office: Office) -> None:
    """Else what a transaction writes to the outbox just now would be published after what is decided later."""
    handover = office.place.handover
    handover.shut()
    with office.transaction("a"):
        handover.open_again(handover.times_shut)
    office.say("b")
    assert len(handover) == 0
    assert office.others() == [*"ab"]


def test_it_stays_shut_for_what_the_look_has_not_seen(office: Office) -> None:
    """Else what was committed right after the relay had looked would be published after what is decided later."""
    handover = office.place.handover
    handover.shut()
    looked = handover.times_shut
    office.say("a")
    handover.open_again(looked)
    office.say("b")
    assert len(handover) == 0


def test_it_opens_again_while_a_transaction_has_nothing_to_say_yet(office: Office) -> None:
    """Else it would stay shut for as long as there is much to do: some transaction is always under way then."""
    handover = office.place.handover
    handover.shut()
    with (
        handover.of_transaction(office.store, lambda: office.now + LEASE) as outgoing,
        office.store.transaction() as conn,
    ):
        handover.open_again(handover.times_shut)
        outgoing.put(conn, [(publication("a"), None)], {})
    assert len(handover) == 1


def test_what_fails_is_no_reason_to_stay_shut(office: Office) -> None:
    """Else one batch that fails while it is shut would shut it for good."""
    office.place.handover.shut()
    with pytest.raises(ZeroDivisionError), office.transaction("a"):
        raise ZeroDivisionError
    office.relay.step()
    office.say("b")
    assert len(office.place.handover) == 1


def test_answers_go_first_and_all_else_in_the_order_in_which_it_was_left(office: Office) -> None:
    """Else somebody would wait for an answer behind a batch of changes, or read of an error's end before its begin."""
    office.leave("a", "b", "c")
    answer = Publication(exchange="", routing_key="r", body=b"{}", properties=Properties(message_id="answer"))
    office.say("d")
    with office.store.transaction() as conn:
        outbox_store.put(conn, [(answer, None)])
    office.relay.step()
    office.say("e")
    office.relay.step()
    assert published(office) == [["d"], ["answer", "a", "b", "e"]]


def test_what_waits_for_its_turn_holds_nobody_up(office: Office) -> None:
    """Else an app with a limit would shut the way for all, or what goes at once be overtaken by a later batch."""
    with office.transaction("a", "paced", "b", turns={"paced": START + timedelta(seconds=9)}):
        pass
    office.say("c")
    office.relay.step()
    assert published(office) == [[*"abc"]]
    assert office.left() == 1
