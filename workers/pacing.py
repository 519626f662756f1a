"""The pace of an app: never more instructions in a second than it can take, over all workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace
from sqlalchemy import Connection

from store import paces as pace_store
from store.model import Sent
from workers.rules.desk import Desk


def pace(
    conn: Connection, desk: Desk, going: Sequence[tuple[int, Sent]]
) -> tuple[list[tuple[int, Sent]], dict[str, datetime]]:
    """Give each instruction to an app with a limit its turn, one after the other.

    Call it once in a transaction, before the couplings are saved: an instruction that goes out later has to be answered
    later, and its coupling says so.

    Returns:
        The instructions as they go out, and by id when those go out that have to wait.
    """
    rates = {name: app.max_instructions_per_second for name, app in desk.file.apps.items()}
    numbers = Counter(sent.record.app for _, sent in going if rates.get(sent.record.app))
    if not numbers:
        return list(going), {}
    free = {app: max(at, desk.now) for app, at in pace_store.lock(conn, list(numbers), desk.now).items()}
    paced: list[tuple[int, Sent]] = []
    turns: dict[str, datetime] = {}
    for number, sent in going:
        app = sent.record.app
        if app not in free:
            paced.append((number, sent))
            continue
        if free[app] > desk.now:
            turns[sent.id] = free[app]
        paced.append((number, _later(desk, number, sent, free[app] - desk.now)))
        free[app] += timedelta(seconds=1) / (rates[app] or 1)
    pace_store.save(conn, free)
    return paced, turns


def _later(desk: Desk, number: int, sent: Sent, delay: timedelta) -> Sent:
    """The same instruction, to be answered that much later; its coupling holds it so."""
    if sent.due_at is None or not delay:
        return sent
    later = replace(sent, due_at=sent.due_at + delay)
    coupling = desk.couplings[number]
    desk.put(replace(coupling, flight=tuple(later if one.id == later.id else one for one in coupling.flight)))
    return later
