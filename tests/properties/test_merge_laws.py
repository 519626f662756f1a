"""The laws of the merge, on one decision: idempotent, what is not changed does not count, missing is not null."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from messages.changes import Change, Operation
from messages.records import RecordRef
from messages.values import Known, Value, same
from store.model import Coupling, Form, Image, Side
from tests.properties.histories import mappings
from tests.simulated_app import EPOCH
from workers.mapping import Mapping
from workers.rules.decide import decide
from workers.rules.images import Order, fold_change
from workers.rules.situation import Situation

VALUES = st.one_of(st.none(), st.just(""), st.integers(0, 3), st.sampled_from(["A", "B", "one", "two"]))
KNOWN = st.one_of(st.just(UNSET), VALUES)
REFS = {side: RecordRef(side.value[0], "t", "k") for side in Side}


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Two living records with any values, known or not, and any base."""
    mapping = draw(mappings())
    base = {
        one.name: Form(left=draw(KNOWN), right=draw(KNOWN), agreed=draw(st.sampled_from([True, True, False])))
        for one in mapping.fields
    }
    images = [_image(side, {one.on(side): draw(KNOWN) for one in mapping.fields}) for side in Side]
    return _situation(mapping, base, *images)


def _image(side: Side, fields: dict[str, Known]) -> Image:
    known = {name: value for name, value in fields.items() if value is not UNSET}
    return Image(
        record=REFS[side],
        exists=True,
        fields=known,
        versions=dict.fromkeys(known, 1),
        version=1,
        user_modified_at=EPOCH,
    )


def _situation(mapping: Mapping, base: dict[str, Form], left: Image, right: Image) -> Situation:
    coupling = Coupling(
        id=1,
        mapping="m",
        token="x",  # noqa: S106 - no secret
        left=REFS[Side.LEFT],
        right=REFS[Side.RIGHT],
        based=True,
        base=base,
    )
    return Situation(coupling=coupling, mapping=mapping, left=left, right=right, references={}, now=EPOCH)


@given(situations())
def test_deciding_twice_is_deciding_once(situation: Situation) -> None:
    """A decision would find something new in what it has just left behind."""
    first = decide(situation)
    second = decide(_with(situation, first.coupling))
    assert second.send == ()
    assert second.coupling == first.coupling
    assert second.event is None


def _with(situation: Situation, coupling: Coupling) -> Situation:
    return Situation(
        coupling=coupling,
        mapping=situation.mapping,
        left=situation.left,
        right=situation.right,
        references={},
        now=situation.now,
    )


@given(situations(), st.sampled_from(Side))
def test_a_side_that_holds_its_base_has_nothing_to_say(situation: Situation, side: Side) -> None:
    """Base = A, so the result is B: a side that nobody changed would overwrite the other, or be in conflict."""
    mapping = situation.mapping
    base = {
        one.name: Form()
        .with_side(side, situation.image(side).fields.get(one.on(side), UNSET))
        .with_side(side.other, situation.coupling.base[one.name].on(side.other))
        for one in mapping.fields
    }
    decision = decide(_situation(mapping, base, situation.left, situation.right))
    assert all(sent.side is side for sent in decision.send)
    assert decision.error is None or decision.error.kind != "update_conflict"


@given(situations())
def test_missing_is_not_null(situation: Situation) -> None:
    """A field that a record has never told would be written on the other side, as empty."""
    for sent in decide(situation).send:
        source = situation.image(sent.side.other)
        for one in situation.mapping.fields:
            if one.name in sent.writes:
                assert one.on(sent.side.other) in source.fields


@given(situations())
def test_nothing_is_written_that_is_there_already(situation: Situation) -> None:
    """An instruction would write what the record holds; an app would count it as a change, and so would we."""
    for sent in decide(situation).send:
        held = situation.image(sent.side).fields
        for name, value in sent.fields.items():
            assert not same(held.get(name, UNSET), value)


EVENTS = st.lists(
    st.tuples(st.sampled_from(["update", "read"]), st.dictionaries(st.sampled_from("abc"), VALUES)),
    min_size=1,
    max_size=6,
)


@given(EVENTS, st.randoms(use_true_random=False))
def test_an_image_is_the_same_in_any_order(events: list[tuple[str, dict[str, Value]]], random: object) -> None:
    """What is known of a record would depend on which of its events came first."""
    told = [
        (Change(record=REFS[Side.LEFT], id=str(at), operation=Operation(what), fields=fields), Order(at))
        for at, (what, fields) in enumerate(events)
    ]
    shuffled = [*told, *told]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    images = [Image(record=REFS[Side.LEFT]), Image(record=REFS[Side.LEFT])]
    for place, order in enumerate((told, shuffled)):
        for change, at in order:
            images[place] = fold_change(images[place], change, at, ours=False) or images[place]
    assert images[0] == images[1]
