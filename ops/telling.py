"""The result of a command as a sentence: what happened, who was instructed, and what is still to come."""

from __future__ import annotations

from typing import Any

from messages.errors import ErrorStatus
from messages.values import Value
from ops.printing import counted

COUNTERS = ("inserted", "modified", "deleted", "unchanged", "skipped", "failed", "coupled", "uncoupled")
"""What every job counts, in the order in which it is told."""

MAX_TOLD_FIELDS = 6
"""Names of fields in a sentence; the others are counted."""


def told_resolution(result: dict[str, Value]) -> str:
    """Tell what became of ``retry``, ``synchronize``, ``restore_record`` or ``delete_record``."""
    instructions = result.get("instructions") or []
    subject = _subject(result)
    if result.get("error") is None or result.get("error_status") is None:
        told = _coupling_told(str(subject), result, instructions)
    else:
        told = _error_told(str(subject), result, instructions)
    return told + (f" This is job {result['job']}." if result.get("job") else "")


def told_removal(result: dict[str, Value]) -> str:
    """Tell what became of ``remove_coupling``."""
    records = [str(record) for record in result.get("records") or ()]
    left = f": {_and(records)} {'are' if len(records) > 1 else 'is'} left alone" if records else ""
    told = f"Coupling {result.get('coupling')} is removed{left}, and not matched or created again until coupled anew."
    return told + (f" Error {result['error']} is resolved." if result.get("error") else "")


def told_dismissal(result: dict[str, Value]) -> str:
    """Tell what became of ``dismiss``."""
    return f"Error {result.get('error')} is closed without effect; the next change of its records tries again."


def told_pause(result: dict[str, Value]) -> str:
    """Tell what became of ``pause`` and ``resume``."""
    scope = "app" if result.get("app") else "mapping"
    name = result.get(scope)
    if result.get("paused"):
        return (
            f"The {scope} {name} is paused: what changes is kept, and nothing is decided or sent until "
            f"`recouple resume --{scope} {name}`."
        )
    told = f"The {scope} {name} goes on; what has changed meanwhile is decided now."
    return told + (f" Error {result['error']} is resolved." if result.get("error") else "")


def told_job(result: dict[str, Value]) -> str:
    """Tell the end of a job, with its counters."""
    done = result.get("done") or 0
    told = f"Job {result.get('job')} is done, {done:,} looked at: {counters_text(result)}."
    kept, unmatched, ambiguous = (result.get(name) for name in ("kept", "unmatched", "ambiguous"))
    told += f" {counted(kept, 'error stays', 'errors stay')}: couplings are skipped for them." if kept else ""
    none = (unmatched or 0) - (ambiguous or 0)  # who matches several is unmatched, too
    told += f" {counted(none, 'record')} matched none." if none > 0 else ""
    told += f" {counted(ambiguous, 'record')} matched several, or one that others match, too." if ambiguous else ""
    if result.get("failed") or unmatched or ambiguous:
        told += f" `recouple jobs {result.get('job')}` lists them one by one."
    return told


def counters_text(counts: dict[str, Any]) -> str:
    """Return the counters that are not zero: ``5 modified, 2 unchanged``."""
    told = [f"{counts[name]:,} {name}" for name in COUNTERS if counts.get(name)]
    return ", ".join(told) or "nothing to do"


def instruction_text(instruction: dict[str, Any]) -> str:
    """Return ``sales is instructed to update sales/account/9 (fullname, town)``."""
    fields = [str(name) for name in instruction.get("fields") or ()]
    more = [f"{len(fields) - MAX_TOLD_FIELDS} more"] if len(fields) > MAX_TOLD_FIELDS else []
    named = f" ({', '.join([*fields[:MAX_TOLD_FIELDS], *more])})" if fields else ""
    table = f" in {instruction['table']}" if instruction.get("table") else ""
    what = instruction["record"] or f"a new record{table}"
    return f"{instruction['app']} is instructed to {instruction['action']} {what}{named}"


def _subject(result: dict[str, Value]) -> str:
    return f"Error {result['error']}" if result.get("error") else f"Coupling {result.get('coupling')}"


def _error_told(subject: str, result: dict[str, Value], instructions: list[dict[str, Any]]) -> str:
    status = result["error_status"]
    if status == ErrorStatus.RESOLVED:
        sent = f" {_instructed(instructions)}." if instructions else " Nothing had to be sent."
        return f"{subject} is resolved.{sent}"
    if instructions:
        apps = _apps(instructions)
        confirmed = f"{_and(apps)} {'confirms' if len(apps) == 1 else 'confirm'}"
        return f"{subject} is {status}: {_instructed(instructions)}; it is settled when {confirmed}."
    if result.get("coupling") is None:  # it is about a record that is not coupled
        return f"{subject}: its record is matched once more; `recouple show {result['error']}` tells what came of it."
    return f"{subject} is still {status}: see `recouple show {result['error']}`."


def _coupling_told(subject: str, result: dict[str, Value], instructions: list[dict[str, Any]]) -> str:
    status = str(result.get("status") or "decided").replace("_", " ")
    if instructions:
        return f"{subject} is {status}: {_instructed(instructions)}."
    skipped = f" Error {result['error']} is open: see `recouple show {result['error']}`." if result.get("error") else ""
    return f"{subject} is {status}; nothing had to be sent.{skipped}"


def _instructed(instructions: list[dict[str, Any]]) -> str:
    return "; ".join(map(instruction_text, instructions))


def _apps(instructions: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(str(one["app"]) for one in instructions))


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
