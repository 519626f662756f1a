"""``recouple health``: whether all works, and what a person has to do where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import typer
from rich.table import Table

from ops.health import BrokerHealth, Health, StoreHealth, look
from ops.options import AsJson, read_address
from ops.printing import age_text, counted, make_table, plain, say, time_text
from ops.telling import counters_text
from ops.wiring import ExitCode, session
from store.overview import Backlog


def health(
    *,
    worker: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST:PORT", help="Ask this worker, too, at its RECOUPLE_HTTP; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say how store, broker, queues and work stand.

    Exit code 0: all works, whatever the warnings. 1: something needs a person
    before it works again; the store or the broker is away, queues are missing,
    work waits for a worker that does not run, or a worker that was asked does
    not answer or cannot work.
    """
    with session(as_json=as_json) as current:
        found = look(current, [read_address(one) for one in worker or ()])
        if as_json:
            current.write_json(found)
        else:
            now = current.now()
            current.out.print(facts_table(found, now))
            if found.broker.queues:
                current.out.print()
                current.out.print(queues_table(found.broker))
            for sentence in found.warnings:
                say(current.err, f"Warning: {sentence}", "yellow")
            for sentence in found.problems:
                say(current.err, f"Problem: {sentence}", "red")
            say(current.out, "\nHealthy." if found.healthy else f"\n{counted(len(found.problems), 'problem')}.")
        raise typer.Exit(ExitCode.DONE if found.healthy else ExitCode.REFUSED)


def facts_table(found: Health, now: datetime) -> Table:
    """Return what is known of store, broker and work, a line each."""
    table = make_table("", "")
    table.show_header = False
    table.add_row(plain("store", "dim"), plain(f"{found.store.state.replace('_', ' ')}, {_revision(found.store)}"))
    table.add_row(plain("broker", "dim"), plain(f"{found.broker.state.replace('_', ' ')}, {found.broker.url}"))
    for one in found.workers:
        table.add_row(plain(f"worker {one.address}", "dim"), plain(one.state.replace("_", " ")))
    for name, fact in _facts(found.store, now):
        table.add_row(plain(name, "dim"), plain(fact))
    return table


def queues_table(broker: BrokerHealth) -> Table:
    """Return what waits in each queue."""
    table = make_table("queue", "waiting", "", right=("waiting",))
    for one in broker.queues:
        table.add_row(
            plain(one.queue), plain("missing" if one.depth is None else f"{one.depth:,}"), "full" if one.full else ""
        )
    return table


def _revision(store: StoreHealth) -> str:
    needed = "" if store.revision == store.needs else f" (needs {store.needs})"
    return f"revision {store.revision or 'unknown'}{needed}, {store.url}"


def _facts(store: StoreHealth, now: datetime) -> Iterator[tuple[str, str]]:
    if store.outbox is not None:
        yield "outbox", _backlog(store.outbox, "message", now)
    if store.due is not None:
        yield "overdue", _backlog(store.due, "piece of work", now, "pieces of work")
    for errors in store.errors or ():
        more = f", {errors.resolving:,} being resolved" if errors.resolving else ""
        yield f"{errors.family.replace('_', '-')} errors", f"{errors.open:,} open{more}"
    for flight in store.instructions or ():
        states = (("sent", flight.sent), ("backing off", flight.backing_off), ("unanswered", flight.unanswered))
        yield f"instructions to {flight.app}", ", ".join(f"{many:,} {word}" for word, many in states if many)
    for pause in store.paused or ():
        why = f": {pause.reason}" if pause.reason else ""
        yield f"paused {pause}", f"since {time_text(pause.at)} ({age_text(pause.at, now)}), by {pause.by}{why}"
    for job in store.jobs or ():
        of = "" if job["total"] is None else f" of {job['total']:,}"
        yield f"job {job['job']}", f"{job['command']}, {job['done']:,}{of}: {counters_text(job)}"


def _backlog(backlog: Backlog, one: str, now: datetime, many: str | None = None) -> str:
    since = "" if backlog.oldest_at is None else f", the oldest for {age_text(backlog.oldest_at, now)}"
    return f"{counted(backlog.waiting, one, many)}{since}"
