"""What the work costs: CPU time of worker and servers, and bytes of the write-ahead log.

The servers' figures are theirs as a whole: what others ask of them meanwhile is in them.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec
import psutil
import psycopg

from bench.grounds import libpq


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What was used since the beginning; ``None`` where it cannot be read."""

    worker_cpu_s: float
    postgresql_cpu_s: float | None = None
    rabbitmq_cpu_s: float | None = None
    wal_bytes: float | None = None
    machine_cpu_s: float | None = None

    def __sub__(self, before: Reading) -> Reading:
        """What was used in between."""
        return msgspec.convert(
            {name: _minus(getattr(self, name), getattr(before, name)) for name in self.__struct_fields__}, Reading
        )

    def per_thousand(self, events: float) -> Reading:
        """The same for each thousand of so many events."""
        used = msgspec.structs.asdict(self)
        return msgspec.convert({name: v if v is None else v * 1000 / events for name, v in used.items()}, Reading)


def _minus(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before


def others_cores(used: Reading, seconds: float) -> float | None:
    """Return how many cores others kept busy meanwhile, where that can be told."""
    if used.postgresql_cpu_s is None or used.rabbitmq_cpu_s is None or used.machine_cpu_s is None:
        return None
    ours = used.worker_cpu_s + used.postgresql_cpu_s + used.rabbitmq_cpu_s
    return max(0.0, used.machine_cpu_s - ours) / seconds


class Meters:
    """Reads what a worker and the servers behind it have used."""

    def __init__(self, pid: int, store_url: str) -> None:
        self._worker = psutil.Process(pid)
        self._database: psycopg.Connection | None = None
        self._postmaster: psutil.Process | None = None
        self._rabbitmq: psutil.Process | None = None
        if store_url.startswith("postgresql"):
            self._database = psycopg.connect(libpq(store_url), autocommit=True)
            self._postmaster = _postmaster(self._database)
            self._rabbitmq = _rabbitmq()

    def read(self) -> Reading:
        """What was used until now."""
        return Reading(
            worker_cpu_s=sum(_cpu_s(one) for one in (self._worker, *self._worker.children(recursive=True))),
            postgresql_cpu_s=_tree_cpu_s(self._postmaster),
            rabbitmq_cpu_s=_tree_cpu_s(self._rabbitmq),
            wal_bytes=self._wal_bytes(),
            machine_cpu_s=_machine_cpu_s(),
        )

    def close(self) -> None:
        """Read no more."""
        if self._database is not None:
            self._database.close()

    def _wal_bytes(self) -> float | None:
        if self._database is None:
            return None
        row = self._database.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()
        return None if row is None else float(row[0])


def _cpu_s(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0


def _tree_cpu_s(root: psutil.Process | None) -> float | None:
    """Of a process, of those that it started, and of those of them that have ended."""
    if root is None:
        return None
    with suppress(psutil.Error):
        ended = root.cpu_times()
        living = sum(_cpu_s(one) for one in (root, *root.children(recursive=True)))
        return float(living + ended.children_user + ended.children_system)
    return None


def _machine_cpu_s() -> float:
    """Of the whole machine: what neither worker nor servers used is the measurement's own, or of others."""
    times = psutil.cpu_times()
    return float(times.user + times.system + times.nice + times.irq + times.softirq)


def _postmaster(database: psycopg.Connection) -> psutil.Process | None:
    """The server, where it runs on this machine."""
    if not database.info.host.startswith(("/", "127.", "localhost")):
        return None
    with suppress(psutil.Error):
        parent = psutil.Process(database.info.backend_pid).parent()
        return parent if parent is not None and "postgres" in parent.name() else None
    return None


def _rabbitmq() -> psutil.Process | None:
    """The server that listens on the standard port, where it runs on this machine and may be seen."""
    with suppress(psutil.Error):
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == 5672 and one.pid:
                return psutil.Process(one.pid)
    return None
