"""Wiring: the one file that knows everybody. Settings become a store, a broker, loops and threads, and stop again."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import FrameType
from typing import NamedTuple

import msgspec

from messages.codec import Limits
from messages.masking import masked
from messages.topology import changes_queue, commands_queue, topology
from messages.transport.connect import connect
from messages.transport.ports import Broker
from store.connect import Store, open_store
from store.migrate import migrate
from store.revisions import head_revision
from workers.changes import handle_changes
from workers.consume import DRAIN_WAIT, RECEIVE_WAIT, Consuming, Job, Relaying, handle_commands
from workers.context import Context
from workers.draining import Draining
from workers.endpoint import EndpointError, addresses_of
from workers.exposure import exposed
from workers.garbage import look_less_often
from workers.gauges import Scrape
from workers.leaving import LATE_EXIT_CODE, leaving_in_time
from workers.listening import Listening
from workers.logs import get_logger, set_up_logging
from workers.loops import run_loop
from workers.mapping_file import load_mapping_file
from workers.plan import Role, WorkPlan
from workers.processes import work_in_processes
from workers.progress import Progress
from workers.retention import Keep, Retaining
from workers.rules.failures import Patience
from workers.settings import Settings
from workers.starting import LOOK_S, NotSetUpError, ReadyOr, first_look
from workers.threads import Threads
from workers.timing import Timing
from workers.watched import watched
from workers.workplace import Loop, Workplace

log = get_logger("workers.bootstrap")

__all__ = [
    "DOORS",
    "Doors",
    "EndpointError",
    "NotSetUpError",
    "Role",
    "SetupReport",
    "WorkPlan",
    "context_of",
    "run_worker",
    "setup",
    "utc_now",
    "work",
]


class SetupReport(msgspec.Struct, frozen=True, kw_only=True):
    """What ``recouple setup`` found and made."""

    store: str
    revision: str
    broker: str
    declared: tuple[str, ...]
    mappings: tuple[str, ...]


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
        return work_in_processes(_child, _each(settings, plan))
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
        EndpointError: the worker's endpoint cannot listen where it is to.
    """
    context, ready, progress = context_of(settings), ReadyOr(stop, asked), Progress()
    for one in exposed(settings):
        log.warning("worker.exposed", setting=one.setting, why=one.why)
    broker, store = doors.connect(settings.broker_url), doors.open_store(settings.store_url)
    store.on_answer(progress.sign)
    declared = topology(settings.namespace, context.file.apps, settings.errors_max_length)
    with (
        watched(settings, progress, Scrape(progress, store, utc_now), ready.is_over) as report,
        leaving_in_time(ready.is_over, settings.shutdown_within),
    ):
        run_loop("start", first_look(declared, store, broker, ready), ready, progress, random.random)
        place = Workplace(store, context, utc_now)
        loops = _loops(settings, plan, place, broker)
        report.loops = [loop.name for loop in loops]
        queues = [*_change_queues(settings, plan, context), commands_queue(settings.namespace)]
        draining = Draining(queues, place, broker, loops, progress)
        look_less_often()
        threads = Threads(stop, progress, random.random)
        threads.start(loops)
        log.info("worker.started", roles=list(plan.roles), namespace=settings.namespace)
        _wait(stop, asked, draining if plan.drain else None)
        place.call()
        late = threads.join(settings.shutdown_within)
    store.close()
    log.info("worker.stopped", late=late)
    if late:
        os._exit(LATE_EXIT_CODE)  # the interpreter's own end takes its time, and may trip over threads that hang
    return 1 if threads.failed.is_set() else 0


def _wait(stop: threading.Event, asked: Sequence[int], draining: Draining | None) -> None:
    """Wait until it is time to stop."""
    while not stop.is_set():
        time.sleep(LOOK_S)
        if asked:
            log.info("worker.stopping", signal=signal.Signals(asked[0]).name)
            stop.set()
        elif draining is not None and draining.is_done():
            stop.set()


def _loops(settings: Settings, plan: WorkPlan, place: Workplace, broker: Broker) -> list[Loop]:
    batch, ns = settings.batch_size, settings.namespace
    wait = DRAIN_WAIT if plan.drain else RECEIVE_WAIT
    made: list[Loop] = []
    if Role.CHANGES in plan.roles:
        consumer = broker.consumer(_change_queues(settings, plan, place.context), prefetch=2 * batch)
        job = Job("changes", handle_changes, batch, hands_over=Role.RELAY in plan.roles)
        made.append(Consuming(job, consumer, place, wait))
    if Role.COMMANDS in plan.roles:
        consumer = broker.consumer([commands_queue(ns)], prefetch=10)
        made.append(Consuming(Job("commands", handle_commands, 1), consumer, place, wait))
    if Role.RELAY in plan.roles:
        made.append(Relaying(broker.publisher(), place, batch))
    if Role.TIMERS in plan.roles:
        made.append(Timing(place, batch))
        made.append(Listening(place, broker, wait))
        keep = Keep(errors=settings.keep_errors, log=settings.keep_log, handled=settings.keep_handled)
        made.append(Retaining(place.store, keep, utc_now, wait, random.random))
    return made


def _change_queues(settings: Settings, plan: WorkPlan, context: Context) -> list[str]:
    return [changes_queue(settings.namespace, app) for app in plan.apps or context.file.apps]


def _each(settings: Settings, plan: WorkPlan) -> list[tuple[Settings, WorkPlan]]:
    """What each of several processes is given; each has an endpoint of its own.

    Raises:
        EndpointError: one of them could not listen.
    """
    one = msgspec.structs.replace(plan, processes=1)
    addresses = addresses_of(settings.http, plan.processes)
    return [(msgspec.structs.replace(settings, http=address), one) for address in addresses]


def _child(settings: Settings, plan: WorkPlan) -> None:
    try:
        raise SystemExit(work(settings, plan))
    except EndpointError as error:
        raise SystemExit(str(error)) from None
