"""The publisher on AMQP against a broker that is late, silent, gone or wrong: never a false confirm, never a hang."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
from pika import BasicProperties, spec

from messages.transport.amqp_connection import AmqpTimeouts
from messages.transport.connect import connect
from messages.transport.ports import BrokerUnavailableError, Properties, Publication, Publisher, PublishOutcome
from tests.unit.messages.transport.fake_broker import FakeBroker, Session

SOON = timedelta(seconds=0.3)
LONG = timedelta(seconds=5)
CONFIRMED, RETURNED, REFUSED, UNKNOWN = (
    PublishOutcome.CONFIRMED,
    PublishOutcome.RETURNED,
    PublishOutcome.REFUSED,
    PublishOutcome.UNKNOWN,
)


def a(name: str, exchange: str = "x") -> Publication:
    """Return a publication whose body and routing key are ``name``."""
    return Publication(exchange=exchange, routing_key=name, body=name.encode(), properties=Properties(message_id=name))


@pytest.fixture
def publisher(broker: FakeBroker, timeouts: AmqpTimeouts) -> Iterator[Publisher]:
    """A publisher on the fake broker."""
    one = connect(broker.url, timeouts).publisher()
    yield one
    one.close()


def returned(session: Session, name: str) -> None:
    """Send back the publication ``name``."""
    session.send_message(spec.Basic.Return(312, "NO_ROUTE", "x", name), name.encode(), BasicProperties(message_id=name))


def test_one_acknowledgement_confirms_many(broker: FakeBroker, publisher: Publisher) -> None:
    """If ``multiple`` were not understood, confirmed messages would be published again and again."""

    def on_publication(session: Session, tag: int) -> None:
        if tag == 3:
            session.send(spec.Basic.Ack(3, multiple=True))

    broker.on_publication = on_publication
    assert publisher.publish([a("1"), a("2"), a("3")], LONG) == [CONFIRMED] * 3


def test_confirms_out_of_order_find_their_publications(broker: FakeBroker, publisher: Publisher) -> None:
    """If confirms were counted instead of matched, a refused message would be taken for a kept one."""

    def on_publication(session: Session, tag: int) -> None:
        if tag == 3:
            session.send(spec.Basic.Ack(3))
            session.send(spec.Basic.Nack(1))
            returned(session, "2")
            session.send(spec.Basic.Ack(2))

    broker.on_publication = on_publication
    assert publisher.publish([a("1"), a("2"), a("3")], LONG) == [REFUSED, RETURNED, CONFIRMED]


def test_a_late_confirm_confirms_nothing_else(broker: FakeBroker, publisher: Publisher) -> None:
    """If a confirm that came after its timeout were counted for the next message, that one would be lost in silence."""
    broker.on_publication = lambda _session, _tag: None
    assert publisher.publish([a("late")], SOON) == [UNKNOWN]
    broker.session.send(spec.Basic.Ack(1))
    broker.on_publication = lambda session, tag: session.send(spec.Basic.Nack(tag))
    assert publisher.publish([a("next")], LONG) == [REFUSED]
    assert len(broker.sessions) == 2


def test_the_confirm_of_a_returned_message_confirms_nothing_else(broker: FakeBroker, publisher: Publisher) -> None:
    """If the confirm that follows a return were taken for the next message's, that one would be lost in silence."""

    def on_publication(session: Session, tag: int) -> None:
        if tag == 1:
            returned(session, "1")
        else:
            session.send(spec.Basic.Ack(1))

    broker.on_publication = on_publication
    assert publisher.publish([a("1"), a("2")], SOON) == [RETURNED, UNKNOWN]


def test_a_return_that_fits_nothing_is_a_doubt(broker: FakeBroker, publisher: Publisher) -> None:
    """If a return that we cannot place were ignored, the message it belongs to would be called confirmed."""

    def on_publication(session: Session, tag: int) -> None:
        returned(session, "something else")
        session.send(spec.Basic.Ack(tag))

    broker.on_publication = on_publication
    assert publisher.publish([a("1")], LONG) == [UNKNOWN]


