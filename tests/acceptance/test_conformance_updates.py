"""Conformance cases of the best conflict engines, through the wire on both backends: the update path, C01 to C15.

The numbers are those of the comparison that the design rests on; what differs there is said in the docstring.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from store.couplings import Standing
from tests.acceptance.cases import APPS, Pair, mapping
from tests.acceptance.harness import Backend, Stage, open_stage

MAPPINGS = (
    mapping("c01", "name"),
    mapping("c02", "name"),
    mapping("c03", "name"),
    mapping("c04", "fax", "home", detect="field"),
    mapping("c06", {"left": "name", "right": "name", "direction": "to_right"}),
    mapping("c07", "name"),
    mapping("c09", "name", left="pos"),
    mapping("c10", "name"),
    mapping("c11-newest", "name", on_update_conflict="newest"),
    mapping("c11-left", "name", on_update_conflict="left"),
    mapping("c13", "name", on_update_conflict="newest", clock_skew="2s"),
    mapping(
        "c14",
        {"left": "amount", "right": "amount", "on_conflict": "add"},
        {"left": "hour", "right": "hour", "on_conflict": "max"},
    ),
    mapping("c15", "x", "y"),
)


@pytest.fixture(scope="module")
def stage(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One worker for all cases; each has tables of its own."""
    with open_stage(backend, tmp_path_factory.mktemp("stage"), "\n".join((APPS, *MAPPINGS))) as opened:
        opened.start_worker()
        yield opened


def test_c01_an_event_with_equal_values_is_unchanged_and_writes_nothing(stage: Stage) -> None:
    """Else every touch of a record would make work and noise on the other side."""
    pair = Pair(stage, "c01")
    pair.couple(name="same")
    event = pair.edit("left", 2, name="same")
    stage.settle(event)

    assert stage.outcome(event) == ["unchanged"]
    assert pair.writes("right") == pair.writes("left") == []
    assert pair.told == []
    assert pair.standing is Standing.SYNCHRONIZED


def test_c02_a_change_of_one_side_is_written_to_the_other_and_becomes_base(stage: Stage) -> None:
    """Else changes do not travel; and were the base left behind, the answer to the next would be a false conflict."""
    pair = Pair(stage, "c02")
    pair.couple(name="old")
    stage.settle(pair.edit("left", 2, name="new"))
    assert pair.writes("right") == [{"name": "new"}]
    pair.apply_all()
    stage.settle(pair.edit("right", 3, name="newer"))

    assert pair.writes("left") == [{"name": "newer"}]
    assert pair.sent_to("left")[0]["data"]["if_version"] == 2
    assert pair.told == []


def test_c03_the_same_field_changed_differently_is_an_update_conflict_and_nothing_is_written(stage: Stage) -> None:
    """Else one user's change is silently lost."""
    pair = Pair(stage, "c03")
    pair.couple(name="base")
    pair.clash(pair.edit("left", 2, name="ours"), pair.edit("right", 2, name="theirs"))

    (told,) = pair.told
    assert told["kind"] == "update_conflict"
    assert told["differences"] == [
        {"field": "name", "contested": True, "base": "base", "left": "ours", "right": "theirs"}
    ]
    assert pair.writes("left") == []
    assert pair.writes("right") == [{"name": "ours"}], "only what the app has refused"
    assert pair.standing is Standing.SKIPPED


def test_c04_different_fields_changed_on_both_sides_are_merged_without_conflict(stage: Stage) -> None:
    """The false positive of the system that this one generalises: fax here and home page there is no disagreement."""
    pair = Pair(stage, "c04")
    pair.couple(fax="1", home="old.example")
    pair.clash(pair.edit("left", 2, fax="2"), pair.edit("right", 2, home="new.example"))

    assert [event["data"]["reason"] for event in (pair.sent_to("left")[-1], pair.sent_to("right")[-1])] == ["merge"] * 2
    assert (pair.writes("left"), pair.writes("right")[-1]) == ([{"home": "new.example"}], {"fax": "2"})
    pair.apply_all()
    assert pair.standing is Standing.SYNCHRONIZED
    assert pair.told == []


def test_c06_a_one_way_field_is_never_contested_and_the_source_wins(stage: Stage) -> None:
    """Else a field that only ever flows one way would stop the synchronization; what it overwrites stays in the log."""
    pair = Pair(stage, "c06")
    pair.couple(name="base")
    pair.clash(pair.edit("left", 2, name="source"), pair.edit("right", 2, name="edited on the target"))

    assert pair.writes("right")[-1] == {"name": "source"}
    assert pair.sent_to("right")[-1]["data"]["if_version"] == 2
    assert pair.writes("left") == []
    assert pair.told == []
    (kept,) = [line for line in stage.history(pair.right) if line.outcome == "resolved"]
    assert kept.values == {"name": {"base": "base", "left": "source", "right": "edited on the target"}}
    pair.apply_all()
    assert pair.standing is Standing.SYNCHRONIZED


def test_c07_the_same_value_on_both_sides_is_no_conflict_and_becomes_base(stage: Stage) -> None:
    """Else two clerks who type the same correction are called to settle it."""
    pair = Pair(stage, "c07")
    pair.couple(name="base")
    pair.clash(pair.edit("left", 2, name="agreed"), pair.edit("right", 2, name="agreed"))

    assert pair.told == []
    assert len(pair.writes("right")) == 1, "only what the app has refused"
    assert pair.standing is Standing.SYNCHRONIZED
    stage.settle(pair.edit("right", 3, name="next"))
    assert pair.writes("left") == [{"name": "next"}], "the agreed value is the base"


