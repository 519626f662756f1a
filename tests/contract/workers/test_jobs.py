"""Jobs from the command to the answer: chunk by chunk, over restarts and failures, by one worker or several."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from messages.errors import ErrorKind, ErrorStatus
from store import due as due_store
from store import errors as error_store
from store import jobs as job_store
from store import tables
from store.connect import open_store
from store.due import Due, DueKind
from store.errors import ErrorFilters
from store.failures import StoreUnavailableError
from store.jobs import Job, JobStatus
from tests.acceptance.wire import Message, command
from tests.contract.store.samples import report
from tests.contract.workers.conftest import LIMIT, Workshop
from workers.bulk.jobs import CHUNK
from workers.careful import Careful
from workers.room import Room
from workers.timing import Timing
from workers.workplace import Workplace

REPLIES = "recouple.replies.test"
OLD = datetime.now(UTC) - timedelta(days=30)
RESOLVED: dict[str, Any] = {"status": ErrorStatus.RESOLVED, "opened_at": OLD, "resolved_at": OLD, "coupling": None}


def keep_errors(workshop: Workshop, count: int, **changes: Any) -> list[int]:
    """Leave so many resolved errors, and return their numbers."""
    with workshop.store.transaction() as conn:
        numbers = error_store.numbers(conn, count)
        error_store.save(conn, [report(number, **(RESOLVED | changes)) for number in numbers])
    return numbers


def errors_left(workshop: Workshop) -> list[int]:
    """The numbers of the errors that there still are."""
    with workshop.store.reading() as conn:
        return [one.error for one in error_store.page(conn, ErrorFilters(), LIMIT)]


def purge(**data: Any) -> Message:
    """Order it."""
    return command("purge", REPLIES, data)


def timing(workshop: Workshop, limit: int = LIMIT) -> Timing:
    """A worker's timers."""
    return Timing(Workplace(workshop.store, workshop.context, lambda: datetime.now(UTC)), limit)


def job_of(workshop: Workshop) -> Job:
    """The newest job."""
    with workshop.store.reading() as conn:
        return job_store.page(conn, 1)[0]


def results(workshop: Workshop) -> list[dict[str, Any]]:
    """What the answers say."""
    return [answer["data"]["result"] for answer in workshop.answers(REPLIES)]


COUNTED = dict.fromkeys(
    ("inserted", "modified", "deleted", "unchanged", "skipped", "failed", "coupled", "uncoupled"), 0
)


def test_a_purge_is_answered_once_with_its_counts(workshop: Workshop) -> None:
    """An operator would wait for ever, be answered before it is done, or not know what was deleted and what stays."""
    keep_errors(workshop, 2 * CHUNK + 5)
    (young,) = keep_errors(workshop, 1, resolved_at=datetime.now(UTC) - timedelta(days=1))
    (waiting,) = keep_errors(workshop, 1, status=ErrorStatus.OPEN, resolved_at=None)
    keep_errors(workshop, 1, status=ErrorStatus.OPEN, resolved_at=None, opened_at=datetime.now(UTC))
    workshop.order(purge())
    assert (results(workshop), workshop.count_due()) == ([], 1)
    assert workshop.do_due_work() == 3
    total = 2 * CHUNK + 5
    job = job_of(workshop)
    expected = COUNTED | {"job": job.number, "deleted": total, "total": total, "done": total, "kept": 1}
    assert results(workshop) == [expected]
    assert errors_left(workshop)[:2] == [young, waiting]
    assert (job.status, job.by, job.done) == (JobStatus.DONE, "ops/test", total)
    assert job.finished_at is not None


@pytest.mark.parametrize(
    ("data", "left"),
    [
        ({"all": True}, [3, 4]),
        ({"older_than_days": 31}, [1, 2, 3, 4]),
        ({"older_than_days": 1, "family": "integration"}, [1, 3, 4]),
        ({"all": True, "family": "coupled_data"}, [2, 3, 4]),
    ],
)
def test_a_purge_takes_what_was_meant(workshop: Workshop, data: dict[str, Any], left: list[int]) -> None:
    """Errors of another family, younger ones or, worst of all, those that explain a skipped coupling would go."""
    numbers = keep_errors(workshop, 1)
    numbers += keep_errors(workshop, 1, kind=ErrorKind.APPLY_FAILED, family=ErrorKind.APPLY_FAILED.family)
    numbers += keep_errors(workshop, 2, status=ErrorStatus.RESOLVING, resolved_at=None)
    workshop.order(purge(**data))
    workshop.do_due_work()
    assert errors_left(workshop) == [numbers[place - 1] for place in left]


