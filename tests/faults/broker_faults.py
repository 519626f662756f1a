"""What happens to RabbitMQ: restarted, killed, frozen, out of memory or disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from tests.faults.scene import Away, Fault, Scene, Trouble
from tests.faults.server_faults import FROZEN_S, Victim, ground
from tests.faults.servers.own_rabbit import OwnRabbit
from tests.services import rabbitmq_at

BROKER = Victim(lambda ground: ground.rabbit, rabbitmq_at)


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
    Fault("broker restarted", BROKER.restarted, Away.BROKER),
    Fault("broker killed", BROKER.killed, Away.BROKER),
    Fault("broker frozen", BROKER.frozen, Away.BROKER),
    Fault("broker out of memory", partial(_alarmed, OwnRabbit.alarm), Away.BROKER),
    Fault("broker out of disk", partial(_alarmed, OwnRabbit.fill_disk), Away.BROKER),
    Fault("broker closes connections", _closed, Away.BROKER),
]
