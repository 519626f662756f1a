"""The audit of a command on an error: who ordered what, why, and which revision was found."""

from __future__ import annotations

from datetime import datetime

from messages.commands import Command
from messages.errors import Handling
from store.jobs import Job


def handling_of(command: Command, revision: int, now: datetime, effect: str = "") -> Handling:
    """Return the line of an error's history about ``command``; ``revision`` is the error's, as it was found."""
    return Handling(
        at=now,
        command=command.name,
        id=command.id,
        by=named(command.source, command.user_id),
        reason=command.reason,
        revision=revision,
        effect=effect,
    )


def handling_of_job(job: Job, revision: int, now: datetime, effect: str = "") -> Handling:
    """Return the same of a command that is carried out as a job."""
    return Handling(
        at=now,
        command=job.name,
        id=job.command,
        by=named(job.by, job.user_id),
        reason=job.reason,
        revision=revision,
        effect=effect,
    )


def named(source: str, user_id: str | None) -> str:
    """Who ordered, as the command says, and in brackets as the broker says, where it does."""
    return source if user_id is None else f"{source} ({user_id})"
