"""Years have left their rows: they go while a worker goes on, a few at a time, and what is young stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.harness import Backend
from tests.load import figures as told
from tests.load.figures import Row
from tests.load.ground import Ground, at_least, open_ground
from tests.load.past import grow_old, old_rows
from tests.load.scenery import CUSTOMERS, MAPPING_FILE, edits
from tests.load.sizes import ANSWER_WITHIN, BATCHES, GROWTH_BYTES, IN_PASSING, MESSAGES, WITHIN, WORKER_BYTES
from tests.load.tidying_worker import TidyingWorker
from tests.load.watching import Operator, watched
from workers.retention import AT_ONCE

pytestmark = pytest.mark.timeout(WITHIN.total_seconds() + 60)

OLD = max(20_000, MESSAGES)
"""So many rows of each kind are too old."""

FRESH = max(IN_PASSING, MESSAGES // 10)
"""So many messages come today."""

KINDS = 3
"""Of those that go: what was handled, the log, the instructions."""


def test_the_past_goes_while_the_present_goes_on(backend: Backend, tmp_path: Path, figures: list[Row]) -> None:
    """Every hour a worker would stand still, or keep its operators waiting, for as long as a year is being deleted."""
    with open_ground(backend, tmp_path, MAPPING_FILE) as ground:
        grow_old(ground.store, OLD)
        ground.couple(CUSTOMERS, FRESH)
        seeded = fresh(ground)
        ground.publish(edits("bc/customer", FRESH, name="new"))
        worker = ground.start_worker(kind=TidyingWorker)
        with watched([worker.pid]) as (watch,), Operator(ground.broker_url, ground.namespace) as operator:
            handled = at_least(lambda: fresh(ground), seeded + FRESH)
            seconds = ground.wait(lambda: handled() and ground.has_published(), "the backlog to be drained", WITHIN)
            left = old_rows(ground.store)
            ground.wait(lambda: bool(ground.told(worker, "retention.purged")), "the past to be gone", WITHIN)
        (purged,) = ground.told(worker, "retention.purged")
        batches_s = ground.batches_s(worker)
        step_s = purged["duration_ms"] / 1000 / (KINDS * OLD / AT_ONCE)
        gone = 1 - sum(left[name] for name in ("handled", "log", "instructions")) / KINDS / OLD
        remark = f"{gone:.0%} of the past gone meanwhile; {AT_ONCE} rows in {step_s * 1000:.0f} ms"
        shown = (told.rss(watch), told.connections(watch), told.answers(operator), remark)
        figures.append(Row(f"retention, {ground.store.dialect}", FRESH, seconds, *shown))

        assert old_rows(ground.store) == {"handled": 0, "log": 0, "instructions": 0, "commands": OLD}
        assert min(purged["handled"], purged["log_lines"], purged["instructions"]) >= OLD
        assert fresh(ground) - seeded == ground.number("SELECT count(*) FROM instructions") == FRESH
        assert gone > 0, "they were not at work at the same time"
        patience_s = max(ANSWER_WITHIN.total_seconds(), BATCHES * ground.batch_s(worker))
        assert step_s < patience_s
        assert max(batches_s) < patience_s
        assert (operator.unanswered, operator.quantile_s(0.5) < patience_s) == (0, True)
        assert watch.peak.rss_bytes < WORKER_BYTES
        assert watch.growth_bytes < GROWTH_BYTES


def fresh(ground: Ground) -> int:
    """How many messages were handled of those that came today."""
    return ground.number("SELECT count(*) FROM handled WHERE id LIKE 'load-%'")
