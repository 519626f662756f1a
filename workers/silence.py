"""Answers that are overdue: which apps are silent, and which could only not be heard (``rules.silence``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from store import due as due_store
from store import listening as listening_store
from store.due import Due, DueKind
from store.instructions import InstructionRow
from workers.mapping import MappingFile
from workers.rules.silence import rhythm, wait_for_answer


def wait_on(
    conn: Connection, file: MappingFile, items: Sequence[Due], rows: Mapping[str, InstructionRow], now: datetime
) -> list[Due]:
    """Put off those answers for which it is too early to call their app silent; return all other work.

    Args:
        rows: The instructions that the work is about.
    """
    hearings = listening_store.read(conn) if any(one.kind is DueKind.ANSWER for one in items) else {}
    every = rhythm(app.answer_within for app in file.apps.values())
    left, later = list[Due](), list[Due]()
    for item in items:
        row = rows.get(item.instruction or "") if item.kind is DueKind.ANSWER else None
        app = None if row is None else file.apps.get(row.app)
        if row is None or app is None:
            left.append(item)
            continue
        due_at = row.sent.due_at or item.due_at
        until = wait_for_answer(due_at, app.answer_within, hearings.get(app.name), now, every)
        if until is None:
            left.append(item)
        else:
            later.append(msgspec.structs.replace(item, due_at=until, starts=0))
    due_store.put(conn, later)
    return left
