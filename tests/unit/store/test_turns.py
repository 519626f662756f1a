"""Writers of one process take turns."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from store.turns import Turns, TurnTimeoutError

LONG = timedelta(seconds=10)
SHORT = timedelta(milliseconds=20)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until ``condition`` holds."""
    deadline = time.monotonic() + LONG.total_seconds()
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_who_asks_first_comes_first() -> None:
    """One thread that writes without pause would keep all others out, and a command unanswered for seconds."""
    turns, came = Turns(), list[int]()

    def come(number: int) -> None:
        with turns.turn(LONG):
            came.append(number)

    with turns.turn(LONG):
        threads = [threading.Thread(target=come, args=(number,)) for number in range(5)]
        for number, thread in enumerate(threads):
            thread.start()
            wait_until(lambda number=number: turns.waiting == number + 1)  # type: ignore[misc]
        assert came == []
    for thread in threads:
        thread.join(LONG.total_seconds())
    assert came == [0, 1, 2, 3, 4]
    assert turns.waiting == 0


def test_who_has_just_been_goes_behind_who_waits() -> None:
    """The thread that is quickest to come again would have every turn."""
    turns, came = Turns(), list[str]()

    def come() -> None:
        with turns.turn(LONG):
            came.append("other")

    other = threading.Thread(target=come)
    with turns.turn(LONG):
        other.start()
        wait_until(lambda: turns.waiting == 1)
    with turns.turn(LONG):
        came.append("again")
    other.join(LONG.total_seconds())
    assert came == ["other", "again"]


def test_a_turn_that_does_not_come_in_time() -> None:
    """A thread would wait for ever for one that hangs; or who has given up would be waited for by all behind."""
    turns = Turns()
    with turns.turn(LONG):
        with pytest.raises(TurnTimeoutError), turns.turn(SHORT):
            pass
        assert turns.waiting == 0
    with turns.turn(SHORT):
        pass


def test_a_turn_ends_with_an_error() -> None:
    """After one failed batch nobody would ever write again."""
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.turn(SHORT):
        _ = 1 / 0
    with turns.turn(SHORT):
        pass
