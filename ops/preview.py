"""What a resolution would do, by the same rules that the workers decide by: nothing is written, nothing is sent."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET
from rich.console import Console
from rich.text import Text
from sqlalchemy import Connection

from messages.commands import (
    DeleteRecord,
    Dismiss,
    RefusalCode,
    RemoveCoupling,
    RestoreRecord,
    Retry,
    Synchronize,
)
from messages.errors import ErrorEvent, ErrorReport, ErrorStatus, Handling
from messages.instructions import Action
from ops.answers import command_name
from ops.next_steps import spoken
from ops.printing import make_table, plain, say, value_text
from ops.telling import instruction_text
from ops.wiring import Session
from store import errors as error_store
from store.couplings import Standing, standing
from store.model import Sent
from workers.mapping import MappingFile
from workers.refusal import RefusedError
from workers.rules.resolutions import resolve
from workers.rules.situation import Decision, Situation
from workers.rules.updates import MASK
from workers.targets import look, with_typed_references

Settling: TypeAlias = RemoveCoupling | Retry | Synchronize | RestoreRecord | DeleteRecord | Dismiss
"""The orders about one error or coupling."""


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What an order would make of one error or coupling now.

    Attributes:
        error: As it was last told, where there is one.
        result: As the answer would have it; each instruction also has the ``values``, ``now`` and ``then``, and
            ``again`` where it is one that went out before.
    """

    command: str
    error: ErrorReport | None
    result: dict[str, Any]


def look_ahead(
    current: Session, conn: Connection, file: MappingFile, what: Settling, reason: str | None = None
) -> Preview:
    """Decide what ``what`` would do now; locks nothing.

    Raises:
        RefusedError: a worker would refuse it.
    """
    told = None if what.error is None else error_store.get(conn, what.error)
    if told is not None and told.coupling is None and told.status is not ErrorStatus.RESOLVED:
        return _of_single_record(what, told)
    situation = with_typed_references(conn, look(conn, file, what.error, what.coupling, current.now()), what)
    known = situation.coupling.error
    if known is not None and told is None:
        told = error_store.get(conn, known.number)
    revision = 0 if known is None else known.revision
    if what.error is not None and (known is None or known.number != what.error):
        raise RefusedError(RefusalCode.STALE, f"error {what.error} has just been settled")
    if what.revision not in (None, revision):
        raise _stale(what, told, revision)
    handling = Handling(
        at=situation.now,
        command=command_name(what),
        id="preview",
        by=current.source,
        reason=reason,
        revision=revision,
    )
    decision = resolve(situation, what, handling)
    return Preview(command=handling.command, error=told, result=_result(situation, decision))


def preview_data(preview: Preview) -> dict[str, Any]:
    """Return a preview for ``--json``."""
    return {"dry_run": True, "command": preview.command, "result": preview.result}


def print_preview(console: Console, preview: Preview) -> None:
    """Print what would happen: each instruction with what it writes over, then the coupling, then the error."""
    say(console, f"What `recouple {spoken(preview.command)}` does now:", "bold")
    instructions = preview.result["instructions"]
    for one in instructions:
        again = ", the same as before" if one.get("again") else ""
        say(console, f"  {instruction_text({**one, 'fields': ()})}{again}")
        if one["values"]:
            _print_values(console, one["values"], "last held" if one["action"] == Action.CREATE else "now")
    if not instructions:
        say(console, "  No app is instructed.")
    for sentence in _afterwards(preview.result):
        say(console, f"  {sentence}")


def _print_values(console: Console, values: dict[str, dict[str, Any]], now: str) -> None:
    table = make_table("    field", now, "then")
    for name, one in values.items():
        table.add_row(plain(f"    {name}"), *(Text(value_text(one.get(when, UNSET))) for when in ("now", "then")))
    console.print(table)


def _afterwards(result: dict[str, Any]) -> list[str]:
    told = []
    if result.get("status") == Standing.CLOSED:
        told.append(f"Coupling {result['coupling']} is removed; what is left of its records stays as it is.")
    if result.get("error") is not None:
        words = {
            ErrorStatus.RESOLVED: "is resolved",
            ErrorStatus.RESOLVING: "is being resolved, until the app confirms",
            ErrorStatus.OPEN: "stays open",
        }
        told.append(f"Error {result['error']} {words[result['error_status']]}.")
    return told


def _of_single_record(what: Settling, told: ErrorReport) -> Preview:
    """An error about a record that is not coupled: it is matched once more, or let be."""
    name = command_name(what)
    if name not in told.actions or not isinstance(what, (Retry, Dismiss)):
        applies = ", ".join(told.actions) or "nothing"
        detail = f"{name} does not apply to error {told.error}, no coupling belongs to it; what applies: {applies}"
        raise RefusedError(RefusalCode.NOT_APPLICABLE, detail)
    if what.revision not in (None, told.revision):
        raise _stale(what, told, told.revision)
    status = ErrorStatus.RESOLVED if isinstance(what, Dismiss) else told.status
    result: dict[str, Any] = {"coupling": None, "instructions": [], "error": told.error, "error_status": status}
    return Preview(command=name, error=told, result=result)


def _stale(what: Settling, told: ErrorReport | None, revision: int) -> RefusedError:
    subject = "it" if told is None else f"error {told.error}"
    detail = f"{subject} is at revision {revision}, not {what.revision}; look at it again"
    return RefusedError(RefusalCode.STALE, detail, told)


def _result(situation: Situation, decision: Decision) -> dict[str, Any]:
    instructions = [_instruction(situation, one) for one in decision.send]
    instructions += [{**_instruction(situation, one), "again": True} for one in decision.resend]
    result: dict[str, Any] = {
        "coupling": decision.coupling.id,
        "status": standing(decision.coupling),
        "instructions": instructions,
    }
    known, left = situation.coupling.error, decision.coupling.error
    if known is not None:
        over = decision.event is ErrorEvent.RESOLVED or left is None
        result["error"] = known.number
        result["error_status"] = ErrorStatus.RESOLVED if over or left is None else left.status
    return result


def _instruction(situation: Situation, sent: Sent) -> dict[str, Any]:
    held = situation.image(sent.side).fields
    sensitive = situation.mapping.sensitive(sent.side)
    values: dict[str, dict[str, Any]] = {}
    for name, then in sent.fields.items():
        pair = {"now": held[name], "then": then} if name in held else {"then": then}
        values[name] = dict.fromkeys(pair, MASK) if name in sensitive else pair
    return {
        "app": sent.record.app,
        "action": sent.action,
        "table": sent.record.table,
        "record": str(sent.record) if sent.record.key else None,  # its app gives it a key
        "fields": sorted(sent.fields),
        "values": values,
    }
