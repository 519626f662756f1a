"""What an operator wants of two living records: what may be chosen, and what each side is written for it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET

from messages.commands import Keep, Synchronize
from messages.values import Value
from store.model import Choice, Side, Wait
from tests.rules_world import World, field, mapping_of
from workers.mapping import Detect
from workers.refusal import RefusedError
from workers.rules.choices import choice_of, faults
from workers.rules.resolutions import choice

LEFT, RIGHT = Side.LEFT, Side.RIGHT
START: dict[str, Value] = {
    "a": 1,
    "b": 1,
    "g": 1,
    "h": 1,
    "s": "x",
    "ref": "",
    "out": 1,
    "back": 1,
}
FIELDS = (
    "a",
    "b",
    field("g", group="both"),
    field("h", group="both"),
    field("s", values=(("x", "eks"), ("y", "why"))),
    field("ref", reference="other"),
    field("out", direction="to_right"),
    field("back", direction="to_left"),
)


def world(left: dict[str, Value], right: dict[str, Value], **more: Any) -> World:
    """Two records that agreed, until both users changed this."""
    w = World(mapping_of(*FIELDS, detect=Detect.FIELD, **more), START, right_start=START | {"s": "eks"})
    w.deliver(w.L(**left), w.R(**right))
    return w


def contested(**more: Any) -> World:
    """``a`` is contested, ``b`` was changed on the left, and ``g`` on the right."""
    return world({"a": 2, "b": 2}, {"a": 3, "g": 3}, **more)


def wrong(w: World, **choice: Any) -> tuple[str, ...]:
    """What is wrong with this choice."""
    return faults(w.engine.situation(w.number), Choice(**choice))


def writes(w: World, **choice: Any) -> dict[str, dict[str, Value]]:
    """What each side is written for this choice."""
    decision = w.engine.order(w.number, Synchronize(coupling=w.number, **choice))
    return {sent.side.value: sent.fields for sent in decision.send}


# What may be chosen.

NAMED_NOT = "not said what becomes of the contested a"
ROWS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("keep", {"keep": LEFT}, []),
    ("the contested one", {"fields": {"a": RIGHT}}, []),
    ("the contested one, typed", {"values": {"a": 9}}, []),
    ("others too", {"fields": {"a": RIGHT, "b": RIGHT}, "values": {"s": "y"}}, []),
    ("a group whole", {"fields": {"a": LEFT, "g": LEFT, "h": LEFT}}, []),
    ("a group whole, half of it typed", {"fields": {"a": LEFT, "g": LEFT}, "values": {"h": 4}}, []),
    ("nothing that is contested", {"fields": {"b": LEFT}}, [NAMED_NOT]),
    ("half a group", {"fields": {"a": LEFT, "g": LEFT}}, ["the group both moves as one; h is not named"]),
    (
        "no field",
        {"fields": {"a": LEFT, "zz": LEFT}, "values": {"yy": 1}},
        ["yy is no field of the mapping m", "zz is no field of the mapping m"],
    ),
    ("against the direction", {"fields": {"a": LEFT, "out": RIGHT}}, ["out does not flow from the right side"]),
    ("against the other direction", {"fields": {"a": LEFT, "back": LEFT}}, ["back does not flow from the left side"]),
    (
        "a value without a form",
        {"values": {"a": 1, "s": "zz"}},
        ["the value typed for s has no form on the right side: its value map does not know it"],
    ),
    (
        "a reference without a coupling",
        {"values": {"a": 1, "ref": "k7"}},
        ["the value typed for ref has no form on the right side: a coupled record does not know it"],
    ),
    (
        "everything at once",
        {"fields": {"g": LEFT, "out": RIGHT, "zz": LEFT}, "values": {"s": "zz"}},
        [
            "zz is no field of the mapping m",
            NAMED_NOT,
            "the group both moves as one; h is not named",
            "out does not flow from the right side",
            "the value typed for s has no form on the right side: its value map does not know it",
        ],
    ),
]


@pytest.mark.parametrize(("chosen", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_is_wrong_with_a_choice(chosen: dict[str, Any], expected: list[str]) -> None:
    """An operator would mend one fault after the other, or something that nobody chose would win."""
    assert list(wrong(contested(), **chosen)) == expected


def test_a_wrong_choice_does_nothing() -> None:
    """Part of a choice would be carried out, and the rest be lost."""
    w = contested()
    before = w.coupling
    with pytest.raises(RefusedError) as refusal:
        writes(w, fields={"b": Keep.LEFT}, values={"s": "secret"})
    assert (refusal.value.code, w.coupling, w.sent()) == ("invalid", before, [])
    assert NAMED_NOT in str(refusal.value)
    assert "its value map does not know it" in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_a_side_that_is_not_known_cannot_win() -> None:
    """Nothing would be written, or nothing over something."""
    w = World(mapping_of("a", "b"), {"a": 1}, right_start={"a": 1})
    w.deliver(w.L(a=2, b=2), w.R(a=3))
    assert wrong(w, keep=RIGHT) == ("the right side's b is not known",)
    assert wrong(w, keep=LEFT) == ()
    assert wrong(w, fields={"a": LEFT, "b": RIGHT}) == ("the right side's b is not known",)


def test_a_value_map_knows_the_left_spelling_only() -> None:
    """An operator who types what the right side says would have it taken for something else."""
    assert wrong(contested(), values={"a": 1, "s": "y"}) == ()
    assert len(wrong(contested(), values={"a": 1, "s": "why"})) == 1


# What is written.


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (Keep.LEFT, {"left": {"g": 3}, "right": {"a": 2, "b": 2}}),
        (Keep.RIGHT, {"left": {"a": 3, "g": 3}, "right": {"b": 2}}),
    ],
)
def test_keep(keep: Keep, expected: dict[str, dict[str, Value]]) -> None:
    """The winner would take what is not contested, or what is not contested stay behind."""
    assert writes(contested(), keep=keep) == expected


def test_keep_of_a_record_that_is_contested_as_a_whole() -> None:
    """With ``detect = "record"`` the loser would keep half of what it changed."""
    w = World(mapping_of("a", "b"), {"a": 1, "b": 1})
    w.deliver(w.L(a=2), w.R(b=3))
    assert writes(w, keep=Keep.LEFT) == {"right": {"a": 2, "b": 1}}


def test_fields() -> None:
    """A side that was chosen would not be written, or a field that was not chosen not flow as ever."""
    w = contested()
    assert writes(w, fields={"a": Keep.RIGHT, "b": Keep.RIGHT}) == {"left": {"a": 3, "b": 1, "g": 3}}


def test_values_that_neither_side_held() -> None:
    """One side would not be told; or the base be taken before both agree, and a refusal be forgotten."""
    w = contested()
    situation = w.engine.situation(w.number)
    assert writes(w, values={"a": 9}) == {"left": {"a": 9, "g": 3}, "right": {"a": 9, "b": 2}}
    assert [sent.writes["a"].held for sent in w.coupling.flight] == [UNSET, UNSET]
    assert [sent.writes["a"].replaced for sent in w.coupling.flight] == [2, 3]
    assert w.coupling.base["a"] == situation.coupling.base["a"]
    w.run()
    assert (w.fields(LEFT), w.error) == (START | {"a": 9, "b": 2, "g": 3}, None)
    assert (w.coupling.base["a"].left, w.coupling.base["a"].right) == (9, 9)


def test_a_value_that_one_side_holds() -> None:
    """An app would be told to write what it has; or the base not take what both agree on now."""
    w = contested()
    assert writes(w, values={"a": 3}) == {"left": {"a": 3, "g": 3}, "right": {"b": 2}}
    [left] = (sent for sent in w.coupling.flight if sent.side is LEFT)
    assert left.writes["a"].held == 3


def test_a_typed_value_has_its_own_form_on_each_side() -> None:
    """The right app would be sent the left one's spelling."""
    assert writes(world({"s": "y"}, {"s": ""}), values={"s": "y"}) == {"right": {"s": "why"}}
    w = world({"a": 2}, {"a": 3})
    w.engine.references[Wait("other", LEFT, "k7")] = "o7"
    with pytest.raises(RefusedError):
        writes(w, values={"ref": "k8", "a": 2})


