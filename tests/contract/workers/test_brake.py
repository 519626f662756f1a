"""The brake and the pace over real stores: a truncated table empties nothing, and no app gets more than it can take."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest
from msgspec.structs import replace

from messages.changes import Change, Operation
from messages.commands import DeleteRecord, Done, Order, Pause, Resume
from messages.errors import ErrorEvent, ErrorKind, ErrorStatus, Family
from messages.instructions import Action
from messages.outcomes import FailureCode
from store import outbox as outbox_store
from store import pauses as pause_store
from store.pauses import Scope
from tests.contract.workers.by_hand import ByHand, applied, by_hand, change, gone, refused
from tests.services import empty
from workers.changes import handle_changes

UPDATE = Operation.UPDATE
MAPPING_FILE = """
[apps.bc]
[apps.sales]
title = "The CRM"
[apps.shop]
max_instructions_per_second = 5

[[mappings]]
name = "customer"
left = "bc/customer"
right = "sales/account"
on_deletion = "delete"
only_coupled = false
max_deletes_per_minute = 3
max_creates_per_minute = 4
[[mappings.fields]]
left = "name"
right = "title"

[[mappings]]
name = "prospect"
left = "bc/prospect"
right = "sales/lead"
on_deletion = "delete"
max_deletes_per_minute = 0
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


@pytest.fixture
def hands(store_url: str) -> Iterator[ByHand]:
    """Nothing is there yet."""
    with by_hand(store_url, MAPPING_FILE) as hands:
        yield hands


def coupled(hands: ByHand, count: int, left: str = "bc/customer", right: str = "sales/account") -> None:
    """So many pairs of records that agree."""
    for key in range(count):
        there = change(f"{right}/{key}", 1, name="x")
        if right.startswith("sales"):
            there = change(f"{right}/{key}", 1, title="x")
        hands.say(change(f"{left}/{key}", 1, name="x"), there)
        hands.couple(f"{left}/{key}", f"{right}/{key}")
    assert hands.instructions() == []


def delete(hands: ByHand, *keys: int, table: str = "bc/customer") -> None:
    """These records are deleted by a user, in one batch."""
    hands.say(*(gone(f"{table}/{key}", 5) for key in keys))


def done(hands: ByHand, order: Order) -> Done:
    """An operator orders this, and it is done."""
    answer = hands.order(order)
    assert isinstance(answer, Done), answer
    return answer


def paused(hands: ByHand, mapping: str = "customer") -> bool:
    """Whether the mapping is paused."""
    with hands.store.reading() as conn:
        return pause_store.read(conn).get(Scope.MAPPING, mapping) is not None


def test_a_truncated_table_empties_nothing(hands: ByHand) -> None:
    """One TRUNCATE in one app would be repeated in the other, and both tables be lost."""
    coupled(hands, 5)
    delete(hands, 0, 1, 2, 3, 4)
    assert hands.instructions() == []
    assert paused(hands)
    assert [one.held_by for one in hands.couplings()] == ["mapping customer"] * 5
    assert hands.log("bc/customer/3")[-1] == "paused"


def test_what_is_within_the_limit_goes_on(hands: ByHand) -> None:
    """People could not delete three records a minute any more."""
    coupled(hands, 3)
    delete(hands, 0, 1, 2)
    assert [one.action for one in hands.instructions()] == [Action.DELETE] * 3
    assert not paused(hands)


def test_the_limit_counts_over_batches(hands: ByHand) -> None:
    """A truncation that trickles in, one event a batch, would pass unseen."""
    coupled(hands, 5)
    for key in range(5):
        delete(hands, key)
    assert [one.key for one in hands.instructions()] == ["0", "1", "2"]
    assert paused(hands)


def test_the_allowance_comes_back_with_time(hands: ByHand) -> None:
    """A mapping would be paused for what was deleted long ago."""
    coupled(hands, 5)
    delete(hands, 0, 1, 2)
    hands.now += timedelta(seconds=40)
    delete(hands, 3, 4)
    assert len(hands.instructions()) == 5
    assert not paused(hands)


