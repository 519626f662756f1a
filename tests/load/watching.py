"""What a worker holds while it works, and how long an operator waits for his answers meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from types import TracebackType
from typing import NamedTuple, Self

import psutil

from messages.transport.connect import connect
from messages.transport.ports import Properties, Publication, PublishOutcome
from tests.acceptance.wire import command

LOOK_S = 0.1
ORDER_EVERY_S = 0.1
PUBLISH_WITHIN = timedelta(seconds=30)
NO_SUCH_ERROR = 999_999_999


class Held(NamedTuple):
    """What a process holds at a moment."""

    rss_bytes: int
    connections: int


class Watch(threading.Thread):
    """Looks at a process again and again.

    Attributes:
        seen: What it held, one moment after the other.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.seen: list[Held] = []
        self._process, self._over = psutil.Process(pid), threading.Event()

    def run(self) -> None:
        """Look, until told to stop or the process is gone."""
        with suppress(psutil.NoSuchProcess):
            while not self._over.wait(LOOK_S):
                self.seen.append(Held(self._process.memory_info().rss, len(self._process.net_connections("tcp"))))

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()

    @property
    def peak(self) -> Held:
        """The most of each."""
        return Held(*(max(column) for column in zip(*self.seen, strict=True)))

    @property
    def growth_bytes(self) -> int:
        """How much more it held in the last tenth of the time than at most in the first."""
        tenth = max(1, len(self.seen) // 10)
        first, last = self.seen[: 2 * tenth], self.seen[-tenth:]
        return max(one.rss_bytes for one in last) - max(one.rss_bytes for one in first)


class Operator(threading.Thread):
    """Sends a command ten times a second that is refused at once, and waits for the answers.

    Attributes:
        waited_s: For each answer, how long it took from the publishing of its command.
    """

    def __init__(self, broker_url: str, namespace: str) -> None:
        super().__init__(daemon=True)
        broker = connect(broker_url)
        self.waited_s: list[float] = []
        self._namespace, self._publisher = namespace, broker.publisher()
        self._reply_to, self._replies = broker.reply_consumer()
        self._sent_s: dict[str, float] = {}
        self._over = threading.Event()

    def __enter__(self) -> Self:
        """Begin to order."""
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _fault: BaseException | None, _where: TracebackType | None
    ) -> None:
        """Order no more, wait for what is not answered yet, and leave."""
        self._over.set()
        self.join()
        self._publisher.close()
        self._replies.close()

    @property
    def unanswered(self) -> int:
        """How many commands nobody has answered."""
        return len(self._sent_s)

    def quantile_s(self, share: float) -> float:
        """Return how long that share of the answers took at most."""
        ordered = sorted(self.waited_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def run(self) -> None:
        """Order and gather."""
        next_s = time.monotonic()
        while not self._over.is_set():
            if time.monotonic() >= next_s:
                next_s = max(next_s + ORDER_EVERY_S, time.monotonic())
                self._order()
            self._gather()
        until_s = time.monotonic() + PUBLISH_WITHIN.total_seconds()
        while self._sent_s and time.monotonic() < until_s:
            self._gather()

    def _order(self) -> None:
        ordered = command("dismiss", self._reply_to, {"error": NO_SUCH_ERROR})
        properties = {name: value for name, value in ordered.properties.items() if name != "delivery_mode"}
        one = Publication(
            exchange=f"{self._namespace}.commands",
            routing_key=ordered.routing_key,
            body=ordered.body,
            properties=Properties(**properties),
        )
        self._sent_s[ordered.id] = time.monotonic()
        assert self._publisher.publish([one], PUBLISH_WITHIN) == [PublishOutcome.CONFIRMED]

    def _gather(self) -> None:
        found = self._replies.receive(50, timedelta(milliseconds=10))
        for one in found:
            sent_s = self._sent_s.pop(one.properties.correlation_id or "", None)
            if sent_s is not None:
                self.waited_s.append(time.monotonic() - sent_s)
        self._replies.acknowledge(found)


@contextmanager
def watched(pids: Sequence[int]) -> Iterator[list[Watch]]:
    """Watch these processes for a while."""
    watches = [Watch(pid) for pid in pids]
    for watch in watches:
        watch.start()
    try:
        yield watches
    finally:
        for watch in watches:
            watch.stop()
