"""What happens to workers: killed or stopped, at a named step or at any moment."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from tests.faults.scene import WITHOUT_END, Fault, NotReachedError, Scene, Trouble
from tests.faults.stage import STAND_S
from tests.faults.steps import Charge, End, Step
from tests.faults.world import EAGER

TIMES = (1, 1, 1, 2, 3)
REACHED_WITHIN_S = 10.0


@contextmanager
def _at(step: Step, end: End, scene: Scene) -> Iterator[Trouble]:
    worker = scene.chance.choice(scene.world.stage.crew.running)
    worker.charge(Charge(step, scene.chance.choice(TIMES), end))
    yield Trouble(REACHED_WITHIN_S, WITHOUT_END, lambda: not worker.is_charged)
    if worker.is_charged:
        worker.discharge()
        raise NotReachedError
    if end is End.STOP:  # the others go on meanwhile, and find out that one is missing
        scene.world.traffic(30, STAND_S)


def _step_fault(step: Step, end: End) -> Fault:
    return Fault(f"{end} at {step}", partial(_at, step, end), eager=0.6 if step.startswith("commands") else EAGER)


@contextmanager
def _killed(scene: Scene) -> Iterator[Trouble]:
    yield Trouble(scene.chance.uniform(0.1, 1.0))
    scene.chance.choice(scene.world.stage.crew.running).signal(signal.SIGKILL)


@contextmanager
def _told(scene: Scene) -> Iterator[Trouble]:
    scene.world.traffic(20, scene.chance.uniform(0.1, 1.0))
    crew = scene.world.stage.crew
    worker = scene.chance.choice(crew.running)
    crew.tell(worker)
    yield Trouble(REACHED_WITHIN_S, WITHOUT_END, lambda: not worker.is_running())


@contextmanager
def _all_killed(scene: Scene) -> Iterator[Trouble]:
    yield Trouble(scene.chance.uniform(0.1, 1.0))
    for worker in scene.world.stage.crew.running:
        worker.signal(signal.SIGKILL)


@contextmanager
def _stopped(scene: Scene) -> Iterator[Trouble]:
    scene.world.traffic(20, scene.chance.uniform(0.1, 1.0))
    scene.chance.choice(scene.world.stage.crew.running).signal(signal.SIGSTOP)
    yield Trouble(STAND_S, 30)


KILLED_AT = [_step_fault(step, End.KILL) for step in Step]
STOPPED_AT = [_step_fault(step, End.STOP) for step in Step]
ANY_TIME = [
    Fault("kill at any moment", _killed),
    Fault("kill of all workers", _all_killed),
    Fault("told to stop", _told),
    Fault("stop at any moment", _stopped),
]