def test_zero_is_no_limit(hands: ByHand) -> None:
    """A mapping that is meant to pass on every deletion could not."""
    coupled(hands, 5, "bc/prospect", "sales/lead")
    delete(hands, 0, 1, 2, 3, 4, table="bc/prospect")
    assert len(hands.instructions()) == 5


def test_one_error_tells_what_to_do(hands: ByHand) -> None:
    """Nobody would notice that a mapping stands still, or know what to do about it; or be told a thousand times."""
    coupled(hands, 7)
    delete(hands, 0, 1, 2, 3)
    delete(hands, 4, 5)
    delete(hands, 6)
    (told,) = hands.errors()
    assert told.event is ErrorEvent.OPENED
    error = told.report
    assert (error.kind, error.family, error.status) == (
        ErrorKind.LIMIT_EXCEEDED,
        Family.INTEGRATION,
        ErrorStatus.OPEN,
    )
    assert (error.mapping, error.coupling, error.left, error.right) == ("customer", None, None, None)
    assert error.actions == ("resume",)
    for part in ("4 deletions", "The CRM", "bc/customer", "3 a minute", "recouple resume --mapping customer"):
        assert part in error.detail
    assert "raise max_deletes_per_minute" in error.detail
    assert error.fingerprint
    assert hands.known_errors() == [error]
    with hands.store.reading() as conn:
        found = pause_store.read(conn).get(Scope.MAPPING, "customer")
    assert found is not None
    assert (found.by, found.error) == ("recouple", error.error)
    events = [line.event for line in hands.lines]
    assert (events.count("error.opened"), events.count("pause.set")) == (1, 1)


def test_others_of_the_batch_go_on(hands: ByHand) -> None:
    """One app's mistake would stop the mappings that have nothing to do with it."""
    coupled(hands, 4)
    coupled(hands, 1, "bc/prospect", "sales/lead")
    hands.say(*(gone(f"bc/customer/{key}", 5) for key in range(4)), change("bc/prospect/0", 2, UPDATE, name="y"))
    assert [(one.table, one.action) for one in hands.instructions()] == [("lead", Action.UPDATE)]


def test_updates_of_the_paused_mapping_wait_too(hands: ByHand) -> None:
    """Half of what the mapping was told would go out, decided on a table that is no more."""
    coupled(hands, 5)
    hands.say(*(gone(f"bc/customer/{key}", 5) for key in range(4)), change("bc/customer/4", 2, UPDATE, name="y"))
    assert hands.instructions() == []


def test_after_the_table_is_restored_nothing_is_deleted(hands: ByHand) -> None:
    """The pause would only put off the loss."""
    coupled(hands, 5)
    delete(hands, 0, 1, 2, 3, 4)
    hands.say(*(change(f"bc/customer/{key}", 9, name="x") for key in range(5)))
    done(hands, Resume(mapping="customer"))
    hands.do_due_work()
    assert hands.instructions() == []
    assert [one.held_by for one in hands.couplings()] == [None] * 5
    assert not paused(hands)


def test_resume_resolves_the_error(hands: ByHand) -> None:
    """The error would stand for ever, or nobody know who let the mapping go on, and why."""
    coupled(hands, 5)
    delete(hands, 0, 1, 2, 3)
    (opened,) = hands.errors()
    answer = done(hands, Resume(mapping="customer"))
    assert answer.result == {"mapping": "customer", "paused": False, "error": opened.report.error}
    (over,) = hands.errors()
    assert over.event is ErrorEvent.RESOLVED
    error = over.report
    assert (error.status, error.resolution, error.resolved_by) == (ErrorStatus.RESOLVED, "resume", "ops/jane")
    assert (error.revision, error.actions, error.resolved_at) == (2, (), hands.now)
    (entry,) = error.history
    assert (entry.command, entry.by, entry.reason, entry.revision) == ("resume", "ops/jane", "why not", 1)
    assert hands.known_errors() == [error]


