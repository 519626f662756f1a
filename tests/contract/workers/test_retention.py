"""What has had its time goes, a few rows at a time; what is still needed stays."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from sqlalchemy import text

from messages.errors import ErrorStatus
from store import commands, couplings, errors, handled, instructions, jobs, log, suspects
from store.commands import Ordered
from store.connect import Store, open_store
from store.errors import ErrorFilters
from store.jobs import Job, JobStatus
from store.migrate import migrate
from store.model import InstructionState
from store.suspects import Suspect
from tests.contract.store.samples import bc, line, plain, report, sales, sent
from workers.logs import set_up_logging
from workers.retention import AT_ONCE, FIRST_ROUND, ROUND, Keep, Retaining

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEEP = Keep(errors=timedelta(days=90), log=timedelta(days=30), handled=timedelta(days=14))
KINDS = ("errors", "log", "instructions", "jobs", "handled", "suspects")
LONG_AGO, LATELY = START - timedelta(days=100), START - timedelta(days=1)


class Keeping:
    """A store and the loop that deletes from it, with a clock that the test moves."""

    def __init__(self, store: Store, logged: io.StringIO, chance: float = 1.0) -> None:
        self.store, self.now, self._logged = store, START, logged
        self.loop = Retaining(store, KEEP, lambda: self.now, timedelta(), lambda: chance)

    def round(self) -> int:
        """Let a round come, and return how many steps it took."""
        self.now += ROUND * 2
        steps = 0
        while self.loop.step():
            steps += 1
        return steps

    def purged(self) -> list[dict[str, Any]]:
        """What was logged of each round."""
        lines = (json.loads(line) for line in self._logged.getvalue().splitlines())
        return [line for line in lines if line["event"] == "retention.purged"]

    def left(self) -> dict[str, int]:
        """How many rows there are of each kind."""
        tables = ("errors", "log", "instructions", "jobs", "handled", "suspects", "commands")
        with self.store.reading() as conn:
            return {name: conn.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in tables}


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Where strict logging writes; undone afterwards."""
    handlers = [*logging.getLogger().handlers]
    stream = io.StringIO()
    set_up_logging("json", "info", stream, strict=True)
    yield stream
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A migrated store of each kind."""
    migrate(store_url)
    opened = open_store(store_url)
    yield opened
    opened.close()


def fill(store: Store, name: str, at: datetime) -> None:
    """Leave one of everything that is over, as of this moment."""
    order = Ordered(f"c-{name}", "d", "ops/jane", "purge", "{}", None, None, at)
    over = Job(command=name, name="purge", by="ops", body="{}", status=JobStatus.DONE, started_at=at, finished_at=at)
    with store.transaction() as conn:
        (number,) = errors.numbers(conn, 1)
        errors.save(conn, [report(number, status=ErrorStatus.RESOLVED, resolved_at=at, coupling=None)])
        log.append(conn, [line(bc(name), at=at)])
        instructions.save(conn, [(1, sent(name, state=InstructionState.APPLIED, made_at=at))])
        jobs.insert(conn, over)
        handled.claim(conn, [("bc", name, "d")], at)
        suspects.mark(conn, [Suspect("q", name)], "a process", at)
        commands.claim(conn, [order])


def test_what_is_older_than_the_settings_say_goes(store: Store, logged: io.StringIO) -> None:
    """The store would grow for ever; or somebody's audit, or what happened yesterday, would be gone."""
    keeping = Keeping(store, logged)
    fill(store, "old", LONG_AGO)
    fill(store, "young", LATELY)
    keeping.round()
    assert keeping.left() == {**dict.fromkeys(KINDS, 1), "commands": 2}
    (told,) = keeping.purged()
    went = ("errors", "log_lines", "instructions", "jobs", "handled", "suspects")
    assert {name: told[name] for name in went} == dict.fromkeys(went, 1)
    with store.transaction() as conn:
        assert [claim.value for claim in handled.claim(conn, [("bc", "old", "x"), ("bc", "young", "d")], START)] == [
            "new",
            "duplicate",
        ]


