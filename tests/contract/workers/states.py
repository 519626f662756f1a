"""Every state in which a command may find a coupling, brought about as in life: by what apps and operators say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypeAlias

import msgspec

from messages.changes import Change, Operation
from messages.commands import (
    DeleteRecord,
    Dismiss,
    Done,
    Keep,
    Order,
    Pause,
    RemoveCoupling,
    RestoreRecord,
    Retry,
    Synchronize,
)
from messages.errors import ErrorStatus
from messages.instructions import Action
from messages.outcomes import Applied, Failed, FailureCode
from tests.contract.workers.by_hand import ByHand, applied, change, gone, refused
from tests.contract.workers.scene import Scene

UPDATE = Operation.UPDATE
ONE_HOUR = timedelta(hours=1)
"""Longer than any app takes to answer."""


def healthy(hands: ByHand) -> Scene:
    """Two records that agree."""
    hands.say(
        change("bc/customer/1", 1, name="x", rank="A", seller="", fax="1"),
        change("sales/account/9", 1, title="x", grade="gold", owner="", fax="9"),
    )
    return _scene(hands, hands.couple("bc/customer/1", "sales/account/9").id)


def update_conflict(hands: ByHand) -> Scene:
    """Both users have changed the name."""
    healthy(hands)
    return _after(hands, change("bc/customer/1", 2, UPDATE, name="l"), change("sales/account/9", 2, UPDATE, title="r"))


def left_gone(hands: ByHand) -> Scene:
    """The left record was deleted."""
    healthy(hands)
    return _after(hands, gone("bc/customer/1", 2))


def right_gone(hands: ByHand) -> Scene:
    """The right record was deleted."""
    healthy(hands)
    return _after(hands, gone("sales/account/9", 2))


def update_refused(hands: ByHand) -> Scene:
    """The right app refuses the left one's name."""
    in_flight(hands)
    return _after(hands, refused(hands.instruction(), FailureCode.VALIDATION_FAILED))


def creation_refused(hands: ByHand) -> Scene:
    """The right app refuses to create the counterpart of a new record."""
    creating(hands)
    told = refused(hands.instruction(), FailureCode.VALIDATION_FAILED)
    return _after(hands, told, left="bc/vendor/1", right="sales/supplier/9", mapping="vendor")


def delete_refused(hands: ByHand) -> Scene:
    """An operator has the other record deleted too, and its app refuses."""
    _ordered(hands, DeleteRecord(error=right_gone(hands).error))
    return _after(hands, refused(hands.instruction(), FailureCode.PERMISSION_DENIED))


def restore_refused(hands: ByHand) -> Scene:
    """An operator has the deleted record restored, and its app refuses."""
    _ordered(hands, RestoreRecord(error=right_gone(hands).error))
    return _after(hands, refused(hands.instruction(), FailureCode.PERMISSION_DENIED))


def choice_refused(hands: ByHand) -> Scene:
    """An operator has chosen the left side, and the right app refuses."""
    resolving(hands)
    return _after(hands, refused(hands.instruction(), FailureCode.VALIDATION_FAILED))


def no_answer(hands: ByHand) -> Scene:
    """The right app has not said what became of the update."""
    in_flight(hands)
    hands.now += ONE_HOUR
    hands.do_due_work()
    return _after(hands)


def asked_again(hands: ByHand) -> Scene:
    """An operator has asked an app once more that does not answer."""
    _ordered(hands, Retry(error=no_answer(hands).error))
    return _after(hands)


def value_not_mapped(hands: ByHand) -> Scene:
    """The left record has a rank that the value map does not know."""
    healthy(hands)
    return _after(hands, change("bc/customer/1", 2, UPDATE, rank="Z"))


def reference_not_coupled(hands: ByHand) -> Scene:
    """The left record points to a seller who is not coupled."""
    healthy(hands)
    return _after(hands, change("bc/customer/1", 2, UPDATE, seller="s1"))


def match_ambiguous(hands: ByHand) -> Scene:
    """A new record is like two of the other side."""
    hands.load("bc/part", "sales/part")
    for record in ("sales/part/8", "sales/part/9", "bc/part/1"):
        hands.say(change(record, 1, name="x"))
        hands.do_due_work()
    return _after(hands, left="bc/part/1", right="sales/part/9", mapping="part")


def resolving(hands: ByHand) -> Scene:
    """An operator has chosen the left side, and the right app has not confirmed it."""
    _ordered(hands, Synchronize(error=update_conflict(hands).error, keep=Keep.LEFT))
    return _after(hands)


def in_flight(hands: ByHand) -> Scene:
    """The left record was changed, and the right app has not confirmed it."""
    scene = healthy(hands)
    hands.say(change("bc/customer/1", 2, UPDATE, name="l"))
    return scene


def gone_and_dismissed(hands: ByHand) -> Scene:
    """One record is deleted, the other stays, and an administrator has let it be."""
    scene = delete_refused(hands)
    _ordered(hands, Dismiss(error=scene.error))
    return msgspec.structs.replace(scene, error=None)


def both_gone(hands: ByHand) -> Scene:
    """Both records were deleted."""
    scene = healthy(hands)
    hands.say(gone("bc/customer/1", 2), gone("sales/account/9", 2))
    return scene


