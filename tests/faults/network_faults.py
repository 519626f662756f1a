"""What happens between the workers and their servers: connections cut at once or half way, refused, or gone silent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from tests.faults.scene import WITHOUT_END, Away, Fault, NotReachedError, Scene, Trouble
from tests.faults.server_faults import AWAY_S, FROZEN_S, ground
from tests.faults.servers.proxy import Direction, Proxy

CUTS = 5
HALF_WAY_BYTES = 3000
"""At most so many bytes pass before a connection is cut: somewhere within a batch."""

CUT_WITHIN_S = 5.0


def _way(to: Away, scene: Scene) -> Proxy:
    return ground(scene).to_rabbit if to is Away.BROKER else ground(scene).to_postgres


@contextmanager
def _cut(to: Away, scene: Scene) -> Iterator[Trouble]:
    for _ in range(CUTS):
        scene.world.traffic(10, scene.chance.uniform(0.1, 0.5))
        _way(to, scene).cut()
    yield Trouble(0.0)


@contextmanager
def _cut_half_way(to: Away, direction: Direction, scene: Scene) -> Iterator[Trouble]:
    way = _way(to, scene)
    for _ in range(CUTS):
        before = way.cuts
        way.cut_after(scene.chance.randrange(HALF_WAY_BYTES), direction)
        scene.world.traffic(WITHOUT_END, CUT_WITHIN_S, partial(_was_cut, way, before))
        if not _was_cut(way, before):
            raise NotReachedError
    yield Trouble(0.0)


def _was_cut(way: Proxy, before: int) -> bool:
    return way.cuts > before


@contextmanager
def _refused(to: Away, scene: Scene) -> Iterator[Trouble]:
    way = _way(to, scene)
    scene.world.traffic(20, 0.5)
    way.refuse()
    way.cut()
    try:
        yield Trouble(AWAY_S)
    finally:
        way.accept()


@contextmanager
def _silent(to: Away, scene: Scene) -> Iterator[Trouble]:
    way = _way(to, scene)
    scene.world.traffic(20, 0.5)
    way.freeze()
    try:
        yield Trouble(FROZEN_S, 30)
    finally:
        way.thaw()


NETWORK_FAULTS = [
    fault
    for to in (Away.BROKER, Away.DATABASE)
    for fault in (
        Fault(f"connections to the {to} cut", partial(_cut, to), to),
        Fault(f"cut half way to the {to}", partial(_cut_half_way, to, Direction.TO_SERVER), to),
        Fault(f"cut half way from the {to}", partial(_cut_half_way, to, Direction.TO_CLIENT), to),
        Fault(f"the {to} refuses connections", partial(_refused, to), to),
        Fault(f"the way to the {to} silent", partial(_silent, to), to),
    )
]
