"""How many statements a call takes, and that none of them walks through a whole table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event

from messages.errors import Family
from store import (
    arrivals,
    commands,
    couplings,
    due,
    errors,
    gauges,
    handled,
    instructions,
    jobs,
    listening,
    log,
    matches,
    outbox,
    records,
    suspects,
    waits,
)
from store.arrivals import Arrival
from store.commands import Ordered
from store.connect import Store
from store.due import Due, DueKind
from store.jobs import JobLine, JobStatus
from store.model import Side, Wait
from store.suspects import Suspect
from store.worker_tables import metadata
from tests.contract.store.samples import NOW, SECOND, bc, coupling, image, line, plain, publication, report, sales, sent

Call = Callable[[Connection, int], object]


def _wait(number: int) -> Wait:
    return Wait("m", Side.LEFT, str(number))


def _arrival(number: int) -> Arrival:
    return Arrival(mapping="m", record=bc(number), side=Side.LEFT, since=NOW)


def _ordered(number: int) -> Ordered:
    return Ordered(str(number), "d", "ops", "retry", "{}", None, None, NOW)


def _suspects(count: int) -> list[Suspect]:
    return [Suspect("q", str(number)) for number in range(count)]


def _due(number: int) -> Due:
    return Due(kind=DueKind.RETRY, instruction=str(number), due_at=NOW)


def _indexed(connection: Connection) -> bool:
    matches.save(connection, [("m", Side.LEFT, bc(1), ((0, "v"),))])
    return True


CALLS: dict[str, tuple[int, Call]] = {
    "handled.claim": (2, lambda c, n: handled.claim(c, [("a", str(i // 2), "d") for i in range(2 * n)], NOW)),
    "handled.forget": (1, lambda c, n: handled.forget(c, [("a", str(i)) for i in range(n)])),
    "records.lock": (2, lambda c, n: records.lock(c, [bc(i) for i in range(n)])),
    "records.read": (1, lambda c, n: records.read(c, [bc(i) for i in range(n)])),
    "records.save": (1, lambda c, n: records.save(c, [image(bc(i)) for i in range(n)])),
    "records.mark_apart": (1, lambda c, n: records.mark_apart(c, [("m", bc(i)) for i in range(n)])),
    "records.clear_apart": (1, lambda c, n: records.clear_apart(c, [("m", bc(i)) for i in range(n)])),
    "records.apart": (1, lambda c, n: records.apart(c, [bc(i) for i in range(n)])),
    "couplings.lock": (1, lambda c, n: couplings.lock(c, [bc(i) for i in range(n)], range(n))),
    "couplings.by_record": (1, lambda c, n: couplings.by_record(c, [bc(i) for i in range(n)])),
    "couplings.counterparts": (1, lambda c, n: couplings.counterparts(c, [bc(i) for i in range(n)])),
    "couplings.insert": (
        2,
        lambda c, n: couplings.insert(c, [plain(bc(f"{n}.{i}"), sales(f"{n}.{i}")) for i in range(n)]),
    ),
    "couplings.save": (1, lambda c, n: couplings.save(c, [coupling(bc(i), sales(i), id=10**6 + i) for i in range(n)])),
    "couplings.references": (1, lambda c, n: couplings.references(c, [_wait(i) for i in range(n)])),
    "waits.replace": (2, lambda c, n: waits.replace(c, {i: (_wait(1), _wait(2)) for i in range(n)})),
    "waits.waiting_on": (1, lambda c, n: waits.waiting_on(c, [_wait(i) for i in range(n)])),
    "instructions.save": (1, lambda c, n: instructions.save(c, [(i, sent(i)) for i in range(n)])),
    "instructions.find": (1, lambda c, n: instructions.find(c, [str(i) for i in range(n)])),
    "errors.numbers": (1, errors.numbers),
    "errors.save": (1, lambda c, n: errors.save(c, [report(i + 1) for i in range(n)])),
    "errors.get_many": (1, lambda c, n: errors.get_many(c, range(n))),
    "log.append": (1, lambda c, n: log.append(c, [line(bc(i)) for i in range(n)])),
    "outbox.put": (1, lambda c, n: outbox.put(c, [(publication(), None)] * n)),
    "outbox.done": (1, lambda c, n: outbox.done(c, range(n))),
    "outbox.put_off": (1, lambda c, n: outbox.put_off(c, range(n), NOW)),
    "outbox.release": (1, lambda c, n: outbox.release(c, range(n))),
    "due.put": (1, lambda c, n: due.put(c, [_due(i) for i in range(n)])),
    "due.delete": (1, lambda c, n: due.delete(c, range(n))),
    "due.begin": (1, lambda c, n: due.begin(c, range(n), NOW)),
    "due.take_again": (1, lambda c, n: due.take_again(c, range(n))),
    "due.give_up": (1, lambda c, n: due.give_up(c, range(n))),
    "due.cancel": (1, lambda c, n: due.cancel(c, [str(i) for i in range(n)])),
    "arrivals.put": (1, lambda c, n: arrivals.put(c, [_arrival(i) for i in range(n)])),
    "arrivals.lock": (1, lambda c, n: arrivals.lock(c, [("m", bc(i)) for i in range(n)])),
    "arrivals.arrive": (1, lambda c, n: arrivals.arrive(c, [_arrival(i) for i in range(n)])),
    "arrivals.read": (1, lambda c, n: arrivals.read(c, [("m", bc(i)) for i in range(n)])),
    "arrivals.remove": (1, lambda c, n: arrivals.remove(c, [("m", bc(i)) for i in range(n)])),
    "arrivals.waiting_for": (1, lambda c, n: arrivals.waiting_for(c, [str(i) for i in range(n)])),
    "matches.lock_values": (2, lambda c, n: matches.lock_values(c, [("m", str(i)) for i in range(n)])),
    "matches.save": (2, lambda c, n: matches.save(c, [("m", Side.LEFT, bc(i), ((0, "v"),)) for i in range(n)])),
    "matches.candidates": (1, lambda c, n: matches.candidates(c, [("m", Side.LEFT, 0, str(i)) for i in range(n)])),
    "matches.creating": (1, lambda c, n: matches.creating(c, [("m", str(i)) for i in range(n)])),
    "matches.mark_creating": (
        1,
        lambda c, n: matches.mark_creating(c, [("m", "v", str(i), Side.LEFT) for i in range(n)]),
    ),
    "matches.values_of": (1, lambda c, n: matches.values_of(c, [str(i) for i in range(n)])),
    "matches.clear_creating": (1, lambda c, n: matches.clear_creating(c, [str(i) for i in range(n)])),
    "jobs.append_lines": (
        1,
        lambda c, n: jobs.append_lines(c, 1, [JobLine(str(i), "failed", "") for i in range(n)]),
    ),
    "commands.claim": (2, lambda c, n: commands.claim(c, [_ordered(i) for i in range(n)])),
    "suspects.doubtful": (1, lambda c, n: suspects.doubtful(c, _suspects(n), "a")),
    "suspects.mark": (1, lambda c, n: suspects.mark(c, _suspects(n), "a", NOW)),
    "suspects.take_back": (1, lambda c, n: suspects.take_back(c, _suspects(n), "a")),
    "suspects.forget": (1, lambda c, n: suspects.forget(c, _suspects(n))),
    "commands.answer": (1, lambda c, n: commands.answer(c, [(str(i), "{}", NOW) for i in range(n)])),
}
"""Every call that takes many, with the most statements that it may take."""

BOUNDED: dict[str, Call] = {
    "outbox.claim": lambda c, n: outbox.claim(c, n, NOW, SECOND),
    "handled.purge": lambda c, n: handled.purge(c, NOW, n),
    "suspects.purge": lambda c, n: suspects.purge(c, NOW, n),
    "instructions.purge": lambda c, n: instructions.purge(c, NOW, n),
    "errors.purge": lambda c, n: errors.purge(c, errors.Resolved(before=NOW, family=Family.INTEGRATION), n, 5),
    "errors.count_explaining": lambda c, _: errors.count_explaining(c, errors.Resolved(before=NOW)),
    "jobs.page": lambda c, n: jobs.page(c, n, 5, status=JobStatus.DONE),
    "jobs.by_command": lambda c, _: jobs.by_command(c, "c1"),
    "jobs.lines": lambda c, n: jobs.lines(c, 1, n, 5),
    "jobs.lock": jobs.lock,
    "due.claim": lambda c, n: due.claim(c, NOW, n),
    "gauges.read": lambda c, _: gauges.read(c, NOW),
    "listening.awaits_answers": lambda c, _: listening.awaits_answers(c),
    "listening.held_up": lambda c, _: listening.held_up(c, "recouple.instructions", NOW),
    "due.let_go": lambda c, n: due.let_go(c, "m", NOW, n) + 1,
    "due.kinds_due": lambda c, _: due.kinds_due(c, NOW),
    "arrivals.gated": lambda c, n: arrivals.gated(c, "m", n),
    "records.uncoupled": lambda c, n: records.uncoupled(c, "m", Side.LEFT, bc(""), n),
    "matches.forget": lambda c, n: _indexed(c) and matches.forget(c, "m", "", n),
    "instructions.in_flight": instructions.in_flight,
    "log.of_record": lambda c, n: log.of_record(c, "bc/customer/1", n),
    "errors.page": lambda c, n: errors.page(c, errors.ErrorFilters(record=bc(1)), n),
    "couplings.page": lambda c, n: couplings.page(c, limit=n, after_id=5),
    "outbox.has_ready": lambda c, _: outbox.has_ready(c, NOW),
    "outbox.backlog": lambda c, n: outbox.backlog(c, n) + 1,
    "commands.page": lambda c, n: commands.page(c, n, after=3),
}
"""Calls that look through a table, which an index must lead."""


@contextmanager
def _statements(connection: Connection) -> Iterator[list[tuple[str, Any]]]:
    """Collect the statements, with their parameters, that are executed meanwhile."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        seen.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(connection, "before_cursor_execute", note)


