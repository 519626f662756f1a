"""What PostgreSQL does for a batch grows with the batch, and not with what lies beside it; whatever it believes.

Counted, not timed: no step of any plan sees more than a few rows for each message. What is believed of tables comes
from ANALYZE, which may have seen them empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from tests.acceptance.wire import Message
from tests.contract.workers.conftest import MAPPING, Workshop
from tests.contract.workers.test_batch_shape import BATCHES, count_statements
from tests.load.scenery import CUSTOMERS
from tests.load.seeding import couple_many
from tests.services import empty
from workers.changes import handle_changes

BESIDE, SIZE = 1000, 30
"""So many records are coupled besides those that a batch is about."""

ROWS_PER_MESSAGE = 12
"""So many rows a step may see; a coupling has two records, and each of them is looked for on both sides."""


@pytest.fixture
def store_url(postgres_url: str) -> str:
    """PostgreSQL: SQLite takes no statistics unless it is told to, and plans as the statements say."""
    empty(postgres_url)
    return postgres_url


class Work:
    """What PostgreSQL did for a batch.

    Attributes:
        steps: Of each step of each plan, how many rows it saw, and where.
        wal_records: How many records went to the write-ahead log.
    """

    def __init__(self) -> None:
        self.steps: list[tuple[int, str]] = []
        self.wal_records = 0


@contextmanager
def planned(connection: Connection) -> Iterator[Work]:
    """Explain every statement before it is executed."""
    work = Work()

    def explain(_connection: object, cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        with cursor.connection.cursor() as beside:
            beside.execute("SAVEPOINT explained")
            beside.execute(f"EXPLAIN (ANALYZE, WAL, FORMAT JSON) {statement}", parameters)
            [(found,)] = beside.fetchall()
            beside.execute("ROLLBACK TO SAVEPOINT explained")
        plan = found[0]["Plan"]
        work.wal_records += plan["WAL Records"]
        work.steps.extend((seen, f"{node}: {statement}") for seen, node in _steps(plan))

    event.listen(connection, "before_cursor_execute", explain)
    try:
        yield work
    finally:
        event.remove(connection, "before_cursor_execute", explain)


def _steps(node: dict[str, Any]) -> Iterator[tuple[int, str]]:
    removed = sum(value for name, value in node.items() if name.startswith("Rows Removed by"))
    name = f"{node['Node Type']} {node.get('Index Name', node.get('CTE Name', ''))}"
    yield round((node["Actual Rows"] + removed) * node["Actual Loops"]), name
    for one in node.get("Plans", ()):
        yield from _steps(one)


@pytest.mark.parametrize("kind", BATCHES)
@pytest.mark.parametrize("analyzed", ["when it was empty", "just now"])
def test_no_step_of_a_plan_sees_more_than_the_batch(workshop: Workshop, kind: str, analyzed: str) -> None:
    """Else a batch takes the longer the more there is, and a store that has grown stands still."""
    analyze(workshop)
    couple_many(workshop.store, MAPPING, CUSTOMERS, BESIDE, analyze=analyzed == "just now")
    keys = [f"{number}" for number in range(SIZE)]
    workshop.couple(keys)
    messages = list(BATCHES[kind](workshop, keys))
    seen, where = max(work_of(workshop, messages).steps)
    assert 0 < seen <= ROWS_PER_MESSAGE * max(SIZE, len(messages)), where


def analyze(workshop: Workshop) -> None:
    """Have PostgreSQL look at its tables."""
    with workshop.store.transaction() as conn:
        conn.execute(text("ANALYZE"))


def work_of(workshop: Workshop, messages: Sequence[Message]) -> Work:
    """Handle these as one batch, and return what PostgreSQL did."""
    deliveries = workshop.deliveries(messages)
    with workshop.store.transaction() as conn, planned(conn) as work:
        handle_changes(conn, workshop.context, deliveries, datetime.now(UTC))
    return work


WAL_RECORDS = {"updates": 28, "outcomes": 25, "conflicts": 18, "repeated": 4}
"""For each message, rounded up: rows, locks, and an entry for each index of them. Whoever writes less lowers these."""


@pytest.mark.parametrize("kind", WAL_RECORDS)
def test_a_message_writes_no_more_than_it_did(workshop: Workshop, kind: str) -> None:
    """Else a row, an index or a lock more for each message goes unnoticed until the disk is what binds."""
    keys = [f"{number}" for number in range(100)]
    workshop.couple(keys)
    messages = list(BATCHES[kind](workshop, keys))
    written = work_of(workshop, messages).wal_records / len(messages)
    assert WAL_RECORDS[kind] - 3 < written <= WAL_RECORDS[kind]


WAITED_FOR = {"updates": 5, "outcomes": 6, "conflicts": 5, "repeated": 2}
"""Of these batches, how many statements somebody waits for; the other half is sent, one after the other."""


@pytest.mark.parametrize("kind", WAITED_FOR)
def test_a_batch_waits_for_few_answers(workshop: Workshop, kind: str) -> None:
    """Else a batch stands still for each of its statements, and so do all messages behind it."""
    keys = [str(number) for number in range(SIZE)]
    workshop.couple(keys)
    workshop.instructions()
    messages = list(BATCHES[kind](workshop, keys))
    waited = count_statements(workshop, messages, lambda cursor: not cursor.connection.is_sending)
    assert 0 < waited <= WAITED_FOR[kind]
