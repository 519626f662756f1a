"""Rows 9 to 11: both records are alive.

==== ==================== ====================================================================
row  when                 then
==== ==================== ====================================================================
9    nothing changed      ``unchanged``
10   one side changed     instruct the other (``sent``), if the direction allows (else ``ignored``)
11   both changed,        instruct each with what the other changed (``merged``)
     none contested
11   policy settles all   instruct the losers (``resolved``, with rule, values and base)
11   any left over        neither side is written: ``update_conflict`` (``conflict``)
==== ==================== ====================================================================

A one-way field never counts towards "both changed" and is never contested; written over what the target's own user
put there, it is logged ``resolved`` (R11).
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from messages.errors import ErrorKind
from messages.instructions import Action, Reason
from messages.values import Value, same
from store.model import SIDES, Form, LogWord, Sent, Side
from workers.mapping import UpdateRule
from workers.rules.choices import choice_of, chosen, typed_writes
from workers.rules.differences import FieldState, can_add, compare, contested, moved
from workers.rules.forms import in_mapping_terms
from workers.rules.policies import Both, Verdict, settle
from workers.rules.sending import Writes, fight, forms, instruct, own_names, write_to
from workers.rules.situation import Finding, Note, Situation, Trouble

MASK = "***"
"""What stands for a sensitive value wherever values are shown."""


def decide_update(situation: Situation, *, policies: bool) -> Finding:
    """Find what two living records ask for.

    Args:
        policies: Let policies settle what is contested; off while a person is asked already.
    """
    coupling, mapping = situation.coupling, situation.mapping
    if choice_of(situation) is None:
        base, states = moved(mapping, situation.images, coupling.base, situation.references)
    else:  # what an operator chooses may be of any field, also of those at rest
        states = compare(mapping, situation.images, coupling.base, situation.references, insist=True)
        base = {state.field.name: state.form for state in states}
    disputed = contested(mapping, states)
    verdicts = _verdicts(situation, states, disputed, policies=policies)
    base |= {one.state.field.name: Form(left=one.state.left, right=one.state.right) for one in verdicts if one.idle}
    if any(verdict.winner is None for verdict in verdicts):
        names = tuple(state.field.name for state in disputed)
        trouble = Trouble(kind=ErrorKind.UPDATE_CONFLICT, contested=names)
        return Finding(word="conflict", base=base, trouble=trouble)
    plan = {side: _plan(situation, side, states, verdicts) for side in SIDES}
    for writes in plan.values():
        if writes.trouble is not None:
            return Finding(word="error", base=base, trouble=writes.trouble, waits=writes.trouble.waits)
    return _send(situation, base, plan, verdicts)


def _verdicts(
    situation: Situation, states: tuple[FieldState, ...], disputed: tuple[FieldState, ...], *, policies: bool
) -> tuple[Verdict, ...]:
    choice = choice_of(situation)
    if choice is not None:
        return chosen(choice, states, disputed)
    if not policies:
        return tuple(Verdict(state=state, winner=None, rule="an error is open") for state in disputed)
    return settle(situation.mapping, disputed, situation.images)


def _plan(situation: Situation, target: Side, states: tuple[FieldState, ...], verdicts: tuple[Verdict, ...]) -> Writes:
    """What ``target`` is to be written: what only the other side changed, and what the other side won."""
    winners = {verdict.state.field.name: verdict.winner for verdict in verdicts}
    due, deltas, source = [], set(), target.other
    for state in states:
        if not (state.changed or winners):
            continue
        name = state.field.name
        winner = winners.get(name)
        wanted = winner in (source, Both.ADD) if name in winners else source in state.changed
        adds = winner is Both.ADD or (
            name not in winners and state.field.on_conflict is UpdateRule.ADD and can_add(state.form)
        )
        if wanted and (adds or not state.agreeing):
            due.append(state)
            deltas.update([name] if adds else [])
    writes = write_to(situation, target, due, frozenset(deltas))
    if situation.choice is not None:  # what an operator insists on is tried once more, whatever became of it before
        typed = typed_writes(situation, target, states)
        return msgspec.structs.replace(writes, by_field={**writes.by_field, **typed})
    freely = {name: write for name, write in writes.by_field.items() if name not in winners}
    fought = fight(situation.coupling, target, freely)  # what a policy decides is no app turning a value back
    return writes if fought is None else Writes(trouble=fought)


def _send(
    situation: Situation, base: dict[str, Form], plan: dict[Side, Writes], verdicts: tuple[Verdict, ...]
) -> Finding:
    """Make the instructions of a plan that nothing stands in the way of."""
    waits = plan[Side.LEFT].waits + plan[Side.RIGHT].waits
    targets = [side for side in SIDES if plan[side].by_field]
    if not targets:
        return Finding(word="ignored" if _stays(situation, base) else "unchanged", base=base, waits=waits)
    word: LogWord = "resolved" if verdicts else "merged" if len(targets) == len(Side) else "sent"
    rule = ", ".join(sorted({verdict.rule for verdict in verdicts})) or None
    reason = Reason.SYNCHRONIZE if choice_of(situation) is not None else _REASONS[word]
    send = []
    for side in targets:
        writes = plan[side].by_field
        fields = own_names(situation.mapping, side, writes)
        audit = {"writes": writes, "base": forms(base, writes), "rule": rule}
        send.append(instruct(situation, side, Action.UPDATE, reason, fields=fields, **audit))
    rules = {verdict.state.field.name: verdict.rule for verdict in verdicts}
    notes = tuple(_overwritten(situation, sent, rules) for sent in send)
    return Finding(
        word=word,
        base=base,
        send=tuple(send),
        waits=waits,
        rule=rule,
        notes=tuple(note for note in notes if note is not None),
    )


def _stays(situation: Situation, base: dict[str, Form]) -> bool:
    """Say whether a side was changed in a field that does not flow from it (row 10)."""
    return any(
        not field.direction.flows_from(side)
        and not same(situation.image(side).fields.get(field.on(side), UNSET), base[field.name].on(side))
        for field in situation.mapping.fields
        for side in SIDES
        if field.on(side) in situation.image(side).fields and base[field.name].agreed
    )


_REASONS: dict[str, Reason] = {"resolved": Reason.POLICY, "merged": Reason.MERGE, "sent": Reason.SYNC}


def _overwritten(situation: Situation, sent: Sent, rules: dict[str, str]) -> Note | None:
    """Nothing is overwritten silently (R11): a write over a value that differs from base is told, with all three."""
    over = {
        name: write
        for name, write in sent.writes.items()
        if write.delta is None
        and write.replaced is not UNSET
        and not _agreed_on(sent.base.get(name, Form()), sent.side, write.replaced)
    }
    if not over:
        return None
    by = ", ".join(sorted({rules.get(name, "one-way field") for name in over}))
    values = {name: _three(situation, sent, name) for name in over}
    return Note(
        word="resolved",
        record=sent.record,
        rule=by,
        detail=f"{sent.side} overwritten: {', '.join(over)}",
        values=values,
    )


def _agreed_on(form: Form, side: Side, value: Value) -> bool:
    return form.agreed and same(value, form.on(side))


def _three(situation: Situation, sent: Sent, name: str) -> dict[str, Value]:
    """Base, left and right of one overwritten field in mapping terms, masked where the mapping says so."""
    field = next(field for field in situation.mapping.fields if field.name == name)
    form = sent.base.get(name, Form())
    base = form.left if form.agreed else UNSET
    left = situation.left.fields.get(field.left, UNSET)
    right = situation.right.fields.get(field.right, UNSET)
    told = {
        "base": base,
        "left": left,
        "right": in_mapping_terms(field, right, Side.RIGHT, situation.references),
    }
    return {side: MASK if field.sensitive else value for side, value in told.items() if value is not UNSET}
