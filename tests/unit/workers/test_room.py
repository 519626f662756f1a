"""Who is at work in a process at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import timedelta
from threading import Event

import pytest

from workers import room as module
from workers.room import Room

SOON_S = 0.05
PATIENCE_S = 10.0


class Visit:
    """A thread that enters, and leaves when it is told to."""

    def __init__(self, pool: ThreadPoolExecutor, way: Callable[[], AbstractContextManager[None]]) -> None:
        self._way, self.inside, self._go = way, Event(), Event()
        self._done: Future[None] = pool.submit(self._stay)

    def _stay(self) -> None:
        with self._way():
            self.inside.set()
            assert self._go.wait(PATIENCE_S)

    def leave(self) -> None:
        """Leave, and see that it has."""
        self._go.set()
        self._done.result(PATIENCE_S)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads."""
    with ThreadPoolExecutor(4) as made:
        yield made


def test_many_work_side_by_side(pool: ThreadPoolExecutor) -> None:
    """Else the loops of a process would wait for each other."""
    room = Room()
    visits = [Visit(pool, room.shared) for _ in range(3)]
    assert all(visit.inside.wait(PATIENCE_S) for visit in visits)
    for visit in visits:
        visit.leave()


def test_one_alone_waits_for_all_and_keeps_all_out(pool: ThreadPoolExecutor) -> None:
    """Else a message would be charged with a death that another loop has brought about."""
    room = Room()
    first = Visit(pool, room.shared)
    assert first.inside.wait(PATIENCE_S)
    alone = Visit(pool, lambda: room.alone(lambda: None))
    assert not alone.inside.wait(SOON_S)
    first.leave()
    assert alone.inside.wait(PATIENCE_S)
    late, second = Visit(pool, room.shared), Visit(pool, lambda: room.alone(lambda: None))
    assert not late.inside.wait(SOON_S)
    assert not second.inside.wait(SOON_S)
    alone.leave()
    assert second.inside.wait(PATIENCE_S)
    second.leave()
    assert late.inside.wait(PATIENCE_S)
    late.leave()


def test_who_comes_later_does_not_go_before_one_that_waits_to_be_alone(pool: ThreadPoolExecutor) -> None:
    """Else loops that are never idle at the same time would keep a suspect waiting for ever."""
    room = Room()
    first = Visit(pool, room.shared)
    assert first.inside.wait(PATIENCE_S)
    alone = Visit(pool, lambda: room.alone(lambda: None))
    assert not alone.inside.wait(SOON_S)
    late = Visit(pool, room.shared)
    assert not late.inside.wait(SOON_S)
    first.leave()
    assert alone.inside.wait(PATIENCE_S)
    alone.leave()
    late.leave()


def test_who_waits_sees_to_its_heartbeat(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the broker would take a worker for dead that waits for another loop's long batch."""
    monkeypatch.setattr(module, "LOOK_UP", timedelta(milliseconds=5))
    room, beats = Room(), Event()
    first = Visit(pool, room.shared)
    assert first.inside.wait(PATIENCE_S)
    alone = Visit(pool, lambda: room.alone(beats.set))
    assert beats.wait(PATIENCE_S)
    first.leave()
    assert alone.inside.wait(PATIENCE_S)
    alone.leave()


def test_who_fails_leaves_as_well() -> None:
    """Else one fault would stop all loops for ever."""
    room = Room()
    for way in (room.shared, lambda: room.alone(lambda: None)):
        with pytest.raises(ValueError, match="fault"), way():
            raise ValueError("fault")
    with room.alone(lambda: None):
        pass