@pytest.mark.parametrize("name", CALLS)
def test_statements_do_not_grow_with_the_rows(connection: Connection, name: str) -> None:
    """A batch of a few hundred messages would be a few hundred round trips."""
    most, call = CALLS[name]
    with _statements(connection) as for_none:
        call(connection, 0)
    with _statements(connection) as for_one:
        call(connection, 1)
    with _statements(connection) as for_many:
        call(connection, 70)
    assert (for_none, len(for_many)) == ([], most)
    assert len(for_one) <= most
    # prepared statements and compiled ones are found by their text
    assert {statement for statement, _ in for_one} <= {statement for statement, _ in for_many}


@pytest.mark.parametrize("name", [*CALLS, *BOUNDED])
def test_no_statement_walks_through_a_table(store: Store, name: str) -> None:
    """What takes a millisecond with ten thousand couplings would take a second with a million."""
    call = CALLS[name][1] if name in CALLS else BOUNDED[name]
    with store.transaction() as connection:
        with _statements(connection) as seen:
            call(connection, 3)
        if store.dialect == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # with empty tables it would always be taken
        assert seen
        for statement, parameters in seen:
            steps = _plan(connection, statement, parameters)
            walks = [step for step in steps if _walks(step)]
            assert not walks, steps


def _plan(connection: Connection, statement: str, parameters: Any) -> list[str]:
    explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
    return [str(row[-1]) for row in connection.exec_driver_sql(explain + statement, parameters)]


TABLES = frozenset(metadata.tables)


def _walks(step: str) -> bool:
    """Say whether a step of a plan reads a whole table: of SQLite ``SCAN t``, of PostgreSQL ``Seq Scan on t``."""
    words = step.replace("->", "").split()
    if words[:1] == ["SCAN"]:
        return (words[1] in TABLES or len(words[1]) == 1) and "INDEX" not in words  # our aliases have one letter
    return words[:3] == ["Seq", "Scan", "on"] and words[3] in TABLES
