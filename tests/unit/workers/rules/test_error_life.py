"""The life of an error, row by row of the table at the head of ``workers.rules.error_life``."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from messages.commands import Dismiss, Keep, RemoveCoupling, Retry, Synchronize
from messages.errors import ErrorEvent, ErrorKind, ErrorReport, ErrorStatus, Handling
from messages.outcomes import Failed, FailureCode
from store.model import OpenError, Side
from tests.rules_world import World, field, mapping_of
from workers.mapping import MappedField
from workers.rules.error_life import HISTORY_LENGTH, handled, what_is_seen

LEFT, RIGHT = Side.LEFT, Side.RIGHT
OPENED, UPDATED, RESOLVED = ErrorEvent.OPENED, ErrorEvent.UPDATED, ErrorEvent.RESOLVED
OPEN, RESOLVING, OVER = ErrorStatus.OPEN, ErrorStatus.RESOLVING, ErrorStatus.RESOLVED


def conflict(*more: str | MappedField, **rules: Any) -> World:
    """Both users have changed ``a``; other fields agree."""
    fields = ("a", *more)
    names = [one if isinstance(one, str) else one.left for one in fields]
    w = World(mapping_of(*fields, **rules), dict.fromkeys(names, 1))
    w.deliver(w.L(a=2), w.R(a=3))
    return w


def keep_left(w: World) -> None:
    """An operator chooses the left side."""
    w.engine.order(w.number, Synchronize(coupling=w.number, keep=Keep.LEFT))


def refuse(w: World, code: FailureCode = FailureCode.VALIDATION_FAILED, side: Side = RIGHT) -> None:
    """The app on ``side`` refuses what it was asked."""
    [sent] = w.sent(side)
    w.engine.outbox.remove(sent)
    app = w.mapping.app(side).name
    w.deliver(Failed(app=app, id=f"f{len(w.past)}", instruction=sent.id, code=code, attempt=sent.attempt))


def feed(w: World) -> list[tuple[ErrorEvent, ErrorStatus, int]]:
    """What the error feed was told, from the beginning; all of it of one error."""
    assert {report.error for _, report in w.engine.told} == {1}
    return [(event, report.status, report.revision) for event, report in w.engine.told]


def last(w: World) -> ErrorReport:
    """What was told last."""
    return w.engine.told[-1][1]


def test_trouble_opens_an_error() -> None:
    """Nobody would be told."""
    w = conflict()
    assert feed(w) == [(OPENED, OPEN, 1)]
    assert w.error is not None
    assert (w.error.resolution, w.error.resolved_by, w.error.history) == (None, None, ())


def test_trouble_that_looks_different_is_told_again() -> None:
    """An operator would decide on values that are not there any more."""
    w = conflict()
    w.deliver(w.L(a=4))
    assert feed(w) == [(OPENED, OPEN, 1), (UPDATED, OPEN, 2)]
    w.deliver(w.L(a=4))  # the version alone has moved, which is seen, too
    assert feed(w)[-1] == (UPDATED, OPEN, 3)


def test_trouble_that_looks_the_same_is_not_told_again() -> None:
    """Every event of the record would page somebody."""
    w = conflict()
    w.engine.wake(w.number)
    assert (feed(w), w.words[-1]) == ([(OPENED, OPEN, 1)], "skipped")


def test_trouble_of_another_kind_is_the_same_error() -> None:
    """Two errors would be open about one coupling; the first for ever."""
    w = conflict()
    w.deliver(w.delete(RIGHT))
    assert feed(w) == [(OPENED, OPEN, 1), (UPDATED, OPEN, 2)]
    assert (last(w).kind, last(w).opened_at) == (ErrorKind.DELETION_CONFLICT, w.engine.told[0][1].opened_at)


def test_trouble_that_is_gone_by_itself() -> None:
    """People who agree would find their error open for ever, or be told that some command has settled it."""
    w = conflict()
    w.deliver(w.R(a=2))
    assert feed(w) == [(OPENED, OPEN, 1), (RESOLVED, OVER, 2)]
    assert (last(w).resolution, w.error) == ("converged", None)


def test_trouble_of_two_records_that_are_both_gone() -> None:
    """An error about nothing would stay."""
    w = conflict()
    w.deliver(w.delete(LEFT), w.delete(RIGHT))
    assert feed(w)[-1] == (RESOLVED, OVER, 2)
    assert last(w).resolution == "closed"


def test_an_order_that_instructs_waits_for_the_app() -> None:
    """The error would be over before anything is done, or not say that somebody is at it."""
    w = conflict()
    keep_left(w)
    assert feed(w) == [(OPENED, OPEN, 1), (UPDATED, RESOLVING, 2)]
    assert w.error is not None
    assert (w.error.resolution, w.error.resolved_by) == ("synchronize", "ops/test")
    assert w.error.awaits == (w.coupling.flight[0].id,)
    w.deliver(w.L(a=9))  # images move, nothing else
    assert (len(feed(w)), w.words[-1]) == (2, "queued")


def test_all_is_confirmed() -> None:
    """A resolution that the app has carried out would leave the error standing."""
    w = conflict()
    keep_left(w)
    w.run()
    assert feed(w) == [(OPENED, OPEN, 1), (UPDATED, RESOLVING, 2), (RESOLVED, OVER, 3)]
    assert last(w).resolution == "synchronize"


def test_one_of_two_is_confirmed() -> None:
    """Half a resolution would be taken for the whole."""
    w = conflict()
    w.engine.order(w.number, Synchronize(coupling=w.number, values={"a": 7}))
    assert w.error is not None
    assert len(w.error.awaits) == 2
    w.deliver(*w.work(LEFT))
    assert w.error is not None
    assert (w.error.status, len(w.error.awaits), len(feed(w))) == (RESOLVING, 1, 2)
    w.run()
    assert feed(w)[-1] == (RESOLVED, OVER, 3)
    assert not w.coupling.error


def test_new_trouble_when_all_is_confirmed() -> None:
    """A conflict that arose meanwhile would be hidden behind the one that is settled, or get a number of its own."""
    w = conflict("s", field("m", values=((1, 1),)))
    keep_left(w)
    w.deliver(w.L(m=5))
    w.run()
    assert feed(w) == [(OPENED, OPEN, 1), (UPDATED, RESOLVING, 2), (UPDATED, OPEN, 3)]
    assert (last(w).kind, last(w).resolution) == (ErrorKind.VALUE_NOT_MAPPED, None)
    assert [one.command for one in last(w).history] == ["synchronize"]


def test_a_refusal_opens_it_again() -> None:
    """A choice that was refused would be taken for made."""
    w = conflict()
    keep_left(w)
    refuse(w)
    assert feed(w) == [(OPENED, OPEN, 1), (UPDATED, RESOLVING, 2), (UPDATED, OPEN, 3)]
    assert w.error is not None
    assert (w.error.kind, w.error.resolution, w.error.resolved_by) == (ErrorKind.APPLY_FAILED, None, None)
    assert (w.error.awaits, w.coupling.flight, w.sent()) == ((), (), [])


def test_a_record_that_has_moved_opens_it_again() -> None:
    """A choice would be carried out on values that nobody has seen."""
    w = conflict()
    keep_left(w)
    w.deliver(w.R(a=8))
    refuse(w, FailureCode.VERSION_MISMATCH)
    assert feed(w)[-1] == (UPDATED, OPEN, 3)
    assert (last(w).kind, w.sent()) == (ErrorKind.UPDATE_CONFLICT, [])


def test_a_retry_goes_on_where_a_record_has_moved() -> None:
    """Nobody chose anything: the operator would have to order the same again and again."""
    w = World(mapping_of("a"), {"a": 1})
    w.deliver(w.L(a=2))
    refuse(w)
    w.engine.order(w.number, Retry(coupling=w.number))
    w.deliver(w.R(a=1))
    refuse(w, FailureCode.VERSION_MISMATCH)
    assert w.error is not None
    assert (w.error.status, w.error.resolution) == (RESOLVING, "retry")
    assert [sent.fields for sent in w.sent(RIGHT)] == [{"a": 2}]
    w.run()
    assert (feed(w)[-1][:2], last(w).resolution, len(last(w).history)) == ((RESOLVED, OVER), "retry", 1)


def test_a_retry_that_is_refused_opens_it_again() -> None:
    """A retry would go on for ever, or its refusal not be told."""
    w = World(mapping_of("a"), {"a": 1})
    w.deliver(w.L(a=2))
    refuse(w)
    w.engine.order(w.number, Retry(coupling=w.number))
    refuse(w, FailureCode.PERMISSION_DENIED)
    assert feed(w) == [(OPENED, OPEN, 1), (UPDATED, RESOLVING, 2), (UPDATED, OPEN, 3)]
    assert (last(w).code, last(w).attempts, w.sent()) == ("permission_denied", 2, [])


def test_an_order_that_sends_nothing_ends_it() -> None:
    """The error would wait for an app that was asked nothing."""
    for order, name in ((RemoveCoupling(coupling=1), "remove_coupling"), (Dismiss(error=1), "dismiss")):
        w = World(mapping_of("a"), {"a": 1})
        w.deliver(w.L(a=2))
        refuse(w)
        w.engine.order(w.number, order)
        assert feed(w) == [(OPENED, OPEN, 1), (RESOLVED, OVER, 2)]
        assert (last(w).resolution, w.error) == (name, None)
        assert [one.effect or one.command for one in last(w).history] == [name]


def test_an_order_that_helps_nothing_is_told_too() -> None:
    """A second operator could not see that the first has tried."""
    w = conflict()
    w.engine.order(w.number, Retry(coupling=w.number))
    assert feed(w) == [(OPENED, OPEN, 1), (UPDATED, OPEN, 2)]
    assert [(one.command, one.revision) for one in last(w).history] == [("retry", 1)]
    assert (last(w).resolution, last(w).resolved_by) == (None, None)


# What is kept of it.


def test_the_history_is_of_the_last_orders_and_each_of_them_once() -> None:
    """An error that a program retries every minute would grow without end; or one order be told twice."""
    w = conflict()
    error = w.error
    assert error is not None
    for number in range(HISTORY_LENGTH + 3):
        by = Handling(at=w.now, command="retry", id=f"c{number}", by="ops/jane")
        error = handled(handled(error, by), by)
    assert [one.id for one in error.history] == [f"c{number}" for number in range(3, HISTORY_LENGTH + 3)]
    assert (error.resolution, error.resolved_by) == ("retry", "ops/jane")


CHANGES: list[dict[str, Any]] = [
    {"kind": ErrorKind.APPLY_FAILED},
    {"status": RESOLVING},
    {"code": "other"},
    {"words": "no"},
    {"field": "a"},
    {"contested": ("b",)},
    {"candidates": ("r/t/1",)},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_what_an_operator_sees(change: dict[str, Any]) -> None:
    """A revision would stay although what is shown has changed: a stale order would be taken for a fresh one."""
    w = conflict()
    situation, error = w.engine.situation(w.number), w.error
    assert error is not None
    assert what_is_seen(error, situation) == error.seen
    assert what_is_seen(replace(error, **change), situation) != error.seen
    unseen: OpenError = replace(error, revision=7, attempts=3, seen="")
    assert what_is_seen(unseen, situation) == error.seen