def test_the_log_tells_how_a_job_went(workshop: Workshop) -> None:
    """Nobody would see at night how far it is, nor tell the two hours of one job from the seconds of another."""
    keep_errors(workshop, CHUNK + 1)
    workshop.order(purge())
    assert workshop.logged("command.done") == []
    workshop.do_due_work()
    (started,), (finished,), (done,) = (
        workshop.logged(event) for event in ("job.started", "job.finished", "command.done")
    )
    assert started["job"] == finished["job"] == done["job"] == job_of(workshop).number
    assert (finished["command"], finished["deleted"], finished["total"]) == ("purge", CHUNK + 1, CHUNK + 1)
    assert finished["duration_ms"] >= 0


def test_the_same_command_again_has_one_job_and_is_answered_each_time(workshop: Workshop) -> None:
    """Who is not sure that the command arrived would purge twice, or never hear of it."""
    keep_errors(workshop, CHUNK + 1)
    order = purge()
    workshop.order(order, order)
    timing(workshop).step()
    workshop.order(order)
    workshop.do_due_work()
    workshop.order(order)
    first, *others = results(workshop)
    assert others == [first] * 3
    with workshop.store.reading() as conn:
        assert len(job_store.page(conn, LIMIT)) == 1


def test_a_job_goes_on_after_a_restart(workshop: Workshop) -> None:
    """A job that outlives its worker would stop half-way, or begin anew and count twice."""
    keep_errors(workshop, 2 * CHUNK)
    workshop.order(purge())
    timing(workshop).step()
    assert (job_of(workshop).done, job_of(workshop).status) == (CHUNK, JobStatus.RUNNING)
    workshop.do_due_work()
    assert (results(workshop)[0]["deleted"], errors_left(workshop)) == (2 * CHUNK, [])


def work_together(workshop: Workshop) -> None:
    """Two workers do what is due, until nothing is."""

    def work() -> None:
        mine = timing(workshop)
        while workshop.count_due():
            mine.step()

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(work) for _ in range(2)]:
            future.result(60)


def test_two_workers_do_no_chunk_twice(workshop: Workshop) -> None:
    """Two workers would count, couple or instruct the same couplings twice."""
    keep_errors(workshop, 8 * CHUNK + 1)
    workshop.order(purge(), purge(family="integration"))
    work_together(workshop)
    assert sorted(one["deleted"] for one in results(workshop)) == [0, 8 * CHUNK + 1]


def test_two_workers_pass_over_no_more_than_what_fails(workshop: Workshop) -> None:
    """Two workers that meet one damaged row would pass over the sound one behind it as well."""
    numbers = keep_errors(workshop, CHUNK)
    bad = [numbers[1], numbers[2], numbers[150]]
    refuse_to_delete(workshop, *bad)
    workshop.order(purge())
    work_together(workshop)
    (result,) = results(workshop)
    assert (result["deleted"], result["failed"]) == (CHUNK - 3, 3)
    assert errors_left(workshop) == bad


def test_one_job_row_is_claimed_at_a_time(workshop: Workshop) -> None:
    """A chunk that fails would take another job's chunk with it."""
    workshop.order(purge(), purge(older_than_days=90))
    now, taken = datetime.now(UTC), list[Due]()
    Careful(workshop.store, workshop.context, Room(), now).do(DueKind.JOB, LIMIT, now, taken)

    assert [item.kind for item in taken] == [DueKind.JOB]


