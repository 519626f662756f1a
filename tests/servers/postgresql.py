"""A PostgreSQL of a run's own."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tests.servers.server import (
    START_WITHIN_S,
    Server,
    ServerStartError,
    Tls,
    binary,
    free_port,
    started,
    unprivileged_user,
)

SETTINGS: dict[str, object] = {
    "dynamic_shared_memory_type": "mmap",  # in its folder: one that is killed leaves nothing elsewhere
    "listen_addresses": "'127.0.0.1'",
    "max_connections": 200,
    "unix_socket_directories": "''",
}

INITDB = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")


class PostgresqlServer(Server):
    """A cluster that flushes what it promises to the disk, and whose superuser ``postgres`` needs no password.

    Attributes:
        url: Of the superuser and the database postgres.
        data: The data folder.
    """

    ORDERLY = signal.SIGINT  # "fast": sessions are ended
    DEFAULT_HBA: ClassVar[Sequence[str]] = ("host all all 127.0.0.1/32 trust",)

    def __init__(self, *, config: Sequence[str] = (), hba: Sequence[str] = DEFAULT_HBA, tls: Tls | None = None) -> None:
        """Make the cluster; ``start`` starts it.

        Args:
            config: Lines for postgresql.conf; the last one about a setting holds.
            hba: Lines for pg_hba.conf, after one that lets the superuser in.
            tls: Speak it to whoever asks for it.

        Raises:
            ServerStartError: there are no binaries, or they make none.
        """
        self._postgres, initdb = (binary(name, f"lib/postgresql/*/bin/{name}") for name in ("postgres", "initdb"))
        super().__init__("postgresql")
        self.owner, self.port, self.data = unprivileged_user(), free_port(), self.folder / "data"
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"
        if self.owner is not None:
            shutil.chown(self.folder, self.owner)
        made = self.spawn([initdb, "-D", str(self.data), *INITDB])
        try:
            code = made.wait(START_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process = made
            self.stop()
            raise ServerStartError(f"{initdb} does not end") from None
        if code:
            said = self.output[-500:]
            self.stop()
            raise ServerStartError(f"{initdb} fails: …{said}")
        self._configure([*config, *(self._speaking(tls) if tls else ())], hba)

    def command(self) -> Sequence[str]:
        """Return what runs it in the foreground."""
        return [self._postgres, "-D", str(self.data)]

    def answers(self) -> bool:
        """Say whether it is ready for clients: as it says itself in its lock file."""
        try:
            lines = (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return False
        assert self._process is not None
        return lines[:1] == [str(self._process.pid)] and len(lines) >= 8 and lines[7].strip() == "ready"

    def _configure(self, config: Sequence[str], hba: Sequence[str]) -> None:
        settings = [f"{name} = {value}" for name, value in (SETTINGS | {"port": self.port}).items()]
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in [*settings, *config])
        lines = ["host all postgres 127.0.0.1/32 trust", *hba]
        (self.data / "pg_hba.conf").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _speaking(self, tls: Tls) -> list[str]:
        """Return the settings; it takes no key that others may read, and must own it: it gets copies."""
        lines = ["ssl = on"]
        for setting, file in zip(("ssl_cert_file", "ssl_key_file", "ssl_ca_file"), tls, strict=True):
            copy = self.data / Path(file).name
            shutil.copyfile(file, copy)
            copy.chmod(0o600)
            if self.owner is not None:
                shutil.chown(copy, self.owner)
            lines.append(f"{setting} = '{copy}'")
        return lines


def start_postgresql(
    *, config: Sequence[str] = (), hba: Sequence[str] = PostgresqlServer.DEFAULT_HBA, tls: Tls | None = None
) -> PostgresqlServer:
    """Start one.

    Raises:
        ServerStartError: there are no binaries, or they do not start.
    """
    return started(PostgresqlServer(config=config, hba=hba, tls=tls))
