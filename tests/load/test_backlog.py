"""More lies in the queues than a worker takes in an hour: it takes it flat, and operators are answered meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.acceptance.harness import Backend
from tests.load import figures as told
from tests.load.figures import Row
from tests.load.ground import Ground, open_ground
from tests.load.scenery import CUSTOMERS, MAPPING_FILE, edits
from tests.load.sizes import ANSWER_WITHIN, AT_LENGTH, BATCHES, GROWTH_BYTES, MESSAGES, WITHIN, WORKER_BYTES, share
from tests.load.watching import Operator, Watch, watched

pytestmark = pytest.mark.timeout(WITHIN.total_seconds() + 60)

CONNECTIONS = 12
"""Of a worker: two consumers, a relay, a look at the queues, a pool of five to the database, and some to spare."""


class Drained(NamedTuple):
    """How one worker took a backlog, with an operator at work."""

    seconds: float
    batch_s: float
    watch: Watch
    operator: Operator

    def row(self, scenario: str, messages: int, remark: str = "") -> Row:
        """The row of the table."""
        seen = (told.rss(self.watch), told.connections(self.watch), told.answers(self.operator))
        return Row(scenario, messages, self.seconds, *seen, remark)

    def check(self) -> None:
        """See that the worker stayed small and that the operator was answered."""
        patience_s = max(ANSWER_WITHIN.total_seconds(), BATCHES * self.batch_s)
        assert self.watch.peak.rss_bytes < WORKER_BYTES
        assert self.watch.growth_bytes < GROWTH_BYTES
        assert self.watch.peak.connections <= CONNECTIONS
        assert self.operator.unanswered == 0
        assert self.operator.quantile_s(0.5) < patience_s
        assert not AT_LENGTH or self.operator.quantile_s(0.99) < patience_s


def drain(ground: Ground, messages: int) -> Drained:
    """Have one worker take all that there is."""
    until = ground.handled() + messages
    worker = ground.start_worker()
    with watched([worker.pid]) as (watch,), Operator(ground.broker_url, ground.namespace) as operator:
        seconds = ground.wait(
            lambda: ground.handled() >= until and ground.has_published(), "the backlog to be drained", WITHIN
        )
    assert worker.stop() == 0
    return Drained(seconds, ground.batch_s(worker), watch, operator)


def test_a_backlog_is_drained_flat(backend: Backend, tmp_path: Path, figures: list[Row]) -> None:
    """A worker would die of the first long outage, or leave its operators without an answer for as long."""
    with open_ground(backend, tmp_path, MAPPING_FILE) as ground:
        ground.couple(CUSTOMERS, MESSAGES)
        ground.publish(edits("bc/customer", MESSAGES, name="new"))
        drained = drain(ground, MESSAGES)
        assert ground.depth("instructions.sales") == MESSAGES
        figures.append(drained.row(f"backlog, {ground.store.dialect}", MESSAGES))
        drained.check()


def test_an_error_storm_is_no_more_than_a_backlog(backend: Backend, tmp_path: Path, figures: list[Row]) -> None:
    """With every pair in conflict, rows and messages would grow with each further edit, and the worker with them."""
    pairs, kept = share(0.5, 1), 100
    with open_ground(backend, tmp_path, MAPPING_FILE, {"RECOUPLE_ERRORS_MAX_LENGTH": str(kept)}) as ground:
        ground.couple(CUSTOMERS, pairs)
        ground.publish(edits("bc/customer", pairs, name="ours"))
        ground.publish(edits("sales/account", pairs, title="theirs"))
        drained = drain(ground, 2 * pairs)
        figures.append(drained.row(f"error storm, {ground.store.dialect}", 2 * pairs, "every pair in conflict"))
        drained.check()
        assert ground.number("SELECT count(*) FROM errors WHERE kind = 'update_conflict'") == pairs
        assert ground.depth("errors") == kept

        size = ground.number("SELECT max(length(report)) FROM errors")
        for version in range(3, 13):
            ground.publish(edits("bc/customer", 1, version, name="ours"))
        drain(ground, 10)
        assert ground.number("SELECT count(*) FROM errors") == pairs
        assert ground.number("SELECT max(length(report)) FROM errors") <= size + 100