def test_a_cut_leaves_unknown_what_was_out(broker: FakeBroker, publisher: Publisher) -> None:
    """If what was out when the connection broke were taken for confirmed, it could be lost."""

    def on_publication(session: Session, tag: int) -> None:
        if tag == 1:
            session.send(spec.Basic.Ack(1))
        if tag == 3:
            session.cut()

    broker.on_publication = on_publication
    assert publisher.publish([a("1"), a("2"), a("3")], LONG) == [CONFIRMED, UNKNOWN, UNKNOWN]
    broker.on_publication = lambda session, tag: session.send(spec.Basic.Ack(tag))
    assert publisher.publish([a("2"), a("3")], LONG) == [CONFIRMED, CONFIRMED]


def test_a_connection_that_was_lost_while_idle_is_replaced(broker: FakeBroker, publisher: Publisher) -> None:
    """If the end of an idle connection were noticed only by publishing on it, each pause would cost repetitions."""
    assert publisher.publish([a("1")], LONG) == [CONFIRMED]
    broker.session.cut()
    assert publisher.publish([a("2")], LONG) == [CONFIRMED]
    assert [len(session.bodies) for session in broker.sessions] == [1, 1]


def test_a_frozen_broker_costs_no_more_than_the_timeout(broker: FakeBroker, publisher: Publisher) -> None:
    """If a broker that keeps the connection but answers nothing could hold us, the outbox would stand still."""
    assert publisher.publish([a("1")], LONG) == [CONFIRMED]
    broker.frozen.set()
    started_s = time.monotonic()
    assert publisher.publish([a("2")], SOON) == [UNKNOWN]
    with pytest.raises(BrokerUnavailableError, match="does not answer in time"):
        publisher.publish([a("2")], LONG)
    assert time.monotonic() - started_s < 2
    broker.frozen.clear()
    assert publisher.publish([a("2")], LONG) == [CONFIRMED]


def block(session: Session, tag: int) -> None:
    """Take what comes, and say that nothing more is taken."""
    if tag == 1:
        session.send(spec.Connection.Blocked("low on memory"), channel=0)


def test_a_blocked_broker_is_asked_on_one_connection(broker: FakeBroker, publisher: Publisher) -> None:
    """Each attempt would leave a connection with the broker that it does not notice to be closed: hundreds an hour."""
    broker.on_publication = block
    started_s = time.monotonic()
    assert publisher.publish([a("1"), a("2")], LONG) == [UNKNOWN, UNKNOWN]
    for _ in range(3):
        with pytest.raises(BrokerUnavailableError, match="takes no messages for now: low on memory"):
            publisher.publish([a("1")], LONG)
    assert time.monotonic() - started_s < 2
    assert len(broker.sessions) == 1


def test_what_was_given_up_while_the_broker_was_blocked_confirms_nothing_else(
    broker: FakeBroker, publisher: Publisher
) -> None:
    """If a confirm that comes when the broker is back were counted for another message, that one could be lost."""
    broker.on_publication = block
    assert publisher.publish([a("1"), a("2")], LONG) == [UNKNOWN, UNKNOWN]
    broker.on_publication = lambda session, tag: session.send(spec.Basic.Nack(tag))
    returned(broker.session, "1")
    for method in (spec.Basic.Ack(1), spec.Basic.Ack(2)):
        broker.session.send(method)
    broker.session.send(spec.Connection.Unblocked(), channel=0)
    until_s = time.monotonic() + LONG.total_seconds()
    outcomes: list[PublishOutcome] = []
    while not outcomes and time.monotonic() < until_s:
        with suppress(BrokerUnavailableError):
            outcomes = publisher.publish([a("1")], LONG)
    assert outcomes == [REFUSED]
    assert len(broker.sessions) == 1


