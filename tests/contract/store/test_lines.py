"""The three lines of the outbox: answers, what waits for its turn, what goes out at once. None holds up another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, event, text

from messages.transport.ports import Publication
from store import due, outbox
from store.connect import Store
from store.due import Due, DueKind
from tests.contract.store.samples import NOW, SECOND, publication

MANY = 5000
"""Rows that are not to be looked at."""

LOOKED_AT = 400
"""So many rows, or pages, a claim of a few may look at."""


def put(connection: Connection, *names: str, exchange: str = "x", turn: int | None = None) -> None:
    """Leave messages of these ids, to go out at once or ``turn`` seconds from now."""
    made = [_named(name, exchange) for name in names]
    turns = {} if turn is None else dict.fromkeys(names, NOW + turn * SECOND)
    outbox.put(connection, [(one, None) for one in made], turns)


def _named(name: str, exchange: str) -> Publication:
    one = publication(name.encode())
    properties = msgspec.structs.replace(one.properties, message_id=name)
    return msgspec.structs.replace(one, exchange=exchange, properties=properties)


def claimed(connection: Connection, limit: int, after_s: int = 0, **more: Any) -> list[str]:
    """Claim, and return the names."""
    found = outbox.claim(connection, limit, NOW + after_s * SECOND, 60 * SECOND, **more)
    return [one.publication.body.decode() for one in found]


def test_answers_go_first(connection: Connection) -> None:
    """An operator would wait for his answer as long as it takes to publish everything that was there before."""
    put(connection, "a", "b", "c")
    put(connection, "answer", exchange="")
    assert claimed(connection, 2) == ["answer", "a"]
    assert claimed(connection, 9) == ["b", "c"]


def test_neither_what_had_to_wait_nor_what_goes_at_once_holds_up_the_other(connection: Connection) -> None:
    """After an hour without a relay an app with a limit would come before all others, or after all others."""
    put(connection, *"abcdef", turn=1)
    put(connection, *"ABCDEF")
    assert [claimed(connection, 4, after_s=2) for _ in range(3)] == [list("abAB"), list("cdCD"), list("efEF")]


def test_what_had_to_wait_goes_in_the_order_of_its_turns(connection: Connection) -> None:
    """What was put off would come before what has waited for longer."""
    put(connection, "late", turn=3)
    put(connection, "early", turn=1)
    assert claimed(connection, 1, after_s=4) == ["early"]


def test_what_is_put_off_waits_and_comes_again(connection: Connection) -> None:
    """What a full queue refuses would be tried without a pause, or be lost."""
    put(connection, "full", "free")
    first, _ = outbox.claim(connection, 9, NOW, SECOND)
    outbox.put_off(connection, [first.id], NOW + 30 * SECOND)
    assert claimed(connection, 9, after_s=29) == ["free"]
    assert claimed(connection, 9, after_s=30) == ["full"]


def test_no_more_is_read_than_memory_takes(connection: Connection) -> None:
    """Three hundred messages of a megabyte each would be read at once."""
    put(connection, *("x" * 400 for _ in range(9)))
    assert [len(claimed(connection, 9, enough_bytes=1000)) for _ in range(4)] == [3, 3, 3, 0]


def test_a_message_that_is_too_large_for_that_goes_alone(connection: Connection) -> None:
    """One large message would stay for ever, and all behind it."""
    put(connection, "x" * 400, "small")
    assert [len(claimed(connection, 9, enough_bytes=100)) for _ in range(3)] == [1, 1, 0]


def test_a_relay_sees_whether_there_is_anything_for_it(connection: Connection) -> None:
    """An idle relay would take the writer's lock over and over, or leave what has come."""
    assert (outbox.has_ready(connection, NOW), outbox.is_empty(connection)) == (False, True)
    put(connection, "later", turn=1)
    assert (outbox.has_ready(connection, NOW), outbox.is_empty(connection)) == (False, False)
    assert outbox.has_ready(connection, NOW + SECOND)
    put(connection, "answer", exchange="")
    assert outbox.has_ready(connection, NOW)
    claimed(connection, 9)
    assert not outbox.has_ready(connection, NOW)
    put(connection, "now")
    assert outbox.has_ready(connection, NOW)
    assert outbox.has_ready(connection, NOW + 61 * SECOND)


def test_a_backlog_is_counted_so_far(connection: Connection) -> None:
    """A job would wait for what is not to be sent yet, or count half a million rows to see that it is to wait."""
    put(connection, "a", "b", "c")
    put(connection, "later", turn=1)
    put(connection, "answer", exchange="")
    claimed(connection, 2)
    assert [outbox.backlog(connection, most) for most in (2, 3, 9)] == [2, 3, 3]


@pytest.fixture
def flooded(store: Store) -> Store:
    """A store in which much waits that is not to be done now."""
    with store.transaction() as connection:
        put(connection, *(f"later {number}" for number in range(MANY)), turn=1000)
        put(connection, "now")
        put(connection, "answer", exchange="")
        waiting = [Due(kind=DueKind.ANSWER, instruction=str(number), due_at=NOW) for number in range(MANY)]
        due.put(connection, [*waiting, Due(kind=DueKind.JOB, job=1, due_at=NOW)])
    return store


@contextmanager
def plans(connection: Connection) -> Iterator[list[str]]:
    """Collect what PostgreSQL or SQLite did for the statements that are executed meanwhile."""
    found: list[str] = []
    is_postgresql = connection.dialect.name == "postgresql"

    def explain(_connection: object, cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        cursor.execute(("EXPLAIN ANALYZE " if is_postgresql else "EXPLAIN QUERY PLAN ") + statement, parameters)
        found.extend(str(row[-1]) for row in cursor.fetchall())

    event.listen(connection, "before_cursor_execute", explain)
    try:
        yield found
    finally:
        event.remove(connection, "before_cursor_execute", explain)


def test_what_waits_for_later_is_not_looked_at(flooded: Store) -> None:
    """Each claim would read all that an app with a limit is still to be sent: of 300,000, for a fifth of a second."""
    if flooded.dialect == "postgresql":
        with flooded.transaction() as connection:
            connection.execute(text("ANALYZE outbox"))
            connection.execute(text("ANALYZE due"))
    with flooded.transaction() as connection:
        with plans(connection) as steps:
            outbox.claim(connection, 9, NOW, SECOND)
            outbox.has_ready(connection, NOW)
            outbox.backlog(connection, 9)
            due.claim(connection, NOW, 9, [DueKind.JOB])
            due.kinds_due(connection, NOW)
        walked = _walked(steps, flooded.dialect)
    assert not walked, steps


def _walked(steps: Sequence[str], dialect: str) -> list[str]:
    """The steps that read a table from its beginning, or, on PostgreSQL, many rows in vain."""
    if dialect == "sqlite":
        return [
            step for step in steps if step.split()[:2] in (["SCAN", "outbox"], ["SCAN", "due"]) and "INDEX" not in step
        ]
    removed = [step for step in steps if "Rows Removed" in step and int(step.rsplit(maxsplit=1)[-1]) > LOOKED_AT]
    return removed + [step for step in steps if "Seq Scan on" in step]
