"""An outage as long as an hour: a worker comes out of it as it went in, in memory, threads and connections."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

import psutil
import pytest

from messages.topology import errors_exchange
from messages.transport.ports import Properties, Publication
from store import outbox as outbox_store
from tests.acceptance.harness import Backend, Stage, open_stage
from tests.acceptance.processes import WorkerProcess
from tests.acceptance.wire import Message, change
from tests.faults.hurried_worker import HURRY
from tests.faults.servers.proxy import Proxy
from tests.services import fresh_database
from workers.loops import LONGEST_WAIT

MAPPING = """
[apps.bc]
[apps.sales]

[[mappings]]
name = "customer"
left = "bc/customer"
right = "sales/account"
only_coupled = false
[[mappings.fields]]
left = "name"
right = "title"
"""

ATTEMPTS = 400
"""Of one loop: at the ceiling of the back-off, 5 to 10 s with its jitter, an hour has some 480."""

GROWTH_BYTES = 16 * 1024 * 1024
"""So much more memory a worker may hold at the end: allocators keep some; a leak at each attempt would be more."""

CONNECTIONS = {"broker": 3, "store": 5}
"""To the broker those of both consumers and of the relay, to the store a pool of five: never more."""

SPARE = 6
"""So many descriptors and threads more a worker may have: its pool opens connections as it needs them."""

EVENTS = 30


class HurriedWorker(WorkerProcess):
    """A worker whose back-off is hurried."""

    command: ClassVar[tuple[str, ...]] = (sys.executable, "-m", "tests.faults.hurried_worker")


class Use(NamedTuple):
    """What a process holds at a moment."""

    rss_bytes: int
    descriptors: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> Use:
        """Look at the process ``pid``."""
        process = psutil.Process(pid)
        return cls(process.memory_info().rss, process.num_fds(), process.num_threads())


class Outage(NamedTuple):
    """A stage whose worker reaches broker and store by way of proxies."""

    stage: Stage
    worker: WorkerProcess
    ways: dict[str, Proxy]

    def is_within(self) -> bool:
        """Say whether the worker has no more connections to each than it may have."""
        return all(way.connections <= CONNECTIONS[name] for name, way in self.ways.items())

    def attempts(self, what: str) -> int:
        """How often the loop that tried most has tried in vain, as far as it has said."""
        return max((line["attempts"] for line in self.worker.events(f"{what}.away")), default=0)


@pytest.fixture
def outage(postgres_url: str, amqp_url: str, tmp_path: Path) -> Iterator[Outage]:
    """A worker that has settled down to its work."""
    with ExitStack() as stack:
        store_url = stack.enter_context(fresh_database(postgres_url))
        ways = {
            "broker": stack.enter_context(Proxy(urlsplit(amqp_url).port or 5672)),
            "store": stack.enter_context(Proxy(urlsplit(store_url).port or 5432)),
        }
        stage = stack.enter_context(open_stage(Backend(store_url, amqp_url), tmp_path, MAPPING))
        environ = stage.environ | {
            "RECOUPLE_STORE_URL": ways["store"].url(store_url),
            "RECOUPLE_BROKER_URL": ways["broker"].url(amqp_url),
        }
        worker = HurriedWorker(tmp_path / "hurried", environ)
        stage.workers.append(worker)
        found = Outage(stage, worker, ways)
        handled(found, creations(0))
        yield found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("away", [("broker",), ("store",), ("broker", "store")], ids=" and ".join)
def test_an_hour_without_the_world_leaves_nothing_behind(
    outage: Outage, away: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Else each attempt would leave a connection, a thread or some memory, and a long night would end the worker."""
    before = Use.of(outage.worker.pid)
    for what in away:
        outage.ways[what].refuse()
        outage.ways[what].cut()
    meanwhile = creations(1)
    outage.stage.publish(*meanwhile)
    with outage.stage.store.transaction() as conn:  # so that the relay, too, has something to try
        outbox_store.put(conn, [(feed_message(outage.stage), None)])
    during: list[Use] = []

    def over() -> bool:
        during.append(Use.of(outage.worker.pid))
        return all(outage.attempts(what) >= ATTEMPTS for what in away[:1])

    outage.stage.wait(over, f"{ATTEMPTS} attempts")
    for what in away:
        outage.ways[what].accept()
    handled(outage, meanwhile)
    handled(outage, creations(2))
    outage.stage.wait(outage.is_within, f"no more connections than {CONNECTIONS}")
    after = Use.of(outage.worker.pid)
    with capsys.disabled():
        tried = f"{outage.attempts(away[0])} attempts"
        sys.stdout.write(f"\n{' and '.join(away)} away, {tried}: {before}, at most {peak(during)}, then {after}\n")

    assert peak(during).rss_bytes <= before.rss_bytes + GROWTH_BYTES
    assert after.rss_bytes <= before.rss_bytes + GROWTH_BYTES
    assert peak(during).descriptors <= before.descriptors + SPARE
    assert peak(during).threads <= before.threads + SPARE
    assert after.descriptors <= before.descriptors + SPARE
    assert after.threads <= before.threads + SPARE
    check_patience(outage.worker, away)


def check_patience(worker: WorkerProcess, away: Sequence[str]) -> None:
    """See that no loop tried more often than its back-off lets it, which would be a busy loop."""
    shortest_ms = LONGEST_WAIT.total_seconds() * 1000 / 2 / HURRY
    told = [line for what in away for line in worker.events(f"{what}.back")]
    assert {line["loop"] for line in told} >= {"changes", "relay"}
    for line in told:
        assert line["attempts"] <= 20 + line["away_ms"] / shortest_ms, line


def creations(turn: int) -> list[Message]:
    """Customers that nobody has yet."""
    return [change(f"bc/customer/{turn}-{number}", "create", 1, {"name": "Ada"}) for number in range(EVENTS)]


def feed_message(stage: Stage) -> Publication:
    """Return something for the error feed, which nobody reads here."""
    return Publication(
        exchange=errors_exchange(stage.namespace), routing_key="x.customer", body=b"{}", properties=Properties()
    )


def handled(outage: Outage, events: Sequence[Message]) -> None:
    """Publish these unless they were before, and see that each has had its effect, and one only."""
    outage.stage.publish(*events)
    outage.stage.wait(partial(_all_handled, outage.stage, events), f"{len(events)} events to be handled")
    outage.stage.quiet()
    for event in events:
        words = outage.stage.outcome(event)
        assert [word for word in words if word != "duplicate"] in (["queued"], ["sent"]), words


def _all_handled(stage: Stage, events: Sequence[Message]) -> bool:
    return all(stage.outcome(event) for event in events)


def peak(uses: Sequence[Any]) -> Use:
    """Return the most of each."""
    return Use(*(max(column) for column in zip(*uses, strict=True)))
