"""What happens to RabbitMQ: restarted, killed, frozen, out of memory or disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from tests.faults.coming_back import bring_back
from tests.faults.scene import Away, Fault, Ground, Scene, Trouble
from tests.faults.servers.own_rabbit import OwnRabbit
from tests.services import Service, rabbitmq_at

AWAY_S = 2.0
FROZEN_S = 6.0
"""Longer than two heartbeats: whoever waits for an answer gives it up."""


def ground(scene: Scene) -> Ground:
    """The servers of the scene."""
    assert scene.ground is not None
    return scene.ground


def _answers(scene: Scene) -> bool:
    return isinstance(rabbitmq_at(ground(scene).rabbit.url), Service)


@contextmanager
def _restarted(scene: Scene) -> Iterator[Trouble]:
    scene.world.traffic(20, 0.5)
    bring_back(scene, ground(scene).rabbit.restart, partial(_answers, scene))
    yield Trouble(0.0)


@contextmanager
def _killed(scene: Scene) -> Iterator[Trouble]:
    scene.world.traffic(20, scene.chance.uniform(0.1, 1.0))
    ground(scene).rabbit.kill()
    yield Trouble(AWAY_S)
    bring_back(scene, ground(scene).rabbit.start, partial(_answers, scene))


@contextmanager
def _frozen(scene: Scene) -> Iterator[Trouble]:
    scene.world.traffic(20, scene.chance.uniform(0.1, 1.0))
    ground(scene).rabbit.freeze()
    try:
        yield Trouble(FROZEN_S, 30)
    finally:
        ground(scene).rabbit.thaw()


@contextmanager
def _alarmed(raise_alarm: Callable[[OwnRabbit], None], scene: Scene) -> Iterator[Trouble]:
    rabbit = ground(scene).rabbit
    scene.world.traffic(20, 0.5)
    raise_alarm(rabbit)
    try:
        yield Trouble(FROZEN_S)
    finally:
        rabbit.clear_alarm()


@contextmanager
def _closed(scene: Scene) -> Iterator[Trouble]:
    scene.world.traffic(20, scene.chance.uniform(0.1, 1.0))
    ground(scene).rabbit.close_connections()
    yield Trouble(0.0)


BROKER_FAULTS = [
    Fault("broker restarted", _restarted, Away.BROKER),
    Fault("broker killed", _killed, Away.BROKER),
    Fault("broker frozen", _frozen, Away.BROKER),
    Fault("broker out of memory", partial(_alarmed, OwnRabbit.alarm), Away.BROKER),
    Fault("broker out of disk", partial(_alarmed, OwnRabbit.fill_disk), Away.BROKER),
    Fault("broker closes connections", _closed, Away.BROKER),
]
