"""One app, one mapping or one order that has much to say does not keep the others waiting.

Nothing here is measured in seconds: that others were served *before* the flood was over is what counts.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from messages.codec import encode_command
from messages.commands import Keep, Synchronize
from messages.errors import ErrorKind
from store import outbox as outbox_store
from tests.acceptance.harness import Backend
from tests.contract.workers.by_hand import command
from tests.load import figures as told
from tests.load.figures import Row
from tests.load.ground import Ground, at_least, open_ground
from tests.load.scenery import APART, CUSTOMERS, ITEMS, MAPPING_FILE, change, edits
from tests.load.seeding import key
from tests.load.sizes import GROWTH_BYTES, MESSAGES, WITHIN, WORKER_BYTES
from tests.load.watching import watched
from workers.bulk.jobs import CHUNK
from workers.bulk.waiting import BACKLOG

pytestmark = pytest.mark.timeout(WITHIN.total_seconds() + 60)

SHOP = "instructions.bc"
"""Where the instruction arrives that an edit in the shop leads to."""


def edit_in_the_shop(ground: Ground, number: int = 1) -> None:
    """A user of the shop changes an item."""
    ground.publish([change(f"shop/item/{key(number)}", 2, name="new")])


def test_an_app_with_a_backlog_holds_up_no_other(servers: Backend, tmp_path: Path, figures: list[Row]) -> None:
    """While one app loads its tables all others would stand still."""
    with open_ground(servers, tmp_path, MAPPING_FILE) as ground:
        ground.couple(CUSTOMERS, MESSAGES)
        ground.couple(ITEMS, 1)
        ground.publish(edits("bc/customer", MESSAGES, name="new"))
        edit_in_the_shop(ground)
        ground.start_worker()
        seconds = ground.wait(lambda: ground.depth(SHOP) == 1, "the edit in the shop to be passed on", WITHIN)
        handled = ground.handled()
        remark = f"edit of another app passed on after {handled / MESSAGES:.0%} of the backlog"
        figures.append(Row(f"fairness, {ground.store.dialect}", MESSAGES, seconds, remark=remark))
        assert handled < 0.75 * MESSAGES
        ground.wait_until_handled(MESSAGES, WITHIN)


def test_a_job_over_everything_holds_up_no_edit(backend: Backend, tmp_path: Path, figures: list[Row]) -> None:
    """Bulk work over a million couplings would fill the outbox, and a user's edit go out when all of it has."""
    backlogs = []
    with open_ground(backend, tmp_path, MAPPING_FILE) as ground:
        ground.couple(APART, 2 * MESSAGES)
        ground.couple(ITEMS, 1)
        order(ground, Synchronize(mapping="customer", keep=Keep.LEFT))
        began = time.monotonic()
        worker = ground.start_worker()
        with watched([worker.pid]) as (watch,):

            def look() -> bool:
                with ground.store.reading() as conn:
                    backlogs.append(outbox_store.backlog(conn, 10 * BACKLOG))
                return True

            instructions = partial(instructed_by, ground)
            has_begun, is_over = at_least(instructions, CHUNK + 1), at_least(instructions, 2 * MESSAGES)
            ground.wait(lambda: look() and has_begun(), "the job to begin", WITHIN)
            edit_in_the_shop(ground)
            ground.wait(lambda: look() and ground.depth(SHOP) == 1, "the edit to be passed on", WITHIN)
            instructed = instructions()
            ground.wait(lambda: look() and is_over() and ground.has_published(), "the job to end", WITHIN)
        seconds = time.monotonic() - began
        remark = f"edit passed on after {instructed / MESSAGES / 2:.0%} of the job; outbox at most {max(backlogs)}"
        name = f"job, {ground.store.dialect}"
        figures.append(Row(name, 2 * MESSAGES, seconds, told.rss(watch), told.connections(watch), remark=remark))
        assert instructed < 0.75 * 2 * MESSAGES
        assert max(backlogs) <= BACKLOG + 2 * CHUNK
        assert watch.peak.rss_bytes < WORKER_BYTES
        assert watch.growth_bytes < GROWTH_BYTES


def test_an_app_that_never_answers_costs_its_own_records_only(
    servers: Backend, tmp_path: Path, figures: list[Row]
) -> None:
    """A flood of ``no_answer`` would hold up the retries, the jobs and the edits of all other apps."""
    silent = MAPPING_FILE.replace('[apps.sales]\nanswer_within = "1d"', '[apps.sales]\nanswer_within = "1s"')
    assert silent != MAPPING_FILE
    with open_ground(servers, tmp_path, silent) as ground:
        ground.couple(CUSTOMERS, MESSAGES)
        ground.couple(ITEMS, 1)
        ground.publish(edits("bc/customer", MESSAGES, name="new"))
        began = time.monotonic()
        worker = ground.start_worker()
        with watched([worker.pid]) as (watch,):
            ground.wait(lambda: unanswered(ground) > 0, "the first answer to be missed", WITHIN)
            edit_in_the_shop(ground)
            ground.wait(lambda: ground.depth(SHOP) == 1, "the edit in the shop to be passed on", WITHIN)
            missed = unanswered(ground)
            are_missed = at_least(partial(unanswered, ground), MESSAGES)
            ground.wait(lambda: are_missed() and ground.has_published(), "every answer to be missed", WITHIN)
        seconds = time.monotonic() - began
        remark = f"edit of another app passed on after {missed / MESSAGES:.0%} of the answers were missed"
        figures.append(
            Row("silent app, postgresql", MESSAGES, seconds, told.rss(watch), told.connections(watch), remark=remark)
        )
        assert missed < MESSAGES
        assert unanswered(ground) == MESSAGES
        assert ground.depth("instructions.sales") == MESSAGES
        assert watch.peak.rss_bytes < WORKER_BYTES
        assert watch.growth_bytes < GROWTH_BYTES


def instructed_by(ground: Ground) -> int:
    """How many instructions were given."""
    return ground.number("SELECT count(*) FROM instructions")


def unanswered(ground: Ground) -> int:
    """How many instructions were not answered in time."""
    return ground.number("SELECT count(*) FROM errors WHERE kind = :kind", kind=ErrorKind.NO_ANSWER)


def order(ground: Ground, what: Synchronize) -> None:
    """Order a job; nobody waits for its answer."""
    ordered = command(what, reply_to=f"{ground.namespace}.replies.nobody")
    ground.send([encode_command(ordered, ground.namespace, datetime(2026, 3, 1, 12, tzinfo=UTC))])
