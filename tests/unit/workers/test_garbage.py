"""What a worker asks of the interpreter's garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from workers.garbage import look_less_often


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave the collector of the other tests as it was."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_what_a_batch_makes_is_not_looked_through_again_and_again() -> None:
    """Else a fifth of a worker's time goes to looking for garbage where there is none."""
    look_less_often()
    gc.collect()
    before = [one["collections"] for one in gc.get_stats()]

    made = [{"number": number, "values": [number]} for number in range(20_000)]

    young, _, old = (now["collections"] - then for now, then in zip(gc.get_stats(), before, strict=True))
    assert len(made) == 20_000
    assert young <= 1
    assert old == 0


def test_garbage_is_still_found() -> None:
    """Else values that refer to themselves, as an exception and its traceback do, would fill the memory."""
    look_less_often()
    before = gc.get_stats()[0]["collections"]

    for _ in range(60_000):
        knot: list[object] = []
        knot.append(knot)

    assert gc.get_stats()[0]["collections"] > before
