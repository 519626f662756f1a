"""Rule 2: what events and outcomes make of an image, in whatever order they come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from messages.changes import Change, Operation
from messages.records import RecordRef
from messages.values import Value
from store.model import Image
from workers.mapping import App, Ordering
from workers.rules.images import (
    Order,
    Written,
    fold_assumed,
    fold_change,
    fold_gone,
    fold_read,
    fold_written,
    microseconds,
    order_of,
)

REF = RecordRef("bc", "customer", "1")
NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
CREATE, UPDATE, DELETE, READ = Operation.CREATE, Operation.UPDATE, Operation.DELETE, Operation.READ


def change(operation: Operation, version: int, **fields: Value) -> tuple[Change, Order]:
    """A change of the record, and its place."""
    at = NOW + timedelta(seconds=min(version, 1000))
    return Change(record=REF, id=f"e{version}", operation=operation, at=at, fields=fields), Order(version)


def folded(*events: tuple[Change, Order], image: Image | None = None, ours: bool = False) -> Image:
    """The image after these events."""
    image = image or Image(record=REF)
    for one, order in events:
        image = fold_change(image, one, order, ours=ours) or image
    return image


@pytest.mark.parametrize("ordering", Ordering)
@pytest.mark.parametrize(("version", "taken"), [(46, False), (47, False), (48, True)])
def test_older_is_stale(ordering: Ordering, version: int, taken: bool) -> None:  # noqa: FBT001
    """C09, C10: an older event would undo a newer one, by version or by time."""
    app = App(name="bc", title="bc", order=ordering)
    known = order_of(app, 47, NOW + timedelta(seconds=47), NOW)
    later = order_of(app, version, NOW + timedelta(seconds=version), NOW)
    assert known is not None
    assert later is not None
    image = folded((change(UPDATE, 47, a="old")[0], known))
    after = fold_change(image, change(UPDATE, version, a="new")[0], later, ours=False)
    assert (after is not None) is taken
    assert (after or image).fields["a"] == ("new" if taken else "old")


def test_a_newer_field_does_not_discard_an_older_other_one() -> None:
    """C15, R14: the whole older event would be stale for the sake of one field."""
    image = folded(change(UPDATE, 18, name="ours"), change(UPDATE, 17, name="theirs", phone="2"))
    assert image.fields == {"name": "ours", "phone": "2"}
    assert (image.versions, image.version) == ({"name": 18, "phone": 17}, 18)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_key_that_is_used_again(order: tuple[int, ...]) -> None:
    """C25: created, deleted, created again, in any order: the second life would be lost or mixed with the first."""
    events = [change(CREATE, 1, a=1, old=1), change(DELETE, 2), change(CREATE, 3, a=2)]
    image = folded(*(events[place] for place in order))
    assert (image.exists, image.fields, image.life_version) == (True, {"a": 2}, 3)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_delete_among_edits(order: tuple[int, ...]) -> None:
    """A late edit of a deleted record would bring it to life, or the tombstone would forget that it is one."""
    events = [change(CREATE, 1, a=1), change(UPDATE, 2, a=2), change(DELETE, 3)]
    image = folded(*(events[place] for place in order))
    assert (image.exists, image.life_version, image.version) == (False, 3, 3)


def test_a_delete_keeps_the_last_values() -> None:
    """A restore would have nothing to bring back."""
    assert folded(change(UPDATE, 1, a=1, b=2), change(DELETE, 2)).fields == {"a": 1, "b": 2}


def test_a_newer_version_makes_a_record_alive_again() -> None:
    """A record that the app took out of its bin would stay deleted for us."""
    image = folded(change(CREATE, 1, a=1), change(DELETE, 2), change(UPDATE, 3, a=2))
    assert (image.exists, image.fields) == (True, {"a": 2})


def test_missing_is_not_null() -> None:
    """A field that an event leaves out would be emptied, or one that it empties would keep its value."""
    image = folded(change(UPDATE, 1, a=1, b=1), change(UPDATE, 2, a=None))
    assert image.fields == {"a": None, "b": 1}


def test_folding_twice_is_folding_once() -> None:
    """The same event under another id would change something."""
    event = change(UPDATE, 5, a=1)
    image = folded(event)
    assert fold_change(image, *event, ours=False) is None


def test_a_read_replaces_everything() -> None:
    """A poisoned version, or one from before a backup was restored, would rule for ever."""
    image = folded(change(UPDATE, 2**63 - 1, a=1, gone=1))
    image = fold_read(image, *change(READ, 7, a=2), 2**63 - 1)
    assert (image.fields, image.version, image.life_version, image.exists) == ({"a": 2}, 7, 7, True)
    assert image.user_modified_at is None  # somebody changed it, and nobody knows when
    assert folded(change(UPDATE, 8, a=3), image=image).fields == {"a": 3}


def test_a_read_that_finds_the_record_deleted() -> None:
    """The answer would bring the record to life."""
    image = fold_read(folded(change(UPDATE, 5, a=1)), *change(DELETE, 6), 5)
    assert (image.exists, image.fields) == (False, {"a": 1})


def test_what_came_after_a_read_was_asked() -> None:
    """The answer crosses a newer event: it would undo it, and nobody would tell of it again."""
    asked = folded(change(UPDATE, 5, a=1, b=1))
    crossed = folded(change(UPDATE, 7, a=7), image=asked)
    image = fold_read(crossed, *change(READ, 6, a=6, b=6), 5)
    assert (image.fields, image.version) == ({"a": 7, "b": 6}, 7)
    deleted = fold_read(folded(change(DELETE, 7), image=asked), *change(READ, 6, a=6, b=6), 5)
    assert (deleted.exists, deleted.version) == (False, 7)


def test_the_event_after_a_read_says_when() -> None:
    """What the read found newer would never get the time at which its user changed it."""
    image = fold_read(folded(change(UPDATE, 5, a=1)), *change(READ, 6, a=2), 5)
    event = change(UPDATE, 6, a=2)
    assert folded(event, image=image).user_modified_at == event[0].at


@pytest.mark.parametrize(
    ("before", "written", "version", "fields"),
    [
        pytest.param([], Written(fields={"a": 5}), 3, {"a": 5}, id="only its fields"),
        pytest.param([change(UPDATE, 2, a=1, b=1)], Written(fields={"a": 5}), 3, {"a": 5, "b": 1}, id="at its version"),
        pytest.param([change(UPDATE, 4, a=1)], Written(fields={"a": 5}), 3, {"a": 1}, id="not over what is newer"),
        pytest.param([change(UPDATE, 3, a=4)], Written(fields={"a": 5}), 3, {"a": 4}, id="the event says it better"),
        pytest.param(
            [change(UPDATE, 3, a=5)],
            Written(fields={"a": 5}, reported={"a": 4}),
            3,
            {"a": 4},
            id="what it reports counts",
        ),
        pytest.param([change(DELETE, 4)], Written(fields={"a": 5}), 3, {}, id="not into a later life"),
        pytest.param(
            [change(UPDATE, 1, old=1), change(UPDATE, 9, b=9)],
            Written(fields={"a": 5}, create=True),
            3,
            {"a": 5, "b": 9},
            id="a create clears what was, not what came since (R9)",
        ),
    ],
)
def test_an_outcome(
    before: list[tuple[Change, Order]], written: Written, version: int, fields: dict[str, Value]
) -> None:
    """R14: an outcome would say more than it knows."""
    assert fold_written(folded(*before), written, version).fields == fields


def test_an_outcome_without_version() -> None:
    """What a silent app was sent would not be known to be there, or would outlive a user's next change."""
    image = fold_assumed(folded(change(UPDATE, 5, a=1)), {"a": 2})
    assert (image.fields, image.version, image.exists) == ({"a": 2}, 5, True)
    assert folded(change(UPDATE, 6, a=3), image=image).fields == {"a": 3}


