"""Every message is about as long as a message may be: a worker holds a few of them, and never the backlog."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from messages.changes import Change
from messages.codec import encode_change
from messages.envelope import Limits
from messages.values import Value
from tests.acceptance.harness import Backend
from tests.load.draining import drain
from tests.load.figures import Row
from tests.load.ground import open_ground
from tests.load.scenery import CUSTOMERS, MAPPING_FILE, change, edits
from tests.load.seeding import key
from tests.load.sizes import BIG_MESSAGES, WITHIN, WORKER_BYTES

pytestmark = pytest.mark.timeout(WITHIN.total_seconds() + 60)

LIMIT_BYTES = Limits().max_body_bytes
ROOM_BYTES = 1000
"""For the envelope around the fields."""

MEMBER_BYTES = len('"n0000000":1000000,')

UNFOLDED_BYTES = 256 * 1024 * 1024
"""What a worker may hold on SQLite, which makes some twenty copies of a state of 3 MiB while it unfolds it."""

EDITED_BYTES = 256 * 1024 * 1024
"""What a worker may hold of records of 1 MiB with fifty thousand fields each, of which it reads four at once."""

WINDOW = 4
"""So many are published in one go."""


def long_note(number: int) -> dict[str, Value]:
    """A field that no mapping speaks of holds a long text."""
    return {"name": f"new {number}", "note": "x" * (LIMIT_BYTES - ROOM_BYTES)}


def long_name(number: int) -> dict[str, Value]:
    """A field that is synchronized holds it."""
    return {"name": f"{number}".ljust(LIMIT_BYTES - ROOM_BYTES, "x")}


def many_fields(number: int) -> dict[str, Value]:
    """There are some fifty thousand fields."""
    fields = (LIMIT_BYTES - ROOM_BYTES) // MEMBER_BYTES
    return {"name": f"new {number}"} | {f"n{one:07}": 1_000_000 for one in range(fields)}


@pytest.mark.parametrize("fields", [long_note, long_name, many_fields])
def test_a_backlog_of_big_messages_is_drained_flat(
    backend: Backend, tmp_path: Path, figures: list[Row], fields: Callable[[int], dict[str, Value]]
) -> None:
    """A worker would take hundreds of them into memory at once, and be killed, with each start anew."""
    with open_ground(backend, tmp_path, MAPPING_FILE) as ground:
        ground.couple(CUSTOMERS, BIG_MESSAGES)
        length = len(encode_change(edit(1, fields), ground.namespace).body)
        assert 0.95 * LIMIT_BYTES < length <= LIMIT_BYTES
        ground.publish((edit(number, fields) for number in range(1, BIG_MESSAGES + 1)), WINDOW)
        drained = drain(ground, BIG_MESSAGES)
        figures.append(drained.row(f"{fields.__name__}, {ground.store.dialect}", BIG_MESSAGES, "1 MiB each"))
        assert ground.depth("dead") == 0
        assert ground.depth("instructions.sales") == BIG_MESSAGES
        is_unfolded = fields is long_name and ground.store.dialect == "sqlite"
        assert drained.watch.peak.rss_bytes < (UNFOLDED_BYTES if is_unfolded else WORKER_BYTES)
        assert drained.operator.unanswered == 0


def test_a_backlog_of_small_edits_of_big_records_is_drained_flat(
    backend: Backend, tmp_path: Path, figures: list[Row]
) -> None:
    """A batch of three hundred of them would have as many large images at once in memory."""
    with open_ground(backend, tmp_path, MAPPING_FILE) as ground:
        ground.couple(CUSTOMERS, BIG_MESSAGES)
        ground.publish((edit(number, many_fields) for number in range(1, BIG_MESSAGES + 1)), WINDOW)
        drain(ground, BIG_MESSAGES)
        ground.publish(edits("bc/customer", BIG_MESSAGES, 3, city="new"))
        drained = drain(ground, BIG_MESSAGES)
        figures.append(drained.row(f"small edits, {ground.store.dialect}", BIG_MESSAGES, "of records of 1 MiB each"))
        assert ground.depth("dead") == 0
        assert drained.watch.peak.rss_bytes < EDITED_BYTES
        assert drained.operator.unanswered == 0


def edit(number: int, fields: Callable[[int], dict[str, Value]]) -> Change:
    """One edit of one record."""
    return change(f"bc/customer/{key(number)}", 2, **fields(number))