def test_a_typed_value_of_a_one_way_field_is_written_where_it_flows_to() -> None:
    """The source of a one-way field would be overwritten."""
    assert writes(contested(), fields={"a": Keep.LEFT}, values={"out": 7, "back": 8}) == {
        "left": {"g": 3, "back": 8},
        "right": {"a": 2, "b": 2, "out": 7},
    }


# Who chose.


def test_the_words_of_the_wire_become_those_of_the_store() -> None:
    """Left and right would be mixed up on the way in."""
    order = Synchronize(coupling=1, fields={"a": Keep.LEFT, "b": Keep.RIGHT}, values={"c": 1})
    assert choice(order) == Choice(fields={"a": LEFT, "b": RIGHT}, values={"c": 1})
    assert choice(Synchronize(coupling=1, keep=Keep.RIGHT)) == Choice(keep=RIGHT)


def test_what_couple_ordered_counts_until_it_is_done() -> None:
    """``couple`` with ``keep`` would be forgotten while the records are asked for, or overrule a later order."""
    w = World(mapping_of("a"), {"a": 1}, right_start={"a": 2}, keep=LEFT)
    situation = w.engine.situation(w.number)
    assert [sent.fields for sent in w.sent(RIGHT)] == [{"a": 1}]
    assert choice_of(situation) == Choice(keep=LEFT)
    w.run()
    assert choice_of(w.engine.situation(w.number)) is None
