"""What a batch takes of the interpreter, counted and not timed: calls of our own functions, and memory.

A figure that grows is a loop over all fields where one has changed, or a value that is made several times.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from bench import scenery
from messages import topology
from messages.codec import encode_change
from messages.transport.ports import Delivery
from store.connect import Store, open_store
from store.migrate import migrate
from tests.contract.workers.by_hand import NS, ByHand
from tests.load.seeding import couple_many, key
from workers.bootstrap import utc_now
from workers.changes import handle_changes
from workers.pipeline import Handling, process

ROOT = Path(__file__).parents[3]
OURS = tuple(str(ROOT / name) + "/" for name in ("workers", "store", "messages"))
EVENTS = 100

CALLS_PER_EVENT = 320
"""For a clean update of one of 15 fields: 297 as this is written."""

BYTES_PER_EVENT = 24_000
"""At the most that a batch holds at a time, for each of its events: 20,100 as this is written."""


class Bench:
    """Records with 15 fields, coupled, on SQLite; and batches in which one field of each has changed."""

    def __init__(self, store: Store) -> None:
        mapping_file = scenery.mapping_file(scenery.SMALL)
        couple_many(store, mapping_file, scenery.pair(scenery.SMALL), 3 * EVENTS)
        self._handling = Handling(store, ByHand(store, mapping_file).context, handle_changes, utc_now)
        self._next = 1

    def handle(self, deliveries: list[Delivery]) -> None:
        """Handle a batch."""
        process(self._handling, deliveries)

    def batch(self) -> list[Delivery]:
        """The next records are edited."""
        numbers = range(self._next, self._next + EVENTS)
        self._next += EVENTS
        return [self._delivery(number) for number in numbers]

    def _delivery(self, number: int) -> Delivery:
        fields = scenery.edited(scenery.SMALL, "f")
        published = encode_change(scenery.change(f"{scenery.LEFT}/{key(number)}", f"e{number}", 2, fields), NS)
        return Delivery(
            queue=topology.changes_queue(NS, "bc"),
            exchange=published.exchange,
            routing_key=published.routing_key,
            body=published.body,
            properties=published.properties,
            tag=number,
        )


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench that has handled a batch before: what is done once is done."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    migrate(url)
    store = open_store(url)
    made = Bench(store)
    made.handle(made.batch())
    yield made
    store.close()


@contextmanager
def counting() -> Iterator[list[str]]:
    """Collect the calls of our own functions in this thread."""
    seen: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(OURS):
            seen.append(frame.f_code.co_qualname)

    sys.setprofile(note)
    try:
        yield seen
    finally:
        sys.setprofile(None)


def test_an_event_takes_few_calls(bench: Bench) -> None:
    """Each call is some tenth of a microsecond and more: throughput would go down with every release, a little."""
    batch = bench.batch()
    with counting() as calls:
        bench.handle(batch)
    assert len(calls) / EVENTS < CALLS_PER_EVENT


def test_a_batch_holds_little(bench: Bench) -> None:
    """A worker would grow with its batches; and what is made has to be freed again."""
    batch = bench.batch()
    tracemalloc.start()
    bench.handle(batch)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most_bytes / EVENTS < BYTES_PER_EVENT
