"""When a job waits: so that what it sends never lies in the way of what others send."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from store import outbox as outbox_store
from store import paces as pace_store
from store.jobs import Job
from workers.context import Context

BACKLOG = 2000
"""A job waits while so many messages wait to be published: a relay is done with them within about a second."""

AHEAD = timedelta(seconds=10)
"""A job waits while an app that may be sent so many a second has its next turn later than this."""

LOOK_AGAIN = timedelta(milliseconds=200)
"""After which time a job that waits looks whether it may go on."""


def must_wait(conn: Connection, context: Context, job: Job, now: datetime) -> bool:
    """Say whether ``job`` is to leave its next chunk for later."""
    if outbox_store.backlog(conn, BACKLOG) >= BACKLOG:
        return True
    paced = [name for name in _apps(context, job) if context.file.apps[name].max_instructions_per_second]
    return any(at > now + AHEAD for at in pace_store.free_at(conn, paced).values())


def _apps(context: Context, job: Job) -> set[str]:
    """The apps to which the job may send; without a mapping that may be any."""
    mapping = context.file.mappings.get(job.mapping or "")
    return set(context.file.apps) if mapping is None else {mapping.left.app, mapping.right.app}
