"""Cycles: one fault each, while everybody goes on working; then quiet, and a look at what came of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from tests.acceptance import end_conditions
from tests.faults import checks
from tests.faults.scene import Away, Fault, NotReachedError, Scene
from tests.faults.servers.own import FaultUnavailableError
from tests.faults.world import EAGER

CHECKED_EVERY = 4
"""After so many cycles all has to come to rest."""

BACK_WITHIN_S = 40.0
ARRIVED_WITHIN = timedelta(seconds=10)
LOOK_AGAIN_S = 0.2


class Cycle(NamedTuple):
    """What one cycle was.

    Attributes:
        reached: Whether the fault came about.
        recovered_s: From when what was away is back to the first batch that was committed; ``None`` for other faults.
    """

    fault: str
    away: Away
    reached: bool
    lasted_s: float
    recovered_s: float | None


class WrongError(AssertionError):
    """Something is wrong; ``found`` says what, by check."""

    def __init__(self, found: dict[str, list[str]]) -> None:
        super().__init__("\n".join(f"{name}: {one}" for name, all_ in found.items() for one in all_[:5]))
        self.found = found


class Record(msgspec.Struct):
    """What a run was, so far."""

    cycles: list[Cycle] = []
    checked: int = 0

    def kinds(self) -> Counter[str]:
        """How often each fault came about."""
        return Counter(one.fault for one in self.cycles if one.reached)


def run(scene: Scene, faults: Sequence[Fault], record: Record, tell: Callable[[str], None]) -> None:
    """Let all of these happen, one after the other.

    Args:
        scene: Where.
        faults: Which.
        record: Grows with each.
        tell: Says to whoever watches how far it is.

    Raises:
        WrongError: something is wrong.
    """
    for number, fault in enumerate(faults, 1):
        tell(f"{number} of {len(faults)}: {fault.name}")
        record.cycles.append(cycle(scene, fault))
        if number % CHECKED_EVERY == 0 or number == len(faults):
            rest(scene)
            record.checked += 1
    settle(scene)
    record.checked += 1


def cycle(scene: Scene, fault: Fault) -> Cycle:
    """Let one fault happen."""
    world, began, reached = scene.world, time.monotonic(), True
    world.store_answers, world.eager = fault.store_answers, fault.eager
    try:
        with fault.happen(scene) as trouble:
            world.traffic(trouble.actions, trouble.lasts_s, trouble.enough)
    except (NotReachedError, FaultUnavailableError):
        reached = False
    back, world.back_at = world.back_at or datetime.now(UTC), None
    recovered_s = None if fault.away is Away.NOTHING else recovery_s(scene, back)
    world.store_answers, world.eager = True, EAGER
    world.traffic(10, 1.0)
    return Cycle(fault.name, fault.away, reached, round(time.monotonic() - began, 1), recovered_s)


def recovery_s(scene: Scene, back: datetime) -> float:
    """Return how long after that moment the first batch was committed; the users see to it that there are some."""
    crew = scene.world.stage.crew
    looked: list[float] = [0.0]

    def is_back() -> bool:
        if time.monotonic() - looked[0] < LOOK_AGAIN_S:
            return False
        looked[0] = time.monotonic()
        return crew.first_commit_after(back) is not None

    scene.world.traffic(100, BACK_WITHIN_S, is_back)
    first = crew.first_commit_after(back)
    if first is None:
        raise WrongError({"recovery": [f"no batch was committed within {BACK_WITHIN_S} s"]})
    return round((first - back).total_seconds(), 2)


def rest(scene: Scene) -> None:
    """Wait until all is quiet, and see that nothing is wrong.

    Raises:
        WrongError: something is.
    """
    stage = scene.world.stage
    try:
        scene.world.wait_quiet()
    except AssertionError as error:  # a message that never came is found by the checks; say why nothing came to rest
        raise WrongError({"restless": [str(error)], **checks.findings(stage)}) from error
    await_arrivals(scene)
    found = checks.findings(stage)
    if found.keys() == {"misplaced"}:  # a dead worker's lease may have ended just now: somebody takes it in a moment
        await_arrivals(scene)
        found = checks.findings(stage)
    if found:
        raise WrongError(found)


def await_arrivals(scene: Scene) -> None:
    """Wait for what is on its way to us, or was handed to a worker that is dead and comes again when its lease ends."""
    stage = scene.world.stage
    with suppress(AssertionError):  # what does not come is found by the checks
        stage.wait_long(
            lambda: not any(checks.lost(stage)) and not any(checks.misplaced(stage)), "all to arrive", ARRIVED_WITHIN
        )


def settle(scene: Scene) -> None:
    """Let the operator settle every error; see that both sides agree, and that another pass changes nothing."""
    try:
        scene.world.finish()
        await_arrivals(scene)
        end_conditions.check(scene.world)
        scene.world.pass_once_more()
        await_arrivals(scene)
        end_conditions.check(scene.world)
    except AssertionError as error:
        raise WrongError({"diverged": [str(error)]}) from error
    rest(scene)
