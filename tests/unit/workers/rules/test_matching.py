"""Rule 4, row by row: whom an uncoupled record matches, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from messages.instructions import Action, Reason
from messages.records import RecordRef
from messages.values import Value
from store.model import Image, Sent, Side, Wait
from tests.rules_world import field, mapping_of
from workers.mapping import Direction, Mapping
from workers.rules.matching import (
    Arriving,
    Candidates,
    Fate,
    Verdict,
    echo_marks,
    is_echo,
    judge,
    match_values,
    written_mark,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NEW = RecordRef("l", "t", "new")
MAPPING = mapping_of(
    "email",
    field("name", right="title"),
    field("city"),
    field("kind", values=(("JO", "john"), ("LM", "lena"))),
    only_coupled=False,
    match_on=(("email",), ("name", "city")),
)


def image(side: Side = Side.LEFT, **fields: Value) -> Image:
    """A record with these fields."""
    app = "l" if side is Side.LEFT else "r"
    return Image(record=replace(NEW, app=app), exists=True, fields=fields)


def found(*keys: str, total: int | None = None) -> Candidates:
    """Uncoupled records of the right."""
    return Candidates(
        records=tuple(RecordRef("r", "t", key) for key in keys), total=len(keys) if total is None else total
    )


def judged(*groups: Candidates, mapping: Mapping = MAPPING, side: Side = Side.LEFT, **more: Any) -> Verdict:
    """What becomes of a record with these candidates."""
    around = Arriving(side=side, image=image(side), groups=groups)
    return judge(mapping, replace(around, **more))


NONE, ONE, TWO = found(), found("1"), found("1", "2")
PARTNER = RecordRef("r", "t", "1")
TWIN = RecordRef("r", "t", "twin")


@pytest.mark.parametrize(
    ("groups", "more", "verdict"),
    [
        pytest.param([ONE], {}, Verdict(fate=Fate.COUPLE, partner=PARTNER), id="exactly one match"),
        pytest.param([TWO], {}, Verdict(fate=Fate.AMBIGUOUS, candidates=TWO), id="several"),
        pytest.param(
            [found("1", "2", total=500)],
            {},
            Verdict(fate=Fate.AMBIGUOUS, candidates=found("1", "2", total=500)),
            id="more than are listed",
        ),
        pytest.param([], {}, Verdict(fate=Fate.CREATE), id="nothing to match by"),
        pytest.param([NONE], {}, Verdict(fate=Fate.CREATE), id="no match"),
        pytest.param([ONE, TWO], {}, Verdict(fate=Fate.COUPLE, partner=PARTNER), id="the first group that finds one"),
        pytest.param([TWO, ONE], {}, Verdict(fate=Fate.AMBIGUOUS, candidates=TWO), id="a later group does not choose"),
        pytest.param([NONE, ONE], {}, Verdict(fate=Fate.COUPLE, partner=PARTNER), id="the second group"),
        pytest.param(
            [ONE], {"creates": ("t1", "t2")}, Verdict(fate=Fate.WAIT, waits_for="t1"), id="a create in flight"
        ),
        pytest.param([TWO], {"creates": ("t1",)}, Verdict(fate=Fate.WAIT, waits_for="t1"), id="… before an ambiguity"),
        pytest.param(
            [NONE],
            {"creates": ("t1",), "twin_of": TWIN},
            Verdict(fate=Fate.WAIT, waits_for="t1"),
            id="… and before a twin",
        ),
        pytest.param(
            [NONE],
            {"twin_of": TWIN},
            Verdict(fate=Fate.AMBIGUOUS, candidates=found("twin")),
            id="a create that it waited for made another record",
        ),
        pytest.param(
            [ONE], {"twin_of": TWIN}, Verdict(fate=Fate.COUPLE, partner=PARTNER), id="a twin with its own match"
        ),
    ],
)
def test_what_becomes_of_it(groups: Sequence[Candidates], more: dict[str, Any], verdict: Verdict) -> None:
    """A record would be doubled on the other side, tied to the wrong one, or forgotten."""
    assert judged(*groups, **more) == verdict


@pytest.mark.parametrize(
    ("direction", "side", "fate"),
    [
        (Direction.BOTH, Side.LEFT, Fate.CREATE),
        (Direction.BOTH, Side.RIGHT, Fate.CREATE),
        (Direction.TO_RIGHT, Side.LEFT, Fate.CREATE),
        (Direction.TO_RIGHT, Side.RIGHT, Fate.LEAVE),
        (Direction.TO_LEFT, Side.LEFT, Fate.LEAVE),
        (Direction.TO_LEFT, Side.RIGHT, Fate.CREATE),
    ],
)
def test_nothing_is_created_against_the_direction(direction: Direction, side: Side, fate: Fate) -> None:
    """A one-way mapping would write into the app that it only reads; what is there already is coupled all the same."""
    mapping = replace(MAPPING, direction=direction)
    assert judged(NONE, mapping=mapping, side=side).fate is fate
    assert judged(ONE, mapping=mapping, side=side).fate is Fate.COUPLE


def matched(one: dict[str, Value], other: dict[str, Value]) -> list[int]:
    """The groups in which a left and a right record have the same match value."""
    left = dict(match_values(MAPPING, Side.LEFT, image(**one), {}))
    right = dict(match_values(MAPPING, Side.RIGHT, image(Side.RIGHT, **other), {}))
    return [group for group in left if left[group] == right.get(group)]


@pytest.mark.parametrize(
    ("left", "right", "groups"),
    [
        pytest.param({"email": "A@b.c"}, {"email": "a@B.C"}, [0], id="case"),
        pytest.param({"email": "straße"}, {"email": "STRASSE"}, [0], id="case, as Unicode has it"),
        pytest.param({"email": " a "}, {"email": "a"}, [0], id="white space around"),
        pytest.param({"email": "a"}, {"email": "b"}, [], id="another value"),
        pytest.param({"email": ""}, {"email": ""}, [], id="empty"),
        pytest.param({"email": "  "}, {"email": "  "}, [], id="blank"),
        pytest.param({"email": None}, {"email": None}, [], id="null"),
        pytest.param({}, {}, [], id="unknown"),
        pytest.param(
            {"name": "a", "city": "b"}, {"title": "A", "city": "B"}, [1], id="all of a group, by mapping names"
        ),
        pytest.param({"name": "a", "city": ""}, {"title": "a", "city": ""}, [], id="a group with an empty part"),
        pytest.param({"name": "a"}, {"title": "a"}, [], id="a group with an unknown part"),
        pytest.param({"name": "a", "city": "b"}, {"title": "ab", "city": ""}, [], id="parts do not run together"),
        pytest.param({"name": "a", "city": "b"}, {"title": "b", "city": "a"}, [], id="parts keep their place"),
        pytest.param(
            {"email": "e", "name": "a", "city": "b"},
            {"email": "e", "title": "a", "city": "b"},
            [0, 1],
            id="every group",
        ),
        pytest.param({"email": 1}, {"email": Decimal("1.00")}, [0], id="numbers are one however they are spelled"),
        pytest.param({"email": 100}, {"email": Decimal("1E+2")}, [0], id="… also large ones"),
        pytest.param({"email": True}, {"email": 1}, [], id="true is no number"),
        pytest.param({"email": 0}, {"email": Decimal("0.0")}, [0], id="zero is not empty"),
        pytest.param({"email": False}, {"email": False}, [0], id="nor is false"),
    ],
)
def test_what_matches(left: dict[str, Value], right: dict[str, Value], groups: list[int]) -> None:
    """Two records that are one would be doubled; or two of nobody's concern would be tied, all the nameless first."""
    assert matched(left, right) == groups


