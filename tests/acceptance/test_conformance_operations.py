"""Conformance cases of the best conflict engines, through the wire on both backends: the rest, C29 to C35."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from store.couplings import Standing
from tests.acceptance.cases import APPS, Pair, mapping
from tests.acceptance.harness import Backend, Stage, open_stage
from tests.acceptance.wire import change

MAPPINGS = (
    mapping("c29-update", "email"),
    mapping("c29-create", "email", only_coupled=False),
    mapping("c30", "email", "name", "city", only_coupled=False, match_on=[["email"], ["name", "city"]]),
    mapping("c31", "name"),
    mapping("c32", "name"),
    mapping("c34", "name"),
    mapping("c35", "email"),
)
RETRIES = {"RECOUPLE_RETRY_FIRST": "20ms", "RECOUPLE_RETRY_CEILING": "40ms", "RECOUPLE_RETRY_LIMIT": "3"}
GIVEN_UP = ("permission_denied", "authentication_failed", "configuration", "validation_failed", "duplicate", "other")
TRANSIENT = ("unavailable", "rate_limited")


@pytest.fixture(scope="module")
def stage(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One worker for all cases; each has tables of its own."""
    folder = tmp_path_factory.mktemp("stage")
    with open_stage(backend, folder, "\n".join((APPS, *MAPPINGS)), RETRIES) as opened:
        opened.start_worker()
        yield opened


def load(stage: Stage, case: str) -> None:
    """Say that all records of the case's two tables were announced."""
    for app in ("bc", "sales"):
        assert stage.order("loaded", table=f"{app}/{case}")["type"] == "recouple.command.done"


WORDS = "e-mail is used by the accounts 3, 4 and 5"


@pytest.mark.parametrize("action", ["update", "create"])
def test_c29_several_blocking_records_are_one_error_in_the_apps_words(stage: Stage, action: str) -> None:
    """Which records block is the app's to know and to say. Else an operator gets three errors, or none that helps."""
    pair = Pair(stage, f"c29-{action}")
    if action == "update":
        pair.couple(email="old@example.com")
        stage.settle(pair.edit("left", 2, email="taken@example.com"))
    else:
        load(stage, pair.case)
        stage.settle(pair.change("left", "create", 1, {"email": "taken@example.com"}))
    (instruction,) = stage.instructions("sales", pair.case)
    assert instruction["data"]["action"] == action
    stage.settle(stage.refuse(instruction, "duplicate", detail=WORDS))

    (told,) = pair.told
    assert (told["kind"], told["code"], told["family"]) == ("apply_failed", "duplicate", "integration")
    assert WORDS in told["detail"]
    assert len(stage.instructions("sales", pair.case)) == 1
    assert not any(WORDS in worker.output for worker in stage.workers)


def test_c30_an_empty_match_value_matches_nothing(stage: Stage) -> None:
    """Else everybody without an e-mail address is one and the same customer."""
    load(stage, "c30")
    here = [("l1", None, "Ann", None), ("l2", "", "Ben", ""), ("l3", None, "Cy", "Oslo")]
    there = [("r1", None, "Dee", None), ("r2", "", "Eve", ""), ("r3", None, "Cy", "Rome")]
    announced = [
        change(f"{app}/c30/{key}", "create", 1, {"email": email, "name": name, "city": city})
        for app, records in (("bc", here), ("sales", there))
        for key, email, name, city in records
    ]
    stage.settle(*announced)

    assert stage.told("c30") == []
    for app, others in (("bc", there), ("sales", here)):
        instructed = [event["data"] for event in stage.instructions(app, "c30")]
        assert sorted(data["fields"]["name"] for data in instructed) == sorted(name for _, _, name, _ in others)
        assert {data["action"] for data in instructed} == {"create"}


def test_c31_a_changed_key_is_a_deletion_and_a_creation(stage: Stage) -> None:
    """On both sides here: the old pair is over, the new can be coupled. Else the two would drift apart unseen."""
    old, new = Pair(stage, "c31", "old"), Pair(stage, "c31", "new")
    old.couple(name="same")
    stage.settle(old.delete("left", 2), new.change("left", "create", 1, {"name": "same"}))
    assert [told["kind"] for told in old.told] == ["deletion_conflict"]
    stage.settle(old.delete("right", 2), new.change("right", "create", 1, {"name": "same"}))

    assert old.standing is Standing.CLOSED
    assert old.open_error is None
    assert new.standing is None
    answer = stage.order("couple", left=new.left, right=new.right)
    assert answer["type"] == "recouple.command.done"
    assert new.standing is Standing.SYNCHRONIZED
    assert stage.instructions("bc", "c31") == stage.instructions("sales", "c31") == []


def test_c32_a_refused_change_is_tried_again_and_never_parked(stage: Stage) -> None:
    """The system it is taken from parks what fails twice with the same words; here the next change tries again."""
    pair = Pair(stage, "c32")
    pair.couple(name="base")
    refusals = ["too long", "too long", "no such city", "too long"]
    for number, words in enumerate(refusals):
        stage.settle(pair.edit("left", number + 2, name=f"try {number}"))
        assert pair.writes("right")[number:] == [{"name": f"try {number}"}]
        stage.settle(stage.refuse(pair.sent_to("right")[-1], "validation_failed", detail=words))
        error = pair.open_error
        assert error is not None
        assert (error["kind"], error["code"]) == ("apply_failed", "validation_failed")
        assert words in error["detail"]
    stage.settle(pair.edit("left", 10, name="right"))
    stage.settle(stage.apply(pair.sent_to("right")[-1]))

    assert pair.writes("right")[-1] == {"name": "right"}
    assert pair.standing is Standing.SYNCHRONIZED
    assert pair.open_error is None


