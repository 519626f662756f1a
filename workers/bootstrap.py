"""Wiring: the one file that knows everybody. Settings become a store, a broker, loops and threads, and stop again."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from types import FrameType
from typing import NamedTuple

import msgspec

from messages.codec import Limits
from messages.topology import changes_queue, commands_queue, topology
from messages.transport.connect import connect
from messages.transport.ports import Broker, BrokerUnavailableError
from messages.transport.urls import masked
from store import due as due_store
from store import outbox as outbox_store
from store.connect import Store, open_store
from store.failures import StoreUnavailableError
from store.migrate import migrate
from store.revisions import head_revision
from workers.changes import handle_changes
from workers.consume import DRAIN_WAIT, RECEIVE_WAIT, Consuming, Job, Loop, Relaying, Timing, Workplace, handle_commands
from workers.context import Context
from workers.logs import get_logger, set_up_logging
from workers.loops import Idleness, run_loop
from workers.mapping_file import load_mapping_file
from workers.retention import Keep, Retaining
from workers.rules.failures import Patience
from workers.settings import Settings

log = get_logger("workers.bootstrap")

DRAIN_LOOK_S = 0.05
DRAIN_STEPS = 2
"""A drained loop has found nothing to do this often in a row, and nothing happened in between."""


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


class SetupReport(msgspec.Struct, frozen=True, kw_only=True):
    """What ``recouple setup`` found and made."""

    store: str
    revision: str
    broker: str
    declared: tuple[str, ...]
    mappings: tuple[str, ...]


class NotSetUpError(Exception):
    """Queues or exchanges are missing; says which, and that ``recouple setup`` makes them."""


class Doors(NamedTuple):
    """How a worker reaches the world; the fault suite puts doors of its own in, through which a process can die."""

    connect: Callable[[str], Broker] = connect
    open_store: Callable[[str], Store] = open_store


DOORS = Doors()


def utc_now() -> datetime:
    """The one clock."""
    return datetime.now(UTC)


def context_of(settings: Settings) -> Context:
    """Return what the jobs are given.

    Raises:
        MappingFileError: the mapping file is faulty; all faults are named.
    """
    patience = Patience(first=settings.retry_first, ceiling=settings.retry_ceiling, limit=settings.retry_limit)
    return Context(
        file=load_mapping_file(settings.config),
        tokens=lambda: uuid.uuid4().hex[:16],
        namespace=settings.namespace,
        limits=Limits(max_body_bytes=settings.max_message_bytes),
        patience=patience,
        outbox_lease=settings.outbox_lease,
    )


def setup(settings: Settings) -> SetupReport:
    """Migrate the store, declare the topology, check the mapping file; repeating it changes nothing.

    Raises:
        MappingFileError, StoreUnavailableError, StoreNotReadyError, BrokerUnavailableError, TopologyMismatchError
    """
    context = context_of(settings)
    migrate(settings.store_url)
    declared = topology(settings.namespace, context.file.apps, settings.errors_max_length)
    connect(settings.broker_url).declare(declared)
    store = open_store(settings.store_url)
    try:
        return SetupReport(
            store=store.url,
            revision=head_revision(),
            broker=masked(settings.broker_url),
            declared=tuple(queue.name for queue in declared.queues),
            mappings=tuple(context.file.mappings),
        )
    finally:
        store.close()


def work(settings: Settings, plan: WorkPlan, doors: Doors = DOORS) -> int:
    """Work until SIGTERM or SIGINT, or until everything is drained; return the exit code."""
    set_up_logging(settings.log_format, settings.log_level)
    if plan.processes > 1:
        return _work_in_processes(settings, plan)
    asked: list[int] = []

    def ask_to_stop(number: int, _frame: FrameType | None) -> None:
        if asked:
            os._exit(1)  # asked twice: at once, what is unacknowledged comes again
        asked.append(number)  # no more than that: it must take no lock that the main thread may hold

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)
    return run_worker(settings, plan, threading.Event(), asked, doors)


def run_worker(
    settings: Settings, plan: WorkPlan, stop: threading.Event, asked: Sequence[int] = (), doors: Doors = DOORS
) -> int:
    """Run the loops of one process until ``stop`` is set; return the exit code.

    Args:
        asked: Signals that have come; the first ends the worker.

    Raises:
        NotSetUpError, StoreNotReadyError: run ``recouple setup`` first.
        MappingFileError: the mapping file is faulty.
    """
    context = context_of(settings)
    broker, store = doors.connect(settings.broker_url), doors.open_store(settings.store_url)
    _wait_for_the_world(settings, context, store, broker, _ReadyOr(stop, asked))
    place = Workplace(store, context, utc_now)
    idleness, failed = Idleness(), threading.Event()
    loops = _loops(settings, plan, place, broker)
    threads = [
        threading.Thread(target=_guarded, args=(loop, stop, idleness, failed), name=loop.name, daemon=True)
        for loop in loops
    ]
    for thread in threads:
        thread.start()
    log.info("worker.started", roles=list(plan.roles), namespace=settings.namespace)
    while not stop.is_set():
        time.sleep(DRAIN_LOOK_S)
        if asked:
            log.info("worker.stopping", signal=signal.Signals(asked[0]).name)
            stop.set()
        elif plan.drain and _drained(settings, plan, place, broker, (idleness, loops)):
            stop.set()
    place.call()
    deadline = time.monotonic() + settings.shutdown_within.total_seconds()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = [thread.name for thread in threads if thread.is_alive()]
    store.close()
    log.info("worker.stopped", late=late)
    return 1 if failed.is_set() or late else 0


def _wait_for_the_world(settings: Settings, context: Context, store: Store, broker: Broker, ready: _ReadyOr) -> None:
    """See that store and broker are there and set up, waiting for them while they are away."""
    declared = topology(settings.namespace, context.file.apps, settings.errors_max_length)

    def look() -> bool:
        store.check_ready()
        missing = broker.missing(declared)
        if missing:
            raise NotSetUpError("; ".join([*missing, "run `recouple setup`"]))
        ready.set()
        return True

    run_loop("start", look, ready, Idleness(), random.random)


class _ReadyOr:
    """Ends the waiting at the start: when the world is there, or when the worker is to stop."""

    def __init__(self, stop: threading.Event, asked: Sequence[int]) -> None:
        self._stop, self._asked, self._ready = stop, asked, False

    def set(self) -> None:
        self._ready = True

    def is_set(self) -> bool:
        return self._ready or self._stop.is_set() or bool(self._asked)

    def wait(self, timeout: float | None = None) -> bool:
        until = time.monotonic() + (timeout or 0.0)
        while not self.is_set() and time.monotonic() < until:
            time.sleep(DRAIN_LOOK_S)
        return self.is_set()


def _loops(settings: Settings, plan: WorkPlan, place: Workplace, broker: Broker) -> list[Loop]:
    batch, ns = settings.batch_size, settings.namespace
    wait = DRAIN_WAIT if plan.drain else RECEIVE_WAIT
    made: list[Loop] = []
    if Role.CHANGES in plan.roles:
        queues = [changes_queue(ns, app) for app in plan.apps or place.context.file.apps]
        consumer = broker.consumer(queues, prefetch=2 * batch)
        made.append(Consuming(Job("changes", handle_changes, batch), consumer, place, wait))
    if Role.COMMANDS in plan.roles:
        consumer = broker.consumer([commands_queue(ns)], prefetch=10)
        made.append(Consuming(Job("commands", handle_commands, 1), consumer, place, wait))
    if Role.RELAY in plan.roles:
        made.append(Relaying(broker.publisher(), place, batch))
    if Role.TIMERS in plan.roles:
        made.append(Timing(place, batch))
        keep = Keep(errors=settings.keep_errors, log=settings.keep_log, handled=settings.keep_handled)
        made.append(Retaining(place.store, keep, utc_now, wait, random.random))
    return made


def _guarded(loop: Loop, stop: threading.Event, idleness: Idleness, failed: threading.Event) -> None:
    try:
        run_loop(loop.name, loop.step, stop, idleness, random.random)
    except Exception as fault:  # a thread has nobody above it: say so and stop the whole worker
        log.error("worker.failed", loop=loop.name, exc_info=fault)
        failed.set()
    finally:
        stop.set()
        loop.close()


def _drained(
    settings: Settings, plan: WorkPlan, place: Workplace, broker: Broker, idle: tuple[Idleness, list[Loop]]
) -> bool:
    """Say whether queues, outbox and work due now are empty and every loop has seen so."""
    idleness, loops = idle
    before = idleness.works
    if _at_work(loops) or not idleness.settled(len(loops), DRAIN_STEPS):
        return False
    ns = settings.namespace
    queues = [changes_queue(ns, app) for app in plan.apps or place.context.file.apps] + [commands_queue(ns)]
    try:
        with place.store.reading() as conn:
            # In this order: what due work leaves behind is in the outbox by the time its row is gone.
            left = due_store.count(conn, place.clock()) + outbox_store.count(conn)
        left += sum(broker.depth(queue) for queue in queues)
    except (BrokerUnavailableError, StoreUnavailableError):
        return False
    if left or _at_work(loops):  # before and after: a batch at hand is in no queue, and not in the outbox yet
        return False
    return idleness.works == before and idleness.settled(len(loops), DRAIN_STEPS)


def _at_work(loops: Sequence[Loop]) -> bool:
    return any(isinstance(loop, Consuming) and loop.at_work for loop in loops)


def _work_in_processes(settings: Settings, plan: WorkPlan) -> int:
    """Run several workers side by side; when one fails the others stop, and whoever supervises us starts anew."""
    spawn = multiprocessing.get_context("spawn")
    one = msgspec.structs.replace(plan, processes=1)
    children = [spawn.Process(target=_child, args=(settings, one), name=f"worker-{i}") for i in range(plan.processes)]
    for child in children:
        child.start()

    told: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if not told:
            told.append(number)
            for child in children:
                child.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    codes: list[int] = []
    while len(codes) < len(children):
        codes = []
        for child in children:
            child.join(DRAIN_LOOK_S)
            if child.exitcode is not None:  # one that was told before it could listen has left in good order, too
                codes.append(0 if told and child.exitcode == -signal.SIGTERM else child.exitcode)
        if any(codes):
            pass_on(0, None)
    return 1 if any(codes) else 0


def _child(settings: Settings, plan: WorkPlan) -> None:
    raise SystemExit(work(settings, plan))
