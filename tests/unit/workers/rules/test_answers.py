"""What ties an answer to what was asked, and what a confirmation makes of the base."""

from __future__ import annotations

from decimal import Decimal

import pytest

from messages.changes import Change, Operation
from messages.instructions import Action, Reason
from messages.records import RecordRef
from messages.values import Value
from store.model import Alteration, Confirmed, Coupling, Form, Image, InstructionState, Sent, Side, Write
from tests.rules_world import World, field, mapping_of
from tests.simulated_app import EPOCH
from workers.mapping import Confirms
from workers.rules.answers import ALTERED_WITHIN, Answer, Tie, confirm, note_alterations, tie

LEFT, RIGHT = Side.LEFT, Side.RIGHT
REFS = {side: RecordRef(side.value[0], "t", "k") for side in Side}
CREATE, UPDATE, DELETE, READ = Operation.CREATE, Operation.UPDATE, Operation.DELETE, Operation.READ


def sent(action: Action = Action.UPDATE, *, state: InstructionState = InstructionState.SENT, **fields: Value) -> Sent:
    """An instruction to the right, made at version 5."""
    if_version = 5 if action in (Action.UPDATE, Action.DELETE) else None
    return Sent(
        id="i-1",
        side=RIGHT,
        record=REFS[RIGHT],
        action=action,
        reason=Reason.SYNC,
        made_at=EPOCH,
        fields=fields,
        if_version=if_version,
        state=state,
        writes={name: Write(value=value, held=value, replaced=0) for name, value in fields.items()},
    )


def coupling(*flight: Sent, last: Confirmed | None = None, **base: Form) -> Coupling:
    """A coupling with these instructions in flight."""
    answered = {} if last is None else {RIGHT: last}
    return Coupling(
        id=1,
        mapping="m",
        token="x",  # noqa: S106 - no secret
        left=REFS[LEFT],
        right=REFS[RIGHT],
        based=True,
        flight=flight,
        last=answered,
        base=base,
    )


def change(operation: Operation = UPDATE, instruction: str | None = None, **fields: Value) -> Change:
    """A change of the right record."""
    return Change(record=REFS[RIGHT], id="e", operation=operation, fields=fields, instruction=instruction)


LAST = Confirmed(instruction="i-0", version=7, at=EPOCH, values={"a": 1})


@pytest.mark.parametrize(
    ("confirms", "one", "event", "version", "expected"),
    [
        pytest.param("outcome", sent(a=2), change(a=2), 6, Tie.ECHOES, id="looks like ours"),
        pytest.param("echo", sent(a=2), change(a=2), 6, Tie.CONFIRMS, id="by echo"),
        pytest.param("echo", sent(a=2), change(a=2, b=9), 6, Tie.CONFIRMS, id="with more than ours"),
        pytest.param("echo", sent(a=2, b=3), change(a=2), 6, Tie.NONE, id="not all of ours"),
        pytest.param("echo", sent(a=2), change(a=3), 6, Tie.NONE, id="another value"),
        pytest.param("echo", sent(a=2), change(a=2), 5, Tie.NONE, id="older than the decision"),
        pytest.param("echo", sent(a=2), change(READ, a=2), 6, Tie.NONE, id="a read is no echo"),
        pytest.param("echo", sent(a=2), change(DELETE), 6, Tie.NONE, id="a delete is no echo of a write"),
        pytest.param(
            "outcome", sent(a=2), change(instruction="i-1", a=3), 3, Tie.CONFIRMS, id="by name, whatever it says"
        ),
        pytest.param("outcome", sent(Action.DELETE), change(DELETE), 6, Tie.ECHOES, id="looks like our delete"),
        pytest.param("echo", sent(Action.DELETE), change(DELETE), 6, Tie.CONFIRMS, id="our delete"),
        pytest.param("echo", sent(Action.DELETE), change(DELETE), 5, Tie.NONE, id="an older delete"),
        pytest.param("echo", sent(Action.READ), change(a=2), 6, Tie.NONE, id="a read is answered by name"),
        pytest.param(
            "outcome", sent(Action.READ), change(READ, "i-1", a=2), 2, Tie.CONFIRMS, id="the answer to a read"
        ),
        pytest.param("echo", sent(a=2, state=InstructionState.UNANSWERED), change(a=2), 6, Tie.CONFIRMS, id="late"),
        pytest.param("echo", sent(a=2, state=InstructionState.FAILED), change(a=2), 6, Tie.NONE, id="answered before"),
        pytest.param("outcome", None, change(instruction="i-0", a=9), 6, Tie.FOLLOWS, id="names the last"),
        pytest.param("outcome", None, change(a=9), 7, Tie.FOLLOWS, id="bears its version"),
        pytest.param("outcome", None, change(a=9), 8, Tie.NONE, id="a user's"),
    ],
)
def test_tie(confirms: str, one: Sent | None, event: Change, version: int, expected: Tie) -> None:
    """A user's change would pass for an answer, or an answer for a user's change."""
    mapping = mapping_of("a", "b", right={"confirms": Confirms(confirms)})
    flight = () if one is None else (one,)
    how, which = tie(coupling(*flight, last=LAST), mapping, RIGHT, event, version)
    assert how is expected
    assert (which is not None) is (expected in (Tie.CONFIRMS, Tie.ECHOES))


