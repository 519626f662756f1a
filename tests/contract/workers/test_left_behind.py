"""Couplings, records and errors that were left behind, or dealt with twice: each of these was found by reading."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from msgspec.structs import replace

from messages.changes import Operation
from messages.commands import (
    Dismiss,
    Done,
    Keep,
    Order,
    Pause,
    RefusalCode,
    RemoveCoupling,
    RestoreRecord,
    Resume,
    Retry,
    RetryAll,
    Synchronize,
)
from messages.errors import ErrorEvent, ErrorKind, ErrorStatus
from messages.instructions import Action
from messages.outcomes import FailureCode
from messages.records import RecordRef
from messages.values import Value
from store import due as due_store
from store import instructions as instruction_store
from store import records as record_store
from store.couplings import Standing
from store.due import Due, DueKind
from store.model import InstructionState
from tests.contract.workers.by_hand import ByHand, applied, by_hand, change, couple, gone, refused
from workers.mapping_file import parse_mapping_file

UPDATE = Operation.UPDATE
LEFT, RIGHT = "bc/customer/1", "sales/account/9"
FILTERED = """
[[mappings]]
name = "client"
left = "bc/client"
right = "sales/client"
on_deletion = "delete"
where = [{ side = "left", field = "country", is = "=", value = "DE" }]
[[mappings.fields]]
left = "name"
right = "name"
"""
PARTS = """
[[mappings]]
name = "part"
left = "bc/part"
right = "sales/part"
direction = "to_right"
only_coupled = false
match_on = [["name"]]
[[mappings.fields]]
left = "name"
right = "name"
"""
MAPPING_FILE = """
[apps.bc]
[apps.sales]
[apps.web]
confirms = "none"

[[mappings]]
name = "customer"
left = "bc/customer"
right = "sales/account"
detect = "field"
on_deletion = "delete"
max_deletes_per_minute = 3
[[mappings.fields]]
left = "name"
right = "title"
[[mappings.fields]]
left = "city"
right = "town"
[[mappings.fields]]
left = "points"
right = "score"
on_conflict = "add"

[[mappings]]
name = "vendor"
left = "bc/vendor"
right = "sales/supplier"
only_coupled = false
match_on = [["name"]]
max_creates_per_minute = 1
[[mappings.fields]]
left = "name"
right = "name"
[[mappings.fields]]
left = "grade"
right = "grade"
values = { A = "gold" }

[[mappings]]
name = "page"
left = "bc/page"
right = "web/page"
direction = "to_right"
on_deletion = "restore"
only_coupled = false
match_on = [["name"]]
[[mappings.fields]]
left = "name"
right = "name"
"""


@pytest.fixture
def hands(store_url: str) -> Iterator[ByHand]:
    """Nothing is there yet."""
    with by_hand(store_url, MAPPING_FILE + PARTS + FILTERED) as hands:
        yield hands


def coupled(hands: ByHand) -> int:
    """A customer and an account that are coupled and agree; return the coupling's number."""
    hands.say(change(LEFT, 1, name="a", city="b", points=100), change(RIGHT, 1, title="a", town="b", score=100))
    return hands.couple(LEFT, RIGHT).id


def vendor(hands: ByHand, **fields: Value) -> None:
    """A user enters the vendor ``bc/vendor/1``, of tables that are loaded."""
    hands.load("bc/vendor", "sales/supplier")
    hands.say(change("bc/vendor/1", 1, name="x", **fields))
    hands.do_due_work()


def done(hands: ByHand, order: Order) -> None:
    """An operator orders this, and it is done."""
    answer = hands.order(order)
    assert isinstance(answer, Done), answer


def let(hands: ByHand, mapping_file: str) -> None:
    """The workers are started again with another mapping file."""
    hands.context = replace(hands.context, file=parse_mapping_file(mapping_file, "recouple.toml"))


def images(hands: ByHand) -> list[dict[str, Value]]:
    """What both records hold."""
    records = [RecordRef.parse(LEFT), RecordRef.parse(RIGHT)]
    with hands.store.reading() as conn:
        found = record_store.read(conn, records)
    return [found[one].fields for one in records]


def test_two_silent_apps_are_one_error(hands: ByHand) -> None:
    """Of a merge that nobody answers, errors would stay open that no coupling knows, and one app be asked no more."""
    coupled(hands)
    hands.say(change(LEFT, 2, UPDATE, name="x"), change(RIGHT, 2, UPDATE, town="y"))
    sent = hands.instructions()
    hands.now += timedelta(minutes=30)
    hands.do_due_work()
    (error,) = hands.known_errors()
    assert (error.kind, error.revision) == (ErrorKind.NO_ANSWER, 1)
    assert [one.state for one in hands.coupling(LEFT).flight] == [InstructionState.UNANSWERED] * 2
    done(hands, Retry(error=error.error))
    again = hands.instructions()
    assert sorted(one.id for one in again) == sorted(one.id for one in sent)
    hands.say(*(applied(one, 5) for one in again))
    assert [told.event for told in hands.errors()] == [ErrorEvent.OPENED, ErrorEvent.UPDATED, ErrorEvent.RESOLVED]