def test_resume_gives_a_new_allowance(hands: ByHand) -> None:
    """An operator who lets a mapping go on would have to wait a minute first."""
    coupled(hands, 5)
    delete(hands, 0, 1, 2)
    delete(hands, 3, 4)
    assert len(hands.instructions()) == 3
    done(hands, Resume(mapping="customer"))
    hands.do_due_work()
    assert [one.key for one in hands.instructions()] == ["3", "4"]


def test_what_still_passes_the_limit_is_paused_again(hands: ByHand) -> None:
    """A hasty ``resume`` would empty the other side after all."""
    coupled(hands, 5)
    delete(hands, 0, 1, 2, 3, 4)
    hands.errors()
    done(hands, Resume(mapping="customer"))
    hands.do_due_work()
    assert hands.instructions() == []
    assert paused(hands)
    assert [one.event for one in hands.errors()] == [ErrorEvent.RESOLVED, ErrorEvent.OPENED]


def test_what_an_operator_orders_singly_is_not_counted(hands: ByHand) -> None:
    """An operator who settles errors one by one would run into the brake."""
    coupled(hands, 5)
    hands.say(*(change(f"sales/account/{key}", 2, UPDATE, title="y") for key in range(5)))
    for one in hands.instructions():
        hands.say(refused(one, FailureCode.VALIDATION_FAILED))
    delete(hands, 0, 1, 2, 3, 4)
    assert all(coupling.error is not None for coupling in hands.couplings())
    for coupling in hands.couplings():
        done(hands, DeleteRecord(coupling=coupling.id))
    assert [one.action for one in hands.instructions()] == [Action.DELETE] * 5
    assert not paused(hands)


def test_creations_are_limited_too(hands: ByHand) -> None:
    """A table that is loaded by mistake would be created record by record in the other app."""
    hands.load("bc/customer", "sales/account")
    hands.say(*(change(f"bc/customer/{key}", 1, name=f"n{key}") for key in range(5)))
    hands.do_due_work()
    assert hands.instructions() == []
    (told,) = hands.errors()
    assert "5 creations" in told.report.detail
    assert "max_creates_per_minute" in told.report.detail


def test_records_that_arrive_afterwards_wait(hands: ByHand) -> None:
    """What came after the brake would be created although the mapping is paused, or never."""
    hands.load("bc/customer", "sales/account")
    hands.say(*(change(f"bc/customer/{key}", 1, name=f"n{key}") for key in range(5)))
    hands.do_due_work()
    hands.say(change("bc/customer/9", 1, name="n9"))
    hands.do_due_work()
    assert (hands.instructions(), hands.waiting()) == ([], 1)
    hands.say(*(gone(f"bc/customer/{key}", 5) for key in range(5)))
    done(hands, Resume(mapping="customer"))
    hands.do_due_work()
    assert [one.fields for one in hands.instructions()] == [{"title": "n9"}]


def test_an_operators_pause_opens_no_error(hands: ByHand) -> None:
    """Deletions under a mapping that is paused anyway would be an error that nobody can act on."""
    coupled(hands, 5)
    done(hands, Pause(mapping="customer"))
    delete(hands, 0, 1, 2, 3, 4)
    assert (hands.errors(), hands.instructions()) == ([], [])


def ready(hands: ByHand) -> int:
    """How many instructions a relay gets now; it does not publish them."""
    with hands.store.transaction() as conn:
        return len(outbox_store.claim(conn, 1000, hands.now, timedelta(days=1)))


@pytest.mark.parametrize("batches", [1, 2, 20])
def test_an_app_gets_no_more_than_its_pace(hands: ByHand, batches: int) -> None:
    """An app that can take five instructions in a second would be sent twenty at once, by one worker or by several."""
    coupled(hands, 20, "bc/item", "shop/item")
    hands.answers()
    events = [change(f"bc/item/{key}", 2, UPDATE, name="y") for key in range(20)]
    for number in range(batches):
        hands.say(*events[number::batches])
    assert ready(hands) <= 1
    hands.now += timedelta(seconds=1)
    assert 4 <= ready(hands) <= 6
    hands.now += timedelta(seconds=3)
    assert ready(hands) == 14


