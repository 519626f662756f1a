"""How long work that was too slow for the database is left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from store.due import Due, DueKind
from workers.slow_work import FIRST, LONGEST, MOST, SlowWork

NOW = datetime(2026, 1, 1, tzinfo=UTC)
JOB = Due(id=1, kind=DueKind.JOB, job=1, due_at=NOW)


def again(one: Due) -> Due:
    """The same work once more: another row, another moment."""
    return replace(one, id=one.id + 1, due_at=one.due_at + timedelta(minutes=1), starts=1)


def test_each_further_rest_is_twice_as_long_up_to_the_longest() -> None:
    """Else a second of slowness costs a job minutes, or work that is always slow holds up all other."""
    slow_work, work, rests = SlowWork(), JOB, []
    for _ in range(10):
        rests.append(slow_work.rest(work))
        work = again(work)
    assert rests[:3] == [FIRST, 2 * FIRST, 4 * FIRST]
    assert rests[-1] == LONGEST


def test_what_went_through_begins_anew() -> None:
    """Else a job that had a bad hour once rests for minutes over every slow item that follows."""
    slow_work = SlowWork()
    slow_work.rest(JOB)
    slow_work.forget([again(JOB)])
    assert slow_work.rest(JOB) == FIRST


def test_other_work_has_its_own() -> None:
    """Else what is slow by itself slows down what is slow for the first time."""
    slow_work = SlowWork()
    slow_work.rest(JOB)
    assert slow_work.rest(replace(JOB, job=2)) == FIRST
    assert slow_work.rest(again(JOB)) == 2 * FIRST


def test_it_does_not_grow_for_ever() -> None:
    """Else a slow year fills the memory of a worker."""
    slow_work = SlowWork()
    for number in range(MOST + 1):
        slow_work.rest(replace(JOB, job=number))
    assert slow_work.rest(replace(JOB, job=1)) == 2 * FIRST
    assert slow_work.rest(replace(JOB, job=0)) == FIRST
