"""More lies in the queues than a worker takes in an hour: it takes it flat, and operators are answered meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.harness import Backend
from tests.load.draining import drain
from tests.load.figures import Row
from tests.load.ground import open_ground
from tests.load.scenery import CUSTOMERS, MAPPING_FILE, edits
from tests.load.sizes import MESSAGES, WITHIN, share

pytestmark = pytest.mark.timeout(WITHIN.total_seconds() + 60)


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
        conflicts = ground.number("SELECT count(*) FROM errors WHERE kind = 'update_conflict'")
        assert conflicts >= 0.9 * pairs  # in its first moment a worker may see one of the queues only
        assert ground.depth("errors") == kept

        size = ground.number("SELECT max(length(report)) FROM errors")
        for version in range(3, 13):
            ground.publish(edits("bc/customer", 1, version, name="ours"))
        drain(ground, 10)
        assert ground.number("SELECT count(*) FROM errors") == conflicts
        assert ground.number("SELECT max(length(report)) FROM errors") <= size + 100
