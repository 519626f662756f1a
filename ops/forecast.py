"""What a bulk command would be about, in numbers: it is too much to be decided beforehand, one by one."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection

from messages.commands import CoupleMatching, Pause, Purge, RefusalCode, RetryAll, Synchronize
from messages.errors import ErrorStatus
from ops.printing import counted
from store import errors as error_store
from store import overview
from store import pauses as pause_store
from store.couplings import Standing
from store.errors import ErrorFilters, Resolved
from store.model import Side
from store.pauses import Scope
from workers.mapping import MappingFile
from workers.refusal import RefusedError
from workers.spelling import did_you_mean


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What would be concerned.

    Attributes:
        sentence: For people.
        concerned: For programs.
    """

    sentence: str
    concerned: dict[str, int]


def of_retries(conn: Connection, what: RetryAll) -> Forecast:
    """Count the open errors that fit."""
    filters = ErrorFilters(
        mapping=what.mapping,
        kind=what.kind,
        code=what.code,
        fingerprint=what.fingerprint,
        status=frozenset({ErrorStatus.OPEN}),
    )
    number = error_store.count(conn, filters)
    sentence = f"{counted(number, 'open error')} would be decided anew, on what records and policies are now."
    return Forecast(sentence=sentence, concerned={"errors": number})


def of_synchronization(conn: Connection, file: MappingFile, what: Synchronize) -> Forecast:
    """Count the couplings of the mapping, by where they stand.

    Raises:
        RefusedError: there is no such mapping.
    """
    mapping = what.mapping or ""
    if mapping not in file.mappings:
        raise _unknown(mapping, file)
    found = overview.couplings(conn, mapping)
    total = sum(found.values())
    stands = ", ".join(f"{number:,} {standing.replace('_', ' ')}" for standing, number in sorted(found.items()))
    sentence = (
        f"{counted(total, 'coupling')} of {mapping} would be synchronized{f' ({stands})' if stands else ''}; where a "
        f"field is contested the {what.keep} side wins."
    )
    return Forecast(
        sentence=sentence,
        concerned={"couplings": total, **{standing.value: number for standing, number in found.items()}},
    )


def of_purge(conn: Connection, what: Purge, now: datetime) -> Forecast:
    """Count the resolved errors that are old enough, and those that stay."""
    before = now - timedelta(days=what.older_than_days) if what.older_than_days else None
    meant = Resolved(before=before, family=what.family)
    number, kept = error_store.count_resolved(conn, meant), error_store.count_explaining(conn, meant)
    old = f" more than {counted(what.older_than_days, 'day')} ago" if before is not None else ""
    stay = f" {counted(kept, 'other')} of that age would stay: couplings are skipped for them." if kept else ""
    resolved = counted(number, "error that was resolved", "errors that were resolved")
    sentence = f"{resolved}{old} would be deleted for good.{stay}"
    return Forecast(sentence=sentence, concerned={"errors": number, "kept": kept})


def of_matching(conn: Connection, file: MappingFile, what: CoupleMatching) -> Forecast:
    """Count the records that are not coupled; which of them match is known only when it is done.

    Raises:
        RefusedError: there is no such mapping.
    """
    if what.mapping not in file.mappings:
        raise _unknown(what.mapping, file)
    mapping = file.mappings[what.mapping]
    counts = {}
    for side in Side:
        table = mapping.table(side)
        counts[side.value] = overview.uncoupled(conn, what.mapping, side, table.app, table.name)
    sentence = (
        f"{counted(counts['left'], 'record')} of {mapping.left} and {counts['right']:,} of {mapping.right} exist and "
        f"are not coupled under {what.mapping}; which of them match is known only when it is done."
    )
    return Forecast(sentence=sentence, concerned={f"uncoupled_{side}": number for side, number in counts.items()})


def of_pause(conn: Connection, file: MappingFile, what: Pause) -> Forecast:
    """Count the couplings that would stand still.

    Raises:
        RefusedError: there is no such app or mapping, or it is paused already.
    """
    if what.mapping is not None and what.mapping not in file.mappings:
        raise _unknown(what.mapping, file)
    if what.app is not None and what.app not in file.apps:
        detail = f"there is no app {what.app!r}{did_you_mean(what.app, file.apps)}; there are: {', '.join(file.apps)}"
        raise RefusedError(RefusalCode.NOT_FOUND, detail)
    scope, name = (Scope.MAPPING, what.mapping) if what.mapping is not None else (Scope.APP, what.app or "")
    known = pause_store.read(conn).get(scope, name)
    if known is not None:
        raise RefusedError(RefusalCode.NOT_APPLICABLE, f"the {known} is paused already, by {known.by}")
    named = [
        name
        for name, mapping in file.mappings.items()
        if name == what.mapping or what.app in (mapping.left.app, mapping.right.app)
    ]
    standings = [overview.couplings(conn, name) for name in named]
    total = sum(sum(one.values()) for one in standings)
    in_flight = sum(one.get(Standing.IN_FLIGHT, 0) for one in standings)
    sentence = (
        f"{counted(total, 'coupling')} of {', '.join(named) or 'no mapping'} would stand still until resumed; changes "
        "are kept meanwhile."
    )
    return Forecast(sentence=sentence, concerned={"couplings": total, "in_flight": in_flight})


def _unknown(mapping: str, file: MappingFile) -> RefusedError:
    meant = did_you_mean(mapping, file.mappings)
    detail = f"there is no mapping {mapping!r}{meant}; there are: {', '.join(file.mappings)}"
    return RefusedError(RefusalCode.NOT_FOUND, detail)
