"""What a run stands on: servers of its own, and the store and broker in files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

from sqlalchemy import make_url

from messages.topology import topology
from tests.acceptance.harness import Backend
from tests.faults.scene import Ground, Scene
from tests.faults.servers.own_postgres import open_postgres
from tests.faults.servers.own_rabbit import open_rabbit
from tests.faults.servers.proxy import Proxy
from tests.faults.stage import FaultStage, short
from tests.faults.world import ENVIRON, FaultWorld, draw_branches, mapping_of
from tests.services import fresh_database, remove

ROOT = str(Path(__file__).parents[2])


@contextmanager
def own_servers() -> Iterator[Ground]:
    """Start a PostgreSQL and a RabbitMQ, and proxies before them; stop them at the end.

    Raises:
        ServerStartError: one of them cannot be had.
    """
    with ExitStack() as stack:
        postgres, rabbit = stack.enter_context(open_postgres()), stack.enter_context(open_rabbit())
        proxies = [stack.enter_context(Proxy(make_url(server.url).port or 0)) for server in (postgres, rabbit)]
        yield Ground(postgres, rabbit, *proxies)


@contextmanager
def on_servers(ground: Ground, folder: Path, seed: int) -> Iterator[Scene]:
    """Set the scene in a database and a namespace of its own; workers go through the proxies."""
    with fresh_database(ground.postgres.url) as store_url:
        backend = Backend(store_url, ground.rabbit.url)
        ways = {
            "RECOUPLE_STORE_URL": short(ground.to_postgres.url(store_url)),
            "RECOUPLE_BROKER_URL": ground.to_rabbit.url(ground.rabbit.url),
        }
        with _scene(backend, ways, folder, seed, ground) as scene:
            yield scene


@contextmanager
def on_files(folder: Path, seed: int) -> Iterator[Scene]:
    """Set the scene on the embedded store and broker; they wait less for a locked file than by themselves."""
    backend = Backend(f"sqlite:///{folder / 'store.db'}", f"embedded:///{folder / 'broker.db'}?lease_s=2")
    ways = {"RECOUPLE_STORE_URL": f"{backend.store_url}?timeout=2"}
    with _scene(backend, ways, folder, seed, None) as scene:
        yield scene


@contextmanager
def _scene(
    backend: Backend, ways: Mapping[str, str], folder: Path, seed: int, ground: Ground | None
) -> Iterator[Scene]:
    chance = Random(seed)  # noqa: S311 - repeatable, hides nothing
    branches = draw_branches(chance)
    stage = FaultStage(backend, folder, mapping_of(branches), {**ENVIRON, **ways, "PYTHONPATH": ROOT})
    with ExitStack() as stack:
        if ground is not None:
            stack.callback(lambda: remove(backend.broker_url, topology(stage.namespace, stage.apps)))
        stack.callback(stage.leave)
        stage.open()
        stage.man()
        stack.callback(stage.crew.kill)
        stage.crew.ready()
        world = FaultWorld(stage, branches, chance)
        world.load()
        yield Scene(world, chance, ground)
        stage.close()