def test_a_typed_sum_is_no_delta(hands: ByHand) -> None:
    """What an operator types into an ``add`` field would be taken for two equal deltas, and written over."""
    coupled(hands)
    hands.say(change(LEFT, 2, UPDATE, name="x", points=110), change(RIGHT, 2, UPDATE, title="y", score=120))
    (error,) = hands.known_errors()
    done(hands, Synchronize(error=error.error, values={"name": "z", "points": 7}))
    for one in hands.instructions():
        hands.say(applied(one, 3))
    assert hands.instructions() == []
    assert [one.get("points", one.get("score")) for one in images(hands)] == [7, 7]
    hands.say(change(LEFT, 4, UPDATE, points=9))
    assert hands.instruction().fields == {"score": 9}


def test_a_clock_that_is_ahead_does_not_release_the_brake(hands: ByHand) -> None:
    """Two hosts whose clocks differ would let a truncated table through, the same seconds passing again and again."""
    for key in range(12):
        hands.say(change(f"bc/customer/{key}", 1, name="a"), change(f"sales/account/{key}", 1, title="a"))
        hands.couple(f"bc/customer/{key}", f"sales/account/{key}")
    behind, ahead = hands.now, hands.now + timedelta(seconds=40)
    for key in range(12):
        hands.now = ahead if key % 2 else behind
        hands.say(gone(f"bc/customer/{key}", 5))
    assert len([one for one in hands.instructions() if one.action is Action.DELETE]) <= 5


def test_who_waits_for_a_create_that_is_given_up(hands: ByHand) -> None:
    """A record that waits for the answer to a create would wait for ever once the coupling is removed (R15)."""
    vendor(hands)
    hands.instruction()
    hands.say(change("sales/supplier/8", 1, name="x"))
    hands.do_due_work()
    assert hands.waiting() == 1
    done(hands, RemoveCoupling(coupling=hands.coupling("bc/vendor/1").id))
    hands.do_due_work()
    assert hands.waiting() == 0


def test_a_late_create_is_left_alone(hands: ByHand) -> None:
    """Removed while the create is in flight: what its app then tells would be created back in the first app."""
    vendor(hands)
    create = hands.instruction()
    done(hands, RemoveCoupling(coupling=hands.coupling("bc/vendor/1").id))
    hands.say(replace(change("sales/supplier/77", 5, name="x"), instruction=create.id))
    hands.do_due_work()
    hands.say(applied(create, 5, "77"))
    hands.do_due_work()
    assert hands.instructions() == []
    assert hands.waiting() == 0


@pytest.mark.parametrize("fate", ["applied", "refused"])
def test_an_answer_after_the_removal_ends_the_instruction(hands: ByHand, fate: str) -> None:
    """It would be shown as unanswered, and kept, for ever."""
    number = coupled(hands)
    hands.say(change(LEFT, 2, UPDATE, name="x"))
    sent = hands.instruction()
    done(hands, RemoveCoupling(coupling=number))
    hands.say(applied(sent, 7) if fate == "applied" else refused(sent, FailureCode.VALIDATION_FAILED))
    with hands.store.reading() as conn:
        assert instruction_store.in_flight(conn, 10) == []


def test_what_the_brake_holds_is_still_matched(hands: ByHand) -> None:
    """A user who enters by hand what does not come over would find it twice in both apps after the pause."""
    hands.load("bc/vendor", "sales/supplier")
    hands.say(change("bc/vendor/1", 1, name="x"), change("bc/vendor/2", 1, name="y"))
    hands.do_due_work()
    assert hands.instructions() == []
    hands.say(change("sales/supplier/8", 1, name="x"))
    hands.do_due_work()
    let(hands, MAPPING_FILE.replace("max_creates_per_minute = 1", ""))
    done(hands, Resume(mapping="vendor"))
    hands.do_due_work()
    assert [(one.app, one.fields) for one in hands.instructions()] == [("sales", {"name": "y"})]
    assert ("bc/vendor/1", "sales/supplier/8", Standing.SYNCHRONIZED) in hands.pairs()


def test_what_cannot_be_created_is_still_matched(hands: ByHand) -> None:
    """A record that has an error instead of a counterpart would be created again from its very counterpart."""
    vendor(hands, grade="Z")
    assert [one.kind for one in hands.known_errors()] == [ErrorKind.VALUE_NOT_MAPPED]
    hands.say(change("sales/supplier/8", 1, name="x", grade="gold"))
    hands.do_due_work()
    assert hands.instructions() == []
    assert [pair[:2] for pair in hands.pairs()] == [("bc/vendor/1", "sales/supplier/8")]