@pytest.mark.parametrize(
    ("write", "reported", "base", "expected"),
    [
        pytest.param(
            Write(value="x", held="X"), {}, Form(left=1, right=1), Form(left="X", right="x"), id="what was held (R4)"
        ),
        pytest.param(Write(value=7), {}, Form(left=1, right=1), Form(left=1, right=1), id="typed: not yet (R4)"),
        pytest.param(
            Write(value="long", held="long"),
            {"f": "lo"},
            Form(),
            Form(left="long", right="lo"),
            id="both forms (truncation)",
        ),
        pytest.param(
            Write(value=11, replaced=8, delta=Decimal(3)),
            {},
            Form(left=5, right=8),
            Form(left=8, right=11),
            id="the delta (R5)",
        ),
        pytest.param(
            Write(value=11, replaced=8, delta=Decimal(3)),
            {"f": 10},
            Form(left=5, right=8),
            Form(left=8, right=10),
            id="and its form",
        ),
        pytest.param(
            Write(value=2, held=2), {}, Form(left=1, right=2, agreed=False), Form(left=2, right=2), id="agreed at last"
        ),
    ],
)
def test_the_base_after_a_confirmation(write: Write, reported: dict[str, Value], base: Form, expected: Form) -> None:
    """The base would move to what nobody confirmed, or not to what was; a delta would count twice."""
    one = Sent(
        id="i-1",
        side=RIGHT,
        record=REFS[RIGHT],
        action=Action.UPDATE,
        reason=Reason.SYNC,
        made_at=EPOCH,
        fields={"f": write.value},
        writes={"f": write},
    )
    answer = Answer(sent=one, record=REFS[RIGHT], version=6, reported=reported, at=EPOCH)
    done = confirm(coupling(one, f=base), mapping_of("f"), answer, Image(record=REFS[RIGHT]))
    assert done.coupling.base["f"] == expected
    assert done.coupling.flight == ()
    assert done.normalized == (("f",) if reported else ())


@pytest.mark.parametrize(
    ("reason", "side", "kept"),
    [(Reason.SYNCHRONIZE, RIGHT, False), (Reason.SYNCHRONIZE, LEFT, True), (Reason.READ, RIGHT, True)],
)
def test_keep_ends_when_the_other_side_took_it(reason: Reason, side: Side, kept: bool) -> None:  # noqa: FBT001
    """``keep`` would end with another's answer, or outlive its own and overwrite what a user enters next."""
    action = Action.READ if reason is Reason.READ else Action.UPDATE
    one = Sent(id="i", side=side, record=REFS[side], action=action, reason=reason, made_at=EPOCH)
    before = Coupling(
        id=1,
        mapping="m",
        token="x",  # noqa: S106 - no secret
        left=REFS[LEFT],
        right=REFS[RIGHT],
        based=True,
        flight=(one,),
        keep=LEFT,
    )
    answer = Answer(sent=one, record=REFS[side], version=1, at=EPOCH)
    done = confirm(before, mapping_of("f"), answer, Image(record=REFS[side]))
    assert (done.coupling.keep is LEFT) is kept


@pytest.mark.parametrize(
    ("late", "was", "became", "noted"),
    [
        pytest.param(False, 1, 9, True, id="at once"),
        pytest.param(True, 1, 9, False, id="later it is a user's edit"),
        pytest.param(False, 3, 9, False, id="it was not our value any more"),
        pytest.param(False, 1, 1, False, id="nothing was altered"),
    ],
)
def test_alterations(late: bool, was: Value, became: Value, noted: bool) -> None:  # noqa: FBT001
    """R13: a user's edit would be taken for an app's, or an app's for a user's."""
    now = EPOCH + ALTERED_WITHIN * (2 if late else 1)
    images = tuple(Image(record=REFS[RIGHT], fields={"a": value}) for value in (was, became))
    done = note_alterations(coupling(last=LAST), mapping_of("a"), RIGHT, images, now)  # type: ignore[arg-type]
    assert done.altered == ({RIGHT: {"a": Alteration(sent=1, became=9)}} if noted else {})


def test_a_users_own_edit_forgets_what_the_other_side_made_of_the_field() -> None:
    """A value that a user wants, and that the other app altered long ago, would be refused as a fight."""
    before = coupling()
    before = Coupling(
        **{name: getattr(before, name) for name in before.__struct_fields__}
        | {"altered": {LEFT: {"a": Alteration(sent=101, became=100)}}}
    )
    images = Image(record=REFS[RIGHT], fields={"a": 100}), Image(record=REFS[RIGHT], fields={"a": 101})
    assert note_alterations(before, mapping_of("a"), RIGHT, images, EPOCH).altered == {}


def test_a_create_ties_the_new_record() -> None:
    """The coupling would stay with the record that is gone, or with none."""
    one = sent(Action.CREATE, a=2)
    new = RecordRef("r", "t", "new")
    answer = Answer(sent=one, record=new, version=1, at=EPOCH)
    done = confirm(coupling(one), mapping_of("a", field("b")), answer, Image(record=new))
    assert (done.coupling.right, done.apart) == (new, REFS[RIGHT])
    assert done.coupling.base["a"] == Form(left=2, right=2)


def test_a_change_that_names_our_instruction_and_tells_nothing_else() -> None:
    """The image would keep what was there before, and that would flow back as a user's change."""
    w = World(mapping_of("a"), {"a": 1})
    w.deliver(w.L(a=5))
    (one,) = w.sent()
    w.deliver(Change(record=REFS[RIGHT], id="e", operation=UPDATE, version=9, at=w.now, instruction=one.id))
    assert (w.coupling.flight, w.engine.sent_count, w.error) == ((), 1, None)
    assert w.image(RIGHT).fields == {"a": 5}
