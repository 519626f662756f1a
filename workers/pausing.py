"""The ``pause`` and ``resume`` commands: an app or a mapping is left alone for a while, and goes on where it stood.

While something is paused, events are taken, images move and apps confirm; only what would be decided or sent waits.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from sqlalchemy import Connection

from messages.codec import encode_error
from messages.commands import Command, Pause, RefusalCode, Resume
from messages.errors import ErrorEvent, ErrorReport, ErrorStatus
from messages.values import Value
from store import brake_levels as level_store
from store import due as due_store
from store import errors as error_store
from store import outbox as outbox_store
from store import pauses as pause_store
from store.due import Due, DueKind
from store.pauses import Scope
from workers.carried import Carried
from workers.context import Context
from workers.handling import handling_of, named
from workers.log_lines import Line
from workers.mapping import Mapping, MappingFile
from workers.refusal import RefusedError, no_such
from workers.rules.limits import over
from workers.telling import limit_message


def pause(conn: Connection, context: Context, command: Command, now: datetime) -> Carried:
    """Decide and send nothing more under a mapping, or with an app.

    Raises:
        RefusedError: there is no such app or mapping, or it is paused already.
    """
    scope, name = _named(command)
    if not _exists(context.file, scope, name):
        raise _unknown(context.file, scope, name)
    reason = None if command.reason is None else command.reason.replace("\0", "\ufffd")  # no text column takes a NUL
    wanted = pause_store.Pause(scope=scope, name=name, at=now, by=named(command.source, command.user_id), reason=reason)
    if not pause_store.begin(conn, [wanted]):
        found = pause_store.read(conn).get(scope, name) or wanted
        detail = f"the {found} is paused already, since {_shown(found.at)} by {found.by}; `recouple resume` ends it"
        raise RefusedError(RefusalCode.NOT_APPLICABLE, detail)
    result: dict[str, Value] = {scope.value: name, "paused": True}
    return Carried(result=result, lines=[_line("pause.set", wanted, command)], effect=f"paused the {wanted}")


def resume(conn: Connection, context: Context, command: Command, now: datetime) -> Carried:
    """Go on with all that has changed meanwhile; what the brake has counted is forgotten, and its error is over.

    Raises:
        RefusedError: there is no such app or mapping, or it is not paused.
    """
    scope, name = _named(command)
    if pause_store.read(conn).get(scope, name) is None:
        if not _exists(context.file, scope, name):
            raise _unknown(context.file, scope, name)
        raise _not_paused(scope, name)
    mappings = _mappings(context.file, scope, name)
    level_store.reset(conn, [one.name for one in mappings])  # the pauses come last, as in a batch
    ended = pause_store.end(conn, scope, name)
    if ended is None:
        raise _not_paused(scope, name)
    pauses = pause_store.read(conn)
    free = [one.name for one in mappings if pauses.of(one) is None]
    due_store.put(conn, [Due(kind=DueKind.LET_GO, mapping=name, due_at=now) for name in free])
    lines = [_line("pause.ended", ended, command), *_settle_error(conn, context, ended, command, now)]
    result: dict[str, Value] = {scope.value: name, "paused": False}
    if ended.error is not None:
        result["error"] = ended.error
    return Carried(result=result, lines=lines, effect=f"resumed the {ended}")


def _named(command: Command) -> tuple[Scope, str]:
    order = command.order
    assert isinstance(order, (Pause, Resume))  # noqa: S101 - the table of handlers says so
    return (Scope.MAPPING, order.mapping) if order.mapping is not None else (Scope.APP, order.app or "")


def _exists(file: MappingFile, scope: Scope, name: str) -> bool:
    return name in (file.apps if scope is Scope.APP else file.mappings)


def _unknown(file: MappingFile, scope: Scope, name: str) -> RefusedError:
    return no_such(scope, name, list(file.apps if scope is Scope.APP else file.mappings))


def _not_paused(scope: Scope, name: str) -> RefusedError:
    return RefusedError(RefusalCode.NOT_APPLICABLE, f"the {scope} {name} is not paused; nothing is held up by it")


def _mappings(file: MappingFile, scope: Scope, name: str) -> list[Mapping]:
    """The mappings that a pause of this app or mapping holds up."""
    if scope is Scope.MAPPING:
        return [one for one in file.mappings.values() if one.name == name]
    return [one for one in file.mappings.values() if name in (one.left.app, one.right.app)]


def _settle_error(
    conn: Connection, context: Context, ended: pause_store.Pause, command: Command, now: datetime
) -> list[Line]:
    """The ``limit_exceeded`` error of a mapping that goes on is over."""
    told = None if ended.error is None else error_store.get(conn, ended.error)
    if told is None or told.status is ErrorStatus.RESOLVED:
        return []
    message = limit_message(_resolved(told, command, now), ErrorEvent.RESOLVED, now)
    error_store.save(conn, [message.report])
    outbox_store.put(conn, [(encode_error(message, context.namespace), None)])
    fields = {"error": told.error, "kind": told.kind, "revision": message.report.revision, "mapping": told.mapping}
    return [Line(event="error.resolved", fields={**fields, "resolution": command.name})]


def _resolved(told: ErrorReport, command: Command, now: datetime) -> ErrorReport:
    handling = handling_of(command, told.revision, now, "the mapping goes on")
    ended = over(told, now, command.name, handling.by)
    return msgspec.structs.replace(ended, history=(*told.history, handling))


def _shown(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _line(event: str, about: pause_store.Pause, command: Command) -> Line:
    fields = {"scope": about.scope, about.scope.value: about.name, "by": command.source, "message_id": command.id}
    return Line(event=event, fields={**fields, "error": about.error})
