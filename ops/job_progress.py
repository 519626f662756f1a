"""How far a job is, while we wait for its answer: a bar where a person watches, and a reason to go on waiting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from messages.commands import Command
from ops.ordering import Look
from ops.telling import counters_text
from ops.wiring import FAILED, Session
from store import jobs as job_store
from store.connect import Store
from store.jobs import Job
from workers.settings import SettingsError


@contextmanager
def job_progress(session: Session, command: Command) -> Iterator[Look]:
    """Give what looks how far the job of ``command`` is and says whether it has got on.

    Without the store, or where it is away, nothing is known, and the answer is awaited all the same.
    """
    with ExitStack() as stack:
        shown = stack.enter_context(_bar(session.err))
        task = shown.add_task(f"{command.name}: waiting for a worker", total=None)
        store = _store(session)
        if store is not None:
            stack.callback(store.close)
        reached = -1

        def look() -> bool:
            nonlocal reached
            job = None if store is None else _job(store, command.id)
            if job is None or job.done == reached:
                return False
            reached = job.done
            told = f"job {job.number}, {command.name}: {counters_text(counts_of(job))}"
            shown.update(task, description=told, total=job.total, completed=job.done)
            return True

        yield look


def counts_of(job: Job) -> dict[str, int]:
    """Return the counters by their names."""
    return {name: getattr(job.counters, name) for name in job.counters.__struct_fields__}


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _store(session: Session) -> Store | None:
    try:
        return session.open_store()
    except (SettingsError, *FAILED):
        return None


def _job(store: Store, command: str) -> Job | None:
    try:
        with store.reading() as conn:
            return job_store.by_command(conn, command)
    except FAILED:
        return None