def test_values_match_in_mapping_terms() -> None:
    """A value map or a reference would keep every pair apart."""
    coded = replace(MAPPING, match_on=(("kind",),))
    left, right = image(kind="JO"), image(Side.RIGHT, kind="john")
    assert match_values(coded, Side.LEFT, left, {}) == match_values(coded, Side.RIGHT, right, {})
    referring = mapping_of(field("boss", reference="people"), match_on=(("boss",),))
    references = {Wait("people", Side.RIGHT, "r7"): "l7"}
    assert match_values(referring, Side.LEFT, image(boss="l7"), {}) == match_values(
        referring, Side.RIGHT, image(Side.RIGHT, boss="r7"), references
    )


def test_the_same_words_in_two_groups_are_two_values() -> None:
    """A record whose city is another's e-mail address would match it."""
    mapping = replace(MAPPING, match_on=(("email",), ("city",)))
    values = dict(match_values(mapping, Side.LEFT, image(email="x", city="x"), {}))
    assert values[0] != values[1]


def create(**fields: Value) -> Sent:
    """A create towards the right."""
    return Sent(
        id="t1",
        side=Side.RIGHT,
        record=RecordRef("r", "t", ""),
        action=Action.CREATE,
        reason=Reason.CREATE,
        made_at=NOW,
        fields=fields,
    )


@pytest.mark.parametrize(
    ("written", "seen", "echo"),
    [
        pytest.param({"title": "a", "city": "b"}, {"title": "a", "city": "b"}, True, id="the same"),
        pytest.param({"title": "a"}, {"title": "a", "city": "b", "own": 1}, True, id="and more of its own"),
        pytest.param({"title": 1}, {"title": Decimal("1.0")}, True, id="numbers"),
        pytest.param({"title": "a"}, {"title": "A"}, False, id="byte for byte"),
        pytest.param({"title": "a", "city": "b"}, {"title": "a"}, False, id="a part"),
        pytest.param({"title": "a"}, {"title": None}, False, id="null"),
    ],
)
def test_an_echo_holds_these_very_fields_and_is_found_by_them(
    written: dict[str, Value], seen: dict[str, Value], *, echo: bool
) -> None:
    """R15: the record that we had created would be created again on the side that it came from."""
    sent, arriving = create(**written), image(Side.RIGHT, **seen)
    assert is_echo(sent, arriving) is echo
    mark = written_mark(MAPPING, Side.RIGHT, sent.fields)
    assert mark is not None
    if echo:
        assert mark in echo_marks(MAPPING, Side.RIGHT, arriving.fields)


def test_a_create_without_mapped_fields_leaves_no_mark() -> None:
    """A record with unmapped fields only would wait for every create."""
    assert written_mark(MAPPING, Side.RIGHT, {"own": 1}) is None
    assert echo_marks(MAPPING, Side.RIGHT, {"own": 1}) == ()
