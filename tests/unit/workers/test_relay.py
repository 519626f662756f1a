"""The outbox on its way to the broker: a row goes when, and only when, the broker has it.

The store is a real SQLite one; the publishers are other implementations of the protocol.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from messages.transport.ports import BrokerUnavailableError, Properties, Publication, PublishOutcome
from store import due as due_store
from store import outbox as outbox_store
from store.connect import Store
from store.due import DueKind
from workers.consume import Relaying
from workers.context import Context
from workers.log_lines import Line
from workers.mapping import MappingFile
from workers.relay import Relay
from workers.workplace import Workplace

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONTEXT = Context(file=MappingFile(apps={}, mappings={}), tokens=lambda: "t", outbox_lease=timedelta(seconds=30))
CONFIRMED, RETURNED = PublishOutcome.CONFIRMED, PublishOutcome.RETURNED
REFUSED, UNKNOWN = PublishOutcome.REFUSED, PublishOutcome.UNKNOWN


class Saying:
    """A publisher to which the broker says what it is told to say, message by message; then it confirms.

    Attributes:
        published: The ids of each window.
    """

    def __init__(self, *outcomes: PublishOutcome) -> None:
        self._outcomes = itertools.chain(outcomes, itertools.repeat(CONFIRMED))
        self.published: list[list[str | None]] = []

    def publish(self, publications: Sequence[Publication], timeout: timedelta) -> list[PublishOutcome]:
        """Take note."""
        assert timeout > timedelta()
        self.published.append([one.properties.message_id for one in publications])
        return [next(self._outcomes) for _ in publications]

    def close(self) -> None:
        """Nothing to leave."""


class Away:
    """A publisher whose broker is away."""

    def publish(self, publications: Sequence[Publication], timeout: timedelta) -> list[PublishOutcome]:
        """Fail."""
        raise BrokerUnavailableError(f"{len(publications)} messages, not within {timeout}")

    def close(self) -> None:
        """Nothing to leave."""


def put(store: Store, *names: str, exchange: str = "recouple.instructions", instruction: str | None = None) -> None:
    """Leave messages of these ids in the outbox."""
    properties = [Properties(message_id=name) for name in names]
    made = [Publication(exchange=exchange, routing_key="bc.t.update", body=b"{}", properties=one) for one in properties]
    with store.transaction() as conn:
        outbox_store.put(conn, [(one, instruction) for one in made])


def relay(store: Store, publisher: Saying | Away, now: datetime = START, limit: int = 100) -> tuple[int, list[Line]]:
    """Relay one window, and leave."""
    one = Relay(publisher, Workplace(store, CONTEXT, lambda: now), limit)
    try:
        return one.step()
    finally:
        one.close()


def kept(store: Store) -> int:
    """How many rows are left."""
    with store.reading() as conn:
        return outbox_store.count(conn)


def published_due(store: Store) -> list[str | None]:
    """The instructions that publishing has confirmed."""
    with store.transaction() as conn:
        return [one.instruction for one in due_store.claim(conn, START, 10, [DueKind.PUBLISHED])]


def test_what_is_confirmed_is_forgotten(store: Store) -> None:
    """Everything would be published for ever, or something never."""
    put(store, "a", "b")
    publisher = Saying()
    count, lines = relay(store, publisher)
    assert (count, kept(store), publisher.published) == (2, 0, [["a", "b"]])
    assert [(line.event, line.level, line.fields) for line in lines] == [
        ("relay.published", "debug", {"messages": 2, "kept": 0})
    ]


def test_an_empty_outbox_is_nobody_s_business(store: Store) -> None:
    """Every idle moment would cost a round trip to the broker, and fail while it is away."""
    assert relay(store, Away()) == (0, [])


def test_a_window_is_so_large_and_the_oldest_go_first(store: Store) -> None:
    """A backlog would be published in one piece, or in any order."""
    put(store, *(str(number) for number in range(5)))
    publisher = Saying()
    assert [relay(store, publisher, limit=2)[0] for _ in range(4)] == [2, 2, 1, 0]
    assert publisher.published == [["0", "1"], ["2", "3"], ["4"]]


def test_what_follows_is_claimed_with_what_was_published(store: Store) -> None:
    """Each window would cost two transactions, and an answer wait for both of them behind a batch of changes."""
    put(store, *(str(number) for number in range(5)))
    publisher = Saying()
    one = Relay(publisher, Workplace(store, CONTEXT, lambda: START), 2)
    seen = []
    for _ in range(3):
        one.step()
        seen.append((kept(store), one.has_more))
    assert seen == [(3, True), (1, True), (0, False)]
    assert publisher.published == [["0", "1"], ["2", "3"], ["4"]]


def test_what_is_claimed_is_given_back_at_the_end(store: Store) -> None:
    """After each restart of a worker some messages would wait until their lease ends."""
    put(store, "a", "b")
    one = Relay(Saying(), Workplace(store, CONTEXT, lambda: START), 1)
    one.step()
    one.close()
    assert relay(store, Saying())[0] == 1


def test_what_is_claimed_is_given_back_when_the_broker_goes(store: Store) -> None:
    """What was claimed for the next window would wait for its lease after the broker is back."""
    put(store, "a", "b")
    publisher = Saying(CONFIRMED, UNKNOWN)
    one = Relay(publisher, Workplace(store, CONTEXT, lambda: START), 1)
    one.step()
    with pytest.raises(BrokerUnavailableError, match="1 messages"):
        one.step()
    assert relay(store, Saying())[0] == 1


@pytest.mark.parametrize("outcome", [RETURNED, REFUSED])
def test_what_no_queue_takes_is_kept_until_its_lease_ends(store: Store, outcome: PublishOutcome) -> None:
    """An instruction would be lost because its queue is missing or full; or be published again without a pause."""
    put(store, "a", "b")
    publisher = Saying(outcome)
    count, lines = relay(store, publisher)
    assert (count, kept(store)) == (1, 1)
    assert relay(store, publisher, START + timedelta(seconds=29)) == (0, [])
    assert relay(store, publisher, START + timedelta(seconds=30))[0] == 1
    assert (kept(store), publisher.published) == (0, [["a", "b"], ["a"]])
    assert [(line.event, line.level) for line in lines] == [("relay.returned", "warning"), ("relay.published", "debug")]
    assert lines[0].fields == {
        "exchange": "recouple.instructions",
        "routing_key": "bc.t.update",
        "message_id": "a",
        "messages": 1,
        "outcome": outcome,
    }


def test_an_answer_that_nobody_takes_is_dropped_and_said(store: Store) -> None:
    """The answer to an operator who has gone home would be tried until the end of days."""
    put(store, "answer", exchange="")
    count, lines = relay(store, Saying(RETURNED))
    assert (count, kept(store)) == (1, 0)
    assert [line.fields["outcome"] for line in lines if line.event == "relay.returned"] == [RETURNED]


def test_an_answer_that_is_refused_is_no_answer_that_nobody_takes(store: Store) -> None:
    """An answer would be lost because the reply queue was full for a moment."""
    put(store, "answer", exchange="")
    assert relay(store, Saying(REFUSED))[0] == 0
    assert kept(store) == 1


def test_what_the_broker_says_nothing_of_is_published_again_at_once(store: Store) -> None:
    """What was in flight when a connection broke would wait half a minute, or be lost."""
    put(store, "a", "b", "c")
    publisher = Saying(CONFIRMED, UNKNOWN, CONFIRMED)
    assert relay(store, publisher)[0] == 2
    assert relay(store, publisher)[0] == 1
    assert (kept(store), publisher.published) == (0, [["a", "b", "c"], ["b"]])


@pytest.mark.parametrize("publisher", [Saying(UNKNOWN, UNKNOWN), Away()], ids=["silent", "away"])
def test_a_broker_that_takes_nothing(store: Store, publisher: Saying | Away) -> None:
    """A blocked broker would be asked over and over without a pause, and then wait for the lease once it is back."""
    put(store, "a", "b")
    with pytest.raises(BrokerUnavailableError, match="2 messages"):
        relay(store, publisher)
    assert kept(store) == 2
    assert relay(store, Saying())[0] == 2


@pytest.mark.parametrize(
    ("outcome", "confirmed"), [(CONFIRMED, ["t-1-left"]), (RETURNED, []), (REFUSED, []), (UNKNOWN, [])]
)
def test_publishing_confirms_where_the_app_confirms_nothing(
    store: Store, outcome: PublishOutcome, confirmed: list[str]
) -> None:
    """A one-way target would stay in flight for ever, or count as written although the broker has nothing."""
    put(store, "t-1-left", instruction="t-1-left")
    put(store, "other")
    relay(store, Saying(outcome))
    assert published_due(store) == confirmed


class Resting(Workplace):
    """A workplace that notes who rests, and lets no time pass."""

    def __init__(self, store: Store, note: Callable[[str], None]) -> None:
        super().__init__(store, CONTEXT, lambda: START)
        self._note = note

    def rest(self, name: str) -> None:
        """Take note."""
        self._note(name)


def test_a_loop_that_waits_for_a_lease_rests(store: Store) -> None:
    """One returned message would keep a processor busy, and the writers' lock taken, until its lease ends."""
    put(store, "a")
    rests: list[str] = []
    place = Resting(store, rests.append)
    loop = Relaying(Saying(RETURNED), place, 10)
    assert [loop.step() for _ in range(5)] == [False] * 5
    assert len(rests) >= 4
