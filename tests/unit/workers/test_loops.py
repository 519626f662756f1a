"""A loop that goes on whatever the world does: how long it waits, what it says, and how fast it ends."""

from __future__ import annotations

import io
import itertools
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
import structlog

from messages.transport.ports import BrokerUnavailableError
from store.failures import StoreUnavailableError
from workers.logs import set_up_logging
from workers.loops import FIRST_WAIT, LONGEST_WAIT, STILL_AWAY, run_loop
from workers.progress import Progress

BROKER, STORE = BrokerUnavailableError("no route"), StoreUnavailableError("no route")
Happening = bool | Exception | Callable[[], bool]


class Script:
    """The steps of a loop and its stop: each step does the next thing, and after the last one it is time to end.

    Attributes:
        rests: For how many seconds the loop rested, in order.
        steps: How many steps it took.
    """

    def __init__(self, happenings: Sequence[Happening], *, stop_while_resting: bool = False) -> None:
        self._next, self._left = iter(happenings), len(happenings)
        self._stop_while_resting, self._stopped = stop_while_resting, False
        self.rests: list[float] = []
        self.steps = 0

    def step(self) -> bool:
        """Do the next thing."""
        self.steps, self._left = self.steps + 1, self._left - 1
        happening = next(self._next)
        if isinstance(happening, Exception):
            raise happening
        return happening() if callable(happening) else happening

    def is_set(self) -> bool:
        """Say whether to end."""
        return self._stopped or self._left == 0

    def wait(self, timeout: float | None = None) -> bool:
        """Note the rest; no time passes."""
        assert timeout is not None
        self.rests.append(timeout)
        self._stopped = self._stop_while_resting
        return self._stopped


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where strict logging writes; undone afterwards."""
    handlers = [*logging.getLogger().handlers]
    stream = io.StringIO()
    set_up_logging("json", "info", stream, strict=True)
    yield stream
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers


def run(script: Script, chance: float = 0.0, progress: Progress | None = None) -> None:
    """Run a loop by the script, always with the same chance."""
    run_loop("relay", script.step, script, progress or Progress(), lambda: chance)


def logged(stream: io.StringIO) -> list[dict[str, Any]]:
    """Every line."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(("chance", "share"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
@pytest.mark.usefixtures("stream")
def test_the_rests_grow_to_a_ceiling(chance: float, share: float) -> None:
    """A broker that comes back would be run over by a thousand workers at once, or waited for much too long."""
    script = Script([BROKER] * 40)
    run(script, chance)
    doubled = [FIRST_WAIT * 2**number for number in range(40)]
    assert script.rests == pytest.approx([min(LONGEST_WAIT, one).total_seconds() * share for one in doubled])
    assert max(script.rests) <= LONGEST_WAIT.total_seconds()
    assert min(script.rests) >= FIRST_WAIT.total_seconds() / 2


@pytest.mark.usefixtures("stream")
def test_the_rests_begin_anew_after_a_success() -> None:
    """The first hiccup after a long outage would cost as long as the outage's last rest."""
    script = Script([STORE, STORE, STORE, True, STORE])
    run(script)
    assert script.rests[3] == script.rests[0]
    assert script.rests[0] < script.rests[1] < script.rests[2]


def test_without_trouble_nothing_is_said_and_no_time_is_lost(stream: io.StringIO) -> None:
    """Every step would leave a line, or an idle consumer would rest twice: it rests in its own step."""
    script = Script([True, False, True])
    run(script)
    assert (script.steps, script.rests, stream.getvalue()) == (3, [], "")


@pytest.mark.parametrize(
    ("happenings", "lines"),
    [
        pytest.param([BROKER] * 5 + [True], ["broker.lost", "broker.back"], id="the broker"),
        pytest.param([STORE] * 5 + [False, True], ["store.lost", "store.back"], id="the store"),
        pytest.param([BROKER], ["broker.lost"], id="not back before the end"),
        pytest.param(
            [BROKER, True, BROKER, True], ["broker.lost", "broker.back"] * 2, id="an outage after another is another"
        ),
        pytest.param(
            [BROKER, STORE, BROKER, STORE, True],
            ["broker.lost", "store.lost", "broker.back", "store.back"],
            id="both by turns",
        ),
    ],
)
def test_lost_and_back_are_said_once(stream: io.StringIO, happenings: Sequence[Happening], lines: list[str]) -> None:
    """A night's outage would fill the disk, or an alarm would stay on because nobody ever said that all is well."""
    run(Script(happenings))
    assert [line["event"] for line in logged(stream)] == lines


