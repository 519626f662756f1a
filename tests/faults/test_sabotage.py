"""The checks of the suite can fail: each guarantee is broken once on purpose, in the worker, and is found broken.

Every scenario is played by an honest worker as well: what is found is found because of the sabotage.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.acceptance.harness import Backend
from tests.faults import plays
from tests.faults.checks import CHECKS
from tests.faults.dying_worker import SABOTAGE, TARRY
from tests.faults.plays import Pair, die_at, playing
from tests.faults.sabotage import Sabotage
from tests.faults.steps import Step
from tests.services import empty

SLOW = {TARRY: f"{Step.CHANGES_WRITTEN} 100"}
"""Time between what a transaction reads and its commit: two of them meet, and the broker hands over all that it may."""

NEVER_WITHIN = timedelta(seconds=4)
"""What has not come by then does not come any more."""


class Case(NamedTuple):
    """What is broken, what is played, and what is found: which check, and words of its finding."""

    broken: Sabotage
    play: Callable[[Pair], None]
    check: str
    words: str


DIE_WRITING, DIE_RELAYING = (partial(die_at, step) for step in (Step.CHANGES_WRITTEN, Step.RELAY_CLAIMED))

CASES = [
    Case(Sabotage.ACKNOWLEDGE_FIRST, DIE_WRITING, "lost", "was never handled"),
    Case(Sabotage.FORGET_UNCONFIRMED, DIE_RELAYING, "lost", "never reached its app"),
    Case(Sabotage.NO_DEDUPLICATION, plays.repeat, "doubled", "was taken 2 times"),
    Case(Sabotage.PUBLISH_UNCOMMITTED, plays.die_over_conflict, "uncommitted", "was told and never committed"),
    Case(Sabotage.PUBLISH_BESIDE, plays.refuse_commit, "uncommitted", "arrived and was never committed"),
    # What was told and never committed is told again when it is decided again, under the same id: at another time.
    Case(Sabotage.PUBLISH_UNCOMMITTED, DIE_WRITING, "contradictions", "came with 2 contents"),
    Case(Sabotage.NO_LOCKS, plays.meet, "unruly", "in flight"),
    Case(Sabotage.KEEP_REPEATED, plays.die_with_more_waiting, "misplaced", "messages are left in"),
    Case(Sabotage.BURY_REPEATED, plays.repeat, "misplaced", "dead: "),
    Case(Sabotage.FAIL_REPEATED, plays.repeat, "faulty", "batch.failed"),
    Case(Sabotage.STUMBLE_OVER_REPEATED, DIE_WRITING, "faulty", "a worker left with 1"),
]


@pytest.fixture
def backend(postgres_url: str, amqp_url: str) -> Backend:
    """An empty store, and RabbitMQ."""
    empty(postgres_url)
    return Backend(postgres_url, amqp_url)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.broken}-{case.check}")
def test_a_broken_guarantee_is_found(case: Case, backend: Backend, tmp_path: Path) -> None:
    """Else the suite would be green over a worker that loses, repeats or overwrites what it should not."""
    workers = 2 if case.play is plays.meet else 1
    slow = SLOW if case.play in (plays.meet, plays.die_with_more_waiting) else {}
    with playing(backend, tmp_path, workers, **{SABOTAGE: case.broken.value, **slow}) as pair:
        case.play(pair)
        found = pair.findings(NEVER_WITHIN)
        assert any(case.words in one for one in found.get(case.check, ())), found


def test_every_check_is_seen_to_find_something() -> None:
    """Else a check could be written that finds nothing ever, and nobody would know."""
    assert {case.check for case in CASES} == CHECKS.keys()


def test_an_honest_worker_plays_all_of_it_without_a_finding(backend: Backend, tmp_path: Path) -> None:
    """Else what is found in a sabotaged worker might be the scenario's own doing."""
    with playing(backend, tmp_path, 2, **SLOW) as pair:
        for play in dict.fromkeys(case.play for case in CASES):
            play(pair)
            assert pair.findings() == {}, play
        pair.stage.close()


def test_what_a_worker_holds_and_never_acknowledges_is_found_when_it_leaves(backend: Backend, tmp_path: Path) -> None:
    """Else a worker might forget as many messages as it holds at once: no queue shows them while it runs."""
    with playing(backend, tmp_path, 1, **{SABOTAGE: Sabotage.KEEP_REPEATED.value}) as pair:
        DIE_WRITING(pair)
        assert "misplaced" not in pair.findings(NEVER_WITHIN)
        with pytest.raises(AssertionError, match="left in the queues"):
            pair.stage.close()
