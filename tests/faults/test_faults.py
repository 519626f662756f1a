"""A short run of the fault suite; ``make faults`` is the long one."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from random import Random

import pytest

from tests.faults.grounds import on_files, on_servers
from tests.faults.run import ON_FILES, ON_SERVERS, draw, play
from tests.faults.scene import Ground
from tests.faults.summary import Outcome

SEED = int(os.environ.get("FAULTS_SEED") or secrets.randbelow(10**8))
CYCLES_ON_SERVERS, CYCLES_ON_FILES = 6, 4


@pytest.mark.timeout(240)
def test_nothing_is_lost_on_rabbitmq_and_postgresql(ground: Ground, tmp_path: Path) -> None:
    """Else a worker that dies, or a broker, database or network that fails, loses something or does it twice."""
    chance = Random(SEED)  # noqa: S311 - repeatable, hides nothing
    faults = draw(ON_SERVERS, CYCLES_ON_SERVERS, chance)
    see(play("servers", on_servers(ground, tmp_path, SEED), faults, SEED))


@pytest.mark.timeout(180)
def test_nothing_is_lost_on_the_embedded_store_and_broker(tmp_path: Path) -> None:
    """Else a worker that dies, or a locked or protected file, loses something or has it done twice."""
    chance = Random(SEED)  # noqa: S311 - as above
    faults = draw(ON_FILES, CYCLES_ON_FILES, chance)
    see(play("embedded", on_files(tmp_path, SEED), faults, SEED))


def see(outcome: Outcome) -> None:
    """See that nothing is wrong, and that something happened at all."""
    told = f"FAULTS_SEED={outcome.seed} pytest tests/faults/test_faults.py"
    print(told, [tuple(one) for one in outcome.cycles], f"{outcome.events} messages, {outcome.duration_s} s")  # noqa: T201
    assert outcome.is_good, f"{told}\n{outcome.found}"
    assert any(one.reached for one in outcome.cycles)
