"""What the loops of a process tell of themselves: idle, at work, without the world, alive."""

from __future__ import annotations

import threading

from workers.progress import Progress


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        """What it shows."""
        return self.now_s


def test_settled() -> None:
    """``--drain`` would stop while a loop has work, or has not even begun; or never."""
    progress, both = Progress(), ["relay", "timers"]
    assert not progress.settled(both, 2)
    for _ in range(2):
        progress.note("relay", busy=False)
    assert not progress.settled(both, 2)  # the other has not looked yet
    assert progress.settled(["relay"], 2)
    progress.note("timers", busy=False)
    assert not progress.settled(both, 2)
    progress.note("timers", busy=False)
    assert progress.settled(both, 2)
    progress.note("relay", busy=True)
    assert not progress.settled(both, 1)
    assert progress.works == 1


def test_how_a_loop_stands() -> None:
    """A worker would call itself ready before it has worked, or while the broker is away, or never again after that."""
    progress = Progress()
    with progress.running("relay"):
        (begun,) = progress.standings()
        assert (begun.loop, begun.has_worked, begun.away) == ("relay", False, None)
        progress.note("relay", busy=False)
        progress.miss("relay", "broker")
        (missed,) = progress.standings()
        assert (missed.has_worked, missed.away) == (True, "broker")
        progress.note("relay", busy=True)
        assert progress.standings()[0].away is None
    assert progress.standings() == []


def test_signs_of_life() -> None:
    """A loop in a long step, or one that waits for the broker to come back, would be taken for one that hangs."""
    clock = Clock()
    progress = Progress(clock)
    with progress.running("relay"):
        clock.now_s = 130.0
        assert progress.age_s(progress.standings()[0]) == 30.0
        for tell in (
            progress.sign,
            lambda: progress.note("relay", busy=False),
            lambda: progress.miss("relay", "broker"),
        ):
            clock.now_s += 10.0
            tell()
            assert progress.age_s(progress.standings()[0]) == 0.0


def test_a_sign_of_one_loop_is_none_of_another() -> None:
    """One loop that works would hide that another hangs."""
    clock = Clock()
    progress = Progress(clock)
    with progress.running("relay"):
        clock.now_s = 160.0

        def other() -> None:
            with progress.running("timers"):
                progress.sign()
                ages.update({one.loop: progress.age_s(one) for one in progress.standings()})

        ages: dict[str, float] = {}
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(5)
        assert ages == {"relay": 60.0, "timers": 0.0}
