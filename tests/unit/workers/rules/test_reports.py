"""What is told of an error: all that helps, nothing that is sensitive."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from messages.errors import ErrorKind, ErrorReport, ErrorStatus, Family
from messages.outcomes import FailureCode
from messages.values import encode_json
from store.model import OpenError, Side
from tests.rules_world import World, field, mapping_of
from workers.rules.reports import TITLES, Ending, fingerprint, report

LEFT, RIGHT = Side.LEFT, Side.RIGHT
SECRETS = ("DE-begin-111", "DE-left-222", "DE-right-333", "mapped-secret")
FIELDS = (
    field("name"),
    field("iban", right="account", sensitive=True),
    field("state", values=(("A", "one"), ("B", "two"))),
    field("level", sensitive=True, values=(("mapped-secret", "hidden-444"), ("low", "hidden-555"))),
)
START_LEFT = {"name": "n", "iban": SECRETS[0], "state": "A", "level": "low", "unmapped": "u"}
START_RIGHT = {"name": "n", "account": SECRETS[0], "state": "one", "level": "hidden-555", "unmapped": "u"}


def world(**more: Any) -> World:
    """Two records with secrets."""
    mapping = mapping_of(*FIELDS, **more)
    url = "https://l.example/{table}/{key}"
    mapping = replace(mapping, left_app=replace(mapping.left_app, title="Left ERP", record_url=url))
    return World(mapping, START_LEFT, right_start=START_RIGHT)


def both_changed(w: World) -> None:
    """Everything differs, the secrets too."""
    w.deliver(w.L(name="l", iban=SECRETS[1], state="B", level=SECRETS[3]), w.R(name="r", account=SECRETS[2]))


def refused(w: World) -> None:
    """The app quotes the secret in its refusal."""
    w.deliver(w.L(iban=SECRETS[1]))
    (sent,) = w.sent()
    w.engine.outbox.clear()
    w.deliver(
        w.right.refuse(sent, FailureCode.VALIDATION_FAILED, f"the account {SECRETS[1]} is none, {SECRETS[0]} was")
    )


def unanswered(w: World) -> None:
    """The app does not answer."""
    w.deliver(w.L(iban=SECRETS[1]))
    w.engine.silence(w.number)


ERRORS: dict[ErrorKind, Callable[[World], None]] = {
    ErrorKind.UPDATE_CONFLICT: both_changed,
    ErrorKind.DELETION_CONFLICT: lambda w: w.deliver(w.L(iban=SECRETS[1]), w.delete(RIGHT)),
    ErrorKind.APPLY_FAILED: refused,
    ErrorKind.NO_ANSWER: unanswered,
    ErrorKind.VALUE_NOT_MAPPED: lambda w: w.deliver(w.L(level="secret-666", iban=SECRETS[1])),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_nothing_sensitive_is_told(kind: ErrorKind) -> None:
    """A masked field would be read in the error queue, in a command line, in a log."""
    w = world()
    ERRORS[kind](w)
    assert w.error is not None
    assert w.error.kind is kind
    told = "".join(encode_json(one).decode() for _, one in w.engine.told)
    logged = "".join(encode_json([line.detail, line.values]).decode() for line in w.engine.log)
    for secret in (*SECRETS, "hidden-444", "hidden-555", "secret-666"):
        assert secret not in told
        assert secret not in logged


@pytest.mark.parametrize("kind", ERRORS)
def test_the_sentence_names_the_records(kind: ErrorKind) -> None:
    """A night operator would not know which records are meant, or what to do."""
    w = world()
    ERRORS[kind](w)
    _, told = w.engine.told[-1]
    assert "r/t/k" in told.detail
    assert told.detail.endswith(".")
    assert told.title == TITLES[kind]
    assert len(re.findall(r"\. [A-Z]", told.detail)) >= 1, "no second sentence says what to do"
    if kind is not ErrorKind.NO_ANSWER and kind is not ErrorKind.APPLY_FAILED:
        assert "l/t/k" in told.detail


def of_conflict() -> ErrorReport:
    """The report of a conflict in everything."""
    w = world()
    both_changed(w)
    return w.engine.told[-1][1]


def test_a_conflict_shows_both_sides() -> None:
    """An operator could not choose without looking into both apps."""
    told = of_conflict()
    assert told.left is not None
    assert told.right is not None
    assert (told.left.url, told.right.url) == ("https://l.example/t/k", None)
    assert told.left.fields == {"name": "l", "iban": "***", "state": "B", "level": "***", "unmapped": "u"}
    assert told.right.fields == {"name": "r", "account": "***", "state": "one", "level": "***", "unmapped": "u"}
    assert told.base == {"name": "n", "iban": "***", "state": "A", "level": "***"}
    assert (told.family, told.status, told.retryable) == (Family.COUPLED_DATA, ErrorStatus.OPEN, False)
    assert told.left.modified_by == "a user"


def test_differences_are_in_mapping_terms() -> None:
    """The two sides of a value map would look different where they are not, or a mask would hide that they differ."""
    told = {one.field: one for one in of_conflict().differences}
    assert (told["name"].base, told["name"].left, told["name"].right) == ("n", "l", "r")
    assert (told["state"].left, told["state"].right) == ("B", "A")
    assert told["iban"].left != told["iban"].right
    assert all(one.contested for one in told.values())
    assert told.keys() == {"name", "iban", "state", "level"}


def test_what_agrees_is_no_difference() -> None:
    """An operator would look for differences among fields that agree."""
    w = world()
    w.deliver(w.L(name="l"), w.R(name="r"))
    assert [one.field for one in w.engine.told[-1][1].differences] == ["name"]


def test_an_ended_error() -> None:
    """A resolved error would still look open."""
    w = world()
    both_changed(w)
    w.R(name="l", account=SECRETS[1], state="two", level="hidden-444")
    w.run()
    _, told = w.engine.told[-1]
    assert (told.status, told.resolution) == (ErrorStatus.RESOLVED, "converged")
    assert told.resolved_at is not None


def test_a_fingerprint_is_of_the_cause() -> None:
    """Bulk work would miss errors of one cause, or take others along."""
    w = world()
    one = OpenError(kind=ErrorKind.APPLY_FAILED, opened_at=w.now, code="other", words="one", number=1, revision=3)
    same = replace(one, words="two", number=2, revision=4, attempts=9)
    assert fingerprint("m", one) == fingerprint("m", same)
    others = [
        replace(one, code="duplicate"),
        replace(one, kind=ErrorKind.NO_ANSWER),
        replace(one, field="f"),
        replace(one, contested=("a",)),
    ]
    assert len({fingerprint("m", one), fingerprint("n", one), *(fingerprint("m", each) for each in others)}) == 6


def test_who_ended_it() -> None:
    """An operator's work would not be told apart from an error that settled itself."""
    w = world()
    both_changed(w)
    assert w.error is not None
    desk_situation = w.engine._situation(w.engine._desk([], [w.number]), w.coupling)  # noqa: SLF001
    told = report(desk_situation, w.error, Ending(at=w.now, resolution="synchronize", by="ops/jane"))
    assert (told.resolution, told.resolved_by, told.resolved_at) == ("synchronize", "ops/jane", w.now)


def test_a_missing_side() -> None:
    """A record that is still to be created would be named by an empty key."""
    w = World(mapping_of("a"))
    w.deliver(w.L(a=1))
    w.right.refusals.append(FailureCode.PERMISSION_DENIED)
    w.number = w.engine.couple(w.mapping, w.ref(LEFT), None)
    w.run()
    _, told = w.engine.told[-1]
    assert (told.right, told.code, told.retryable) == (None, "permission_denied", True)
    assert "refused to create r/t for l/t/k (permission_denied)" in told.detail


def test_every_kind_has_a_title() -> None:
    """An error would have no heading."""
    assert TITLES.keys() == set(ErrorKind)
