"""A server that a run starts from its binaries: in a temporary folder, on a free port of this machine only."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import psutil

from tests.servers.guard import Guard, family, kill_family

START_WITHIN_S = 60
STOP_WITHIN_S = 30
LOOK_AGAIN_S = 0.05

PORTS = range(15_000, 30_000)
"""Below what systems hand out to clients (Linux from 32768, others from 49152). A client that tries again and again to
reach a port of those, while the server is down, gets connected to itself one day, and keeps the server from it."""


class ServerStartError(Exception):
    """The binaries are not there, or do not start."""


class Tls(NamedTuple):
    """What a server needs to speak TLS: files in PEM."""

    certificate: Path
    key: Path
    authority: Path
    """Whose certificates are accepted from clients."""


class Server(ABC):
    """One server and its folder. It can be killed, frozen and started again on the same data and the same port.

    Attributes:
        url: Where it is.
        folder: Its own; removed by ``stop``, or when the run ends in whatever way.
        guard: What removes it.
    """

    url: str
    ORDERLY: signal.Signals
    """The signal after which it leaves in good order, at once."""

    def __init__(self, name: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"recouple-{name}-"))
        self.guard = Guard()
        self.guard.folder(self.folder)
        self.owner: str | None = None
        self.environ: Mapping[str, str] = os.environ
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return what runs it in the foreground."""

    @abstractmethod
    def answers(self) -> bool:
        """Say whether it is ready for clients."""

    @property
    def output(self) -> str:
        """All that it has said on its standard output and error."""
        return (self.folder / "output").read_text(encoding="utf-8", errors="replace")

    @property
    def is_running(self) -> bool:
        """Say whether it has not ended; a frozen one runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, and wait until it is ready.

        Raises:
            ServerStartError: it ends, or is not ready in time.
        """
        if self.is_running:
            return
        self._process = self.spawn(self.command())
        deadline = time.monotonic() + START_WITHIN_S
        while not self.answers():
            if not self.is_running or time.monotonic() > deadline:
                self.kill()
                raise ServerStartError(f"{self.command()[0]} does not start: …{self.output[-500:]}")
            time.sleep(LOOK_AGAIN_S)

    def spawn(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a process in its folder, as its user, and have it guarded."""
        with (self.folder / "output").open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env=self.environ,
                user=self.owner,
                start_new_session=True,
            )
        try:
            self.guard.process(process.pid)
        except BaseException:
            kill_family(psutil.Process(process.pid))
            process.wait()
            raise
        return process

    def kill(self) -> None:
        """Kill it and all its processes at once: a crash. Does nothing to one that does not run."""
        if self._process is not None:
            if self._process.poll() is None:
                kill_family(psutil.Process(self._process.pid))
            self._process.wait()

    def freeze(self) -> None:
        """Stop all its processes: its connections stay open and nobody answers."""
        assert self._process is not None
        for member in family(psutil.Process(self._process.pid)):
            with contextlib.suppress(psutil.NoSuchProcess):
                member.suspend()

    def thaw(self) -> None:
        """Let all its processes go on."""
        if self.is_running:
            assert self._process is not None
            for member in reversed(family(psutil.Process(self._process.pid))):
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.resume()

    def restart(self) -> None:
        """Have it leave in good order, and start it again."""
        if self.is_running:
            assert self._process is not None
            self.thaw()
            self._process.send_signal(self.ORDERLY)
            self._process.wait(STOP_WITHIN_S)
        self.start()

    def stop(self) -> None:
        """End it and remove its folder; a second time does nothing."""
        try:
            self.kill()
        finally:
            self.guard.close()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody uses now, and that no client will be given."""
    for _ in range(1000):
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise ServerStartError("there is no free port")


def binary(name: str, below_usr: str) -> str:
    """Return the newest binary where Debian keeps it, else the one on the PATH."""
    kept = sorted(Path("/usr").glob(below_usr), key=lambda path: [int(part) for part in path.parts if part.isdigit()])
    found = str(kept[-1]) if kept else shutil.which(name)
    if found is None:
        raise ServerStartError(f"there is no {name}")
    return found


def unprivileged_user() -> str | None:
    """Return whom to be instead of root, as whom PostgreSQL refuses to run; ``None`` where we are somebody else."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in known:
            return name
    raise ServerStartError("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")


AnyServer = TypeVar("AnyServer", bound=Server)


def started(server: AnyServer) -> AnyServer:
    """Start ``server`` and return it; one that does not start leaves nothing behind.

    Raises:
        ServerStartError: it does not start.
    """
    try:
        server.start()
    except BaseException:
        server.stop()
        raise
    return server
