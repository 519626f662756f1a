"""The RabbitMQ of a run of the fault suite."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

from tests.faults.servers.containers import rabbitmq_container
from tests.faults.servers.own import Hurtable, Own, first_of
from tests.servers.rabbitmq import start_rabbitmq

MEMORY_SHARE, DISK_FREE = "0.4", "50MB"
"""RabbitMQ's own limits."""


class Commanded(Hurtable, Protocol):
    """A broker that takes commands."""

    def ctl(self, *arguments: str) -> str:
        """Return what ``rabbitmqctl`` says."""


class OwnRabbit(Own):
    """One RabbitMQ node that can be hurt; it keeps what it was given."""

    def __init__(self, server: Commanded) -> None:
        super().__init__(server)
        self._commanded = server
        self._lowered: set[str] = set()

    def ctl(self, *arguments: str) -> str:
        """Return what ``rabbitmqctl`` says; it takes a second or two.

        Raises:
            subprocess.SubprocessError: it fails, or does not end in time.
        """
        return self._commanded.ctl(*arguments)

    def write_down_queues(self) -> None:
        """Have it write down which quorum queues there are.

        RabbitMQ 3.10 does so by itself when none was declared for half a second; until then it loses those, and what
        they have confirmed, if it is killed.
        """
        self.ctl("eval", "#{names := #{directory_rev := Table}} = ra_system:fetch(quorum_queues), dets:sync(Table).")

    def alarm(self) -> None:
        """Have it run out of memory, as it thinks: it blocks every connection that publishes."""
        self._lowered.add("memory")
        self.ctl("set_vm_memory_high_watermark", "0")

    def fill_disk(self) -> None:
        """Have it run out of disk, as it thinks: the same, by another limit."""
        self._lowered.add("disk")
        self.ctl("set_disk_free_limit", "1000000GB")

    def clear_alarm(self) -> None:
        """Let it have enough again."""
        if "memory" in self._lowered:
            self.ctl("set_vm_memory_high_watermark", MEMORY_SHARE)
        if "disk" in self._lowered:
            self.ctl("set_disk_free_limit", DISK_FREE)
        self._lowered.clear()

    def alarms(self) -> set[str]:
        """Return what it has run out of: ``memory``, ``disk``."""
        status = json.loads(self.ctl("status", "--formatter", "json"))
        return {alarm["resource"] for alarm in status["alarms"]}

    def close_connections(self) -> None:
        """Close every connection, and say so to whoever is connected."""
        self.ctl("close_all_connections", "as the test wants it")

    def connections(self) -> int:
        """Count the connections that are open."""
        return len(self._listed("list_connections", "pid"))

    def queue_depths(self, prefix: str = "") -> dict[str, int]:
        """Return how many messages are in each queue whose name begins so, delivered or not."""
        found = self._listed("list_queues", "name", "messages")
        return {row["name"]: int(row["messages"]) for row in found if row["name"].startswith(prefix)}

    def heal(self) -> None:
        """Undo whatever was done to it; it runs afterwards."""
        self.thaw()
        self.start()
        self.clear_alarm()

    def _listed(self, *arguments: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self.ctl(*arguments, "--formatter", "json"))
        return rows


def open_rabbit() -> OwnRabbit:
    """Start one, from binaries or else as a container.

    Raises:
        ServerStartError: neither can be had; says why.
    """
    places: dict[str, Callable[[], Commanded]] = {"server binaries": start_rabbitmq, "container": rabbitmq_container}
    return OwnRabbit(first_of(places))
