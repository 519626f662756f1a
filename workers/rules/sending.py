"""From values that have to travel to instructions: translated, numbered, with the version they rest on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET

from messages.errors import ErrorKind
from messages.instructions import Action, Reason
from messages.records import RecordRef
from messages.values import Value, add, is_number, same, subtract
from store.model import Coupling, Form, Sent, Side, Wait, Write
from workers.mapping import Confirms, Mapping, Ordering
from workers.rules.differences import FieldState
from workers.rules.forms import Untranslatable, translate
from workers.rules.situation import Situation, Trouble


class Writes(msgspec.Struct, frozen=True, kw_only=True):
    """What one side is to be written, by mapping field name.

    Attributes:
        waits: References that are left out until they are coupled (``if_uncoupled = "omit"``).
    """

    by_field: dict[str, Write] = {}
    waits: tuple[Wait, ...] = ()
    trouble: Trouble | None = None


def write_to(situation: Situation, target: Side, states: Iterable[FieldState], deltas: frozenset[str]) -> Writes:
    """Translate the other side's present values for ``target``; the first one that has no form there is the trouble.

    Args:
        deltas: Names of the fields of which not the value but what was added to it travels.
    """
    by_field: dict[str, Write] = {}
    waits: list[Wait] = []
    for state in states:
        held, replaced = state.on(target.other), state.on(target)
        if held is UNSET:
            continue
        form = state.form.on(target.other)
        if state.field.name in deltas and is_number(held) and is_number(replaced) and is_number(form):
            delta = subtract(held, form)
            by_field[state.field.name] = Write(value=add(replaced, _narrow(delta)), replaced=replaced, delta=delta)
            continue
        value = translate(state.field, held, target.other, situation.references)
        if not isinstance(value, Untranslatable):
            by_field[state.field.name] = Write(value=value, held=held, replaced=replaced)
        elif value.wait is not None and state.field.if_uncoupled == "omit":
            waits.append(value.wait)
        else:
            return Writes(trouble=_untranslated(value))
    return Writes(by_field=by_field, waits=tuple(waits))


def _narrow(delta: Decimal) -> int | Decimal:
    """A whole delta as an integer, so that integers stay integers."""
    return int(delta) if delta == delta.to_integral_value() else delta


def _untranslated(value: Untranslatable) -> Trouble:
    waits = () if value.wait is None else (value.wait,)
    return Trouble(kind=value.kind, field=value.field.name, waits=waits)


def fight(coupling: Coupling, target: Side, writes: dict[str, Write]) -> Trouble | None:
    """R13: a living record would be sent exactly what its app already altered into what it now holds."""
    altered = coupling.altered.get(target, {})
    for name, write in writes.items():
        past = altered.get(name)
        if past is not None and same(past.sent, write.value) and same(past.became, write.replaced):
            return Trouble(kind=ErrorKind.APPLY_FAILED, field=name, code="altered")
    return None


def instruct(
    situation: Situation, target: Side, action: Action, reason: Reason, *, fields: dict[str, Value], **more: Any
) -> Sent:
    """Make the instruction; its id follows from the coupling, so that the same decision makes the same one.

    Args:
        fields: By the target app's own names.
        more: ``writes``, ``base`` and ``rule`` of the instruction, where there are any.
    """
    coupling, mapping = situation.coupling, situation.mapping
    app, image = mapping.app(target), situation.image(target)
    versioned = app.order is Ordering.VERSION and action in (Action.UPDATE, Action.DELETE)
    versioned = versioned or action is Action.READ
    return Sent(
        id=f"{coupling.token}-{coupling.serial + 1}-{target.value}",
        side=target,
        record=_addressee(coupling, mapping, target, action),
        action=action,
        reason=reason,
        made_at=situation.now,
        fields=fields,
        if_version=image.version if versioned else None,
        due_at=answer_due(situation.mapping, target, situation.now),
        traceparent=situation.traceparent,
        **more,
    )


def _addressee(coupling: Coupling, mapping: Mapping, target: Side, action: Action) -> RecordRef:
    record = coupling.record(target)
    if record is None or action is Action.CREATE:  # the app gives the key
        return RecordRef(mapping.table(target).app, mapping.table(target).name, "")
    return record


def answer_due(mapping: Mapping, target: Side, now: datetime) -> datetime | None:
    """When an instruction given now must be answered; never, where publishing confirms."""
    app = mapping.app(target)
    return None if app.confirms is Confirms.NONE else now + app.answer_within


def own_names(mapping: Mapping, target: Side, writes: dict[str, Write]) -> dict[str, Value]:
    """Return the written values by the target app's own field names, in the mapping's order."""
    written = [field for field in mapping.fields if field.left in writes]  # its name in mapping terms
    return {field.on(target): writes[field.name].value for field in written}


def forms(base: dict[str, Form], writes: dict[str, Write]) -> dict[str, Form]:
    """Return the base of the written fields, for the audit."""
    return {name: base[name] for name in writes if name in base}
