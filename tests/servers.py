"""Starts PostgreSQL and RabbitMQ from their binaries: in a temporary folder, on a free port of this machine only."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

START_WITHIN_S = 60
STOP_WITHIN_S = 30

Started: TypeAlias = tuple[str, Callable[[], None]]
"""The URL of a server, and what stops it and removes its folder."""


class ServerStartError(Exception):
    """The binaries are not there, or do not start."""


def start_postgresql() -> Started:
    """Start a PostgreSQL whose superuser ``postgres`` needs no password.

    Raises:
        ServerStartError: there are no binaries, or they do not start.
    """
    pg_ctl = _binary("pg_ctl", "lib/postgresql/*/bin/pg_ctl")
    folder = Path(tempfile.mkdtemp(prefix="recouple-postgresql-"))
    port, data = free_port(), str(folder / "data")
    owner = _unprivileged_user()
    if owner is not None:
        shutil.chown(folder, owner)

    def run(*arguments: str) -> None:
        command = [pg_ctl, "-D", data, *arguments]
        with (folder / "output").open("ab") as output:
            subprocess.run(
                command, user=owner, stdout=output, stderr=output, cwd=folder, timeout=START_WITHIN_S, check=True
            )

    def stop() -> None:
        try:
            run("stop", "-m", "immediate", "-w", "-t", str(STOP_WITHIN_S))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    try:
        run("init", "-o", "-U postgres -A trust -N -E UTF8 --locale=C")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200"
        run("start", "-w", "-t", str(START_WITHIN_S), "-l", str(folder / "log"), "-o", options)
    except (OSError, subprocess.SubprocessError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ServerStartError(f"{pg_ctl} failed ({type(error).__name__})") from error
    return f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres", stop


def start_rabbitmq() -> Started:
    """Start a RabbitMQ node of its own, with its own Erlang name server, whose user is guest.

    Raises:
        ServerStartError: there are no binaries, or they do not start.
    """
    # Debian's command on the PATH is a wrapper that changes the user and forgets the environment.
    server = _binary("rabbitmq-server", "lib/rabbitmq/bin/rabbitmq-server")
    epmd = _binary("epmd", "lib/erlang/bin/epmd")
    folder = Path(tempfile.mkdtemp(prefix="recouple-rabbitmq-"))
    port = free_port()
    environ = os.environ | _rabbitmq_environment(folder, port)
    with (folder / "output").open("ab") as output:
        process = subprocess.Popen(
            [server], stdout=output, stderr=output, cwd=folder, env=environ, start_new_session=True
        )

    def stop() -> None:
        process.terminate()
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_WITHIN_S)
        subprocess.run([epmd, "-kill"], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(folder, ignore_errors=True)

    deadline = time.monotonic() + START_WITHIN_S
    while not _listening(port):
        if process.poll() is not None or time.monotonic() > deadline:
            stop()
            raise ServerStartError(f"{server} is not listening after {START_WITHIN_S} s, or gave up")
        time.sleep(0.2)
    return f"amqp://guest:guest@127.0.0.1:{port}//", stop


def _rabbitmq_environment(folder: Path, port: int) -> Mapping[str, str]:
    config, plugins = folder / "rabbitmq.conf", folder / "enabled_plugins"
    config.write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\nlog.console = true\nlog.file = false\n", encoding="utf-8")
    plugins.write_text("[].\n", encoding="utf-8")
    return {
        "HOME": str(folder),  # of the Erlang cookie
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(free_port()),
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "RABBITMQ_CONFIG_FILE": str(config),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_NODENAME": f"recouple-test-{port}@localhost",
        "RABBITMQ_NODE_PORT": str(port),
    }


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _binary(name: str, below_usr: str) -> str:
    """Return the newest binary where Debian keeps it, else the one on the PATH."""
    kept = sorted(Path("/usr").glob(below_usr), key=lambda path: [int(part) for part in path.parts if part.isdigit()])
    found = str(kept[-1]) if kept else shutil.which(name)
    if found is None:
        raise ServerStartError(f"there is no {name}")
    return found


def _unprivileged_user() -> str | None:
    """Return whom to be instead of root, as whom PostgreSQL refuses to run; ``None`` where we are somebody else."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in known:
            return name
    raise ServerStartError("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")
