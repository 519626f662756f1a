"""A message that came before is handled apart, behind a mark; several deaths between mark and commit condemn it.

A process that dies is a handler that raises what nobody catches; the next process has another owner's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, text

from messages.transport.ports import Delivery
from store import suspects as suspect_store
from store.failures import StoreUnavailableError
from store.suspects import Suspect
from tests.acceptance.wire import Message, change, command
from tests.contract.workers.conftest import Workshop
from workers.changes import handle_changes
from workers.consume import handle_commands
from workers.context import Context
from workers.log_lines import Line
from workers.pipeline import Handler
from workers.suspects import MAX_DEATHS, SUSPECT_AFTER, Suspects


class DeathError(BaseException):
    """The end of the process: nothing after it runs, nothing is rolled back by us."""


def dying(_conn: Connection, _context: Context, _deliveries: Sequence[Delivery], _now: datetime) -> list[Line]:
    """Die."""
    raise DeathError


def failing(fault: Exception) -> Handler:
    """Return a handler that raises, in a process that lives."""

    def handle(_conn: Connection, _context: Context, _deliveries: Sequence[Delivery], _now: datetime) -> list[Line]:
        raise fault

    return handle


def again(workshop: Workshop, message: Message, times: int = SUSPECT_AFTER) -> Delivery:
    """Return ``message`` as it comes when it was delivered so often before."""
    (delivery,) = workshop.deliveries([message])
    return replace(delivery, redelivered=True, attempts=times)


def handle(workshop: Workshop, handler: Handler, owner: str, *deliveries: Delivery) -> list[Delivery]:
    """Let the process ``owner`` do one thing with these suspects; return what it handled."""
    suspects = Suspects(workshop.handling(handler), owner)
    assert suspects.take_in(deliveries) == []
    return suspects.handle_next()


def die_over(workshop: Workshop, message: Message, times: int) -> None:
    """Let so many processes die while each handles ``message``."""
    for number in range(times):
        with pytest.raises(DeathError):
            handle(workshop, dying, f"process {number}", again(workshop, message, 2 + number))


def marks(workshop: Workshop) -> list[tuple[str, int]]:
    """Who marked what is marked, and how many died."""
    with workshop.store.reading() as conn:
        return [(row.owner, row.deaths) for row in conn.execute(text("SELECT owner, deaths FROM suspects"))]


def edit(number: int = 1) -> Message:
    """An update of a record that nothing is coupled with."""
    return change(f"bc/customer/{number}", "update", 2, {"name": "new"})


def test_what_comes_for_the_first_time_is_not_suspected(workshop: Workshop) -> None:
    """Else every message would cost a mark."""
    suspects, fresh = Suspects(workshop.handling(dying), "a"), again(workshop, edit(), 0)
    assert suspects.take_in([fresh, again(workshop, edit(2), SUSPECT_AFTER)]) == [fresh]
    assert len(suspects) == 1


def test_those_over_which_nobody_died_are_handled_together(workshop: Workshop) -> None:
    """Else a broker that restarts, or a worker that is stopped, would cost a commit or two for each message at hand."""
    messages = [again(workshop, edit(number)) for number in range(20)]
    assert handle(workshop, handle_changes, "a", *messages) == messages

    assert marks(workshop) == []
    assert [line["messages"] for line in workshop.logged("batch.committed")] == [20]
    (line,) = workshop.logged("message.suspected")
    assert (line["messages"], line["deaths"]) == (20, 0)


def test_after_a_death_each_is_handled_alone_and_others_together(workshop: Workshop) -> None:
    """Else the neighbours would be charged with the next death as well, or what is new would wait for them."""
    beside = [again(workshop, edit(number)) for number in range(3)]
    with pytest.raises(DeathError):
        handle(workshop, dying, "a", *beside)
    suspects = Suspects(workshop.handling(handle_changes), "b")
    others = [again(workshop, edit(number)) for number in range(3, 6)]
    suspects.take_in([*beside, *others])

    assert suspects.handle_next() == others
    assert [suspects.handle_next() for _ in beside] == [[one] for one in beside]
    assert len(suspects) == 0
    assert marks(workshop) == []


def test_only_what_is_handled_is_marked(workshop: Workshop) -> None:
    """Else those that wait to be handled alone would be charged with the death of one of them."""
    beside = [again(workshop, edit(number)) for number in range(3)]
    for owner in ("a", "b"):
        with pytest.raises(DeathError):
            handle(workshop, dying, owner, *beside)

    assert sorted(marks(workshop)) == [("a", 0), ("a", 0), ("b", 1)]


def test_what_is_done_of_a_batch_that_is_halved_is_no_longer_marked(workshop: Workshop) -> None:
    """Else a death over one half would be charged to the other, which was handled long before."""
    messages = [again(workshop, edit(number)) for number in range(4)]

    def handle_first(conn: Connection, context: Context, deliveries: Sequence[Delivery], now: datetime) -> list[Line]:
        if messages[3] in deliveries and len(deliveries) < 4:
            raise DeathError
        if len(deliveries) == 4:
            raise MemoryError
        return handle_changes(conn, context, deliveries, now)

    with pytest.raises(DeathError):
        handle(workshop, handle_first, "a", *messages)

    assert len(marks(workshop)) == 2


def test_a_message_that_kills_goes_to_the_dead_queue_in_the_end(workshop: Workshop) -> None:
    """Else it kills every process that is started, for ever; fewer deaths must not do, others kill processes, too."""
    poison = edit()
    die_over(workshop, poison, MAX_DEATHS)
    assert workshop.sent("dead") == []
    handle(workshop, dying, "the last", again(workshop, poison))

    (dead,) = workshop.sent("dead")
    assert dead.body == poison.body
    assert dead.headers["x-recouple-reason"] == "killed_worker"
    assert f"{MAX_DEATHS} worker processes" in dead.headers["x-recouple-detail"]
    assert marks(workshop) == []
    told = workshop.logged("message.suspected")
    assert [(line["deaths"], line["level"]) for line in told] == [(0, "info"), *((n, "warning") for n in (1, 2, 3))]
    (line,) = workshop.logged("message.condemned")
    assert (line["message_id"], line["deaths"]) == (poison.id, MAX_DEATHS)


def test_a_command_that_kills_is_answered(workshop: Workshop) -> None:
    """Else its operator waits in vain; and reading it, which may be what kills, would go on for ever."""
    reply_to = f"{workshop.context.namespace}.replies.test"
    ordered = command("dismiss", reply_to, {"error": 1})
    poison = ordered._replace(body=b"[ what kills its reader")
    die_over(workshop, poison, MAX_DEATHS)
    handle(workshop, dying, "the last", again(workshop, poison))

    (answer,) = workshop.answers(reply_to)
    assert answer["type"] == "recouple.command.refused"
    assert (answer["id"], answer["data"]["code"]) == (ordered.id, "failed")
    (dead,) = workshop.sent("dead")
    assert dead.body == poison.body


def test_a_message_that_is_handled_alone_leaves_nothing_behind(workshop: Workshop) -> None:
    """Else one death today and two next week would condemn a message that has done nothing."""
    message = edit()
    die_over(workshop, message, MAX_DEATHS - 1)
    handle(workshop, handle_changes, "the last", again(workshop, message))

    assert marks(workshop) == []
    assert workshop.outcomes("bc/customer/1") == ["uncoupled"]


def test_a_message_that_fails_alone_is_dead_at_once_and_leaves_nothing_behind(workshop: Workshop) -> None:
    """Else what is buried for another reason would be counted on when it is replayed."""
    message = edit()
    handle(workshop, failing(MemoryError()), "a", again(workshop, message))

    (dead,) = workshop.sent("dead")
    assert dead.headers["x-recouple-reason"] == "failed_here"
    assert marks(workshop) == []


def test_a_store_that_is_away_counts_for_nothing(workshop: Workshop) -> None:
    """Else an outage of the database would condemn what was tried meanwhile, by one process or by many."""
    message = edit()
    die_over(workshop, message, 1)
    for number in range(2 * MAX_DEATHS):
        for _ in range(2):
            with pytest.raises(StoreUnavailableError):
                handle(workshop, failing(StoreUnavailableError("away")), f"{number}", again(workshop, message))

    assert marks(workshop) == [("", 1)]
    handle(workshop, handle_changes, "the last", again(workshop, message))
    assert workshop.sent("dead") == []


def test_the_same_process_counts_once(workshop: Workshop) -> None:
    """Else a process that could not take its mark back, as the store was away, would count against the message."""
    suspect = Suspect("q", "d")
    counted: list[int] = []
    for owner in ("a", "a", "b", "b", "a"):
        with workshop.store.transaction() as conn:
            counted += suspect_store.mark(conn, [suspect], owner, datetime.now(UTC)).values()

    assert counted == [0, 0, 1, 1, 2]


def test_a_mark_is_of_one_message_in_one_queue(workshop: Workshop) -> None:
    """Else the neighbours of a message that kills would go with it."""
    poison, neighbour = edit(1), edit(2)
    die_over(workshop, poison, MAX_DEATHS)
    twin = replace(again(workshop, poison), queue=f"{workshop.context.namespace}.changes.sales")
    other = replace(again(workshop, poison), properties=replace(again(workshop, poison).properties, message_id="x"))
    for delivery in (again(workshop, neighbour), twin, other):
        handle(workshop, handle_changes, "another", delivery)

    reasons = {dead.headers["x-recouple-reason"] for dead in workshop.sent("dead")}
    assert reasons <= {"wrong_source"}  # of the twin, whose source is not its queue's app
    assert marks(workshop) == [(f"process {MAX_DEATHS - 1}", MAX_DEATHS - 1)]


def test_a_mark_that_nobody_comes_back_to_is_purged(workshop: Workshop) -> None:
    """Else marks of messages that were purged from their queue would be kept for ever."""
    now = datetime.now(UTC)
    with workshop.store.transaction() as conn:
        old, new = Suspect("q", "old"), Suspect("q", "new")
        suspect_store.mark(conn, [old], "a", now - timedelta(days=15))
        suspect_store.mark(conn, [new], "a", now)
        assert suspect_store.purge(conn, now - timedelta(days=14), 10) == 1
        assert suspect_store.mark(conn, [old, new], "b", now) == {old: 0, new: 1}


def test_a_condemned_command_can_be_replayed(workshop: Workshop) -> None:
    """Else the version that mends the fault would answer with the refusal of the one that had it."""
    reply_to = f"{workshop.context.namespace}.replies.test"
    workshop.couple(["1"])
    order = command("remove_coupling", reply_to, {"coupling": 1})
    die_over(workshop, order, MAX_DEATHS)
    handle(workshop, dying, "the last", again(workshop, order))
    handle(workshop, handle_commands, "mended", again(workshop, order))

    assert [answer["type"].rpartition(".")[2] for answer in workshop.answers(reply_to)] == ["refused", "done"]