def test_gone() -> None:
    """``not_found`` would not count as a deletion, or would undo a record that is younger than what it speaks of."""
    image = fold_gone(folded(change(UPDATE, 5, a=1)), None)
    assert (image.exists, image.life_version, image.fields) == (False, 5, {"a": 1})
    assert fold_gone(folded(change(UPDATE, 5, a=1)), 4).exists is True
    assert fold_gone(Image(record=REF), None).exists is False


def test_our_own_changes_are_no_users() -> None:
    """R12: our write would make a side look newest."""
    theirs = change(UPDATE, 1, a=1)
    image = folded(change(UPDATE, 2, a=2), image=folded(theirs), ours=True)
    assert image.user_modified_at == theirs[0].at
    unknown = folded(change(UPDATE, 3, a=3), image=image)
    assert fold_written(unknown, Written(fields={"a": 3}), 3).user_modified_at == theirs[0].at
    late = folded(change(UPDATE, 2, b=2), image=unknown)
    assert fold_written(late, Written(fields={"a": 3}), 3).user_modified_at == NOW + timedelta(seconds=2)


def test_what_orders_an_event() -> None:
    """An event without what its app orders by would be taken; a clock that is fast would rule until its hour comes."""
    by_version, by_time = App(name="a", title="a"), App(name="b", title="b", order=Ordering.TIME)
    assert order_of(by_version, None, NOW, NOW) is None
    assert order_of(by_version, 0, None, NOW) == Order(0)
    assert order_of(by_time, 5, None, NOW) is None
    nearly, too_far = NOW + timedelta(minutes=5), NOW + timedelta(minutes=5, microseconds=1)
    assert order_of(by_time, None, nearly, NOW) == Order(microseconds(nearly))
    assert order_of(by_time, None, too_far, NOW) == Order(microseconds(NOW), clipped=True)
    assert microseconds(datetime(1970, 1, 1, 0, 0, 1, 7, tzinfo=UTC)) == 1_000_007