@pytest.mark.parametrize("code", TRANSIENT)
def test_c34_a_transient_failure_sends_the_same_instruction_again_and_tells_nobody(stage: Stage, code: str) -> None:
    """Else a minute's maintenance of an app floods the administrator, or loses changes."""
    pair = Pair(stage, "c34", code)
    pair.couple(name="base")
    stage.settle(pair.edit("left", 2, name="new"))
    stage.settle(stage.refuse(pair.sent_to("right")[0], code, retry_after=0.02))
    stage.wait(lambda: len(pair.sent_to("right")) > 1, "the second attempt")
    first, second = pair.sent_to("right")

    assert second["id"] == first["id"]
    assert second["data"] == {**first["data"], "attempt": 2}
    stage.settle(stage.apply(second, attempt=2))
    assert pair.standing is Standing.SYNCHRONIZED
    assert pair.told == []


def test_c34_an_app_that_stays_away_is_an_error_after_the_limit(stage: Stage) -> None:
    """Else nobody ever hears of it. The limit of this stage is three attempts."""
    pair = Pair(stage, "c34", "away")
    pair.couple(name="base")
    stage.settle(pair.edit("left", 2, name="new"))
    for attempt in range(3):
        stage.wait(lambda wanted=attempt + 1: len(pair.sent_to("right")) == wanted, f"attempt {attempt + 1}")
        assert pair.told == []
        stage.settle(stage.refuse(pair.sent_to("right")[-1], "unavailable"))

    (told,) = pair.told
    assert (told["kind"], told["code"], told["retryable"], told["attempts"]) == ("apply_failed", "unavailable", True, 3)
    assert [event["data"]["attempt"] for event in pair.sent_to("right")] == [1, 2, 3]


@pytest.mark.parametrize("code", GIVEN_UP)
def test_c34_a_lasting_failure_is_an_error_for_an_administrator(stage: Stage, code: str) -> None:
    """Else it is tried for ever, or dropped."""
    pair = Pair(stage, "c34", code)
    pair.couple(name="base")
    stage.settle(pair.edit("left", 2, name="new"))
    stage.settle(stage.refuse(pair.sent_to("right")[0], code, detail="in the app's own words"))

    (told,) = pair.told
    assert (told["kind"], told["code"], told["family"], told["status"]) == ("apply_failed", code, "integration", "open")
    assert "in the app's own words" in told["detail"]
    assert pair.standing is Standing.SKIPPED
    assert len(pair.sent_to("right")) == 1


def test_c34_not_found_is_a_deletion_learned_late(stage: Stage) -> None:
    """Else a record deleted while its event was lost is written to for ever."""
    pair = Pair(stage, "c34", "not-found")
    pair.couple(name="base")
    stage.settle(pair.edit("left", 2, name="new"))
    stage.settle(stage.refuse(pair.sent_to("right")[0], "not_found"))

    (told,) = pair.told
    assert (told["kind"], told["family"]) == ("deletion_conflict", "coupled_data")
    assert told["right"]["exists"] is False


def test_c34_a_version_mismatch_reads_the_record_and_decides_anew(stage: Stage) -> None:
    """Else, where the version moved without an event, the change waits for one that never comes."""
    pair = Pair(stage, "c34", "mismatch")
    pair.couple(name="base")
    stage.settle(pair.edit("left", 2, name="new"))
    stage.settle(stage.refuse(pair.sent_to("right")[0], "version_mismatch"))
    reading = pair.sent_to("right")[-1]
    assert reading["data"]["action"] == "read"
    stage.settle(pair.change("right", "read", 5, {"name": "base"}, instruction=reading["id"]))
    again = pair.sent_to("right")[-1]

    assert (again["data"]["action"], again["data"]["fields"]) == ("update", {"name": "new"})
    assert again["data"]["if_version"] == 5
    assert again["id"] != pair.sent_to("right")[0]["id"]
    stage.settle(stage.apply(again))
    assert pair.standing is Standing.SYNCHRONIZED
    assert pair.told == []


def test_c35_one_refused_record_holds_up_no_other_and_goes_through_once_mended(stage: Stage) -> None:
    """The one it is taken from holds the whole channel. Else one duplicate e-mail stops a night's synchronization."""
    good, bad = Pair(stage, "c35", "good"), Pair(stage, "c35", "bad")
    for pair in (bad, good):
        pair.couple(email=f"{pair.key}@example.com")
    stage.settle(bad.edit("left", 2, email="taken@example.com"), good.edit("left", 2, email="new@example.com"))
    stage.settle(stage.refuse(bad.sent_to("right")[0], "duplicate"), stage.apply(good.sent_to("right")[0]))
    assert good.standing is Standing.SYNCHRONIZED
    assert (bad.standing, [told["kind"] for told in bad.told]) == (Standing.SKIPPED, ["apply_failed"])

    touched = bad.edit("left", 3, email="taken@example.com")
    stage.settle(touched)
    assert stage.outcome(touched) == ["skipped"], "the same would only fail again"
    stage.settle(bad.edit("left", 4, email="also-taken@example.com"))
    stage.settle(stage.refuse(bad.sent_to("right")[-1], "duplicate"))
    assert bad.open_error is not None
    stage.settle(bad.edit("left", 5, email="free@example.com"))
    stage.settle(stage.apply(bad.sent_to("right")[-1]))
    assert bad.standing is Standing.SYNCHRONIZED
    assert bad.open_error is None
