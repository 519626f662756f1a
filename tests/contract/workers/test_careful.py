"""Due work that kills the process which does it: found, done alone, and out of the way of all else ever longer.

A process that dies is a statement that raises what nobody catches; the next process begins later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from store.connect import Store
from store.failures import StoreUnavailableError
from tests.acceptance.wire import change, command, failed
from tests.contract.workers.conftest import Workshop
from workers.careful import FIRST_REST, MAX_STARTS
from workers.timing import Timing
from workers.workplace import Workplace

AT_ONCE = 300
KEYS = [f"{number}" for number in range(9)]
POISON = "4"


class DeathError(BaseException):
    """The end of the process."""


class DeadlyStore(Store):
    """The store as it is; a statement about the poison raises ``fault``."""

    def __init__(self, real: Store, needle: str, fault: BaseException) -> None:
        super().__init__(real._engine)  # noqa: SLF001 - the same, but deadly
        self._needle, self._fault = needle, fault

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """As the store gives it."""
        with super().transaction() as conn:
            event.listen(conn, "before_cursor_execute", self._look)
            yield conn

    def _look(self, *given: Any) -> None:
        if self._needle in repr(given[3]):
            raise self._fault


class Shift:
    """The processes of a workshop, one after the other, and a clock that the test moves."""

    def __init__(self, workshop: Workshop, needle: str, fault: BaseException | None = None) -> None:
        self.workshop, self.now = workshop, datetime.now(UTC)
        self._store = DeadlyStore(workshop.store, needle, fault or DeathError())
        self.deaths = 0

    def work(self) -> None:
        """Let processes do what is due, each until it dies; the last finds nothing."""
        for _ in range(50):
            self.now += timedelta(seconds=1)
            timing = Timing(Workplace(self._store, self.workshop.context, lambda: self.now), AT_ONCE)
            try:
                while timing.step():
                    pass
            except DeathError:
                self.deaths += 1
            else:
                return
        raise AssertionError("it dies and dies")

    def rest(self, times: int) -> int:
        """Let the time pass that the next ``times`` attempts have to wait; return how many died meanwhile."""
        before = self.deaths
        for number in range(times):
            self.now += FIRST_REST * 5**number + timedelta(seconds=1)
            self.work()
        return self.deaths - before


def backing_off(workshop: Workshop) -> None:
    """Have an instruction for each coupling that is to be sent again."""
    workshop.couple(KEYS)
    workshop.handle(*(change(f"bc/customer/{key}", "update", 2, {"name": "new"}) for key in KEYS))
    workshop.handle(*(failed("sales", one, "unavailable", retry_after=0) for one in workshop.instructions()))


def name_of_poison(workshop: Workshop) -> str:
    """The instruction that must not be sent again."""
    with workshop.store.reading() as conn:
        query = text("SELECT id FROM instructions WHERE key = :key")
        return f"{conn.execute(query, {'key': POISON}).scalar_one()}"


def test_due_work_that_kills_costs_few_deaths_and_holds_up_nobody(workshop: Workshop) -> None:
    """Else one coupling kills every process that looks at what is due, and nothing due is ever done again."""
    backing_off(workshop)
    # Taken as a whole, what is due is named in the statement that finds the instructions, and by itself likewise.
    shift = Shift(workshop, name_of_poison(workshop))
    shift.work()
    assert shift.deaths == 1
    assert shift.rest(1) == 1
    told = Counter(event["data"]["key"] for event in workshop.instructions())
    assert told == {key: 1 for key in KEYS if key != POISON}

    assert shift.rest(3) <= 3
    lines = workshop.logged("work.suspected")
    assert {line["kind"] for line in lines} == {"retry"}
    assert workshop.count_due() == 1
    later = Shift(workshop, "nothing like that")
    later.now = shift.now + timedelta(days=2)
    later.work()
    assert [event["data"]["key"] for event in workshop.instructions()] == [POISON]
    assert workshop.count_due() == 0


def test_what_falls_due_while_a_process_runs_is_done_without_marks(workshop: Workshop) -> None:
    """Else every piece of work would cost a commit more, and the minute after any death nothing would be done."""
    begun = datetime.now(UTC) - timedelta(minutes=1)
    timing = Timing(Workplace(workshop.store, workshop.context, lambda: begun), AT_ONCE)
    backing_off(workshop)
    timing._place.clock = lambda: datetime.now(UTC) + timedelta(seconds=1)  # noqa: SLF001
    with workshop.store.reading() as conn:
        assert conn.execute(text("SELECT count(*) FROM due WHERE taken_until IS NOT NULL")).scalar_one() == 0
    while timing.step():
        pass

    assert len(workshop.instructions()) == len(KEYS)


def test_a_process_that_lives_takes_its_marks_back(workshop: Workshop) -> None:
    """Else work would stand still for a minute, and then for five, whenever the store was away for a moment."""
    backing_off(workshop)
    shift = Shift(workshop, name_of_poison(workshop), StoreUnavailableError("away"))
    for _ in range(3):
        with pytest.raises(StoreUnavailableError):
            shift.work()
    sound = Shift(workshop, "nothing like that")
    sound.work()

    assert len(workshop.instructions()) == len(KEYS)
    assert workshop.logged("work.suspected") == []


def test_an_item_of_a_job_that_kills_is_passed_over(workshop: Workshop) -> None:
    """Else one item stops its job for ever, and with it the command that nobody answers."""
    reply_to = f"{workshop.context.namespace}.replies.test"
    conflicts = [f"c{number}" for number in range(12)]
    workshop.couple(conflicts)
    for key in conflicts:
        workshop.handle(
            change(f"bc/customer/{key}", "update", 2, {"name": f"left {key}"}),
            change(f"sales/account/{key}", "update", 2, {"title": f"right {key}"}),
        )
    workshop.order(command("synchronize", reply_to, {"mapping": "customer", "keep": "left"}))
    shift = Shift(workshop, "left c7")
    for _ in range(12):
        shift.now += 200 * FIRST_REST
        shift.work()
        if workshop.answers(reply_to):
            break

    (answer,) = workshop.answers(reply_to)
    assert answer["data"]["result"]["failed"] == 1
    told = {event["data"]["key"] for event in workshop.instructions()}
    assert told == {key for key in conflicts if key != "c7"}
    assert shift.deaths <= 3 + MAX_STARTS
