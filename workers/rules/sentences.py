"""What an error says to whoever is woken by it: what happened, to which record, and what to do next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

from messages.errors import ErrorKind
from messages.instructions import Reason
from messages.values import Known, Value
from store.model import SIDES, Form, OpenError, Side
from workers.rules.situation import Situation
from workers.rules.updates import MASK


def detail(situation: Situation, error: OpenError) -> str:
    """Say in a sentence what happened, to which record, and what to do next."""
    return _SENTENCES.get(error.kind, _failure)(situation, error)


def _update_conflict(situation: Situation, error: OpenError) -> str:
    return (
        f"{_both(situation)} were both changed since they last agreed ({', '.join(error.contested)}). Compare them and "
        "choose which version to keep: synchronize."
    )


def _deletion_conflict(situation: Situation, _error: OpenError) -> str:
    gone = Side.LEFT if situation.left.exists is False else Side.RIGHT
    return (
        f"{_name(situation, gone)} was deleted, but {_name(situation, gone.other)}, which it is coupled to, still "
        "exists. Restore the first, delete the second, or remove the coupling."
    )


def _match_ambiguous(situation: Situation, error: OpenError) -> str:
    new = _name(situation, Side.LEFT if situation.coupling.left is not None else Side.RIGHT)
    if error.candidates_total == 1:
        return (
            f"{new} is new and matches {error.candidates[0]}, which is coupled already: there may be two records of "
            "one. Delete one of them in its app, or remove that coupling and couple this one, or dismiss this."
        )
    return (
        f"{new} is new and matches {error.candidates_total} records of the other side. Couple it to the right one by "
        "hand."
    )


def _value_not_mapped(situation: Situation, error: OpenError) -> str:
    return (
        f"{_both(situation)}: the value of {error.field} does not stand in its value map. Add it to the mapping file "
        "and retry, or change the value."
    )


def _reference_not_coupled(situation: Situation, error: OpenError) -> str:
    return (
        f"{_both(situation)}: {error.field} points to a record that is not coupled. Couple that record; this error "
        "then settles itself."
    )


def _failure(situation: Situation, error: OpenError) -> str:
    failed = error.failed
    if error.code == "altered":
        return (
            f"{_name(situation, Side.LEFT)} and {_name(situation, Side.RIGHT)}: one app turns the value that it is "
            f"sent for {error.field} into another one, and the other app turns it back. Make the two apps agree on its "
            "form, then synchronize."
        )
    if failed is None:
        return "An app could not be instructed. See the synchronization log of the record."
    app, record = situation.mapping.app(failed.side).title, _name(situation, failed.side)
    if situation.coupling.record(failed.side) is None:
        record = f"{situation.mapping.table(failed.side)} for {_name(situation, failed.side.other)}"
    if error.kind is ErrorKind.NO_ANSWER:
        return (
            f"{app} has not answered the instruction to {failed.action} {record} in time; whether it did it is not "
            "known. See that its connector runs: a late answer settles this error, and retry asks once more."
        )
    said = f": {_words(situation, error)}" if error.words else ""
    again = "choose once more: synchronize" if failed.reason is Reason.SYNCHRONIZE else "retry"
    refused = f"{app} refused to {failed.action} {record} ({error.code}){said}"
    return f"{refused}. Put the cause right in {app}, then {again}."


def _words(situation: Situation, error: OpenError) -> str:
    """The app's own words; a sensitive value that they quote is masked."""
    words = error.words
    for value in _sensitive_values(situation, {} if error.failed is None else error.failed.fields):
        if isinstance(value, (str, int, Decimal)) and str(value):
            words = words.replace(str(value), MASK)
    return words


def _sensitive_values(situation: Situation, written: dict[str, Value]) -> Iterator[Known]:
    """Every value that is not to be shown: of both records, of their base, and of what was written."""
    for side in SIDES:
        for name in situation.mapping.sensitive(side):
            yield from (situation.image(side).fields.get(name), written.get(name))
    for field in situation.mapping.fields:
        if field.sensitive:
            form = situation.coupling.base.get(field.name, Form())
            yield from (form.left, form.right)


def _name(situation: Situation, side: Side) -> str:
    record = situation.coupling.record(side)
    return f"{situation.mapping.table(side)} (not created yet)" if record is None else str(record)


def _both(situation: Situation) -> str:
    return f"{_name(situation, Side.LEFT)} and {_name(situation, Side.RIGHT)}"


_SENTENCES: dict[ErrorKind, Callable[[Situation, OpenError], str]] = {
    ErrorKind.UPDATE_CONFLICT: _update_conflict,
    ErrorKind.DELETION_CONFLICT: _deletion_conflict,
    ErrorKind.MATCH_AMBIGUOUS: _match_ambiguous,
    ErrorKind.VALUE_NOT_MAPPED: _value_not_mapped,
    ErrorKind.REFERENCE_NOT_COUPLED: _reference_not_coupled,
}
