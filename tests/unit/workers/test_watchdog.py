"""The watchdog: which loops hang, what is said of them, and that the process ends."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import structlog

from workers.logs import set_up_logging
from workers.progress import Progress
from workers.watchdog import STUCK_EXIT_CODE, Watchdog

LIMIT = timedelta(minutes=2)
BEAT_S = 1.0


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        """What it shows."""
        return self.now_s


class Watch:
    """A loop called ``relay``, and a watchdog that looks at it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.progress = Progress(self.clock)
        self.dog = Watchdog(self.progress, LIMIT)

    def look_for(self, duration_s: float) -> list[str]:
        """The watchdog looks once a second; return the loops that it calls stuck at the end."""
        for _ in range(round(duration_s / BEAT_S)):
            self.clock.now_s += BEAT_S
            self.dog.look()
        return self.dog.stuck()


@pytest.fixture
def watch() -> Iterator[Watch]:
    """A loop that has just begun."""
    found = Watch()
    with found.progress.running("relay"):
        yield found


def test_a_loop_without_a_sign_of_life_is_stuck(watch: Watch) -> None:
    """A thread that hangs in a library would hang for ever, and its messages wait with it."""
    assert watch.look_for(119) == []
    assert watch.look_for(5) == ["relay"]


def test_any_sign_of_life_will_do(watch: Watch) -> None:
    """A long step, or an outage, would end the worker, again and again."""
    for tell in (watch.progress.sign, lambda: watch.progress.miss("relay", "store")) * 3:
        assert watch.look_for(100) == []
        tell()
    assert watch.look_for(100) == []


def test_a_loop_that_has_ended_is_not_stuck() -> None:
    """A worker that has stopped in good order would be said to hang."""
    watch = Watch()
    with watch.progress.running("relay"):
        watch.look_for(10)
    assert watch.look_for(300) == []


def test_time_in_which_the_process_was_stopped_does_not_count(watch: Watch) -> None:
    """A worker that was suspended with its host, or by SIGSTOP, would end itself the moment it goes on."""
    watch.look_for(10)
    watch.clock.now_s += 3600
    watch.dog.look()
    assert watch.look_for(60) == []
    assert watch.look_for(60) == ["relay"]


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where strict logging writes; undone afterwards."""
    handlers = [*logging.getLogger().handlers]
    stream = io.StringIO()
    set_up_logging("json", "info", stream, strict=True)
    yield stream
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers


def test_it_tells_where_the_loop_hangs_and_leaves(stream: io.StringIO) -> None:
    """Whoever looks into it the next morning would find a worker that was started anew, and no reason."""
    progress, hanging, let_go, codes = Progress(), threading.Event(), threading.Event(), list[int]()

    def hang() -> None:
        with progress.running("relay"):
            hanging.set()
            let_go.wait(30)

    loop = threading.Thread(target=hang, daemon=True)
    loop.start()
    assert hanging.wait(5)
    Watchdog(progress, timedelta(milliseconds=60)).watch(threading.Event(), codes.append)
    let_go.set()
    loop.join(5)
    assert codes == [STUCK_EXIT_CODE]
    (line,) = (json.loads(text) for text in stream.getvalue().splitlines())
    check(line)


def check(line: dict[str, Any]) -> None:
    """See that the line says which loop, for how long, and where."""
    assert (line["event"], line["level"], line["loop"]) == ("worker.stuck", "error", "relay")
    assert line["stuck_ms"] >= 60
    assert line["stack"][-1].startswith("threading:")
    assert any("test_watchdog" in place and place.endswith(" hang") for place in line["stack"])


def test_it_stops_with_the_worker() -> None:
    """Every worker of a test run would leave a watchdog behind."""
    stop, codes = threading.Event(), list[int]()
    stop.set()
    Watchdog(Progress(), LIMIT).watch(stop, codes.append)
    assert codes == []
