"""What a command names: the error, the coupling, and its situation, which a preview sees as the command does."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection

from messages.commands import Dismiss, RefusalCode, RemoveCoupling, Synchronize
from messages.errors import ErrorKind, ErrorReport, ErrorStatus
from messages.records import RecordRef
from store import couplings as coupling_store
from store import errors as error_store
from store import pauses as pause_store
from store.model import Coupling, Side
from workers.deciding import look_at
from workers.mapping import App, Mapping, MappingFile, Table
from workers.refusal import RefusedError
from workers.rules.desk import Desk
from workers.rules.forms import wait_for
from workers.rules.situation import Situation


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """What a command names: the coupling, and the error where it was named or is open."""

    coupling: int | None
    error: ErrorReport | None


def find(conn: Connection, error: int | None, coupling: int | None, revision: int | None = None) -> Named:
    """Find what a command names; locks nothing.

    Args:
        revision: Of the error, as whoever orders saw it.

    Raises:
        RefusedError: there is no such error; or it is over, and the more so if it has moved on since.
    """
    if error is None:
        return Named(coupling=coupling, error=None)
    report = error_store.get(conn, error)
    if report is None:
        raise RefusedError(RefusalCode.NOT_FOUND, f"there is no error {error}; `recouple errors --all` lists them")
    if report.status is ErrorStatus.RESOLVED:
        how = f"it was resolved by {report.resolution}" + (f" of {report.resolved_by}" if report.resolved_by else "")
        if revision not in (None, report.revision):
            raise RefusedError(RefusalCode.STALE, f"error {error} has moved on from revision {revision}: {how}", report)
        raise RefusedError(RefusalCode.NOT_APPLICABLE, f"error {error} is over: {how}; nothing applies to it any more")
    if report.kind is ErrorKind.LIMIT_EXCEEDED:
        detail = f"error {error} is about the mapping {report.mapping} as a whole; what applies: resume"
        raise RefusedError(RefusalCode.NOT_APPLICABLE, detail)
    return Named(coupling=report.coupling, error=report)


def look(conn: Connection, file: MappingFile, error: int | None, coupling: int | None, now: datetime) -> Situation:
    """Return the situation of a coupling, to preview a command; locks nothing.

    Raises:
        RefusedError: there is none, or it is about a record that is not coupled.
    """
    named = find(conn, error, coupling)
    if named.coupling is None:
        detail = f"error {error} is about a record that is not coupled; what applies: couple, retry, dismiss"
        raise RefusedError(RefusalCode.NOT_APPLICABLE, detail)
    found = coupling_store.get(conn, [named.coupling])
    return situation_of(conn, Desk(file, now, {}, found.values()), named.coupling)


def situation_of(conn: Connection, desk: Desk, number: int, order: object = None) -> Situation:
    """Return the situation of one coupling on the desk.

    Args:
        order: What is ordered of it; a coupling whose mapping has left the file can still be removed, and its error
            dismissed.

    Raises:
        RefusedError: it is not there, or its mapping is not in the file any more.
    """
    coupling = desk.couplings.get(number)
    if coupling is None:
        detail = f"there is no coupling {number}; `recouple couplings` lists them"
        raise RefusedError(RefusalCode.NOT_FOUND, detail)
    mapping = desk.file.mappings.get(coupling.mapping)
    if mapping is None and isinstance(order, (RemoveCoupling, Dismiss)):
        return _without_mapping(desk, coupling)
    if mapping is None:
        gone = f"the mapping {coupling.mapping}, which the mapping file does not have any more"
        detail = f"coupling {number} is of {gone}; what applies: remove_coupling, dismiss"
        raise RefusedError(RefusalCode.NOT_APPLICABLE, detail)
    [situation] = look_at(conn, desk, [(coupling, mapping)])
    return msgspec.structs.replace(situation, paused=pause_store.read(conn).of(mapping))


def _without_mapping(desk: Desk, coupling: Coupling) -> Situation:
    """A coupling of a mapping that is gone, without fields: of none is it known whether it is sensitive."""
    left, right = (record or RecordRef("-", "-", "") for record in (coupling.left, coupling.right))
    mapping = Mapping(
        name=coupling.mapping,
        left=Table(app=left.app, name=left.table),
        right=Table(app=right.app, name=right.table),
        left_app=App(name=left.app, title=left.app),
        right_app=App(name=right.app, title=right.app),
        fields=(),
    )
    return desk.situation(coupling, mapping)


def with_typed_references(conn: Connection, situation: Situation, order: object) -> Situation:
    """Look up what typed values refer to, too: the records may hold other references by now."""
    values = order.values if isinstance(order, Synchronize) else {}
    fields = [field for field in situation.mapping.fields if field.name in values]
    waits = {wait for field in fields if (wait := wait_for(field, values[field.name], Side.LEFT)) is not None}
    if not waits:
        return situation
    references = {**situation.references, **coupling_store.references(conn, waits)}
    return msgspec.structs.replace(situation, references=references)
