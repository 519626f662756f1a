"""The ledger of a run: all that was published to Recouple, and all that came from it, by id and by content."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.acceptance.clients import REPLIES
from tests.acceptance.wire import Message, Received

CONTENT = ("action", "table", "key", "fields", "if_version", "coupling")
"""What makes an instruction the same when it comes again; only its attempt may differ."""


class Given(NamedTuple):
    """One attempt of an instruction as an app received it."""

    id: str
    attempt: int


class Ledger:
    """What was said and heard. Thread-safe.

    Attributes:
        published: By app, or ``ops``, the ids of what was published and is to be handled.
        poison: The bodies that were published and are to be dead.
        instructions: How often each attempt of each instruction arrived.
        contents: The contents under which each instruction arrived; more than one is a fault.
        told: By number of the error, the revisions that arrived.
        answers: By command, its answers.
        bodies: By queue, id and attempt, the digests of what arrived; more than one is a fault.
        dead: The bodies that arrived in the dead queue.
        repeated: How many messages arrived more than once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.published: dict[str, set[str]] = defaultdict(set)
        self.poison: set[bytes] = set()
        self.instructions: Counter[Given] = Counter()
        self.contents: dict[str, set[str]] = defaultdict(set)
        self.told: dict[int, set[int]] = defaultdict(set)
        self.answers: dict[str, Counter[str]] = defaultdict(Counter)
        self.bodies: dict[tuple[str, str, int], set[str]] = defaultdict(set)
        self.dead: Counter[bytes] = Counter()
        self.repeated = 0

    @property
    def events(self) -> int:
        """How many messages were published."""
        return sum(map(len, self.published.values()))

    def publish(self, message: Message) -> None:
        """Note what is going to be published, as often as it takes."""
        with self._lock:
            if message.body in self.poison:
                return
            app = "ops" if message.exchange == "commands" else message.routing_key.split(".", 1)[0]
            self.published[app].add(message.id)

    def spoil(self, message: Message) -> None:
        """Note what is going to be published and can only be dead."""
        with self._lock:
            self.poison.add(message.body)

    def receive(self, queue: str, received: Received) -> bool:
        """Note what arrived; say whether it is heard for the first time."""
        with self._lock:
            if queue == "dead":
                self.dead[received.body] += 1
                return self.dead[received.body] == 1
            event = received.event
            attempt = event["data"].get("attempt", 1) if queue.startswith("instructions.") else 1
            seen = self.bodies[queue, event["id"], attempt]
            first, digest = not seen, _digest(queue, event, received.body)
            seen.add(digest)
            self.repeated += not first
            self._file(queue, event, attempt, digest)
            return first

    def _file(self, queue: str, event: Mapping[str, Any], attempt: int, digest: str) -> None:
        data = event["data"]
        if queue.startswith("instructions."):
            self.instructions[Given(event["id"], attempt)] += 1
            content = json.dumps({name: data[name] for name in CONTENT}, sort_keys=True)
            self.contents[event["id"]].add(f"{queue} {content}")
        elif queue == "errors":
            self.told[data["error"]].add(data["revision"])
        else:
            self.answers[event["id"]][digest] += 1


def _digest(queue: str, event: Mapping[str, Any], body: bytes) -> str:
    """Return the digest of what may not differ: every byte, but for when an answer was given again."""
    if queue == REPLIES:
        body = json.dumps({**event, "time": ""}, sort_keys=True).encode()
    return hashlib.sha256(body).hexdigest()
