"""What can be done about an error, as command lines that are ready to be typed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from messages.errors import ErrorKind, ErrorReport, ErrorSide, ErrorStatus
from ops.printing import record_text

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


def next_steps(report: ErrorReport) -> Iterator[tuple[str, str]]:
    """Yield a command line and what it is for, for each command that applies now."""
    if report.status is ErrorStatus.RESOLVED:
        return
    for action in report.actions:
        if action == "synchronize":
            yield from _synchronizing(report)
        elif action == "couple":
            yield from _coupling(report)
        elif action == "resume":
            yield f"recouple resume --mapping {report.mapping}", "go on, with all that has changed meanwhile"
        else:
            what_for = _WHAT_FOR.get(action, "")
            if action == "retry" and report.kind is ErrorKind.NO_ANSWER:
                what_for = "send the same instruction again"
            yield f"recouple {spoken(action)} {report.error}", what_for


def _synchronizing(report: ErrorReport) -> Iterator[tuple[str, str]]:
    contested = [one.field for one in report.differences if one.contested]
    line = f"recouple synchronize {report.error}"
    for word, side in (("left", report.left), ("right", report.right)):
        app = "" if side is None else f" of {side.app}"
        what = f"the {word} values{app} win" + (" what is contested" if contested else "")
        yield f"{line} --keep {word}", what
    if len(contested) > 1:
        sides = ("left", "right")
        chosen = (f"--field {shlex.quote(name)}={sides[number % 2]}" for number, name in enumerate(contested))
        yield f"{line} {' '.join(chosen)}", "choose field by field"
    if contested:
        typed = " ".join(f"--value {shlex.quote(f'{name}=…')}" for name in contested)
        yield f"{line} {typed}", "type what both sides are to hold"


def _coupling(report: ErrorReport) -> Iterator[tuple[str, str]]:
    new = next((side for side in (report.left, report.right) if _known(side)), None)
    for candidate in report.candidates[:MAX_CANDIDATES]:
        pair = (record_text(new), candidate) if new is report.left else (candidate, record_text(new))
        yield f"recouple couple {' '.join(map(shlex.quote, pair))}", "this is the one"


def _known(side: ErrorSide | None) -> bool:
    return side is not None and side.key is not None
