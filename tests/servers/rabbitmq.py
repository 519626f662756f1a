"""A RabbitMQ of a run's own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

from tests.servers.server import Server, ServerStartError, Tls, binary, free_port, started

CTL_WITHIN_S = 60

HELLO = b"AMQP\x00\x00\x09\x01"
"""What a client of AMQP 0-9-1 says first; a server that is ready answers with a method frame."""

LEADERS = """
lists:all(fun(Queue) ->
  case ra:members(amqqueue:get_pid(Queue), 1000) of {ok, _, {_, _}} -> true; _ -> false end
end, rabbit_amqqueue:list_by_type(rabbit_quorum_queue)).
"""
"""Whether every quorum queue has a leader."""

LED_WITHIN_S = 30


class RabbitmqServer(Server):
    """One node with its own Erlang name server, whose user is guest; it keeps its data.

    Attributes:
        url: Of the user guest.
        tls_url: The same by TLS, if it speaks it.
    """

    ORDERLY = signal.SIGTERM

    def __init__(self, *, config: Sequence[str] = (), plugins: Sequence[str] = (), tls: Tls | None = None) -> None:
        """Make its folder; ``start`` starts it.

        Args:
            config: Lines for rabbitmq.conf.
            plugins: Which it loads; none by itself.
            tls: Listen for it on a second port.

        Raises:
            ServerStartError: there are no binaries.
        """
        # Debian's commands on the PATH are wrappers that change the user and forget the environment.
        self._server, self._ctl = (
            binary(name, f"lib/rabbitmq/bin/{name}") for name in ("rabbitmq-server", "rabbitmqctl")
        )
        self._epmd = binary("epmd", "lib/erlang/bin/epmd")
        super().__init__("rabbitmq")
        self.port, self.tls_port, self._epmd_port = free_port(), free_port(), free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self.tls_url = f"amqps://guest:guest@127.0.0.1:{self.tls_port}//"
        self.environ = os.environ | self._environment()
        lines = [f"listeners.tcp.1 = 127.0.0.1:{self.port}", "log.console = true", "log.file = false"]
        lines += [*(self._speaking(tls) if tls else ()), *config]
        (self.folder / "rabbitmq.conf").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        (self.folder / "enabled_plugins").write_text(f"[{','.join(plugins)}].\n", encoding="utf-8")
        self._names: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        """Return what runs it in the foreground."""
        return [self._server]

    def answers(self) -> bool:
        """Say whether it is ready for clients."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                probe.sendall(HELLO)
                return probe.recv(1) == b"\x01"
        except OSError:
            return False

    def start(self) -> None:
        """Start it, and wait until it takes connections and every quorum queue that it kept has a leader.

        Raises:
            ServerStartError: it ends, or is not ready in time.
        """
        if self.is_running:
            return
        if self._names is None:  # in the background it would outlive everybody
            self._names = self.spawn([self._epmd, "-address", "127.0.0.1", "-port", str(self._epmd_port)])
        kept = (self.folder / "data").exists()
        super().start()
        if kept:
            await_leaders(self.ctl)

    def kill(self) -> None:
        """Kill it and all its processes at once: a crash. Does nothing to one that does not run.

        A quorum queue that was declared less than a second before is lost, and what it confirmed with it: RabbitMQ 3.10
        writes down which there are when it has rested for half a second.
        """
        super().kill()

    def ctl(self, *arguments: str, given: str = "", within_s: float = CTL_WITHIN_S) -> str:
        """Return what ``rabbitmqctl`` says; ``given`` is what it reads.

        Raises:
            subprocess.SubprocessError: it fails, or does not end in time.
        """
        command = [self._ctl, "--quiet", *arguments]
        try:
            return subprocess.run(
                command,
                env=self.environ,
                cwd=self.folder,
                input=given,
                capture_output=True,
                text=True,
                timeout=within_s,
                check=True,
            ).stdout
        except subprocess.CalledProcessError as error:
            error.add_note(error.stderr)
            raise

    def stop(self) -> None:
        """End it and remove its folder; a second time does nothing."""
        try:
            self.kill()
            if self._names is not None:
                self._names.kill()
                self._names.wait()
        finally:
            self.guard.close()

    def _speaking(self, tls: Tls) -> list[str]:
        return [
            f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}",
            f"ssl_options.certfile = {tls.certificate}",
            f"ssl_options.keyfile = {tls.key}",
            f"ssl_options.cacertfile = {tls.authority}",
        ]

    def _environment(self) -> Mapping[str, str]:
        return {
            "HOME": str(self.folder),  # of the Erlang cookie
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_NODENAME": f"recouple-test-{self.port}@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
        }


def await_leaders(ctl: Callable[..., str]) -> None:
    """Wait until every quorum queue of the broker that takes these commands has a leader.

    Raises:
        ServerStartError: not in time.
    """
    deadline = time.monotonic() + LED_WITHIN_S
    while "true" not in ctl("eval", LEADERS):
        if time.monotonic() > deadline:
            raise ServerStartError("a quorum queue has no leader: was it declared just before the broker was killed?")


def start_rabbitmq(
    *, config: Sequence[str] = (), plugins: Sequence[str] = (), tls: Tls | None = None
) -> RabbitmqServer:
    """Start one.

    Raises:
        ServerStartError: there are no binaries, or they do not start.
    """
    return started(RabbitmqServer(config=config, plugins=plugins, tls=tls))
