"""What is left of servers when a run ends in any way: nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest

from tests.faults.servers.own import first_of
from tests.servers.guard import lives
from tests.servers.postgresql import PostgresqlServer
from tests.servers.server import PORTS, ServerStartError, free_port
from tests.services import go_without

ROOT = Path(__file__).parents[2]

WITHIN_S = 20

RUN = """
import contextlib, os, sys
from tests.faults.servers.own_postgres import open_postgres

postgres = open_postgres()
with contextlib.suppress(Exception):  # what this machine cannot do, is not there to be left behind
    postgres.fill_disk()
postgres.freeze()
server = postgres._server
print(server.folder, server._process.pid, server.guard._process.pid, flush=True)
sys.stdin.read()
"""
"""A run that has started a server, filled its disk, and frozen it."""


def await_that(condition: Callable[[], bool], what: str) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def is_mentioned(folder: str) -> list[str]:
    """Return the commands that run with this folder."""
    found = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return [command for command in found if folder in command]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_leaves_nothing_behind(number: signal.Signals) -> None:
    """Else a run that was killed would leave frozen servers, their memory and their mounts on the machine for ever."""
    run = subprocess.Popen(
        [sys.executable, "-c", RUN],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with run:
        assert run.stdout is not None
        said = run.stdout.readline().split()
        if not said:
            _, complaint = run.communicate()
            assert "ServerStartError" in complaint, complaint
            go_without(complaint)
        folder, pid, guard = said[0], int(said[1]), int(said[2])
        server = psutil.Process(pid)
        family = [server, *server.children(recursive=True)]

        if number != signal.SIGKILL:  # which reaches the run only; others may come to all that belongs to it
            os.kill(guard, number)
        os.kill(run.pid, number)
        run.wait(WITHIN_S)

    await_that(lambda: not Path(folder).exists(), f"{folder} is still there")
    await_that(lambda: not any(map(lives, family)), "processes live on")
    assert folder not in Path("/proc/mounts").read_text(encoding="utf-8")


def test_a_server_that_is_stopped_leaves_nothing_behind() -> None:
    """Else every run would leave a folder, and the segment by which PostgreSQL knows that its data are in use."""
    try:
        server = PostgresqlServer()
    except ServerStartError as error:
        go_without(str(error))
    try:
        server.start()
        segment = (server.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[6].split()[1]
        assert segment in _segments()
        server.kill()
    finally:
        server.stop()
        server.stop()

    assert not server.folder.exists()
    assert segment not in _segments()
    assert is_mentioned(str(server.folder)) == []


def _segments() -> list[str]:
    lines = Path("/proc/sysvipc/shm").read_text(encoding="utf-8").splitlines()
    return [line.split()[1] for line in lines[1:]]


def test_a_server_that_does_not_start_says_why_and_is_gone() -> None:
    """Else a mistake in a setting would be a timeout, and would leave a folder."""
    try:
        server = PostgresqlServer(config=["no_such_setting = on"])
    except ServerStartError as error:
        go_without(str(error))
    try:
        with pytest.raises(ServerStartError, match="no_such_setting"):
            server.start()
        assert not server.is_running
    finally:
        server.stop()


def test_ports_are_none_that_clients_are_given() -> None:
    """Else a worker that looks for a killed server again and again would be connected to itself one day."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="utf-8").split()[0])

    assert free_port() in PORTS
    assert PORTS.stop <= first


def _starts(name: str) -> Callable[[], str]:
    return lambda: name


def _fails(reason: str) -> Callable[[], str]:
    def fail() -> str:
        raise ServerStartError(reason)

    return fail


@pytest.mark.parametrize(
    ("places", "found"),
    [
        ({"server binaries": _starts("a"), "container": _fails("must not be asked")}, "a"),
        ({"server binaries": _fails("there is no postgres"), "container": _starts("b")}, "b"),
    ],
    ids=["the first", "a later one"],
)
def test_takes_the_first_place_that_has_one(places: Mapping[str, Callable[[], str]], found: str) -> None:
    """Else containers would be started where there are binaries, or nothing where there are none."""
    assert first_of(places) == found


def test_says_why_no_place_has_one() -> None:
    """Else nobody could tell what to install."""
    with pytest.raises(ServerStartError, match=r"^server binaries: there is no postgres; container: no Docker$"):
        first_of({"server binaries": _fails("there is no postgres"), "container": _fails("no Docker")})