def test_an_order_between_two_pauses(hands: ByHand) -> None:
    """What is ordered after a pause, before the timers have come by, would be forgotten by the end of the next one."""
    number = coupled(hands)
    hands.say(gone(LEFT, 2), change(RIGHT, 2, UPDATE, town="y"))
    done(hands, Pause(mapping="customer"))
    hands.say(change(RIGHT, 3, UPDATE, town="q"))
    done(hands, Resume(mapping="customer"))
    done(hands, RestoreRecord(coupling=number))
    create = hands.instruction()
    hands.do_due_work()
    done(hands, Pause(mapping="customer"))
    hands.say(change(RIGHT, 4, UPDATE, town="r"))
    hands.say(applied(create, 9, "1b"))
    hands.do_due_work()
    done(hands, Resume(mapping="customer"))
    hands.do_due_work()
    assert hands.instruction().fields == {"city": "r"}


def test_an_ambiguity_of_a_mapping_that_is_gone(hands: ByHand) -> None:
    """The command would fail and lie in the dead queue, instead of being told why."""
    hands.load("bc/part", "sales/part")
    for record in ("sales/part/8", "sales/part/9", "bc/part/1"):
        hands.say(change(record, 1, name="x"))
        hands.do_due_work()
    (error,) = hands.known_errors()
    let(hands, MAPPING_FILE)
    for order in (Retry(error=error.error), Dismiss(error=error.error)):
        assert hands.refusal(order).code is RefusalCode.NOT_APPLICABLE


def test_an_app_that_confirms_nothing_restores_nothing(hands: ByHand) -> None:
    """Nobody would ever know the key: the timers would fail for ever, and the error be resolving for ever."""
    hands.say(change("bc/page/1", 1, name="a"), change("web/page/9", 1, name="a"))
    number = hands.couple("bc/page/1", "web/page/9").id
    hands.say(gone("web/page/9", 2))
    (error,) = hands.known_errors()
    assert error.kind is ErrorKind.DELETION_CONFLICT
    assert "restore_record" not in error.actions
    assert hands.refusal(RestoreRecord(coupling=number)).code is RefusalCode.NOT_APPLICABLE


def test_a_published_create_says_no_key(hands: ByHand) -> None:
    """Publishing alone would be taken for the answer, fail, and be tried again every five minutes."""
    hands.load("bc/page", "web/page")
    hands.say(change("bc/page/1", 1, name="a"))
    hands.do_due_work()
    create = hands.instruction()
    with hands.store.transaction() as conn:
        due_store.put(conn, [Due(kind=DueKind.PUBLISHED, instruction=create.id, due_at=hands.now)])
    hands.do_due_work()
    hands.say(replace(change("web/page/9", 1, name="a"), instruction=create.id))
    assert [pair[:2] for pair in hands.pairs()] == [("bc/page/1", "web/page/9")]


@pytest.mark.parametrize("order", ["retry", "retry_all"])
def test_a_retry_of_a_refused_choice(hands: ByHand, order: str) -> None:
    """The error would be over, "resolved by retry", although nothing was sent and the records differ as before."""
    hands.say(change(LEFT, 1, name="a", city="b", points=1), change(RIGHT, 1, title="z", town="b", score=1))
    done(hands, Synchronize(coupling=hands.couple(LEFT, RIGHT).id, keep=Keep.LEFT))
    hands.say(refused(hands.instruction(), FailureCode.VALIDATION_FAILED))
    (error,) = hands.known_errors()
    if order == "retry":
        done(hands, Retry(error=error.error))
    else:
        assert isinstance(hands.job(RetryAll()), Done)
    (still,) = hands.known_errors()
    assert (still.status, still.kind, still.attempts) == (ErrorStatus.OPEN, ErrorKind.APPLY_FAILED, 1)
    assert (still.revision, still.history[-1].command) == (2, order)
    done(hands, Synchronize(error=error.error, keep=Keep.LEFT))
    hands.say(applied(hands.instruction(), 5))
    assert [told.status for told in hands.known_errors()] == [ErrorStatus.RESOLVED]


def test_a_dismissed_keep(hands: ByHand) -> None:
    """A user's edit would be overwritten by what an operator ordered long ago, and has given up."""
    hands.say(change(LEFT, 1, name="a", city="b", points=1), change(RIGHT, 1, title="z", town="b", score=1))
    done(hands, couple(LEFT, RIGHT, keep=Keep.LEFT))
    hands.say(refused(hands.instruction(), FailureCode.VALIDATION_FAILED))
    (error,) = hands.known_errors()
    done(hands, Dismiss(error=error.error))
    hands.say(change(RIGHT, 2, UPDATE, title="an edit"))
    assert hands.instructions() == []
    assert [told.kind for told in hands.known_errors()] == [ErrorKind.APPLY_FAILED, ErrorKind.UPDATE_CONFLICT]


def test_both_gone_outside_of_where(hands: ByHand) -> None:
    """The coupling would stay, and a record entered anew under the old key be deleted for what happened before."""
    hands.say(change("bc/client/1", 1, name="a", country="DE"), change("sales/client/9", 1, name="a"))
    hands.couple("bc/client/1", "sales/client/9")
    hands.say(change("bc/client/1", 2, UPDATE, country="CH"))
    hands.say(gone("bc/client/1", 3), gone("sales/client/9", 3))
    assert [pair[2] for pair in hands.pairs()] == [Standing.CLOSED]
    hands.say(change("bc/client/1", 4, name="a", country="DE"))
    assert hands.instructions() == []
