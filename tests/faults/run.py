"""One run: which faults happen in which order, and what came of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from random import Random

from tests.faults.broker_faults import BROKER_FAULTS
from tests.faults.cycles import Record, WrongError, run
from tests.faults.database_faults import DATABASE_FAULTS
from tests.faults.file_faults import FILE_FAULTS
from tests.faults.network_faults import NETWORK_FAULTS
from tests.faults.scene import Fault, Scene
from tests.faults.summary import Outcome
from tests.faults.worker_faults import ANY_TIME, KILLED_AT, STOPPED_AT

ON_SERVERS: Sequence[Sequence[Fault]] = (
    KILLED_AT,
    BROKER_FAULTS,
    DATABASE_FAULTS,
    NETWORK_FAULTS,
    ANY_TIME,
    STOPPED_AT,
)
ON_FILES: Sequence[Sequence[Fault]] = (KILLED_AT, FILE_FAULTS, ANY_TIME, STOPPED_AT)
"""What can happen, by kind; a run takes from each kind in turn."""


def draw(kinds: Sequence[Sequence[Fault]], count: int, chance: Random) -> list[Fault]:
    """Return so many faults: of each kind as many as of any other, and none again before all of its kind were there."""
    bags: list[list[Fault]] = [[] for _ in kinds]
    drawn = []
    for number in range(count):
        bag, kind = bags[number % len(kinds)], kinds[number % len(kinds)]
        if not bag:
            bag += chance.sample(kind, len(kind))
        drawn.append(bag.pop())
    chance.shuffle(drawn)
    return drawn


def play(
    ground: str,
    scenery: AbstractContextManager[Scene],
    faults: Sequence[Fault],
    seed: int,
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Let these faults happen on that ground; say what came of it, also where it could not go on."""
    began, record, found = time.monotonic(), Record(), dict[str, list[str]]()
    scenes: list[Scene] = []
    try:
        with scenery as scene:
            scenes.append(scene)
            run(scene, faults, record, tell)
    except WrongError as error:
        found = error.found
    except AssertionError as error:
        found = {"failed": [str(error)]}
    stage = scenes[0].world.stage if scenes else None
    return Outcome(
        ground=ground,
        seed=seed,
        cycles=record.cycles,
        events=stage.ledger.events if stage else 0,
        repeated=stage.ledger.repeated if stage else 0,
        checked=record.checked,
        duration_s=round(time.monotonic() - began, 1),
        ends=stage.crew.ends if stage else Counter(),
        found=found,
    )