def test_each_kind_has_its_own_time(store: Store, logged: io.StringIO) -> None:
    """Who wants to keep errors for a year would have to keep every log line and message id as long."""
    keeping = Keeping(store, logged)
    fill(store, "middling", START - timedelta(days=60))
    keeping.round()
    assert keeping.left() == {**dict.fromkeys(KINDS, 0), "errors": 1, "commands": 1}


def test_what_explains_or_is_not_over_stays(store: Store, logged: io.StringIO) -> None:
    """Nobody could say any more why a coupling has been skipped for months, or what its app still owes."""
    with store.transaction() as conn:
        (tie,) = couplings.insert(conn, [plain(bc(1), sales(1))])
        errors.save(conn, [report(1, opened_at=LONG_AGO, coupling=tie.id)])
        instructions.save(conn, [(tie.id, sent("i1", made_at=LONG_AGO))])
        running = Job(command="c1", name="purge", by="ops", body="{}", started_at=LONG_AGO)
        jobs.insert(conn, running)
    Keeping(store, logged).round()
    with store.reading() as conn:
        assert len(errors.page(conn, ErrorFilters(), 9)) == 1
        assert instructions.find(conn, ["i1"]).keys() == {"i1"}
        assert len(jobs.page(conn, 9)) == 1


def test_a_step_deletes_no_more_than_a_thousand(store: Store, logged: io.StringIO) -> None:
    """A worker that is told to stop would first delete a year, and hold everybody's rows meanwhile."""
    keeping = Keeping(store, logged)
    with store.transaction() as conn:
        handled.claim(conn, [("bc", str(number), "d") for number in range(2 * AT_ONCE + 1)], LONG_AGO)
    seen = []
    keeping.now += FIRST_ROUND
    while keeping.loop.step():
        seen.append(keeping.left()["handled"])
    assert [*dict.fromkeys(seen)] == [2 * AT_ONCE + 1, AT_ONCE + 1, 1, 0]


def test_a_round_comes_soon_after_the_start_and_then_about_every_hour(store: Store, logged: io.StringIO) -> None:
    """A worker that is started anew every day would never come to it, or every worker would do it all the time."""
    keeping = Keeping(store, logged, chance=0.5)
    assert not keeping.loop.step()
    keeping.now += FIRST_ROUND / 2
    while keeping.loop.step():
        pass
    assert len(keeping.purged()) == 1
    keeping.now += ROUND - timedelta(seconds=1)
    assert not keeping.loop.step()
    keeping.now += timedelta(seconds=1)
    assert keeping.loop.step()


def test_two_workers_at_once_do_no_harm(store: Store, logged: io.StringIO) -> None:
    """The second would trip over what the first has deleted, or delete more than is meant."""
    one, other = Keeping(store, logged), Keeping(store, logged)
    for number in range(5):
        fill(store, f"old-{number}", LONG_AGO)
    fill(store, "young", LATELY)
    one.now = other.now = START + ROUND
    while one.loop.step() | other.loop.step():
        pass
    assert one.left() == dict.fromkeys(KINDS, 1) | {"commands": 6}
    assert sum(told["errors"] for told in one.purged()) == 5


def test_a_kind_that_fails_costs_that_kind_only(store: Store, logged: io.StringIO) -> None:
    """One damaged row would end every worker that comes across it, or keep all the rest for ever."""
    keeping = Keeping(store, logged)
    fill(store, "old", LONG_AGO)
    with store.transaction() as conn:
        conn.execute(text("UPDATE jobs SET state = 'damaged'"))
    keeping.round()
    assert keeping.left() == dict.fromkeys(KINDS, 0) | {"jobs": 1, "commands": 1}
    assert '"kind": "retention of jobs"' in logged.getvalue()
