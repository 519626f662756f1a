"""What a report says of two given records: names, links, masks, references; ``test_reports`` has whole histories."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from messages.errors import ErrorKind
from messages.instructions import Action, Reason
from messages.records import RecordRef
from messages.values import Known, Value, encode_json
from store.model import Form, Image, OpenError, Side, Wait
from tests.rules_world import field, mapping_of
from tests.simulated_app import EPOCH
from workers.rules.reports import fingerprint, report
from workers.rules.sending import instruct
from workers.rules.situation import Situation
from workers.rules.updates import MASK
from workers.settling import new_coupling

LEFT, RIGHT = Side.LEFT, Side.RIGHT
REFS = RecordRef("l", "t", "k 1/ä?"), RecordRef("r", "t", "k2")
NAMES = tuple(str(ref) for ref in REFS)
URL = "https://l.example/{table}?id={key}"
MAPPING = mapping_of(
    field("pin", sensitive=True), field("boss", right="chief", reference="people"), left={"record_url": URL}
)
PEOPLE = {Wait("people", LEFT, "l1"): "r1", Wait("people", RIGHT, "r1"): "l1"}


def situation(left: dict[str, Value] | None = None, right: dict[str, Value] | None = None, **more: Any) -> Situation:
    """Two records, coupled under a mapping with a secret and a reference; ``more`` are members of the coupling."""
    coupling = replace(new_coupling(MAPPING, "t", *REFS), id=7, based=True, **more)
    mine, theirs = (
        Image(record=ref, exists=True, fields=fields or {}) for ref, fields in zip(REFS, (left, right), strict=True)
    )
    return Situation(coupling=coupling, mapping=MAPPING, left=mine, right=theirs, references=PEOPLE, now=EPOCH)


def alone(side: Side) -> Situation:
    """A record on ``side`` that has no counterpart yet."""
    both = situation()
    return replace(both, coupling=replace(both.coupling, id=0, **{side.other.value: None}))


def of_kind(kind: ErrorKind, **more: Any) -> OpenError:
    """An open error."""
    return OpenError(kind=kind, number=3, opened_at=EPOCH, **more)


@pytest.mark.parametrize(
    ("left", "right", "shown"),
    [
        pytest.param({"pin": "111"}, {"pin": "222"}, ("*** (left)", "*** (differs)"), id="they differ"),
        pytest.param({"pin": "111"}, {}, ("*** (left)", UNSET), id="one is not known"),
        pytest.param({}, {"pin": "222"}, (UNSET, "*** (differs)"), id="the other"),
        pytest.param({"pin": "111"}, {"pin": "111"}, None, id="they agree"),
    ],
)
def test_a_mask_says_whether_the_sides_differ(
    left: dict[str, Value], right: dict[str, Value], shown: tuple[Known, Known] | None
) -> None:
    """Three stars on both sides would look as if nothing had to be decided; or the secret would be told."""
    base = {"pin": Form(left="000", right="000")}
    told = report(situation(left, right, base=base), of_kind(ErrorKind.UPDATE_CONFLICT, contested=("pin",)))
    assert [(one.left, one.right) for one in told.differences] == ([] if shown is None else [shown])
    assert all(one.base == MASK for one in told.differences)
    assert not any(secret in encode_json(told).decode() for secret in ("000", "111", "222"))


def test_references_are_in_mapping_terms() -> None:
    """The key of one app would be held against the key of the other, and everybody seem to have another boss."""
    error = of_kind(ErrorKind.UPDATE_CONFLICT)
    assert report(situation({"boss": "l1"}, {"chief": "r1"}), error).differences == ()
    (found,) = report(situation({"boss": "l2"}, {"chief": "r1"}), error).differences
    assert (found.field, found.left, found.right) == ("boss", "l2", "l1")


def test_a_base_that_was_never_agreed_on_is_none() -> None:
    """An operator would take for the last agreement what only one side ever had."""
    base = {"pin": Form(agreed=False, left="1", right="2"), "boss": Form(left="l1", right="r1")}
    told = report(situation({"boss": "l2"}, {"chief": "r1"}, base=base), of_kind(ErrorKind.UPDATE_CONFLICT))
    assert told.base == {"boss": "l1"}


def test_urls_are_quoted() -> None:
    """A link would lead to another record, or a key be read as a part of the address."""
    told = report(situation(), of_kind(ErrorKind.UPDATE_CONFLICT))
    assert told.left is not None
    assert told.left.url == "https://l.example/t?id=k%201%2F%C3%A4%3F"


@pytest.mark.parametrize(
    ("error", "field_names"),
    [
        pytest.param(of_kind(ErrorKind.REFERENCE_NOT_COUPLED, field="boss"), "boss", id="reference"),
        pytest.param(of_kind(ErrorKind.VALUE_NOT_MAPPED, field="pin"), "pin", id="value"),
        pytest.param(of_kind(ErrorKind.APPLY_FAILED, field="pin", code="altered"), "pin", id="altered"),
        pytest.param(of_kind(ErrorKind.UPDATE_CONFLICT, contested=("pin", "boss")), "pin, boss", id="update"),
    ],
)
def test_the_sentence_names_both_records_and_the_field(error: OpenError, field_names: str) -> None:
    """A night operator would have to search for what the sentence is about, and then not know what to do."""
    told = report(situation({"pin": "111"}, {"pin": "222"}), error).detail
    assert all(name in told for name in (*NAMES, field_names))
    assert re.search(r"\. [A-Z]", told), "no second sentence says what to do"


@pytest.mark.parametrize("gone", Side)
def test_a_deletion_says_which_is_gone(gone: Side) -> None:
    """An operator would restore the wrong one."""
    both = situation()
    lost = replace(both, **{gone.value: replace(both.image(gone), exists=False)})
    told = report(lost, of_kind(ErrorKind.DELETION_CONFLICT)).detail
    kept_name = str(both.coupling.record(gone.other))
    assert told.startswith(f"{both.coupling.record(gone)} was deleted, but {kept_name}")


@pytest.mark.parametrize("side", Side)
def test_an_ambiguity_names_the_new_record(side: Side) -> None:
    """The number of matches would be told, and not of what."""
    candidates = tuple(f"{number}" for number in range(20))
    error = of_kind(ErrorKind.MATCH_AMBIGUOUS, candidates=candidates, candidates_total=57)
    told = report(alone(side), error)
    assert NAMES[side is RIGHT] in told.detail
    assert "57" in told.detail
    assert "Couple" in told.detail
    assert (told.coupling, told.candidates, told.candidates_total) == (None, candidates, 57)
    assert (told.left is None, told.right is None) == (side is RIGHT, side is LEFT)


@pytest.mark.parametrize("kind", [ErrorKind.APPLY_FAILED, ErrorKind.NO_ANSWER])
def test_a_create_names_for_which_record(kind: ErrorKind) -> None:
    """``not created yet`` would be all that is told of a record among thousands."""
    failed = instruct(alone(LEFT), RIGHT, Action.CREATE, Reason.CREATE, fields={})
    told = report(alone(LEFT), of_kind(kind, failed=failed, code="other")).detail
    assert f"to create r/t for {NAMES[0]}" in told


def test_a_fingerprint_does_not_depend_on_the_order_of_fields() -> None:
    """Errors of one cause would be settled one by one because a mapping file was tidied."""
    one, other = (of_kind(ErrorKind.UPDATE_CONFLICT, contested=names) for names in (("a", "b"), ("b", "a")))
    assert fingerprint("m", one) == fingerprint("m", other)
    assert fingerprint("m", one) != fingerprint("m", of_kind(ErrorKind.UPDATE_CONFLICT, contested=("a",)))