def removed(hands: ByHand) -> Scene:
    """An operator has removed the coupling: the records are apart."""
    scene = healthy(hands)
    _ordered(hands, RemoveCoupling(coupling=scene.coupling))
    return scene


def never_there(hands: ByHand) -> Scene:
    """A record was coupled to one that its app does not know: the coupling is over, its error tells why."""
    hands.say(change("bc/customer/1", 1, name="x", rank="A", seller=""))
    hands.couple("bc/customer/1", "sales/account/9")
    read = hands.instruction()
    assert read.action is Action.READ
    return _after(hands, refused(read, FailureCode.NOT_FOUND))


def creating(hands: ByHand) -> Scene:
    """The right app is creating the counterpart of a new record."""
    hands.load("bc/vendor", "sales/supplier")
    hands.say(change("bc/vendor/1", 1, name="x"))
    hands.do_due_work()
    number = hands.coupling("bc/vendor/1").id
    return Scene(left="bc/vendor/1", right="sales/supplier/9", mapping="vendor", coupling=number)


def paused(hands: ByHand) -> Scene:
    """The mapping is paused while all is well."""
    scene = healthy(hands)
    _ordered(hands, Pause(mapping="customer"))
    return scene


def paused_conflict(hands: ByHand) -> Scene:
    """The mapping is paused while both users have changed the name."""
    scene = update_conflict(hands)
    _ordered(hands, Pause(mapping="customer"))
    return scene


def paused_refusal(hands: ByHand) -> Scene:
    """The mapping is paused after the right app has refused the left one's name."""
    scene = update_refused(hands)
    _ordered(hands, Pause(mapping="customer"))
    return scene


def paused_silence(hands: ByHand) -> Scene:
    """The mapping is paused while the right app has not said what became of the update."""
    scene = no_answer(hands)
    _ordered(hands, Pause(mapping="customer"))
    return scene


def outside_where(hands: ByHand) -> Scene:
    """A coupled record has left the mapping's ``where``, with a change that is not on the other side."""
    hands.say(change("bc/lead/1", 1, name="x", country="DE"), change("sales/lead/9", 1, name="x"))
    number = hands.couple("bc/lead/1", "sales/lead/9").id
    hands.say(change("bc/lead/1", 2, UPDATE, name="l", country="FR"))
    return Scene(left="bc/lead/1", right="sales/lead/9", mapping="lead", coupling=number)


def settled(hands: ByHand) -> Scene:
    """An error that an operator has settled; all is well."""
    scene = resolving(hands)
    hands.say(applied(hands.instruction(), 3))
    return scene  # with the number of the error that is over


def braked(hands: ByHand) -> Scene:
    """A limit has paused the mapping after two deletions; the error is about no single coupling."""
    pairs = [(f"bc/item/{key}", f"sales/product/{key}") for key in (1, 2)]
    for left, right in pairs:
        hands.say(change(left, 1, name=left), change(right, 1, name=left))
        hands.couple(left, right)
    hands.say(*(gone(left, 2) for left, _ in pairs))
    return _after(hands, left="bc/item/1", right="sales/product/1", mapping="item")


def unknown(hands: ByHand) -> Scene:
    """Numbers, and a mapping, that nothing has."""
    healthy(hands)
    return Scene(left="bc/nothing/1", right="sales/account/9", mapping="nothing", coupling=999_999)


def _scene(hands: ByHand, coupling: int) -> Scene:
    """The two customers, coupled; nothing is left to be sent or told."""
    assert hands.instructions() == []
    return Scene(coupling=coupling)


def _after(hands: ByHand, *said: Message, left: str = "bc/customer/1", **more: str) -> Scene:
    """Apps say this, and an error is open that is not over."""
    if said:
        hands.say(*said)
    (error,) = (one for one in hands.known_errors() if one.status is not ErrorStatus.RESOLVED)
    return Scene(left=left, coupling=error.coupling, error=error.error, **more)


def _ordered(hands: ByHand, order: Order) -> None:
    answer = hands.order(order)
    assert isinstance(answer, Done), answer


Message: TypeAlias = Change | Applied | Failed
Build: TypeAlias = Callable[[ByHand], Scene]
STATES: dict[str, Build] = {
    "healthy": healthy,
    "update conflict": update_conflict,
    "left gone": left_gone,
    "right gone": right_gone,
    "update refused": update_refused,
    "creation refused": creation_refused,
    "delete refused": delete_refused,
    "restore refused": restore_refused,
    "choice refused": choice_refused,
    "no answer": no_answer,
    "asked again": asked_again,
    "value not mapped": value_not_mapped,
    "reference not coupled": reference_not_coupled,
    "match ambiguous": match_ambiguous,
    "resolving": resolving,
    "in flight": in_flight,
    "gone and dismissed": gone_and_dismissed,
    "both gone": both_gone,
    "removed": removed,
    "never there": never_there,
    "creating": creating,
    "paused": paused,
    "paused, conflict": paused_conflict,
    "paused, refusal": paused_refusal,
    "paused, no answer": paused_silence,
    "outside where": outside_where,
    "settled": settled,
    "braked": braked,
    "unknown": unknown,
}
"""Every state by its name."""
