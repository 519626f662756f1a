"""What comes in floods holds up nobody else: jobs wait for the outbox and for slow apps, due work takes turns."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from messages.codec import encode_command
from messages.commands import Command, Keep, Order, Pause, Purge, Resume, RetryAll, Synchronize
from messages.topology import commands_queue
from messages.transport.ports import Properties, Publication
from store import due as due_store
from store import jobs as job_store
from store import outbox as outbox_store
from store import paces as pace_store
from store import tables
from store.due import Due, DueKind
from store.jobs import Job, JobStatus
from tests.contract.workers.by_hand import MANY, NS, ByHand, command, delivery
from tests.contract.workers.one_transaction import in_one_transaction
from workers.bulk.waiting import AHEAD, BACKLOG, LOOK_AGAIN
from workers.holding import AT_ONCE
from workers.timing import Timing
from workers.workplace import Workplace

MAPPING_FILE = """
[apps.bc]
[apps.sales]
[apps.shop]
max_instructions_per_second = 2
[[mappings]]
name = "customer"
left = "bc/customer"
right = "sales/account"
[[mappings.fields]]
left = "name"
right = "title"
[[mappings]]
name = "item"
left = "bc/item"
right = "shop/item"
[[mappings.fields]]
left = "name"
right = "name"
"""
ALL: dict[str, Order] = {
    "customer": Synchronize(mapping="customer", keep=Keep.LEFT),
    "item": Synchronize(mapping="item", keep=Keep.LEFT),
    "retry": RetryAll(),
    "purge": Purge(),
}


@pytest.fixture
def hands(store_url: str) -> Iterator[ByHand]:
    """A store and what works on it."""
    with in_one_transaction(store_url, MAPPING_FILE) as hands:
        yield hands


def fill(hands: ByHand, count: int, *, later: bool = False, exchange: str = "x") -> None:
    """Leave so many messages in the outbox, to go out at once or much later."""
    names = [f"{exchange} {later} {number}" for number in range(count)]
    made = [
        Publication(exchange=exchange, routing_key="k", body=b"", properties=Properties(message_id=n)) for n in names
    ]
    turns = dict.fromkeys(names, hands.now + timedelta(days=1)) if later else {}
    with hands.store.transaction() as conn:
        outbox_store.put(conn, [(one, None) for one in made], turns)


def publish(hands: ByHand, count: int) -> None:
    """So many of them are published."""
    with hands.store.transaction() as conn:
        found = outbox_store.claim(conn, count, hands.now, timedelta(seconds=1))
        outbox_store.done(conn, [one.id for one in found])


def begin(hands: ByHand, order: Order) -> None:
    """Order a job; nothing of it is done yet."""
    ordered: Command = command(order)
    hands.deliver_command(delivery(commands_queue(NS), encode_command(ordered, NS, hands.now)))


def job_of(hands: ByHand) -> Job:
    """The newest job."""
    with hands.store.reading() as conn:
        return job_store.page(conn, 1)[0]


def is_done(hands: ByHand) -> bool:
    """Whether the newest job is over once what is due by now is done."""
    hands.do_due_work()
    return job_of(hands).status is JobStatus.DONE


@pytest.mark.parametrize("name", [*ALL])
def test_a_job_waits_while_much_is_to_be_published(hands: ByHand, name: str) -> None:
    """A job over a million couplings would fill the outbox, and a user's edit be published after all of it."""
    fill(hands, BACKLOG)
    begin(hands, ALL[name])
    assert is_done(hands) == (name == "purge")
    hands.now += LOOK_AGAIN
    assert is_done(hands) == (name == "purge")
    publish(hands, 1)
    hands.now += LOOK_AGAIN
    assert is_done(hands)


def test_a_job_does_not_wait_for_what_is_for_later(hands: ByHand) -> None:
    """What one slow app is still to be sent would stop all bulk work towards the others."""
    fill(hands, BACKLOG, later=True)
    fill(hands, BACKLOG, exchange="")
    begin(hands, ALL["customer"])
    assert is_done(hands)


def book(hands: ByHand, app: str, until: timedelta) -> None:
    """The app is to be sent so much already that its next turn is that much later."""
    with hands.store.transaction() as conn:
        pace_store.lock(conn, [app], hands.now)
        pace_store.save(conn, {app: hands.now + until})


@pytest.mark.parametrize("name", ["item", "retry"])
def test_a_job_goes_at_the_pace_of_the_app(hands: ByHand, name: str) -> None:
    """A job would book a slow app out for a day, and a user's edit would be sent to it the day after."""
    book(hands, "shop", AHEAD + 2 * LOOK_AGAIN)
    begin(hands, ALL[name])
    assert not is_done(hands)
    hands.now += LOOK_AGAIN
    assert not is_done(hands)
    hands.now += LOOK_AGAIN
    assert is_done(hands)


@pytest.mark.parametrize("name", ["customer", "purge"])
def test_a_slow_app_holds_up_no_job_that_sends_it_nothing(hands: ByHand, name: str) -> None:
    """Bulk work on one mapping would wait for an app of another."""
    book(hands, "shop", timedelta(days=1))
    book(hands, "sales", timedelta(days=1))  # it had a limit once
    begin(hands, ALL[name])
    assert is_done(hands)


def test_what_is_due_takes_turns(hands: ByHand) -> None:
    """An app that does not answer ten thousand instructions would keep what others wait for from being done."""
    flood = [Due(kind=DueKind.ANSWER, coupling=99, due_at=hands.now - timedelta(hours=1)) for _ in range(MANY)]
    others = [DueKind.WAKE, DueKind.RETRY, DueKind.PUBLISHED, DueKind.ARRIVAL]
    with hands.store.transaction() as conn:
        due_store.put(conn, [*flood, *(Due(kind=kind, coupling=99, mapping="m", due_at=hands.now) for kind in others)])
    timing = Timing(Workplace(hands.store, hands.context, lambda: hands.now), 1)
    for _ in range(len(others) + 1):
        timing.step()
    with hands.store.reading() as conn:
        assert due_store.kinds_due(conn, hands.now) == {DueKind.ANSWER}
        assert due_store.count(conn, hands.now) == MANY - 1


def held(hands: ByHand) -> int:
    """How much a pause holds."""
    query = select(func.count()).select_from(tables.due).where(tables.due.c.kind == DueKind.HELD)
    with hands.store.reading() as conn:
        return conn.execute(query).scalar_one()


def test_what_a_long_pause_held_is_let_go_part_by_part(hands: ByHand) -> None:
    """A pause over a million changed records could not be ended: the statement would take longer than it may."""
    order = Pause(mapping="customer"), Resume(mapping="customer")
    hands.order(order[0])
    items = [Due(kind=DueKind.WAKE, coupling=one, mapping="customer", due_at=hands.now) for one in range(AT_ONCE + 5)]
    with hands.store.transaction() as conn:
        due_store.hold(conn, items)
    hands.order(order[1])
    assert held(hands) == AT_ONCE + 5
    assert hands.do_one_turn()
    assert held(hands) == 5
    hands.order(order[0])
    hands.do_due_work()
    assert held(hands) == 5  # it is paused anew: not let go
    hands.order(order[1])
    hands.do_due_work()
    assert held(hands) == 0
