"""The brake of a mapping: how many deletions and creations towards one app are too many within a minute.

An allowance is a bucket that leaks: each deletion (creation) fills it by one, and a minute empties a full one. So a
truncated table does not empty the other side, and what people do on a normal day never comes near it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from messages.errors import ErrorKind, ErrorReport, ErrorStatus
from messages.instructions import Action
from store.model import Side
from workers.mapping import Mapping
from workers.rules.reports import TITLES
from workers.rules.situation import Decision, Situation

MINUTE = timedelta(minutes=1)
ONE = 1000
"""What one deletion or creation fills, in the store's thousandths."""

_OPTIONS = {Action.DELETE: "max_deletes_per_minute", Action.CREATE: "max_creates_per_minute"}
_NOUNS = {Action.DELETE: "deletions", Action.CREATE: "creations"}


class Limited(NamedTuple):
    """What is limited: deletions, or creations, towards one side of a mapping."""

    mapping: str
    side: Side
    action: Action


def limit_of(mapping: Mapping, action: Action) -> int:
    """How many of them the mapping allows in a minute; 0 where there is no limit."""
    return mapping.max_deletes_per_minute if action is Action.DELETE else mapping.max_creates_per_minute


def counted(situation: Situation) -> bool:
    """Say whether the brake counts what is decided on this situation: not what an operator ordered of one coupling."""
    return situation.ordered is None or situation.ordered.command == "retry_all"


def wanted(decisions: Iterable[tuple[Situation, Decision]]) -> Counter[Limited]:
    """Count the limited instructions that are about to be given."""
    return Counter(
        Limited(situation.mapping.name, sent.side, sent.action)
        for situation, decision in decisions
        if decision.send and counted(situation)
        for sent in decision.send
        if sent.action in _OPTIONS and limit_of(situation.mapping, sent.action)
    )


def leaked(thousandths: int, limit: int, passed: timedelta) -> int:
    """How full an allowance is after this time; a clock that goes back empties nothing."""
    return max(0, thousandths - max(0, limit * ONE * passed // MINUTE))


def limit_exceeded(mapping: Mapping, what: Limited, count: int, number: int, now: datetime) -> ErrorReport:
    """The error that tells why the mapping is paused, and what to do about it."""
    app, option, kind = mapping.app(what.side), _OPTIONS[what.action], ErrorKind.LIMIT_EXCEEDED
    source = mapping.table(what.side.other)
    noun = _NOUNS[what.action]
    detail = (
        f"The mapping {mapping.name} is paused: {count} {noun} towards {app.title} at once would pass its limit of "
        f"{limit_of(mapping, what.action)} a minute, and none of them was sent. Check whether {source} was emptied or "
        f"reloaded by mistake and put it right there; then `recouple resume --mapping {mapping.name}`. If they are "
        f"meant, raise {option} first."
    )
    return ErrorReport(
        error=number,
        kind=kind,
        family=kind.family,
        status=ErrorStatus.OPEN,
        revision=1,
        mapping=mapping.name,
        coupling=None,
        title=TITLES[kind],
        detail=detail,
        actions=("resume",),
        opened_at=now,
        fingerprint=_fingerprint(what),
    )


def _fingerprint(what: Limited) -> str:
    cause = f"{what.mapping}\0{ErrorKind.LIMIT_EXCEEDED}\0{what.side}\0{what.action}"
    return hashlib.blake2b(cause.encode(), digest_size=6).hexdigest()


def over(report: ErrorReport, now: datetime, resolution: str, by: str) -> ErrorReport:
    """The same error, resolved."""
    return msgspec.structs.replace(
        report,
        status=ErrorStatus.RESOLVED,
        revision=report.revision + 1,
        actions=(),
        resolved_at=now,
        resolution=resolution,
        resolved_by=by,
    )
