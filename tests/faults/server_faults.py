"""What happens to a server, whichever it is: restarted, killed, frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.faults.coming_back import bring_back
from tests.faults.scene import Ground, Scene, Trouble
from tests.faults.servers.own_postgres import OwnPostgres
from tests.faults.servers.own_rabbit import OwnRabbit
from tests.services import Service

AWAY_S = 2.0
FROZEN_S = 6.0
"""Longer than two heartbeats: whoever waits for an answer gives it up."""


def ground(scene: Scene) -> Ground:
    """The servers of the scene."""
    assert scene.ground is not None
    return scene.ground


class Victim(NamedTuple):
    """The server of a scene that is hurt, and who says whether it answers at a URL."""

    of: Callable[[Ground], OwnPostgres | OwnRabbit]
    at: Callable[[str], Service | str]

    def answers(self, scene: Scene) -> Callable[[], bool]:
        """Return what says whether it answers."""
        return lambda: isinstance(self.at(self.of(ground(scene)).url), Service)

    @contextmanager
    def restarted(self, scene: Scene) -> Iterator[Trouble]:
        """It goes in good order, and comes back."""
        scene.world.traffic(20, 0.5)
        bring_back(scene, self.of(ground(scene)).restart, self.answers(scene))
        yield Trouble(0.0)

    @contextmanager
    def killed(self, scene: Scene) -> Iterator[Trouble]:
        """It is killed, and started again after a while."""
        scene.world.traffic(20, scene.chance.uniform(0.1, 1.0))
        self.of(ground(scene)).kill()
        yield Trouble(AWAY_S)
        bring_back(scene, self.of(ground(scene)).start, self.answers(scene))

    @contextmanager
    def frozen(self, scene: Scene) -> Iterator[Trouble]:
        """It stands still, its connections open."""
        scene.world.traffic(20, scene.chance.uniform(0.1, 1.0))
        self.of(ground(scene)).freeze()
        try:
            yield Trouble(FROZEN_S, 30)
        finally:
            self.of(ground(scene)).thaw()
