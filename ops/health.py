"""What ``recouple health`` looks at. Store and broker are asked apart: where one is away, the other is still told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from messages.masking import masked
from messages.topology import (
    changes_queue,
    commands_queue,
    dead_queue,
    errors_queue,
    instructions_queue,
    topology,
)
from messages.transport.ports import Broker, BrokerUnavailableError
from ops.jobs_view import job_row
from ops.printing import counted
from ops.wiring import Session
from ops.worker_health import WorkerHealth, ask_worker, worker_problem
from store import jobs as job_store
from store import overview
from store import pauses as pause_store
from store.connect import Store
from store.failures import StoreNotReadyError, StoreUnavailableError
from store.jobs import JobStatus
from store.overview import Backlog, InFlight, Standings
from store.pauses import Pause
from store.revisions import current_revision, head_revision
from workers.address import Address
from workers.exposure import exposed
from workers.mapping_file import MappingFileError, load_mapping_file

STUCK_AFTER = timedelta(minutes=1)
"""What is due, or committed and not published, for so long waits for a worker that is not there."""

MAX_JOBS = 100
"""So many running jobs are listed."""


class State(StrEnum):
    """How a part of the installation is."""

    READY = "ready"
    """As it should be."""
    NOT_READY = "not_ready"
    """There, and something is missing: ``detail`` says what."""
    AWAY = "away"
    """It does not answer."""


class StoreHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How the store is and what it tells; every part but the first four is ``None`` where it tells nothing.

    Attributes:
        revision: Of its tables; ``needs`` is the one of this version.
        due: Work of the timers that is overdue.
        paused: Apps and mappings, since when, by whom and why.
        jobs: Those that are running.
    """

    state: State
    url: str
    needs: str
    detail: str | None = None
    revision: str | None = None
    outbox: Backlog | None = None
    due: Backlog | None = None
    errors: list[Standings] | None = None
    instructions: list[InFlight] | None = None
    paused: list[Pause] | None = None
    jobs: list[dict[str, Any]] | None = None


class QueueHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One queue; ``depth`` is ``None`` where it does not exist."""

    queue: str
    depth: int | None
    full: bool = False


class BrokerHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How the broker is: what is missing of the topology, a sentence each, and what waits where."""

    state: State
    url: str
    detail: str | None = None
    missing: list[str] = []
    queues: list[QueueHealth] = []


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How the whole is.

    Attributes:
        healthy: Nothing needs a person to make it work.
        problems: What does, a sentence each.
        warnings: What a person may want to know.
    """

    healthy: bool
    problems: list[str]
    warnings: list[str]
    store: StoreHealth
    broker: BrokerHealth
    workers: list[WorkerHealth] = []


def look(current: Session, workers: Sequence[Address] = ()) -> Health:
    """Ask the store, the broker and these workers how they are, and say what needs a person."""
    problems = []
    try:
        apps = list(load_mapping_file(current.settings.config).apps)
    except MappingFileError as error:
        problems.append(str(error))
        apps = []
    store, broker = _store(current), _broker(current, apps)
    problems += _problems(store, broker, current.now())
    asked = [ask_worker(one) for one in workers]
    problems += [problem for one in asked if (problem := worker_problem(one)) is not None]
    warnings = _warnings(store, broker, current.settings.namespace) + [str(one) for one in exposed(current.settings)]
    return Health(healthy=not problems, problems=problems, warnings=warnings, store=store, broker=broker, workers=asked)


def _store(current: Session) -> StoreHealth:
    store = current.open_store()
    found = StoreHealth(state=State.READY, url=store.url, needs=head_revision())
    try:
        return _asked(store, found, current.now())
    except StoreUnavailableError as error:
        return msgspec.structs.replace(found, state=State.AWAY, detail=str(error))
    finally:
        store.close()


def _asked(store: Store, found: StoreHealth, now: datetime) -> StoreHealth:
    with store.reading() as conn:
        found = msgspec.structs.replace(found, revision=current_revision(conn))
    try:
        store.check_ready()
    except StoreNotReadyError as error:
        return msgspec.structs.replace(found, state=State.NOT_READY, detail=str(error))
    with store.reading() as conn:
        return msgspec.structs.replace(
            found,
            outbox=overview.outbox(conn),
            due=overview.overdue(conn, now),
            errors=overview.errors(conn),
            instructions=overview.instructions(conn),
            paused=list(pause_store.read(conn)),
            jobs=[job_row(one) for one in job_store.page(conn, MAX_JOBS, status=JobStatus.RUNNING)],
        )


def _broker(current: Session, apps: list[str]) -> BrokerHealth:
    settings = current.settings
    ns, found = settings.namespace, BrokerHealth(state=State.READY, url=masked(settings.broker_url))
    broker = current.broker()
    try:
        missing = broker.missing(topology(ns, apps, settings.errors_max_length))
    except BrokerUnavailableError as error:
        return msgspec.structs.replace(found, state=State.AWAY, detail=str(error))
    names = [changes_queue(ns, app) for app in apps] + [instructions_queue(ns, app) for app in apps]
    names += [commands_queue(ns), errors_queue(ns), dead_queue(ns)]
    limits = {errors_queue(ns): settings.errors_max_length}
    return msgspec.structs.replace(
        found,
        state=State.NOT_READY if missing else State.READY,
        missing=missing,
        queues=[_queue(broker, name, limits.get(name)) for name in names],
    )


def _queue(broker: Broker, name: str, limit: int | None) -> QueueHealth:
    try:
        depth = broker.depth(name)
    except BrokerUnavailableError:  # it is among those that are missing
        return QueueHealth(queue=name, depth=None)
    return QueueHealth(queue=name, depth=depth, full=limit is not None and depth >= limit)


def _problems(store: StoreHealth, broker: BrokerHealth, now: datetime) -> list[str]:
    found = [f"The store: {store.detail}"] if store.state is not State.READY else []
    if broker.state is State.AWAY:
        found.append(f"The broker: {broker.detail}")
    if broker.missing:
        found.append(f"The broker: {'; '.join(broker.missing)}: run `recouple setup`")
    for what, backlog, role in (
        ("Committed messages wait to be published", store.outbox, "relay"),
        ("Work is overdue", store.due, "timers"),
    ):
        if backlog is not None and backlog.ready_at is not None and now - backlog.ready_at > STUCK_AFTER:
            found.append(
                f"{what}, {backlog.waiting:,} of them: does a worker with the role {role} run? (`recouple work`)"
            )
    return found


def _warnings(store: StoreHealth, broker: BrokerHealth, ns: str) -> list[str]:
    found = []
    for pause in store.paused or ():
        why = f": {pause.reason}" if pause.reason else ""
        look = "" if pause.error is None else f"look first with `recouple show {pause.error}`, then "
        resume = f"go on with `recouple resume --{pause.scope} {pause.name}`"
        found.append(f"The {pause} is paused by {pause.by}{why}; {look}{resume}")
    found += [
        f"{one.app} has not answered {counted(one.unanswered, 'instruction')} in time: does its adapter run?"
        for one in store.instructions or ()
        if one.unanswered
    ]
    depths = {one.queue: one.depth or 0 for one in broker.queues}
    dead = depths.get(dead_queue(ns), 0)
    if dead:
        found.append(f"{dead:,} dead messages: `recouple dead` says why")
    if any(one.full for one in broker.queues):
        found.append("The error queue is full: the oldest messages go; the store has every error (`recouple errors`)")
    return found
