"""Jobs, how far they are, and their lines."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from store import jobs
from store.connect import Store
from store.jobs import Counters, Job, JobLine, JobStatus
from tests.contract.store.samples import NOW, SECOND

JOB = Job(
    command="c1",
    name="retry_all",
    by="ops/jane",
    user_id="jane",
    reason="because\0",
    mapping="customer",
    body='{"mapping": "customer"}',
    reply_to=("recouple.replies.a",),
    traceparent="00-1-2-01",
    started_at=NOW,
    total=7,
    cursor="bc/customer/1",
    chunk=3,
    counters=Counters(modified=2, failed=1),
    extra={"kept": Decimal("1.10")},
)


def _job(connection: Connection, command: str, **changes: object) -> Job:
    return jobs.insert(connection, replace(JOB, command=command, **changes))


def test_counters_add_up() -> None:
    """The answer of a job would not be the sum of its chunks."""
    one = Counters(inserted=1, modified=2, deleted=3, unchanged=4, skipped=5, failed=6, coupled=7, uncoupled=8)
    assert one.plus(one).plus(Counters(failed=1)) == Counters(
        inserted=2, modified=4, deleted=6, unchanged=8, skipped=10, failed=13, coupled=14, uncoupled=16
    )


def test_a_job_comes_back_as_it_was(connection: Connection) -> None:
    """After a restart a job would go on with another order, from another place, or answer somebody else."""
    kept = jobs.insert(connection, JOB)
    assert kept == replace(JOB, number=kept.number)
    assert [jobs.get(connection, kept.number), jobs.by_command(connection, "c1")] == [kept, kept]
    further = replace(kept, cursor="bc/customer/9", done=5, status=JobStatus.DONE, finished_at=NOW + SECOND)
    jobs.save(connection, further)
    assert jobs.lock(connection, kept.number) == further
    assert jobs.get(connection, kept.number + 1) is None
    assert jobs.lock(connection, kept.number + 1) is None
    assert jobs.by_command(connection, "c2") is None


def test_a_command_has_one_job(connection: Connection) -> None:
    """Bulk work that was ordered once would be done twice."""
    jobs.insert(connection, JOB)
    with pytest.raises(IntegrityError):
        jobs.insert(connection, JOB)


def test_who_orders_again_is_answered_as_well(connection: Connection) -> None:
    """Who sends the same command again while its job runs would wait for ever."""
    job = jobs.insert(connection, JOB)
    assert jobs.add_reply(connection, "c1", "recouple.replies.b") == jobs.get(connection, job.number)
    assert jobs.lock(connection, job.number) == replace(job, reply_to=("recouple.replies.a", "recouple.replies.b"))
    jobs.save(connection, replace(job, status=JobStatus.DONE))
    over = jobs.add_reply(connection, "c1", "recouple.replies.c")
    assert over is not None
    assert (over.status, over.reply_to) == (JobStatus.DONE, ("recouple.replies.a",))
    assert jobs.add_reply(connection, "c2", "recouple.replies.c") is None


def test_jobs_page_by_page_the_newest_first(connection: Connection) -> None:
    """``recouple jobs`` would begin with the oldest, or leave some out."""
    first, second, third = (_job(connection, name) for name in "abc")
    jobs.save(connection, second := replace(second, status=JobStatus.DONE))
    assert jobs.page(connection, 2) == [third, second]
    assert jobs.page(connection, 2, after=second.number) == [first]
    assert jobs.page(connection, 9, status=JobStatus.RUNNING) == [third, first]


def test_lines_page_by_page(connection: Connection) -> None:
    """Who looks for the records that matched nothing would not find them all, or find those of another job."""
    job, other = _job(connection, "a"), _job(connection, "b")
    jobs.append_lines(connection, other.number, [JobLine("bc/customer/0", "unmatched", "")])
    jobs.append_lines(connection, job.number, [JobLine(f"bc/customer/{n}", "unmatched", "no\0ne") for n in range(3)])
    jobs.append_lines(connection, job.number, [])
    found = jobs.lines(connection, job.number, 2)
    assert [(line.record, line.outcome, line.detail) for line in found] == [
        ("bc/customer/0", "unmatched", "no\ufffdne"),
        ("bc/customer/1", "unmatched", "no\ufffdne"),
    ]
    assert [line.record for line in jobs.lines(connection, job.number, 2, found[-1].id)] == ["bc/customer/2"]


def test_purging_takes_finished_jobs_with_their_lines(connection: Connection) -> None:
    """A job that runs would be lost, or the lines of one that is gone stay for ever."""
    over = {"status": JobStatus.DONE, "finished_at": NOW - SECOND}
    old, running = _job(connection, "old", **over), _job(connection, "running")
    young = _job(connection, "young", status=JobStatus.DONE, finished_at=NOW)
    for job in (old, running, young):
        jobs.append_lines(connection, job.number, [JobLine("r", "unmatched", "")] * 3)
    assert [jobs.purge(connection, NOW, 2) for _ in range(4)] == [2, 1, 1, 0]
    assert jobs.page(connection, 9) == [young, running]
    assert [len(jobs.lines(connection, job.number, 9)) for job in (old, running, young)] == [0, 3, 3]


def test_a_job_is_locked_for_one(shared_store: Store) -> None:
    """Two workers would do the same chunk of a job twice."""
    with shared_store.transaction() as one:
        number = jobs.insert(one, JOB).number
    with shared_store.transaction() as one:
        job = jobs.lock(one, number)
        assert job is not None
        with shared_store.transaction() as other:
            locked = "SELECT number FROM jobs WHERE number = %(number)s FOR UPDATE SKIP LOCKED"
            assert other.exec_driver_sql(locked, {"number": number}).all() == []
