"""What one ``recouple work`` is to do."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Role(StrEnum):
    """One job of a worker."""

    CHANGES = "changes"
    """Change events and outcomes of the apps."""
    COMMANDS = "commands"
    """What operators order."""
    RELAY = "relay"
    """Publishing what was committed."""
    TIMERS = "timers"
    """What is due: retries, missing answers, records that wait."""


class WorkPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What one ``recouple work`` is to do.

    Attributes:
        apps: Whose change queues to consume; all apps where it is empty.
        drain: Stop when queues, outbox and work due now are empty.
    """

    apps: tuple[str, ...] = ()
    roles: tuple[Role, ...] = tuple(Role)
    processes: int = 1
    drain: bool = False