def test_the_window_is_kept(broker: FakeBroker, publisher: Publisher) -> None:
    """If there were no window, a broker that falls behind would be buried, and after a cut all be published again."""
    broker.on_publication = lambda _session, _tag: None
    outcomes = publisher.publish([a(str(number)) for number in range(300)], SOON)
    assert outcomes == [UNKNOWN] * 300
    assert broker.session.publications == 256


@pytest.mark.parametrize(
    ("code", "words", "outcome"),
    [
        (404, "NOT_FOUND - no exchange 'wrong' in vhost '/'", RETURNED),
        (403, "write access to exchange 'wrong'", REFUSED),
    ],
)
def test_an_exchange_that_is_not_there_or_not_ours_is_no_riddle(
    broker: FakeBroker, publisher: Publisher, code: int, words: str, outcome: PublishOutcome
) -> None:
    """If the publication that made the broker close the channel stayed unknown, it would take every batch with it."""
    broker.on_publication = lambda session, _tag: session.send(spec.Channel.Close(code, words, 60, 40))
    assert publisher.publish([a("1", exchange="wrong"), a("2")], LONG) == [outcome, UNKNOWN]


@pytest.mark.parametrize(
    "properties",
    [
        Properties(correlation_id="x" * 256),
        Properties(type="\ud800"),
        Properties(headers={"number": 2**64}),
        Properties(headers={"object": object()}),
        Properties(headers={"long": "x" * 200_000}),
        Properties(timestamp_s=-1),
        Properties(user_id="somebody else"),
    ],
)
def test_what_cannot_travel_is_refused_alone(publisher: Publisher, properties: Properties) -> None:
    """If a property that does not fit the wire raised, one such message would hold up all others."""
    bad = Publication(exchange="x", routing_key="bad", body=b"", properties=properties)
    assert publisher.publish([bad, a("good")], LONG) == [REFUSED, CONFIRMED]


def test_nobody_there(timeouts: AmqpTimeouts) -> None:
    """If a refused connection were not translated, workers would die of it instead of trying again."""
    fake = FakeBroker()
    url = fake.url
    fake.close()
    with pytest.raises(BrokerUnavailableError, match=r"amqp://guest:\*\*\*@.* is away: .*refused"):
        connect(url, timeouts).publisher().publish([a("1")], LONG)


def test_wrong_password(broker: FakeBroker, publisher: Publisher) -> None:
    """If the words did not say that the credentials are wrong, the operator would look for a network fault."""
    broker.answers[spec.Connection.StartOk] = lambda session, _method, _channel: session.cut()
    with pytest.raises(BrokerUnavailableError, match="check user, password"):
        publisher.publish([a("1")], LONG)


def test_wrong_virtual_host(broker: FakeBroker, publisher: Publisher) -> None:
    """If the words did not say what is wrong, the operator would look for a network fault."""
    close = spec.Connection.Close(530, "NOT_ALLOWED - vhost wrong not found", 10, 40)
    broker.answers[spec.Connection.Open] = lambda session, _method, _channel: session.send(close, channel=0)
    with pytest.raises(BrokerUnavailableError, match="vhost wrong not found"):
        publisher.publish([a("1")], LONG)


def test_connections_that_are_reset_as_they_open(timeouts: AmqpTimeouts) -> None:
    """A ValueError comes out of the loop of pika then: it would end the worker, and leave half a connection behind."""
    attempts = 60

    def reset_all() -> None:
        for _ in range(attempts):
            connection, _ = listener.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=reset_all, daemon=True)
        thread.start()
        one = connect(f"amqp://guest:guest@127.0.0.1:{listener.getsockname()[1]}//", timeouts).publisher()
        for _ in range(attempts):
            with pytest.raises(BrokerUnavailableError):
                one.publish([a("1")], LONG)
        one.close()
        thread.join(LONG.total_seconds())
        assert not thread.is_alive()
