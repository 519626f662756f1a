"""Every order comes back as it was given: over the wire, and out of the store."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messages.codec import decode_command, encode_command
from messages.commands import (
    Command,
    Couple,
    CoupleMatching,
    DeleteRecord,
    Dismiss,
    Keep,
    Loaded,
    Order,
    Pause,
    Purge,
    RemoveCoupling,
    RestoreRecord,
    Resume,
    Retry,
    RetryAll,
    Synchronize,
)
from messages.errors import ErrorKind, Family
from messages.orders import ORDERS, order_data, read_order
from messages.records import RecordRef
from messages.values import encode_json
from tests.unit.messages.samples import LIMITS, NOW

NUMBERS = st.integers(1, 2**63 - 1)
NAMES = st.from_regex(r"\A[a-z0-9_-]{1,40}\Z")
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=50)
TABLES = st.from_regex(r"\A[A-Za-z_]{1,20}( [a-z]{1,9})?\Z")
RECORDS = st.builds(RecordRef, NAMES, TABLES, WORDS)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**38) + 1, 10**38 - 1)
    | st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**20), max_value=10**20)
    | WORDS
)


def given_or_not(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A member that need not be there."""
    return st.none() | strategy


KEEP = given_or_not(st.sampled_from(Keep))


def about_one(order: type[Order], *names: str, **members: Any) -> st.SearchStrategy[Any]:
    """Orders that name exactly one target."""
    revision = {"revision": given_or_not(NUMBERS)}
    return st.one_of(*(st.builds(order, **{name: NUMBERS}, **revision, **members) for name in names))


@st.composite
def by_field(draw: st.DrawFn) -> Synchronize:
    """Fields won by a side, and values typed: at least one of either, and none of both."""
    named = draw(st.lists(WORDS, min_size=1, max_size=5, unique=True))
    typed = draw(st.integers(0, len(named)))
    by_error, number = draw(st.booleans()), draw(NUMBERS)
    return Synchronize(
        error=number if by_error else None,
        coupling=None if by_error else number,
        revision=draw(given_or_not(NUMBERS)),
        fields={name: draw(st.sampled_from(Keep)) for name in named[typed:]},
        values={name: draw(SCALARS) for name in named[:typed]},
    )


ORDERED: dict[type[Order], st.SearchStrategy[Any]] = {
    Couple: st.builds(Couple, left=RECORDS, right=RECORDS, mapping=given_or_not(NAMES), keep=KEEP),
    CoupleMatching: st.builds(CoupleMatching, mapping=NAMES, keep=KEEP),
    Loaded: st.builds(Loaded, app=NAMES, table=TABLES),
    RemoveCoupling: about_one(RemoveCoupling, "error", "coupling"),
    Retry: about_one(Retry, "error", "coupling"),
    RestoreRecord: about_one(RestoreRecord, "error", "coupling"),
    DeleteRecord: about_one(DeleteRecord, "error", "coupling"),
    Dismiss: about_one(Dismiss, "error"),
    Synchronize: about_one(Synchronize, "error", "coupling", keep=st.sampled_from(Keep))
    | st.builds(Synchronize, mapping=NAMES, keep=st.sampled_from(Keep))
    | by_field(),
    RetryAll: st.builds(
        RetryAll,
        mapping=given_or_not(NAMES),
        kind=given_or_not(st.sampled_from(ErrorKind)),
        code=given_or_not(WORDS),
        fingerprint=given_or_not(WORDS),
    ),
    Purge: st.builds(Purge, older_than_days=st.integers(0, 36_500), family=given_or_not(st.sampled_from(Family))),
    Pause: st.builds(Pause, app=NAMES) | st.builds(Pause, mapping=NAMES),
    Resume: st.builds(Resume, app=NAMES) | st.builds(Resume, mapping=NAMES),
}


@pytest.mark.parametrize("name", ORDERS)
@settings(max_examples=60, deadline=2000)
@given(data=st.data(), reason=given_or_not(WORDS))
def test_an_order_comes_back(name: str, data: st.DataObject, reason: str | None) -> None:
    """A program that orders through the codec must get what it ordered; a job goes on with what the store kept."""
    order = data.draw(ORDERED[ORDERS[name].order])
    command = Command(id="c-1", source="ops/jane", name=name, order=order, reason=reason)

    publication = encode_command(command, "recouple", NOW)
    found = decode_command(publication.body, publication.properties, "recouple", LIMITS)

    assert (type(found.order), found.order, found.reason) == (type(order), order, reason)
    kept = encode_json(order_data(found.order, None)).decode()
    assert read_order(name, kept) == order
    assert encode_command(found, "recouple", NOW) == publication
