"""The same servers as containers, where there are no binaries and a Docker engine answers."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

from docker.errors import DockerException
from testcontainers.core.exceptions import ContainerStartException

from tests.servers.rabbitmq import await_leaders
from tests.servers.server import LOOK_AGAIN_S, START_WITHIN_S, STOP_WITHIN_S, ServerStartError, free_port
from tests.services import Service, docker_answers, imported, postgresql_at, rabbitmq_at

POSTGRESQL_IMAGE, RABBITMQ_IMAGE = "postgres:16", "rabbitmq:4"


class ContainerServer:
    """A server in a container whose port on this machine stays the same. The engine removes it if the run is killed.

    Attributes:
        url: Where it is, with its superuser.
    """

    def __init__(self, container: Any, url: str, at: Callable[[str], Service | str]) -> None:
        """Take charge of a container that runs; ``at`` says whether its server answers."""
        self._container, self.url, self._at = container, url, at
        self._engine = container.get_wrapped_container()
        self._is_stopped = False

    @property
    def is_running(self) -> bool:
        """Say whether it has not ended; a frozen one runs."""
        self._engine.reload()
        return self._engine.status in {"running", "paused"}

    def start(self) -> None:
        """Start it again, and wait until it is ready; nothing if it runs.

        Raises:
            ServerStartError: it does not answer in time.
        """
        if self.is_running:
            return
        self._engine.start()
        self.await_ready()

    def await_ready(self) -> None:
        """Wait until its server answers.

        Raises:
            ServerStartError: not in time.
        """
        deadline = time.monotonic() + START_WITHIN_S
        while isinstance(said := self._at(self.url), str):
            if time.monotonic() > deadline:
                raise ServerStartError(said)
            time.sleep(LOOK_AGAIN_S)

    def kill(self) -> None:
        """Kill all its processes at once: a crash. Does nothing to one that does not run."""
        if self.is_running:
            self.thaw()  # engines refuse to kill what is paused
            self._engine.kill()
            self._engine.wait(timeout=STOP_WITHIN_S)

    def freeze(self) -> None:
        """Stop all its processes: its connections stay open and nobody answers."""
        self._engine.pause()

    def thaw(self) -> None:
        """Let all its processes go on."""
        self._engine.reload()
        if self._engine.status == "paused":
            self._engine.unpause()

    def restart(self) -> None:
        """Have it leave in good order, and start it again."""
        self.thaw()
        self._engine.restart(timeout=STOP_WITHIN_S)
        self.await_ready()

    def stop(self) -> None:
        """End it and remove it; a second time does nothing."""
        if not self._is_stopped:
            self._is_stopped = True
            self._container.stop()


class ContainerBroker(ContainerServer):
    """RabbitMQ in a container."""

    def ctl(self, *arguments: str) -> str:
        """Return what ``rabbitmqctl`` says.

        Raises:
            subprocess.SubprocessError: it fails.
        """
        command = ["rabbitmqctl", "--quiet", *arguments]
        code, output = self._engine.exec_run(command, demux=True)
        said, complaint = (part.decode() if part else "" for part in output)
        if code:
            raise subprocess.CalledProcessError(code, command, said, complaint)
        return said

    def await_ready(self) -> None:
        """Wait until it takes connections and every quorum queue that it kept has a leader.

        Raises:
            ServerStartError: not in time.
        """
        super().await_ready()
        await_leaders(self.ctl)


def postgresql_container(*settings: str) -> ContainerServer:
    """Start PostgreSQL with these lines of its configuration.

    Raises:
        ServerStartError: no Docker engine answers, or it cannot start one.
    """

    def make(port: int) -> Any:
        found = imported("testcontainers.community.postgres").PostgresContainer(POSTGRESQL_IMAGE, driver="psycopg")
        options = [word for setting in settings for word in ("-c", setting.replace(" ", ""))]
        return found.with_bind_ports(found.port, port).with_command(["postgres", *options])

    container = _started(make)
    return ContainerServer(container, container.get_connection_url(), postgresql_at)


def rabbitmq_container() -> ContainerBroker:
    """Start RabbitMQ.

    Raises:
        ServerStartError: no Docker engine answers, or it cannot start one.
    """

    def make(port: int) -> Any:
        found = imported("testcontainers.community.rabbitmq").RabbitMqContainer(RABBITMQ_IMAGE)
        return found.with_bind_ports(found.port, port)

    container = _started(make)
    host, port = container.get_container_host_ip(), container.get_exposed_port(container.port)
    return ContainerBroker(container, f"amqp://{container.username}:{container.password}@{host}:{port}//", rabbitmq_at)


def _started(make: Callable[[int], Any]) -> Any:
    """Start it on a port that is fixed: an engine gives out another one each time it starts."""
    if not docker_answers():
        raise ServerStartError("no Docker engine answers")
    try:
        return make(free_port()).start()
    except (DockerException, ContainerStartException, TimeoutError) as error:
        raise ServerStartError(f"no Docker engine that can start one ({type(error).__name__})") from error
