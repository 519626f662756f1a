"""``retry_all`` and ``synchronize`` of a mapping over real stores: which couplings they take, and what they count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from messages.changes import Operation
from messages.codec import encode_command
from messages.commands import Done, Keep, Order, RetryAll, Synchronize
from messages.errors import ErrorKind, ErrorReport, ErrorStatus
from messages.outcomes import FailureCode
from messages.topology import commands_queue
from store import jobs as job_store
from store.jobs import JobStatus
from tests.contract.workers.by_hand import (
    MANY,
    NS,
    ByHand,
    applied,
    change,
    command,
    delivery,
    gone,
    refused,
)
from tests.contract.workers.one_transaction import in_one_transaction
from tests.contract.workers.scene import MAPPING_FILE

UPDATE = Operation.UPDATE
NOUGHT = dict.fromkeys(("inserted", "modified", "deleted", "unchanged", "skipped", "failed", "coupled", "uncoupled"), 0)


@pytest.fixture
def hands(store_url: str) -> Iterator[ByHand]:
    """Six couplings, of which the right app has refused two for a right and one for a value; one is contested."""
    with in_one_transaction(store_url, MAPPING_FILE) as hands:
        for key in range(1, 7):
            hands.say(
                change(f"bc/customer/{key}", 1, name="x", rank="A", seller=""),
                change(f"sales/account/{key}", 1, title="x", grade="gold", owner=""),
            )
            hands.couple(f"bc/customer/{key}", f"sales/account/{key}")
        codes = (FailureCode.PERMISSION_DENIED, FailureCode.PERMISSION_DENIED, FailureCode.VALIDATION_FAILED)
        for key, code in enumerate(codes, 1):
            hands.say(change(f"bc/customer/{key}", 2, UPDATE, name="l"))
            hands.say(refused(hands.instruction(), code))
        hands.say(change("bc/customer/4", 2, UPDATE, name="l"), change("sales/account/4", 2, UPDATE, title="r"))
        hands.errors()
        yield hands


def counted(hands: ByHand, order: Order) -> dict[str, Any]:
    """Order the job; what it counted."""
    answer = hands.job(order)
    assert isinstance(answer, Done), answer
    assert {answer.result.pop(name) for name in ("job",)}
    return answer.result


def keys(hands: ByHand) -> list[str]:
    """The records that apps are told to write."""
    return sorted(str(one.key) for one in hands.instructions())


FILTERS: list[tuple[dict[str, Any], list[str], int]] = [
    ({}, ["1", "2", "3"], 4),
    ({"mapping": "customer"}, ["1", "2", "3"], 4),
    ({"mapping": "vendor"}, [], 0),
    ({"kind": ErrorKind.APPLY_FAILED}, ["1", "2", "3"], 3),
    ({"kind": ErrorKind.UPDATE_CONFLICT}, [], 1),
    ({"code": "permission_denied"}, ["1", "2"], 2),
    ({"kind": ErrorKind.UPDATE_CONFLICT, "code": "permission_denied"}, [], 0),
]


@pytest.mark.parametrize(("filters", "instructed", "total"), FILTERS, ids=[str(row[0]) for row in FILTERS])
def test_retry_all_takes_what_fits(hands: ByHand, filters: dict[str, Any], instructed: list[str], total: int) -> None:
    """Errors of another cause would be tried again, or some of this one be left out, or the counts be invented."""
    result = counted(hands, RetryAll(**filters))
    modified = len(instructed)
    assert keys(hands) == instructed
    expected = NOUGHT | {"modified": modified, "failed": total - modified, "total": total, "done": total}
    assert {name: result[name] for name in expected} == expected


def test_retry_all_of_one_cause(hands: ByHand) -> None:
    """A right that was granted could not be made use of without trying everything else, too."""
    first, second, third, _ = hands.known_errors()
    assert first.fingerprint == second.fingerprint != third.fingerprint
    counted(hands, RetryAll(fingerprint=first.fingerprint))
    assert keys(hands) == ["1", "2"]


def statuses(hands: ByHand) -> list[ErrorStatus]:
    """Of each error, in the order of their numbers."""
    return [one.status for one in hands.known_errors()]


def test_retry_all_leaves_what_is_under_way(hands: ByHand) -> None:
    """A second ``retry_all`` would send the same again, or count what it did not do."""
    counted(hands, RetryAll(kind=ErrorKind.APPLY_FAILED))
    sent = hands.instructions()
    assert statuses(hands) == [ErrorStatus.RESOLVING] * 3 + [ErrorStatus.OPEN]
    again = counted(hands, RetryAll(kind=ErrorKind.APPLY_FAILED))
    assert (again["total"], hands.instructions()) == (0, [])
    hands.say(*(applied(one, 3) for one in sent))
    assert statuses(hands) == [ErrorStatus.RESOLVED] * 3 + [ErrorStatus.OPEN]
    over = hands.known_errors()[:3]
    assert {(one.resolution, one.resolved_by) for one in over} == {("retry_all", "ops/jane")}


def test_a_retry_all_that_is_refused_again_opens_the_same_errors(hands: ByHand) -> None:
    """Each failed attempt would leave one more error."""
    before = [one.error for one in hands.known_errors()]
    counted(hands, RetryAll(code="permission_denied"))
    hands.say(*(refused(one, FailureCode.PERMISSION_DENIED) for one in hands.instructions()))
    assert [one.error for one in hands.known_errors()] == before
    assert statuses(hands) == [ErrorStatus.OPEN] * 4
    assert [one.attempts for one in hands.known_errors()[:2]] == [2, 2]


def test_what_is_opened_after_it_began_is_left_alone(hands: ByHand) -> None:
    """A job could go on for ever, with errors that open while it works."""
    hands.deliver_command(delivery(commands_queue(NS), encode_command(command(RetryAll()), NS, hands.now)))
    started = hands.now
    hands.now = started + (hands.now.resolution * 1_000_000)
    hands.say(change("bc/customer/5", 2, UPDATE, rank="Z"))
    hands.do_due_work()
    (answer,) = hands.answers()
    assert isinstance(answer, Done)
    assert answer.result["done"] == 4
    [late] = [one for one in hands.known_errors() if one.kind is ErrorKind.VALUE_NOT_MAPPED]
    assert late.history == ()


def test_every_error_says_which_job_tried_it(hands: ByHand) -> None:
    """Nobody could tell why an error was tried again in the night, and by whom."""
    counted(hands, RetryAll(code="permission_denied"))

    def of(report: ErrorReport) -> list[tuple[str, str, str | None]]:
        return [(one.command, one.by, one.reason) for one in report.history]

    assert [of(one) for one in hands.known_errors()] == [
        [("retry_all", "ops/jane", "why not")],
        [("retry_all", "ops/jane", "why not")],
        [],
        [],
    ]


# ``synchronize`` of a mapping.


def test_synchronize_of_a_mapping(hands: ByHand) -> None:
    """What is contested would be left, what is deleted or in flight be written to, or the counts not add up."""
    hands.say(gone("sales/account/5", 2))
    hands.say(change("bc/customer/6", 2, UPDATE, name="l"))
    in_flight = hands.instruction()
    result = counted(hands, Synchronize(mapping="customer", keep=Keep.RIGHT))
    expected = NOUGHT | {"modified": 4, "skipped": 2, "total": 6, "done": 6}
    assert {name: result[name] for name in expected} == expected
    told = {(one.app, str(one.key)): one.fields for one in hands.instructions()}
    assert told == {
        ("sales", "1"): {"title": "l"},  # of these only one side has changed
        ("sales", "2"): {"title": "l"},
        ("sales", "3"): {"title": "l"},
        ("bc", "4"): {"name": "r"},
    }
    hands.say(applied(in_flight, 2))
    assert hands.instructions() == []


def test_a_manual_synchronization_of_one_coupling_is_a_job(hands: ByHand) -> None:
    """``recouple jobs`` would not show who synchronized what by hand."""
    answer = hands.order(Synchronize(coupling=hands.coupling("bc/customer/4").id, keep=Keep.LEFT))
    assert isinstance(answer, Done)
    with hands.store.reading() as conn:
        [job] = [one for one in job_store.page(conn, MANY) if one.number == answer.result["job"]]
    assert (job.name, job.by, job.status, job.counters.modified) == ("synchronize", "ops/jane", JobStatus.DONE, 1)
    assert (job.total, job.done, job.finished_at) == (1, 1, hands.now)