def test_c09_where_time_orders_an_older_event_is_stale_and_a_newer_one_applies(stage: Stage) -> None:
    """Else a late message takes a record back to what it was."""
    pair = Pair(stage, "c09", left="pos")
    at = "2024-03-01T{:02}:00:00Z"
    created = pair.change("left", "create", None, {"name": "07:00"}, time=at.format(7))
    stage.couple(created, pair.change("right", "create", 1, {"name": "07:00"}))
    early = pair.change("left", "update", None, {"name": "06:00"}, time=at.format(6))
    late = pair.change("left", "update", None, {"name": "08:00"}, time=at.format(8))
    stage.settle(early)
    assert stage.outcome(early) == ["stale"]
    assert pair.writes("right") == []
    stage.settle(late)

    assert pair.writes("right") == [{"name": "08:00"}]
    assert pair.told == []


def test_c10_where_versions_order_an_older_event_is_stale_and_a_newer_one_applies(stage: Stage) -> None:
    """Else a late message takes a record back to what it was."""
    pair = Pair(stage, "c10")
    stage.couple(
        pair.change("left", "create", 47, {"name": "47"}),
        pair.change("right", "create", 1, {"name": "47"}),
    )
    older = pair.edit("left", 46, name="46")
    stage.settle(older)
    assert stage.outcome(older) == ["stale"]
    assert pair.writes("right") == []
    stage.settle(pair.edit("left", 48, name="48"))

    assert pair.writes("right") == [{"name": "48"}]


@pytest.mark.parametrize("case", ["c11-newest", "c11-left"])
def test_c11_equal_times_have_the_same_end_in_either_order_and_values_never_swap(stage: Stage, case: str) -> None:
    """Else the winner is whoever's message was slower, or each side ends with the other's value."""
    ends = []
    for key in ("ab", "ba"):
        pair = Pair(stage, case, key)
        pair.couple(name="base")
        at = "2024-03-01T07:00:00Z"
        a = pair.change("left", "update", 2, {"name": "a"}, time=at)
        b = pair.change("right", "update", 2, {"name": "b"}, time=at)
        pair.clash(*((a, b) if key == "ab" else (b, a)))
        kinds = [told["kind"] for told in pair.told]
        written = {side: pair.writes(side)[side == ("right" if key == "ab" else "left") :] for side in pair.apps}
        ends.append((kinds, written, pair.told[0]["differences"] if kinds else None))

    assert ends[0] == ends[1]
    kinds, written, _ = ends[0]
    if case == "c11-newest":
        assert (kinds, written) == (["update_conflict"], {"left": [], "right": []})
    else:
        assert (kinds, written) == ([], {"left": [], "right": [{"name": "a"}]})


@pytest.mark.parametrize(("apart_s", "expected"), [(0, "conflict"), (2, "conflict"), (3, "newest")])
def test_c13_newest_within_the_clock_skew_goes_to_a_person(stage: Stage, apart_s: int, expected: str) -> None:
    """Else two clocks that differ by a second decide whose work is lost."""
    pair = Pair(stage, "c13", f"apart-{apart_s}")
    pair.couple(name="base")
    at = "2024-03-01T07:00:{:02}Z"
    pair.clash(
        pair.change("left", "update", 2, {"name": "earlier"}, time=at.format(10)),
        pair.change("right", "update", 2, {"name": "later"}, time=at.format(10 + apart_s)),
    )

    if expected == "conflict":
        assert [told["kind"] for told in pair.told] == ["update_conflict"]
        assert pair.writes("left") == []
    else:
        assert pair.told == []
        assert pair.writes("left") == [{"name": "later"}]
        (kept,) = [line for line in stage.history(pair.left) if line.outcome == "resolved" and line.values]
        assert kept.values["name"] == {"base": "base", "left": "earlier", "right": "later"}


@pytest.mark.parametrize(
    ("hours", "to_left", "to_right"),
    [
        ((5, 4), {"amount": 700}, {"amount": 700, "hour": 5}),
        ((5, 6), {"amount": 700, "hour": 6}, {"amount": 700}),
        ((5, 5), {"amount": 700}, {"amount": 700}),
    ],
)
def test_c14_deltas_add_up_and_the_larger_wins(
    stage: Stage, hours: tuple[int, int], to_left: dict[str, int], to_right: dict[str, int]
) -> None:
    """Before 100, here 200, there 600: 700. Else one of two bookings on a shared total is lost."""
    pair = Pair(stage, "c14", f"{hours[0]}-{hours[1]}")
    pair.couple(amount=100, hour=3)
    pair.clash(
        pair.edit("left", 2, amount=200, hour=hours[0]),
        pair.edit("right", 2, amount=600, hour=hours[1]),
    )

    assert (pair.writes("left")[-1], pair.writes("right")[-1]) == (to_left, to_right)
    pair.apply_all()
    assert pair.standing is Standing.SYNCHRONIZED
    assert pair.told == []
    stage.settle(pair.edit("left", 4, amount=701))
    assert pair.writes("right")[-1] == {"amount": 701}, "the sum is the base"


def test_c15_a_newer_event_on_one_field_does_not_discard_an_older_one_on_another(stage: Stage) -> None:
    """Else, where events are sparse and come out of order, a whole field's change is lost."""
    pair = Pair(stage, "c15")
    pair.couple(x="old", y="old")
    newer, older = pair.edit("left", 4, x="new"), pair.edit("left", 3, y="new")
    stage.settle(newer)
    stage.settle(older)
    assert stage.outcome(older) != ["stale"]
    assert pair.writes("right") == [{"x": "new"}]
    pair.apply_all()

    assert pair.writes("right") == [{"x": "new"}, {"y": "new"}]
