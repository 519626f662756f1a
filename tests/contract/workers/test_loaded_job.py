"""What ``loaded`` begins: a job for each mapping whose gate it opens, which settles what waited, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from messages.commands import Done, Loaded, Resume
from messages.errors import ErrorKind
from messages.instructions import Action
from messages.records import RecordRef
from messages.values import Value
from store import jobs as job_store
from store import pauses as pause_store
from store import records as record_store
from store.jobs import Counters, Job, JobStatus
from store.pauses import Pause, Scope
from tests.contract.workers.by_hand import MANY, ByHand, by_hand, change, gone, take_due
from workers.bulk import jobs
from workers.bulk.chunks import fail_chunk

MAPPING_FILE = """
[apps.bc]
[apps.sales]
[apps.erp]

[[mappings]]
name = "vendor"
left = "bc/vendor"
right = "sales/supplier"
only_coupled = false
match_on = [["name"]]
[[mappings.fields]]
left = "name"
right = "title"

[[mappings]]
name = "buyer"
left = "bc/vendor"
right = "erp/buyer"
only_coupled = false
[[mappings.fields]]
left = "name"
right = "name"
"""
LEFT, RIGHT, BUYERS = (Loaded(app="bc", table="vendor"), Loaded(app="sales", table="supplier"), "erp/buyer")


@pytest.fixture
def hands(store_url: str) -> Iterator[ByHand]:
    """Nothing is there, nothing is loaded."""
    with by_hand(store_url, MAPPING_FILE) as hands:
        yield hands


def vendor(key: object, name: str) -> Any:
    """A vendor of the left app."""
    return change(f"bc/vendor/{key}", 1, name=name)


def supplier(key: object, name: str) -> Any:
    """A supplier of the right app."""
    return change(f"sales/supplier/{key}", 1, title=name)


def ordered(hands: ByHand, order: Loaded) -> dict[str, Value]:
    """Order it, and return the answer, which comes at once."""
    answer = hands.order(order)
    assert isinstance(answer, Done), answer
    return answer.result


def waiting(hands: ByHand) -> int:
    """How many records of ``vendor`` wait; those of ``buyer`` wait for a table that is never loaded."""
    with hands.store.reading() as conn:
        return int(conn.exec_driver_sql("SELECT count(*) FROM arrivals WHERE mapping = 'vendor'").scalar_one())


def known(hands: ByHand) -> list[Job]:
    """Every job, oldest first."""
    with hands.store.reading() as conn:
        return job_store.page(conn, MANY)[::-1]


def counted(job: Job) -> dict[str, int]:
    """What the job has counted, without what is 0."""
    return {name: value for name, value in msgspec.structs.asdict(job.counters).items() if value}


def test_what_waited_is_settled_and_counted(hands: ByHand) -> None:
    """Nobody would know how far the first load of two tables is, and what came of it."""
    hands.say(vendor(1, "Ada"), vendor(2, "Bea"), vendor(3, "Bea"), vendor(4, "Cid"), vendor(5, "Dan"))
    hands.say(supplier("a", "ADA"), supplier("b", "Bea"), supplier("c", "Bea"), supplier("d", "Eve"))
    with hands.store.transaction() as conn:
        record_store.mark_apart(conn, [("vendor", RecordRef.parse("bc/vendor/4"))])
    hands.do_due_work()
    assert ordered(hands, LEFT)["jobs"] == []
    result = ordered(hands, RIGHT)
    (job,) = known(hands)
    assert (result["opened"], result["jobs"]) == (["vendor"], [job.number])
    assert (job.mapping, job.total, job.status) == ("vendor", 9, JobStatus.RUNNING)
    assert hands.couplings() == []  # not in the command's own transaction

    hands.do_due_work()
    (job,) = known(hands)
    assert (job.status, job.done) == (JobStatus.DONE, 9)
    assert counted(job) == {"coupled": 1, "inserted": 2, "skipped": 1, "failed": 4}
    assert {(one.app, one.action) for one in hands.instructions()} == {("bc", Action.CREATE), ("sales", Action.CREATE)}
    assert [one.report.kind for one in hands.errors()] == [ErrorKind.MATCH_AMBIGUOUS] * 4
    assert hands.answers() == []  # the command has had its answer
    assert hands.coupling("sales/supplier/a").left == RecordRef("bc", "vendor", "1")


def test_each_mapping_of_the_table_has_its_own_job(hands: ByHand) -> None:
    """A command has one job; the second mapping of a table would be left waiting, or refused by the store."""
    hands.say(vendor(1, "Ada"))
    hands.load("sales/supplier", BUYERS)
    result = ordered(hands, LEFT)
    assert result["opened"] == ["vendor", "buyer"]
    assert result["jobs"] == [one.number for one in known(hands)]
    hands.do_due_work()
    created = {"inserted": 1}
    assert [(one.mapping, counted(one)) for one in known(hands)] == [("vendor", created), ("buyer", created)]
    assert {one.app for one in hands.instructions()} == {"sales", "erp"}


@pytest.mark.parametrize("chunk", [1, 2, 200])
def test_chunk_by_chunk(hands: ByHand, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of a million records would be one transaction; or records of a later chunk be forgotten, or doubled."""
    monkeypatch.setattr(jobs, "CHUNK", chunk)
    monkeypatch.setattr("workers.bulk.chunks.CHUNK", chunk)
    hands.say(*(vendor(key, f"Name {key}") for key in range(5)), *(supplier(key, f"NAME {key}") for key in range(3, 7)))
    hands.do_due_work()
    ordered(hands, LEFT)
    ordered(hands, RIGHT)
    turns = 0
    while hands.do_one_turn():
        turns += 1
    (job,) = known(hands)
    assert counted(job) == {"coupled": 2, "inserted": 5}
    assert (waiting(hands), len(hands.couplings()), len(hands.instructions())) == (0, 7, 5)
    if chunk == 1:
        assert turns >= 7


