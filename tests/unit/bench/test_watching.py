"""When the time of a run begins and ends."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat

import pytest

from bench.watching import LEAST_S, Look, watch

EVERY_S = 0.05


def look(*depths: int, then: int) -> Look:
    """See these, one after the other."""
    seen: Iterator[int] = chain(depths, repeat(then))
    return Look(lambda: next(seen), EVERY_S)


def test_what_came_before_the_time_began_is_not_counted() -> None:
    """The start of a process would be its throughput, or what it had done by then come for nothing."""
    begun: list[str] = []
    bursts = look(0, 0, 10, 10, 40, 40, 70, 70, 90, then=100)
    window = watch(bursts, 100, lambda: begun.append("begun"), lambda: None, 5)
    assert begun == ["begun"]
    assert window.arrivals == 90
    assert window.seconds == pytest.approx(7 * EVERY_S, abs=0.1)


def test_who_does_not_finish_is_not_measured() -> None:
    """What was lost on the way would make a run faster."""
    with pytest.raises(TimeoutError, match="99 of 100"):
        watch(look(0, then=99), 100, lambda: None, lambda: None, 0.3)


def test_a_run_that_is_too_short_is_none() -> None:
    """The time between two looks would decide."""
    assert EVERY_S < LEAST_S
    with pytest.raises(ValueError, match="too quickly"):
        watch(look(0, 50, then=100), 100, lambda: None, lambda: None, 5)


def test_a_worker_that_dies_ends_the_watch() -> None:
    """Else the bench would wait for minutes for messages that nobody sends."""

    def check() -> None:
        raise ChildProcessError

    with pytest.raises(ChildProcessError):
        watch(look(0, then=1), 100, lambda: None, check, 5)