def test_jobs_and_other_due_work_take_turns(workshop: Workshop) -> None:
    """A long job would hold up every retry, or a flood of retries every job."""
    keep_errors(workshop, 3 * CHUNK)
    workshop.order(purge())
    with workshop.store.transaction() as conn:
        due_store.put(conn, [Due(kind=DueKind.WAKE, coupling=99, due_at=OLD) for _ in range(3)])
    mine, seen = timing(workshop, limit=1), []
    while workshop.count_due():
        mine.step()
        seen.append((due_kinds(workshop).count("wake"), job_of(workshop).done // CHUNK))
    assert seen[:6] == [(2, 0), (2, 1), (1, 1), (1, 2), (0, 2), (0, 3)]


def due_kinds(workshop: Workshop) -> list[str]:
    """What is due, now or later."""
    with workshop.store.reading() as conn:
        return list(conn.execute(select(tables.due.c.kind)).scalars())


def refuse_to_delete(workshop: Workshop, *numbers: int) -> None:
    """Have the database itself fail when one of these errors is to be deleted."""
    bad = f"WHEN (OLD.number IN ({', '.join(map(str, numbers))}))"
    trigger = "CREATE TRIGGER refusing BEFORE DELETE ON errors FOR EACH ROW"
    with workshop.store.transaction() as conn:
        if workshop.store.dialect == "sqlite":
            conn.exec_driver_sql(f"{trigger} {bad} BEGIN SELECT RAISE(ABORT, 'no'); END")
            return
        body = "BEGIN RAISE EXCEPTION 'no'; END"
        conn.exec_driver_sql(f"CREATE OR REPLACE FUNCTION refuse() RETURNS trigger AS $${body}$$ LANGUAGE plpgsql")
        conn.exec_driver_sql(f"{trigger} {bad} EXECUTE FUNCTION refuse()")


@pytest.mark.parametrize("place", [0, 137, CHUNK, -1])
def test_one_item_that_fails_is_passed_over(workshop: Workshop, place: int) -> None:
    """One damaged row would stop a job over a million others, for ever."""
    numbers = keep_errors(workshop, CHUNK + 100)
    bad = numbers[place]
    refuse_to_delete(workshop, bad)
    workshop.order(purge(all=True))
    workshop.do_due_work()
    (result,) = results(workshop)
    total = len(numbers)
    assert (result["deleted"], result["failed"], result["done"]) == (total - 1, 1, total)
    assert errors_left(workshop) == [bad]
    with workshop.store.reading() as conn:
        (line,) = job_store.lines(conn, result["job"], LIMIT)
    assert line.outcome == "failed"
    assert str(bad) in line.detail
    assert {line["kind"] for line in workshop.logged("work.failed")} == {"job"}
    assert job_of(workshop).chunk > 1


def test_a_job_that_cannot_be_read_is_put_off(workshop: Workshop) -> None:
    """A damaged job would keep a worker busy with nothing else, or end it."""
    keep_errors(workshop, 1)
    workshop.order(purge())
    with workshop.store.transaction() as conn:
        conn.execute(tables.jobs.update().values(state="damaged"))
    workshop.do_due_work()
    assert workshop.count_due() == 0
    assert due_kinds(workshop) == ["job"]


def test_a_chunk_that_the_world_stops_comes_again_whole(workshop: Workshop, store_url: str) -> None:
    """A database that is busy for a moment would be taken for a damaged row, and rows be passed over."""
    numbers = keep_errors(workshop, 5)
    workshop.order(purge())
    url = f"{store_url}?timeout=0.2" if workshop.store.dialect == "sqlite" else store_url
    impatient = open_store(url, statement_timeout=timedelta(milliseconds=200))
    mine = Timing(Workplace(impatient, workshop.context, lambda: datetime.now(UTC)), LIMIT)
    with workshop.store.transaction() as conn:
        held = tables.errors.update().where(tables.errors.c.number == numbers[2]).values(code="held")
        assert conn.execute(held).rowcount == 1
        with pytest.raises(StoreUnavailableError):
            mine.step()
    assert (job_of(workshop).chunk, job_of(workshop).done) == (CHUNK, 0)
    assert mine.step()
    impatient.close()
    assert results(workshop)[0]["deleted"] == 5


def test_a_damaged_coupling_costs_a_synchronization_that_coupling_only(workshop: Workshop) -> None:
    """One damaged row would stop the synchronization of a whole mapping."""
    workshop.couple([str(number) for number in range(7)])
    with workshop.store.transaction() as conn:
        damaged = tables.couplings.update().where(tables.couplings.c.left_key == "4").values(state='{"id": "damaged"')
        assert conn.execute(damaged).rowcount == 1
    workshop.order(command("synchronize", REPLIES, {"mapping": "customer", "keep": "left"}))
    workshop.do_due_work()
    (result,) = results(workshop)
    assert (result["unchanged"], result["failed"], result["done"], result["total"]) == (6, 1, 7, 7)