def test_what_is_said_of_an_outage(stream: io.StringIO) -> None:
    """An operator would not know which loop is held up, why, and for how long it was."""
    run(Script([BROKER, BROKER, True]))
    lost, back = logged(stream)
    assert (lost["level"], lost["loop"], lost["why"]) == ("warning", "relay", "no route")
    assert lost["raised"].endswith("BrokerUnavailableError")
    assert (back["level"], back["loop"], back["attempts"]) == ("info", "relay", 2)


def test_what_is_still_away_is_said_once_a_minute(stream: io.StringIO) -> None:
    """Nobody who looks at the end of a log would see that a worker stands idle; or each attempt would leave a line."""
    script = Script([BROKER] * 10 + [True])
    run(script, progress=Progress(lambda: 20.0 * len(script.rests)))
    lines = logged(stream)
    said = [(line["event"], line["attempts"]) for line in lines[1:]]
    away = [line["away_ms"] for line in lines[1:]]
    assert said == [("broker.away", 4), ("broker.away", 7), ("broker.away", 10), ("broker.back", 10)]
    assert away == sorted(away)
    assert away[0] >= STILL_AWAY / timedelta(milliseconds=1)
    assert {line["level"] for line in lines[:-1]} == {"warning"}


@pytest.mark.usefixtures("stream")
def test_a_step_that_fails_at_once_does_not_spin() -> None:
    """A broker that refuses in a millisecond would cost a whole processor, and be asked a thousand times a second."""
    stop, attempts = threading.Event(), itertools.count(1)

    def step() -> bool:
        if next(attempts) == 8:
            stop.set()
        raise BROKER

    begun_s = time.monotonic()
    run_loop("relay", step, stop, Progress(), lambda: 0.0)
    assert time.monotonic() - begun_s >= 0.5 * FIRST_WAIT.total_seconds() * (2**7 - 1)


@pytest.mark.usefixtures("stream")
def test_a_stop_ends_the_rest_and_the_loop() -> None:
    """SIGTERM while the broker is away would wait for the broker."""
    script = Script([BROKER] * 10, stop_while_resting=True)
    run(script)
    assert script.steps == 1


@pytest.mark.usefixtures("stream")
def test_a_stop_from_another_thread_ends_a_long_rest() -> None:
    """The same with the real thing: a worker in its longest back-off would be killed after ten seconds."""
    stop, resting, attempts = threading.Event(), threading.Event(), itertools.count(1)

    def step() -> bool:
        if next(attempts) > 1:
            resting.set()  # the second rest has no end within this test
        raise BROKER

    chances = iter([0.0, timedelta(minutes=10) / FIRST_WAIT])
    loop = threading.Thread(target=run_loop, args=("relay", step, stop, Progress(), lambda: next(chances)), daemon=True)
    loop.start()
    assert resting.wait(5)
    stop.set()
    loop.join(5)
    assert not loop.is_alive()


def test_a_stop_that_came_first() -> None:
    """A worker that is told to stop while it starts would begin another batch."""
    stop = threading.Event()
    stop.set()
    script = Script([True])
    run_loop("relay", script.step, stop, Progress(), lambda: 0.0)
    assert script.steps == 0


def test_any_other_fault_ends_the_loop() -> None:
    """A fault of our own would be tried again for ever, and nobody would hear of it."""
    with pytest.raises(LookupError):
        run(Script([True, LookupError("ours"), True]))


@pytest.mark.usefixtures("stream")
def test_an_outage_is_no_idleness() -> None:
    """A worker told to drain would stop because it could not look."""
    progress = Progress()
    run(Script([False, BROKER, BROKER]), progress=progress)
    assert not progress.settled(["relay"], 2)
    run(Script([True, True, False]), progress=progress)
    assert (progress.works, progress.settled(["relay"], 1)) == (2, True)
