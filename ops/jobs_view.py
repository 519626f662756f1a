"""``recouple jobs``: bulk work and manual synchronizations, how far they are and what they have counted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Group, RenderableType
from rich.table import Table
from sqlalchemy import Connection

from messages.values import decode_json
from ops.error_view import mapping_of
from ops.job_progress import counts_of
from ops.options import DEFAULT_LIMIT, MAX_NUMBER, After, AsJson, Every, Limit, Watch
from ops.printing import age_text, make_table, plain, say, time_text
from ops.telling import counters_text
from ops.watching import WATCH_EVERY, Rows, watch
from ops.wiring import ExitCode, Session, session
from store import jobs as job_store
from store.jobs import Job, JobLine, JobStatus
from workers.mapping import Mapping
from workers.rules.updates import MASK


def jobs(  # noqa: PLR0913 - one parameter for each option
    job: Annotated[
        int | None,
        typer.Argument(metavar="JOB", min=1, max=MAX_NUMBER, help="Only this one, with its lines.", show_default=False),
    ] = None,
    *,
    limit: Limit = DEFAULT_LIMIT,
    after: After = 0,
    watching: Watch = False,
    every: Every = None,
    as_json: AsJson = False,
) -> None:
    """List jobs, the newest first, or show one with a line for each record that it has to say something of.

    Counted is what was instructed; what an app then refuses shows as an error.
    """
    with session(as_json=as_json) as current, current.store() as store:
        if job is not None and watching:
            raise typer.BadParameter("it watches the list; name no job", param_hint="--watch")
        if watching:

            def read() -> Rows:
                with store.reading() as conn:
                    return {row["job"]: row for row in map(job_row, job_store.page(conn, limit, after or None))}

            watch(current, every or WATCH_EVERY, read, lambda rows: jobs_table(list(rows.values()), current.now()))
            return
        with store.reading() as conn:
            code = _list(current, conn, limit, after) if job is None else _show(current, conn, job, (limit, after))
        raise typer.Exit(code)


def job_row(job: Job) -> dict[str, Any]:
    """Return a job as a row of ``recouple jobs --json``: its counters by their names, beside what else it knows."""
    return {
        "job": job.number,
        "command": job.name,
        "id": job.command,
        "status": job.status,
        "by": job.by,
        "reason": job.reason,
        "mapping": job.mapping,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "total": job.total,
        "done": job.done,
        **counts_of(job),
        **job.extra,
    }


def jobs_table(rows: list[dict[str, Any]], now: datetime) -> Table:
    """Return the list: what, how far, what it counted, who ordered it and how long it took."""
    table = make_table(
        "job", "command", "mapping", "done", "counted", "by", "age", "took", right=("job", "age", "took")
    )
    for row in rows:
        table.add_row(
            plain(row["job"]),
            plain(row["command"]),
            plain(row["mapping"]),
            plain(_reached(row)),
            plain(counters_text(row)),
            plain(row["by"]),
            plain(age_text(row["started_at"], now)),
            plain(_took(row, now)),
        )
    return table


def _list(current: Session, conn: Connection, limit: int, after: int) -> ExitCode:
    found = [job_row(one) for one in job_store.page(conn, limit + 1, after or None)]
    page = found[:limit]
    if current.as_json:
        current.write_json(page)
    elif page:
        current.out.print(jobs_table(page, current.now()))
    else:
        say(current.out, "No further jobs." if after else "No jobs.")
    if len(found) > len(page):
        current.note(f"There are older ones: --after {page[-1]['job']}")
    return ExitCode.DONE


def _show(current: Session, conn: Connection, number: int, page: tuple[int, int]) -> ExitCode:
    limit, after = page
    job = job_store.get(conn, number)
    if job is None:
        sentence = f"There is no job {number}; `recouple jobs` lists them."
        say(current.err, sentence, "red")
        if current.as_json:
            current.write_json({"error": sentence})
        return ExitCode.REFUSED
    found = job_store.lines(conn, number, limit + 1, after)
    lines = found[:limit]
    if current.as_json:
        data = _masked(decode_json(job.body), mapping_of(current, job.mapping or ""))
        current.write_json({**job_row(job), "data": data, "lines": [msgspec.structs.asdict(one) for one in lines]})
    else:
        current.out.print(_described(job, lines, current.now()))
    if len(found) > len(lines):
        current.note(f"There are more lines: --after {lines[-1].id}")
    return ExitCode.DONE


def _masked(data: dict[str, Any], mapping: Mapping | None) -> dict[str, Any]:
    """Mask the values typed for sensitive fields; where it is not known which those are, all of them."""
    typed = data.get("values")
    if not typed:
        return data
    shown = {field.name for field in mapping.fields if not field.sensitive} if mapping is not None else set()
    return {**data, "values": {name: value if name in shown else MASK for name, value in typed.items()}}


def _described(job: Job, lines: list[JobLine], now: datetime) -> RenderableType:
    row = job_row(job)
    facts = make_table("", "")
    facts.show_header = False
    for name, value in (
        ("ordered by", job.by),
        ("because", job.reason),
        ("command", f"{job.name}, {job.command}"),
        ("mapping", job.mapping),
        ("started", f"{time_text(job.started_at)} ({age_text(job.started_at, now)} ago)"),
        ("finished", time_text(job.finished_at)),
        ("looked at", _reached(row)),
        ("counted", counters_text(row)),
        *((name.replace("_", " "), value) for name, value in job.extra.items()),
    ):
        facts.add_row(plain(name, "dim"), plain(value))
    title = plain(f"Job {job.number}: {job.name}, {job.status}", "bold")
    if not lines:
        return Group(title, facts)
    table = make_table("record", "outcome", "what")
    for line in lines:
        table.add_row(plain(line.record), plain(line.outcome), plain(line.detail))
    return Group(title, facts, "", table)


def _reached(row: dict[str, Any]) -> str:
    of = "" if row["total"] is None else f" of {row['total']:,}"
    return f"{row['done']:,}{of}"


def _took(row: dict[str, Any], now: datetime) -> str:
    if row["status"] == JobStatus.RUNNING:
        return "running"
    took: timedelta = (row["finished_at"] or now) - row["started_at"]
    return (
        f"{took.total_seconds():.1f}s"
        if took < timedelta(minutes=1)
        else age_text(row["started_at"], row["finished_at"])
    )
