"""What differs, what is changed, what is contested."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from messages.records import RecordRef
from messages.values import Known, Value
from store.model import Form, Image, Side
from tests.rules_world import field, mapping_of
from workers.mapping import Detect, Direction, MappedField, UpdateRule
from workers.rules.differences import compare, contested, moved, take_base

L, R = Side.LEFT, Side.RIGHT
NONE: frozenset[Side] = frozenset()
LEFT, RIGHT, BOTH = frozenset({L}), frozenset({R}), frozenset(Side)
MAPPED = field("f", values=(("a", "x"), ("b", "y")))
ADD = field("f", on_conflict=UpdateRule.ADD)


def image(app: str, **fields: Known) -> Image:
    """An image with these fields, those left out that are ``UNSET``."""
    return Image(
        record=RecordRef(app, "t", "k"), exists=True, fields={n: v for n, v in fields.items() if v is not UNSET}
    )


@pytest.mark.parametrize(
    ("one", "base", "left", "right", "changed", "form"),
    [
        pytest.param(field("f"), Form(left=1, right=1), 1, 1, NONE, Form(left=1, right=1), id="nothing"),
        pytest.param(field("f"), Form(left=1, right=1), 2, 1, LEFT, Form(left=1, right=1), id="left"),
        pytest.param(field("f"), Form(left=1, right=1), 1, 2, RIGHT, Form(left=1, right=1), id="right"),
        pytest.param(field("f"), Form(left=1, right=1), 2, 3, BOTH, Form(left=1, right=1), id="both"),
        pytest.param(
            field("f"), Form(left=1, right=1), 2, 2, NONE, Form(left=2, right=2), id="both alike: base takes it"
        ),
        pytest.param(
            field("f"), Form(left=1, right=1), UNSET, 2, RIGHT, Form(left=1, right=1), id="missing is no change"
        ),
        pytest.param(field("f"), Form(left=1, right=1), None, 1, LEFT, Form(left=1, right=1), id="null is one"),
        pytest.param(field("f"), Form(), UNSET, "", NONE, Form(), id="a first word that says nothing"),
        pytest.param(field("f"), Form(), UNSET, 7, RIGHT, Form(), id="a first word"),
        pytest.param(field("f"), Form(left=9, right=8), 9, 8, NONE, Form(left=9, right=8), id="two forms of one value"),
        pytest.param(field("f"), Form(left=9, right=8), 9, 9, NONE, Form(left=9, right=9), id="they agree now"),
        pytest.param(field("f"), None, 1, 2, NONE, Form(left=1, right=2), id="mapped later"),
        pytest.param(
            field("f", direction="to_right"), Form(left=1, right=1), 1, 2, NONE, Form(left=1, right=1), id="a target"
        ),
        pytest.param(
            field("f", direction="to_right"), Form(left=1, right=1), 2, 3, LEFT, Form(left=1, right=1), id="a source"
        ),
        pytest.param(
            MAPPED, Form(left="a", right="x"), "b", "y", NONE, Form(left="b", right="y"), id="alike by the map"
        ),
        pytest.param(ADD, Form(left=1, right=1), 2, 2, BOTH, Form(left=1, right=1), id="R5: two equal deltas are two"),
        pytest.param(
            ADD, Form(left=1, right=2, agreed=False), 2, 2, NONE, Form(left=2, right=2), id="no base to add to"
        ),
        pytest.param(
            ADD, Form(left=1, right=1), "x", "x", BOTH, Form(left=1, right=1), id="what is no number is for a person"
        ),
    ],
)
def test_changed(  # noqa: PLR0913 - a table
    one: MappedField, base: Form | None, left: Known, right: Known, changed: frozenset[Side], form: Form
) -> None:
    """A change would be missed, or one seen where there is none, or the base would not take what the sides agree on."""
    bases = {} if base is None else {"f": base}
    (state,) = compare(mapping_of(one), (image("l", f=left), image("r", f=right)), bases, {}, insist=False)
    assert (state.changed, state.form) == (changed, form)


@pytest.mark.parametrize(
    ("detect", "changes", "expected"),
    [
        pytest.param(Detect.RECORD, {"a": LEFT}, "", id="one side"),
        pytest.param(Detect.RECORD, {"a": LEFT, "b": RIGHT}, "ab", id="all that either changed"),
        pytest.param(Detect.RECORD, {"a": LEFT, "b": LEFT, "one_way": RIGHT}, "", id="one-way fields do not count"),
        pytest.param(Detect.RECORD, {"a": BOTH, "one_way": RIGHT}, "a", id="one-way fields are never contested"),
        pytest.param(Detect.FIELD, {"a": LEFT, "b": RIGHT}, "", id="different fields"),
        pytest.param(Detect.FIELD, {"a": BOTH, "b": RIGHT}, "a", id="the same field"),
        pytest.param(Detect.FIELD, {"g": LEFT, "h": RIGHT, "a": LEFT}, "gh", id="a group that both touched"),
        pytest.param(Detect.FIELD, {"g": LEFT, "h": LEFT}, "", id="a group that one touched"),
    ],
)
def test_contested(detect: Detect, changes: dict[str, frozenset[Side]], expected: str) -> None:
    """Two people would be asked about what does not concern each other, or not be asked about what does."""
    fields = ("a", "b", field("g", group="x"), field("h", group="x"), field("one_way", direction="to_left"))
    mapping = mapping_of(*fields, detect=detect)
    left: dict[str, Value] = {one.name: 1 if L in changes.get(one.name, ()) else 0 for one in mapping.fields}
    right: dict[str, Value] = {one.name: 2 if R in changes.get(one.name, ()) else 0 for one in mapping.fields}
    base = {one.name: Form(left=0, right=0) for one in mapping.fields}
    states = compare(mapping, (image("l", **left), image("r", **right)), base, {}, insist=False)
    assert "".join(state.field.name for state in contested(mapping, states)) == expected


def test_the_first_base() -> None:
    """What differs when two records are coupled would count as agreed, or as a conflict from the beginning."""
    mapping = mapping_of("same", "other", "half", "nobody")
    left, right = image("l", same=1, other=1, half=1), image("r", same=1, other=2)
    base = take_base(mapping, left, right, {})
    assert base == {
        "same": Form(left=1, right=1),
        "other": Form(left=1, right=2, agreed=False),
        "half": Form(left=1, agreed=False),
        "nobody": Form(),
    }
    asleep = compare(mapping, (left, right), base, {}, insist=False)
    assert [state.changed for state in asleep] == [NONE] * 4
    awake = compare(mapping, (image("l", same=5, other=1, half=1), right), base, {}, insist=False)
    assert [state.changed for state in awake] == [LEFT, BOTH, NONE, NONE]
    kept = compare(mapping, (left, right), base, {}, insist=True)
    assert [state.changed for state in kept] == [NONE, BOTH, NONE, NONE]


VALUES = st.sampled_from([UNSET, None, "", "a", "b", 1, 0, True, False, Decimal("1.0"), ["a"], {"a": 1}])
FORMS = st.none() | st.builds(Form, left=VALUES, right=VALUES, agreed=st.booleans())
FIELDS = st.builds(
    field,
    st.sampled_from(["f", "g", "h"]),
    direction=st.sampled_from(Direction),
    on_conflict=st.sampled_from([None, UpdateRule.ADD]),
    values=st.sampled_from([None, (("a", "b"), ("b", "a"))]),
    reference=st.sampled_from([None, "other"]),
)


@given(data=st.data())
def test_what_is_at_rest_is_what_nobody_need_look_at(data: st.DataObject) -> None:
    """A change, or a disagreement, would go unseen because it looks like none at the first glance."""
    fields = data.draw(st.lists(FIELDS, min_size=1, max_size=3, unique_by=lambda one: one.name))
    mapping = mapping_of(*fields)
    base = {one.name: form for one in fields if (form := data.draw(FORMS)) is not None}
    sides = [{one.on(side): data.draw(VALUES) for one in fields} for side in Side]
    images = (image("bc", **sides[0]), image("sales", **sides[1]))
    all_states = compare(mapping, images, base, {}, insist=False)

    now, states = moved(mapping, images, base, {})

    assert now == {state.field.name: state.form for state in all_states}
    assert [type(form.left) for form in now.values()] == [type(state.form.left) for state in all_states]
    assert states == tuple(state for state in all_states if state in states)
    at_rest = [state for state in all_states if state not in states]
    assert all(state.agreeing and not state.changed for state in at_rest)
    assert all(base[state.field.name] == state.form for state in at_rest)
