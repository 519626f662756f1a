"""The PostgreSQL of a run of the fault suite."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from psycopg.sql import SQL, Literal

from tests.faults.servers.containers import postgresql_container
from tests.faults.servers.own import FaultUnavailableError, Hurtable, Own, first_of
from tests.faults.servers.small_disk import SmallDisk
from tests.servers.postgresql import PostgresqlServer, start_postgresql

CONFIG = ("max_connections = 60", "deadlock_timeout = 100ms")

EXHAUSTED_WITHIN_S = 20

OURS = "FROM pg_stat_activity WHERE application_name = 'recouple'"
"""The sessions of workers, and of a test that looks into the store."""


class OwnPostgres(Own):
    """A PostgreSQL that can be hurt. It flushes to the disk what it promises, and takes 60 connections."""

    def __init__(self, server: Hurtable, no_small_disk: str = "") -> None:
        """Take charge of a server that runs.

        Args:
            server: It.
            no_small_disk: Why it can have none.
        """
        super().__init__(server)
        self._taken: list[psycopg.Connection] = []
        self._disk: SmallDisk | None = None
        self._no_disk = no_small_disk
        if isinstance(server, PostgresqlServer):
            try:
                self._disk = SmallDisk(server)
            except FaultUnavailableError as error:
                self._no_disk = str(error)
        if self._disk is not None:
            self._use(self._disk)

    @contextmanager
    def session(self) -> Iterator[psycopg.Connection]:
        """Give a session of the superuser in the database postgres, without a transaction."""
        with self._connected() as connection:
            yield connection

    def connections(self) -> int:
        """Count the sessions that Recouple has open."""
        with self._any_session() as session:
            return _number(session, f"SELECT count(*) {OURS}")

    def terminate_backends(self) -> int:
        """End every session that Recouple has open, whatever it is doing; return how many there were."""
        with self._any_session() as session:
            return _number(session, f"SELECT count(pg_terminate_backend(pid)) {OURS}")

    def exhaust(self) -> None:
        """Take every connection that it has, Recouple's too: who comes now is sent away, also a superuser.

        Raises:
            TimeoutError: somebody was always quicker.
        """
        deadline = time.monotonic() + EXHAUSTED_WITHIN_S
        self._take_all()
        while self.terminate_backends():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.connections()} sessions are left")
            self._take_all()

    def relieve(self) -> None:
        """Give back what ``exhaust`` took."""
        while self._taken:
            self._taken.pop().close()

    def fill_disk(self) -> None:
        """Fill the disk of all databases that were made since it started: what needs another page fails (53100).

        Raises:
            FaultUnavailableError: it has no small disk.
        """
        self._small_disk().fill()

    def free_disk(self) -> None:
        """Give back what ``fill_disk`` took."""
        if self._disk is not None:
            self._disk.free()

    def kill(self) -> None:
        """Kill it and all its processes at once: a crash."""
        super().kill()
        self.relieve()

    def restart(self) -> None:
        """Have it leave in good order, which ends its connections, and start it again."""
        super().restart()
        self.relieve()

    def heal(self) -> None:
        """Undo whatever was done to it; it runs afterwards."""
        self.thaw()
        self.free_disk()
        self.relieve()
        self.start()

    def stop(self) -> None:
        """End it and remove what is left of it; a second time does nothing."""
        self.relieve()
        super().stop()

    def _small_disk(self) -> SmallDisk:
        if self._disk is None:
            raise FaultUnavailableError(self._no_disk)
        return self._disk

    def _use(self, disk: SmallDisk) -> None:
        """Have databases made there from now on: PostgreSQL copies each from template1."""
        with self._connected() as connection:
            connection.execute(SQL("CREATE TABLESPACE small LOCATION {}").format(Literal(str(disk.folder))))
            connection.execute("ALTER DATABASE template1 SET TABLESPACE small")

    def _connected(self) -> psycopg.Connection:
        return psycopg.connect(self.url.replace("+psycopg", "", 1), autocommit=True, connect_timeout=5)

    @contextmanager
    def _any_session(self) -> Iterator[psycopg.Connection]:
        """Give one that is open already, if there is one: there may be no other to be had."""
        if self._taken:
            yield self._taken[0]
        else:
            with self._connected() as connection:
                yield connection

    def _take_all(self) -> None:
        try:
            while True:
                self._taken.append(self._connected())
        except psycopg.OperationalError as error:
            if "too many clients" not in str(error):
                raise


def _number(session: psycopg.Connection, query: str) -> int:
    row = session.execute(SQL(query)).fetchone()
    assert row is not None
    return int(row[0])


def open_postgres() -> OwnPostgres:
    """Start one, from binaries or else as a container.

    Raises:
        ServerStartError: neither can be had; says why.
    """
    places: dict[str, Callable[[], Hurtable]] = {
        "server binaries": lambda: start_postgresql(config=CONFIG),
        "container": lambda: postgresql_container(*CONFIG),
    }
    server = first_of(places)
    try:
        return OwnPostgres(server)
    except BaseException:
        server.stop()
        raise
