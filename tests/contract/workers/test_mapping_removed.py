"""A mapping that has left the file: its couplings and errors can still be ended, and nothing of them is shown."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from msgspec.structs import replace

from messages.changes import Operation
from messages.commands import Dismiss, Done, Pause, RefusalCode, Refused, RemoveCoupling, Resume, Retry
from messages.errors import ErrorStatus
from messages.outcomes import FailureCode
from tests.contract.workers.by_hand import ByHand, by_hand, change, refused
from tests.mapping_files import ONE_FIELD
from workers.mapping_file import parse_mapping_file
from workers.timers import PUT_OFF


@pytest.fixture
def hands(store_url: str) -> Iterator[ByHand]:
    """An app has refused an instruction; then the mapping is taken out of the file."""
    with by_hand(store_url, ONE_FIELD) as hands:
        hands.say(change("bc/customer/1", 1, name="a"), change("sales/account/9", 1, title="a"))
        hands.couple("bc/customer/1", "sales/account/9")
        hands.say(change("bc/customer/1", 2, Operation.UPDATE, name="secret"))
        hands.say(refused(hands.instruction(), FailureCode.VALIDATION_FAILED))
        hands.now += timedelta(seconds=1)
        hands.context = replace(hands.context, file=replace(hands.context.file, mappings={}))
        yield hands


@pytest.mark.parametrize("order", [RemoveCoupling, Dismiss])
def test_what_is_left_of_it_can_be_ended(hands: ByHand, order: type[RemoveCoupling | Dismiss]) -> None:
    """Its errors would stand in every list for ever."""
    (told,) = hands.known_errors()

    answer = hands.order(order(error=told.error))

    assert isinstance(answer, Done)
    (told,) = hands.known_errors()
    assert (told.status, told.resolved_by) == (ErrorStatus.RESOLVED, "ops/jane")
    assert told.left is not None
    assert told.left.fields == {}


def test_nothing_else_applies(hands: ByHand) -> None:
    """It would be decided without fields and policies."""
    (told,) = hands.known_errors()

    answer = hands.order(Retry(error=told.error))

    assert isinstance(answer, Refused)
    assert answer.code is RefusalCode.NOT_APPLICABLE
    assert "which the mapping file does not have any more" in answer.detail


def test_what_was_to_be_decided_waits_for_the_mapping(hands: ByHand) -> None:
    """A mapping that is taken out of the file for an hour would forget what it had promised to make up for."""
    whole, without = replace(hands.context, file=parse_mapping_file(ONE_FIELD, "recouple.toml")), hands.context
    hands.context = whole
    (told,) = hands.known_errors()
    hands.order(Dismiss(error=told.error))
    hands.order(Pause(mapping="customer"))
    hands.say(change("bc/customer/1", 3, Operation.UPDATE, name="later"))
    hands.order(Resume(mapping="customer"))
    hands.context = without
    hands.do_due_work()

    hands.context = whole
    hands.now += PUT_OFF
    hands.do_due_work()

    assert hands.instruction().fields == {"title": "later"}