def test_what_arrives_after_it_is_settled_as_it_comes(hands: ByHand) -> None:
    """A record that came while the job was running, or after it, would wait for a job that nobody orders again."""
    hands.say(vendor(1, "Ada"))
    hands.do_due_work()
    ordered(hands, LEFT)
    ordered(hands, RIGHT)
    hands.say(vendor(2, "Bea"))
    hands.do_due_work()
    hands.say(vendor(3, "Cid"))
    hands.do_due_work()
    assert len(hands.instructions()) == 3
    assert waiting(hands) == 0


def test_what_is_gone_before_its_gate_opens(hands: ByHand) -> None:
    """A record that was deleted while it waited would be created in the other app."""
    hands.say(vendor(1, "Ada"), vendor(2, "Bea"))
    hands.say(gone("bc/vendor/2", 2))
    hands.load("bc/vendor", "sales/supplier")
    create = hands.instruction()
    assert create.fields == {"title": "Ada"}
    assert waiting(hands) == 0


def test_saying_it_again_does_nothing_more(hands: ByHand) -> None:
    """A second load would create everything twice; or, the same command again, begin its jobs again."""
    hands.say(vendor(1, "Ada"))
    hands.load("bc/vendor")
    first = hands.order(RIGHT, name="c1")
    hands.do_due_work()
    assert hands.order(RIGHT, name="c1") == first
    hands.do_due_work()
    assert (len(known(hands)), len(hands.instructions())) == (1, 1)
    hands.load("sales/supplier")
    assert [counted(one) for one in known(hands)] == [{"inserted": 1}, {}]
    assert hands.instructions() == []


def test_what_cannot_be_handled_is_passed_over(hands: ByHand) -> None:
    """One damaged record would keep all others of its tables waiting."""
    hands.say(*(vendor(key, f"Name {key}") for key in range(6)))
    hands.do_due_work()
    with hands.store.transaction() as conn:
        conn.exec_driver_sql("UPDATE records SET image = '{' WHERE app = 'bc' AND key = '3'")
    ordered(hands, LEFT)
    ordered(hands, RIGHT)
    for _ in range(MANY):
        try:
            if not hands.do_one_turn():
                break
        except msgspec.DecodeError:
            with hands.store.transaction() as conn:
                (item,) = take_due(conn, 1, hands.now)
                fail_chunk(conn, item.job or 0, hands.now)
    (job,) = known(hands)
    assert (job.status, job.counters) == (JobStatus.DONE, Counters(inserted=5, failed=1))
    (said,) = hands.job_lines(job.number)
    assert "bc/vendor/3" in said[2]
    assert (len(hands.instructions()), waiting(hands)) == (5, 1)


def test_more_than_the_mapping_may_create_at_once(hands: ByHand) -> None:
    """A load of the wrong tables would fill the other app, and the job say that it had done it all."""
    file = hands.context.file
    limited = replace(file.mappings["vendor"], max_creates_per_minute=3)
    hands.context = replace(hands.context, file=replace(file, mappings={**file.mappings, "vendor": limited}))
    hands.say(*(vendor(key, f"Name {key}") for key in range(5)))
    hands.do_due_work()
    hands.load("bc/vendor", "sales/supplier")
    (job,) = known(hands)
    assert (job.status, job.done, counted(job)) == (JobStatus.DONE, 5, {"skipped": 5})
    assert hands.instructions() == []


def test_a_mapping_that_is_paused_waits(hands: ByHand) -> None:
    """What an operator has stopped would begin with the last table that is loaded."""
    hands.say(vendor(1, "Ada"))
    hands.load("bc/vendor")
    with hands.store.transaction() as conn:
        pause_store.begin(conn, [Pause(scope=Scope.MAPPING, name="vendor", at=hands.now, by="ops/jane")])
    hands.load("sales/supplier")
    (job,) = known(hands)
    assert (job.status, counted(job), hands.instructions()) == (JobStatus.DONE, {"skipped": 1}, [])
    assert isinstance(hands.order(Resume(mapping="vendor")), Done)
    hands.do_due_work()
    assert hands.instruction().action is Action.CREATE
