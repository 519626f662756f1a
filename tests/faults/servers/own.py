"""What the servers of a run's own have in common: where they come from, and what can happen to any of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol, Self, TypeVar

from tests.servers.server import ServerStartError


class Hurtable(Protocol):
    """A server that this run has started: from binaries, or as a container."""

    url: str

    @property
    def is_running(self) -> bool:
        """Say whether it has not ended; a frozen one runs."""

    def start(self) -> None:
        """Start it again on the same data and the same port, and wait until it is ready."""

    def kill(self) -> None:
        """Kill it at once: a crash."""

    def freeze(self) -> None:
        """Stop all its processes: its connections stay open and nobody answers."""

    def thaw(self) -> None:
        """Let all its processes go on."""

    def restart(self) -> None:
        """Have it leave in good order, and start it again."""

    def stop(self) -> None:
        """End it and remove what is left of it."""


Found = TypeVar("Found")


def first_of(places: Mapping[str, Callable[[], Found]]) -> Found:
    """Return the server of the first place that has one.

    Raises:
        ServerStartError: none has; says why, for each.
    """
    reasons: list[str] = []
    for name, place in places.items():
        try:
            return place()
        except ServerStartError as error:
            reasons.append(f"{name}: {error}")
    raise ServerStartError("; ".join(reasons))


class FaultUnavailableError(Exception):
    """This fault cannot be brought about on this machine; says why."""


class Own(ABC):
    """A server of the run's own. It is stopped where the ``with`` ends, and when the run is killed."""

    def __init__(self, server: Hurtable) -> None:
        self._server = server

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it is, with its superuser."""
        return self._server.url

    @property
    def is_running(self) -> bool:
        """Say whether it has not ended; a frozen one runs."""
        return self._server.is_running

    def start(self) -> None:
        """Start it again on the same data and the same port, and wait until it is ready; nothing if it runs."""
        self._server.start()

    def kill(self) -> None:
        """Kill it and all its processes at once: a crash."""
        self._server.kill()

    def freeze(self) -> None:
        """Stop all its processes: its connections stay open and nobody answers."""
        self._server.freeze()

    def thaw(self) -> None:
        """Let all its processes go on."""
        self._server.thaw()

    def restart(self) -> None:
        """Have it leave in good order, which ends its connections, and start it again."""
        self._server.restart()

    @abstractmethod
    def heal(self) -> None:
        """Undo whatever was done to it; it runs afterwards."""

    def stop(self) -> None:
        """End it and remove what is left of it; a second time does nothing."""
        self._server.stop()
