"""What can be done about an error, as command lines that are ready to be typed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from messages.errors import ErrorKind, ErrorReport, ErrorSide, ErrorStatus
from ops.choices import BLANK
from ops.printing import record_text
from workers.mapping import Direction, Mapping

MAX_CANDIDATES = 5
"""So many candidates get a command line of their own."""

SPOKEN = {"restore_record": "restore", "delete_record": "delete"}
"""Commands whose name on the command line is not the one on the wire with dashes."""

_WHAT_FOR = {
    "retry": "decide anew, on what records and policies are now",
    "restore_record": "create the deleted record again",
    "delete_record": "delete the record that is still there, too",
    "remove_coupling": "leave both records as they are, no longer coupled",
    "dismiss": "close the error without effect; the next change tries again",
}


def spoken(command: str) -> str:
    """Return a command's name as the command line has it: ``remove-coupling``, ``restore``."""
    return SPOKEN.get(command, command.replace("_", "-"))


def next_steps(report: ErrorReport, mapping: Mapping | None = None) -> Iterator[tuple[str, str]]:
    """Yield a command line and what it is for, for each command that applies now.

    ``mapping``, where it is known, says which fields have to be named together, and which cannot be chosen.
    """
    if report.status is ErrorStatus.RESOLVED:
        return
    for action in report.actions:
        if action == "synchronize":
            yield from _synchronizing(report, mapping)
        elif action == "couple":
            yield from _coupling(report)
        elif action == "resume":
            yield f"recouple resume --mapping {report.mapping}", "go on, with all that has changed meanwhile"
        else:
            what_for = _WHAT_FOR.get(action, "")
            if action == "retry" and report.kind is ErrorKind.NO_ANSWER:
                what_for = "send the same instruction again"
            yield f"recouple {spoken(action)} {report.error}", what_for


def _synchronizing(report: ErrorReport, mapping: Mapping | None) -> Iterator[tuple[str, str]]:
    contested = [one.field for one in report.differences if one.contested]
    line = f"recouple synchronize {report.error}"
    sides = {"left": report.left, "right": report.right}
    values = {word: f"the {word} values{'' if side is None else f' of {side.app}'} win" for word, side in sides.items()}
    if contested:
        names = _whole(contested, mapping)
        for word, win in values.items():
            yield f"{line} --keep {word}", f"{win} what is contested"
        if len(names) > 1:
            chosen = (f"--field {shlex.quote(f'{name}={list(sides)[at % 2]}')}" for at, name in enumerate(names))
            yield f"{line} {' '.join(chosen)}", "choose field by field"
    else:
        yield f"{line} --keep left", "write once more what one side changed; nothing is contested, no side loses"
        names = _whole([one.field for one in report.differences], mapping)
        for word, win in values.items() if names else ():
            chosen = (f"--field {shlex.quote(f'{name}={word}')}" for name in names)
            yield f"{line} {' '.join(chosen)}", f"{win}, whoever changed them"
    if names:
        typed = " ".join(f"--value {shlex.quote(f'{name}={BLANK}')}" for name in names)
        yield f"{line} {typed}", "type what both sides are to hold"


def _whole(names: list[str], mapping: Mapping | None) -> list[str]:
    """Those of the fields that can be chosen, each group whole, as a choice has to name them."""
    if mapping is None:
        return names
    groups = {field.group for field in mapping.fields if field.name in names and field.group is not None}
    return [
        field.name
        for field in mapping.fields
        if field.direction is Direction.BOTH and (field.name in names or field.group in groups)
    ]


def _coupling(report: ErrorReport) -> Iterator[tuple[str, str]]:
    new = next((side for side in (report.left, report.right) if _known(side)), None)
    for candidate in report.candidates[:MAX_CANDIDATES]:
        pair = (record_text(new), candidate) if new is report.left else (candidate, record_text(new))
        yield f"recouple couple {' '.join(map(shlex.quote, pair))}", "this is the one"


def _known(side: ErrorSide | None) -> bool:
    return side is not None and side.key is not None
