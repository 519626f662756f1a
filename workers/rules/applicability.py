"""Which commands apply to a coupling and its error as they are: the table of DESIGN.md section 6.

================== ========================================================================================
command            applies when
================== ========================================================================================
remove_coupling    until the coupling is closed
retry              an error is open; of a ``no_answer``, an instruction waits for its answer
synchronize        both records exist
restore_record     exactly one of them is gone, of an app that confirms
delete_record      exactly one of them is gone
dismiss            an integration error is open
couple             a record that is not coupled matches several
resume             a limit has paused the mapping
================== ========================================================================================

While a decision is in flight only ``remove_coupling``, and ``retry`` of a ``no_answer``, apply, paused or not; else,
while the coupling is paused, only ``remove_coupling`` and ``dismiss``. To the error of a record that was coupled and
never found only ``dismiss`` applies: its coupling is closed.
"""

from __future__ import annotations

from messages.errors import ErrorKind, ErrorStatus, Family
from store.model import SIDES, CouplingStatus, InstructionState, Sent, Side
from workers.rules.answers import waiting
from workers.rules.deletions import tells_keys
from workers.rules.filters import outside
from workers.rules.situation import Situation


def applicable(situation: Situation) -> tuple[str, ...]:
    """Return the names of the commands that apply now, the most likely one first."""
    coupling, error = situation.coupling, situation.coupling.error
    if error is not None and error.kind is ErrorKind.MATCH_AMBIGUOUS:
        return ("couple", "retry", "dismiss")
    is_open = error is not None and error.status is not ErrorStatus.RESOLVED
    integration = error is not None and error.kind.family is Family.INTEGRATION
    if coupling.status is CouplingStatus.CLOSED:
        return ("dismiss",) if is_open and integration else ()
    if waiting(coupling):
        return ("retry", "remove_coupling") if unanswered(situation) else ("remove_coupling",)
    if held_by(situation) is not None:
        return ("dismiss", "remove_coupling") if is_open and integration else ("remove_coupling",)
    found = []
    if both_exist(situation):
        found.append("synchronize")
    missing = gone(situation)
    if missing is not None:
        found += ["restore_record", "delete_record"] if tells_keys(situation.mapping, missing) else ["delete_record"]
    if is_open:
        found.insert(0 if integration else len(found), "retry")
    found.append("remove_coupling")
    if is_open and integration:
        found.append("dismiss")
    return tuple(found)


def held_by(situation: Situation) -> str | None:
    """What pauses the coupling: ``mapping <name>``, ``app <name>`` or ``where``."""
    if situation.paused is not None:
        return situation.paused
    over = all(image.exists is False for image in situation.images)  # there is nothing left to be kept apart
    return "where" if not over and outside(situation.mapping, situation.images) is not None else None


def unanswered(situation: Situation) -> tuple[Sent, ...]:
    """The instructions whose fate is not known."""
    return tuple(sent for sent in situation.coupling.flight if sent.state is InstructionState.UNANSWERED)


def both_exist(situation: Situation) -> bool:
    """Say whether both records are there, as far as anybody has told."""
    active = situation.coupling.status is CouplingStatus.ACTIVE
    return active and all(image.exists is not False for image in situation.images)


def gone(situation: Situation) -> Side | None:
    """The side whose record is deleted while the other exists."""
    if situation.coupling.status is not CouplingStatus.ACTIVE:
        return None
    missing = [side for side in SIDES if situation.image(side).exists is False]
    return missing[0] if len(missing) == 1 else None
