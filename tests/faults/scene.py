"""A scene: the world, what it stands on, and the shape of a fault that can happen to it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import StrEnum
from random import Random
from typing import NamedTuple, TypeAlias

from tests.faults.servers.own_postgres import OwnPostgres
from tests.faults.servers.own_rabbit import OwnRabbit
from tests.faults.servers.proxy import Proxy
from tests.faults.world import EAGER, FaultWorld

WITHOUT_END = 10_000
"""More than users do while any fault lasts."""


class Ground(NamedTuple):
    """The servers of a run, its own, and what stands between them and the workers."""

    postgres: OwnPostgres
    rabbit: OwnRabbit
    to_postgres: Proxy
    to_rabbit: Proxy


class Scene(NamedTuple):
    """Where faults happen; without a ``ground`` on the embedded store and broker."""

    world: FaultWorld
    chance: Random
    ground: Ground | None


class Away(StrEnum):
    """What is away while a fault lasts, and how long it takes to be used again afterwards is measured."""

    NOTHING = "nothing"
    """A worker is, or nobody."""
    BROKER = "broker"
    """RabbitMQ, for the workers at least."""
    DATABASE = "database"
    """PostgreSQL, for the workers at least."""


class Trouble(NamedTuple):
    """What goes on while a fault lasts.

    Attributes:
        lasts_s: For how long at most.
        actions: How much the users do meanwhile.
        enough: Whether it has lasted long enough.
    """

    lasts_s: float
    actions: int = 60
    enough: Callable[[], bool] = lambda: False


class NotReachedError(Exception):
    """What the fault needs did not come about in time: nothing was tested."""


Happening: TypeAlias = Callable[[Scene], AbstractContextManager[Trouble]]
"""Begins a fault, and at the end sees that what was broken is whole."""


class Fault(NamedTuple):
    """One kind of fault.

    Attributes:
        store_answers: Whether operators can look at the store meanwhile.
        eager: How often, beside what users do, an operator orders something.
    """

    name: str
    happen: Happening
    away: Away = Away.NOTHING
    store_answers: bool = True
    eager: float = EAGER
