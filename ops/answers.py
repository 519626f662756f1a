"""What comes back from an order, told: done, refused, or nothing yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from messages.commands import Answer, Command, Done, Order, RefusalCode, Refused
from messages.errors import ErrorReport
from messages.orders import ORDERS
from messages.values import Value
from ops.error_view import mapping_of, print_error
from ops.next_steps import spoken
from ops.printing import say
from ops.wiring import ExitCode, Session
from workers.refusal import RefusedError

APPLIES = "what applies: "
"""In a refusal the names of the commands that apply come after it, the last thing said."""

Told: TypeAlias = Callable[[dict[str, Value]], str]
"""Makes a sentence of the result of a command that was done."""


def command_name(what: Order) -> str:
    """Return the name of the command that orders this, as it stands on the wire."""
    return next(name for name, form in ORDERS.items() if isinstance(what, form.order))


def tell_answer(session: Session, command: Command, answer: Answer, told: Told) -> ExitCode:
    """Print the answer to ``command`` and return the exit code."""
    if session.as_json:
        session.write_json({"id": command.id, **msgspec.structs.asdict(answer)})
    elif isinstance(answer, Done):
        say(session.out, told(answer.result))
    if isinstance(answer, Refused):
        if not session.as_json:
            report = _report(answer.error)
            tell_refused(session, answer.code, answer.detail, report)
        return ExitCode.REFUSED
    return ExitCode.DONE


def tell_refused(session: Session, code: RefusalCode, detail: str, error: ErrorReport | None = None) -> None:
    """Say on stderr that a command is refused and, where the error has moved on, how it is now."""
    say(session.err, f"Refused ({code}): {_as_typed(detail)}", "red")
    if error is not None:
        say(session.err, "As it is now:", "dim")
        print_error(session.err, error, mapping_of(session, error.mapping), session.now())


def _as_typed(detail: str) -> str:
    """Name what applies as it is typed here: ``restore``, which is ``restore_record`` on the wire."""
    words, applies, names = detail.rpartition(APPLIES)
    return f"{words}{applies}{', '.join(map(spoken, names.split(', ')))}" if applies else detail


def tell_refusal(session: Session, command: str, refusal: RefusedError) -> ExitCode:
    """Say that what a worker would refuse was not ordered; as JSON, an answer without an id."""
    if session.as_json:
        refused = Refused(command=command, code=refusal.code, detail=str(refusal))
        session.write_json({"id": None, **msgspec.structs.asdict(refused), "error": refusal.error})
    else:
        tell_refused(session, refusal.code, str(refusal), refusal.error)
    return ExitCode.REFUSED


def tell_sent(session: Session, command: Command, hint: str = "") -> ExitCode:
    """Say that a command is on its way and that nobody waits for its answer."""
    if session.as_json:
        session.write_json(_without_answer(command))
    else:
        say(session.out, f"Ordered: {command.name}, as {command.id}. A worker carries it out{hint}.")
    return ExitCode.DONE


def tell_no_answer(session: Session, command: Command, why: str) -> ExitCode:
    """Say that a command was sent and that nobody knows what became of it."""
    say(session.err, f"The command {command.id} was sent and may still be carried out; {why}", "yellow")
    if session.as_json:
        session.write_json({**_without_answer(command), "error": why})
    return ExitCode.NO_ANSWER


def _without_answer(command: Command) -> dict[str, Any]:
    return {"id": command.id, "command": command.name, "result": None}


def _report(error: dict[str, Value] | None) -> ErrorReport | None:
    """The error of an answer; ``None`` where a newer worker tells it in a way that we do not know."""
    try:
        return None if error is None else msgspec.convert(error, ErrorReport)
    except msgspec.ValidationError:
        return None
