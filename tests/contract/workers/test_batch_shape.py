"""A batch is a handful of set-based statements, however many messages it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event

from store.records import ENOUGH_LENGTH
from tests.acceptance.wire import Message, applied, change
from tests.contract.workers.conftest import Workshop
from workers.changes import handle_changes

SMALL, LARGE = 10, 300
MOST = 24
"""Statements of a batch that has everything in it at once."""


def updates(_workshop: Workshop, keys: Sequence[str]) -> Iterator[Message]:
    """One side changes."""
    return (change(f"bc/customer/{key}", "update", 2, {"name": "new"}) for key in keys)


def conflicts(_workshop: Workshop, keys: Sequence[str]) -> Iterator[Message]:
    """Both sides change the same field: an error for every pair."""
    for key in keys:
        yield change(f"bc/customer/{key}", "update", 2, {"name": "ours"})
        yield change(f"sales/account/{key}", "update", 2, {"title": "theirs"})


def uncoupled(_workshop: Workshop, keys: Sequence[str]) -> Iterator[Message]:
    """Records that nobody has coupled."""
    return (change(f"bc/customer/alone-{key}", "create", 1, {"name": "new"}) for key in keys)


def arriving(_workshop: Workshop, keys: Sequence[str]) -> Iterator[Message]:
    """Records that are to be matched or created."""
    return (change(f"bc/vendor/{key}", "create", 1, {"name": f"new {key}"}) for key in keys)


def outcomes(workshop: Workshop, keys: Sequence[str]) -> Iterator[Message]:
    """The answers to instructions in flight."""
    workshop.handle(*updates(workshop, keys))
    instructions = workshop.instructions()
    assert len(instructions) == len(keys)
    return (applied("sales", one, 2) for one in instructions)


def repeated(workshop: Workshop, keys: Sequence[str]) -> Iterator[Message]:
    """Events that were handled before."""
    events = list(updates(workshop, keys))
    workshop.handle(*events)
    return iter(events)


def broken(_workshop: Workshop, keys: Sequence[str]) -> Iterator[Message]:
    """Messages that go to the dead queue."""
    return (change(f"bc/customer/{key}", "update", None, {"name": "new"}) for key in keys)


def everything(workshop: Workshop, keys: Sequence[str]) -> Iterator[Message]:
    """All of these in one batch, of different records."""
    kinds = (updates, conflicts, uncoupled, arriving, outcomes, repeated, broken)
    for number, kind in enumerate(kinds):
        yield from kind(workshop, keys[number :: len(kinds)])


BATCHES = {
    "updates": updates,
    "conflicts": conflicts,
    "uncoupled": uncoupled,
    "arriving": arriving,
    "outcomes": outcomes,
    "repeated": repeated,
    "broken": broken,
    "everything": everything,
}


def count_statements(
    workshop: Workshop, messages: Sequence[Message], counts: Callable[[Any], bool] = lambda _: True
) -> int:
    """Handle ``messages`` as one batch, and return how many statements it took, of those whose cursor ``counts``."""
    seen: list[str] = []

    def note(_connection: object, cursor: object, statement: str, *_: object) -> None:
        if counts(cursor):
            seen.append(statement)

    deliveries = workshop.deliveries(messages)
    with workshop.store.transaction() as conn:
        event.listen(conn, "before_cursor_execute", note)
        handle_changes(conn, workshop.context, deliveries, datetime.now(UTC))
    return len(seen)


@pytest.mark.parametrize("kind", BATCHES)
def test_the_statements_of_a_batch_do_not_grow_with_it(workshop: Workshop, kind: str) -> None:
    """Else throughput falls with every round trip to the database, and a backlog takes hours."""
    counts = []
    for size in (SMALL, LARGE):
        keys = [f"{size}-{number}" for number in range(size)]
        workshop.couple(keys)
        workshop.instructions()
        counts.append(count_statements(workshop, list(BATCHES[kind](workshop, keys))))

    assert counts[0] == counts[1]
    assert 0 < counts[0] <= MOST


def test_a_batch_of_large_records_is_read_in_parts(workshop: Workshop) -> None:
    """Else small edits of records of a MiB each take a GiB, and the worker is killed, with each batch anew."""
    keys = [f"{number}" for number in range(9)]
    for key in keys:
        workshop.handle(change(f"bc/customer/{key}", "create", 1, {"name": "x", "text": "y" * (ENOUGH_LENGTH // 5)}))
    before = len(workshop.logged("batch.committed"))
    workshop.handle(*(change(f"bc/customer/{key}", "update", 2, {"name": "new"}) for key in keys))
    parts = [line["messages"] for line in workshop.logged("batch.committed")[before:]]
    assert parts == [4, 2, 3]
    assert {tuple(workshop.outcomes(f"bc/customer/{key}")) for key in keys} == {("uncoupled", "uncoupled")}


def test_a_record_that_is_too_large_is_read_all_the_same(workshop: Workshop) -> None:
    """Else its edits would be tried again for ever, and hold up their queue."""
    long = {f"text{number}": "y" * (ENOUGH_LENGTH // 5) for number in range(6)}
    for version, (name, text) in enumerate(long.items(), 1):
        workshop.handle(change("bc/customer/1", "create" if version == 1 else "update", version, {name: text}))
    workshop.handle(change("bc/customer/1", "update", 7, {"name": "new"}))
    assert len(workshop.outcomes("bc/customer/1")) == 7
    assert workshop.sent("dead") == []
