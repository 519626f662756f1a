"""Servers in containers, as far as that can be seen without a Docker engine: what is asked of one, and when."""

from __future__ import annotations

import subprocess

import pytest

from tests.faults.servers.containers import ContainerBroker, ContainerServer
from tests.services import Service

URL = "postgresql+psycopg://test@127.0.0.1:15000/test"


class Engine:
    """What a Docker engine says of one container, and what it refuses."""

    def __init__(self) -> None:
        self.status, self._actual, self.asked = "running", "running", list[str]()

    def get_wrapped_container(self) -> Engine:
        """The engine's side of it."""
        return self

    def reload(self) -> None:
        """Until then one sees what was."""
        self.status = self._actual

    def kill(self) -> None:
        """Only what runs."""
        self._change("kill", {"running"}, "exited")

    def start(self) -> None:
        """Start it again."""
        self._change("start", {"exited"}, "running")

    def pause(self) -> None:
        """Stop its processes."""
        self._change("pause", {"running"}, "paused")

    def unpause(self) -> None:
        """Let them go on."""
        self._change("unpause", {"paused"}, "running")

    def restart(self, timeout: int) -> None:
        """Stop and start it."""
        assert timeout
        self._change("restart", {"running"}, "running")

    def wait(self, timeout: int) -> None:
        """Until it has ended."""
        assert timeout
        assert self._actual == "exited"

    def stop(self) -> None:
        """Of testcontainers: remove it."""
        self._change("stop", {"running", "paused", "exited"}, "removed")

    def exec_run(self, command: list[str], *, demux: bool) -> tuple[int, tuple[bytes | None, bytes | None]]:
        """Run a command in it."""
        assert demux
        assert command[:2] == ["rabbitmqctl", "--quiet"]
        return (0, (b"true\n", None)) if command[2] == "eval" else (64, (None, b"no such command"))

    def _change(self, what: str, allowed: set[str], status: str) -> None:
        assert self._actual in allowed, f"{what}: it is {self._actual}"
        self.asked.append(what)
        self._actual = status


def test_a_server_in_a_container_goes_through_the_same() -> None:
    """Else the suite would work with binaries only, and fail where there is nothing but Docker."""
    there: list[Service | str] = ["not yet", Service(URL, "16"), Service(URL, "16")]
    engine, answers = Engine(), iter(there)
    server = ContainerServer(engine, URL, lambda _: next(answers))

    server.freeze()
    assert server.is_running
    server.kill()
    server.kill()
    assert not server.is_running
    server.start()
    server.start()
    server.thaw()
    server.freeze()
    server.restart()
    server.stop()
    server.stop()

    assert engine.asked == ["pause", "unpause", "kill", "start", "pause", "unpause", "restart", "stop"]
    assert next(answers, None) is None


def test_a_broker_in_a_container_takes_commands() -> None:
    """Else alarms could not be raised there; and a command that fails would look like one that says nothing."""
    broker = ContainerBroker(Engine(), URL, lambda url: Service(url, "4"))

    broker.kill()
    broker.start()

    assert broker.ctl("eval", "true.") == "true\n"
    with pytest.raises(subprocess.CalledProcessError):
        broker.ctl("nonsense")