def test_who_goes_out_later_is_answered_later(hands: ByHand) -> None:
    """An instruction that waits for its turn would count as unanswered before it was sent."""
    coupled(hands, 20, "bc/item", "shop/item")
    hands.say(*(change(f"bc/item/{key}", 2, UPDATE, name="y") for key in range(20)))
    due = [sent.due_at for one in hands.couplings() for sent in one.flight]
    first = hands.now + timedelta(minutes=10)
    assert due == [first + number * timedelta(seconds=0.2) for number in range(20)]
    hands.now = first + timedelta(seconds=1)
    hands.do_due_work()
    assert len(hands.errors()) == 6


def test_an_app_that_is_not_busy_is_sent_to_at_once(hands: ByHand) -> None:
    """A pace would delay what comes one by one."""
    coupled(hands, 3, "bc/item", "shop/item")
    for key in range(3):
        hands.say(change(f"bc/item/{key}", 2, UPDATE, name="y"))
        hands.say(applied(hands.instruction(), 2))
        hands.now += timedelta(seconds=1)


def test_what_is_sent_again_takes_its_turn(hands: ByHand) -> None:
    """An app that was away would get everything at once when it is back."""
    coupled(hands, 10, "bc/item", "shop/item")
    hands.say(*(change(f"bc/item/{key}", 2, UPDATE, name="y") for key in range(10)))
    hands.now += timedelta(seconds=2)
    sent = hands.instructions()
    assert len(sent) == 10
    away = (replace(refused(one, FailureCode.UNAVAILABLE), retry_after=timedelta(seconds=9)) for one in sent)
    hands.say(*away)
    hands.now += timedelta(seconds=9)
    hands.do_due_work()
    assert len(hands.instructions()) == 1
    hands.now += timedelta(seconds=2)
    assert [one.attempt for one in hands.instructions()] == [2] * 9


@pytest.fixture
def shared(postgres_url: str) -> Iterator[ByHand]:
    """A store for two workers at once."""
    empty(postgres_url)
    with by_hand(postgres_url, MAPPING_FILE) as hands:
        yield hands


def during(hands: ByHand, first: Sequence[Change], second: Sequence[Change]) -> None:
    """Two workers: the second takes its batch up before the first has committed, and waits for it."""
    other = threading.Thread(target=hands.say, args=second)
    with hands.store.transaction() as conn:
        deliveries = [hands.delivered(one) for one in first]
        hands.lines += handle_changes(conn, hands.context, deliveries, hands.now)
        other.start()
        other.join(0.5)
        assert other.is_alive()
    other.join()


def test_two_workers_share_one_allowance(shared: ByHand) -> None:
    """With ten workers ten times the limit would be deleted."""
    coupled(shared, 4)
    deletions = [gone(f"bc/customer/{key}", 5) for key in range(4)]
    during(shared, deletions[:2], deletions[2:])
    assert sorted(one.key or "" for one in shared.instructions()) == ["0", "1"]
    assert paused(shared)
    assert len(shared.errors()) == 1


def test_a_worker_sees_that_another_has_just_paused_the_mapping(shared: ByHand) -> None:
    """What comes to another worker in the same moment would still be deleted."""
    coupled(shared, 5)
    deletions = [gone(f"bc/customer/{key}", 5) for key in range(5)]
    during(shared, deletions[:4], deletions[4:])
    assert shared.instructions() == []
    assert len(shared.errors()) == 1
    assert [one.held_by for one in shared.couplings()] == ["mapping customer"] * 5
    done(shared, Resume(mapping="customer"))
    shared.do_due_work()
    assert paused(shared)


def test_two_workers_share_one_pace(shared: ByHand) -> None:
    """With ten workers an app would get ten times what it can take."""
    coupled(shared, 10, "bc/item", "shop/item")
    shared.answers()
    events = [change(f"bc/item/{key}", 2, UPDATE, name="y") for key in range(10)]
    during(shared, events[:5], events[5:])
    assert ready(shared) == 1
    shared.now += timedelta(seconds=1)
    assert ready(shared) == 5
    shared.now += timedelta(seconds=1)
    assert ready(shared) == 4
