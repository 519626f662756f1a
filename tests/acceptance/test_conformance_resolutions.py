"""Conformance cases of the best conflict engines, through the wire on both backends: what an operator ends, C17–C35."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from store.couplings import Standing
from tests.acceptance.cases import APPS, Pair, done, mapping, seen
from tests.acceptance.harness import Backend, Stage, open_stage

MAPPINGS = (
    mapping("c17", "name"),
    mapping("c19", "name"),
    mapping("c20", "name"),
    mapping("c22", "name"),
    mapping("c32", "name", "city", detect="field"),
    mapping("c35", "email"),
    mapping("c35-many", "email"),
)


@pytest.fixture(scope="module")
def stage(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One worker for all cases; each has tables of its own."""
    with open_stage(backend, tmp_path_factory.mktemp("stage"), "\n".join((APPS, *MAPPINGS))) as opened:
        opened.start_worker()
        yield opened


def left_is_gone(pair: Pair, **edited: Any) -> dict[str, Any]:
    """One side is deleted, and the other edited before it hears of that; return the open error."""
    pair.couple(name="base")
    pair.stage.settle(pair.delete("left", 2))
    pair.stage.settle(pair.edit("right", 2, **(edited or {"name": "worked on"})))
    error = pair.open_error
    assert error is not None
    assert error["kind"] == "deletion_conflict"
    return error


# --- deletions


def test_c17_a_second_run_skips_the_conflict_and_keeps_coupling_and_survivor(stage: Stage) -> None:
    """Else a nightly synchronization of everything decides what was left to a person, or asks again each night."""
    calm, pair = Pair(stage, "c17", "calm"), Pair(stage, "c17", "conflict")
    calm.couple(name="same")
    error = left_is_gone(pair)

    first = done(stage.order("retry_all", mapping="c17"))
    second = done(stage.order("synchronize", mapping="c17", keep="left"))

    assert (first["failed"], first["total"]) == (1, 1)
    assert (second["skipped"], second["unchanged"], second["failed"], second["total"]) == (1, 1, 0, 2)
    assert [second[counter] for counter in ("inserted", "modified", "deleted", "uncoupled")] == [0, 0, 0, 0]
    assert pair.standing is Standing.SKIPPED
    assert pair.open_error is not None
    assert pair.open_error["error"] == error["error"]
    assert pair.sent_to("left") == pair.sent_to("right") == []


def test_c19_removing_the_coupling_keeps_the_survivor_and_ends_the_error(stage: Stage) -> None:
    """Else the survivor would go on being written to, or the error would stay for ever."""
    pair = Pair(stage, "c19")
    error = left_is_gone(pair)

    result = done(stage.order("remove_coupling", **seen(error)))

    assert (result["coupling"], result["records"]) == (pair.coupling, [pair.left, pair.right])
    assert pair.standing is Standing.CLOSED
    assert (pair.told[-1]["status"], pair.told[-1]["resolution"]) == ("resolved", "remove_coupling")
    assert pair.told[-1]["resolved_by"] == "ops/test"
    later = pair.edit("right", 3, name="goes on")
    stage.settle(later)
    assert stage.outcome(later) == ["uncoupled"]
    assert pair.sent_to("left") == pair.sent_to("right") == []


def test_c20_the_delete_command_deletes_the_survivor_and_then_ends_coupling_and_error(stage: Stage) -> None:
    """Else the error would be called settled before the app has done it, or the deletion would hit a newer version."""
    pair = Pair(stage, "c20", "applied")
    error = left_is_gone(pair)

    result = done(stage.order("delete_record", **seen(error)))

    (instruction,) = pair.sent_to("right")
    data = instruction["data"]
    assert (data["action"], data["if_version"], data["reason"]) == ("delete", 2, "delete")
    assert [one["id"] for one in result["instructions"]] == [instruction["id"]]
    assert (result["error_status"], pair.told[-1]["status"]) == ("resolving", "resolving")
    stage.settle(stage.apply(instruction))
    assert pair.standing is Standing.CLOSED
    last = pair.told[-1]
    assert (last["error"], last["status"], last["resolution"]) == (error["error"], "resolved", "delete_record")


def test_c20_a_delete_command_that_the_app_does_not_permit_leaves_the_line_open(stage: Stage) -> None:
    """Else an error is called settled that is not; and the same error, since it is the same matter."""
    pair = Pair(stage, "c20", "refused")
    error = left_is_gone(pair)
    done(stage.order("delete_record", **seen(error)))
    stage.settle(stage.refuse(pair.sent_to("right")[0], "permission_denied", detail="may not delete accounts"))

    refused = pair.open_error
    assert refused is not None
    assert (refused["error"], refused["status"]) == (error["error"], "open")
    assert (refused["kind"], refused["code"]) == ("apply_failed", "permission_denied")
    assert "may not delete accounts" in refused["detail"]
    assert "delete_record" in refused["actions"]
    assert len(pair.sent_to("right")) == 1, "what is not permitted is not tried again by itself"

    done(stage.order("delete_record", **seen(refused)))
    stage.settle(stage.apply(pair.sent_to("right")[-1]))
    assert pair.standing is Standing.CLOSED
    assert pair.told[-1]["resolution"] == "delete_record"


def test_c22_restoring_brings_the_edited_image_back_and_goes_on_under_the_new_key(stage: Stage) -> None:
    """Else what was worked on is lost with the record, or its later changes flow to a record that is gone."""
    pair = Pair(stage, "c22")
    error = left_is_gone(pair, name="edited")

    done(stage.order("restore_record", **seen(error)))
    creation = pair.sent_to("left")[-1]
    assert (creation["data"]["action"], creation["data"]["fields"]) == ("create", {"name": "edited"})
    stage.settle(stage.apply(creation, 1, key="1-restored"))
    assert pair.told[-1]["resolution"] == "restore_record"

    stage.settle(pair.edit("right", 3, name="later"))
    onward = pair.sent_to("left")[-1]
    assert (onward["data"]["key"], onward["data"]["fields"]) == ("1-restored", {"name": "later"})
    stage.settle(stage.apply(onward))
    assert stage.standing("bc/c22/1-restored") is Standing.SYNCHRONIZED


# --- retries


def test_c32_a_retry_goes_through_its_whole_life_under_one_error(stage: Stage) -> None:
    """Fails, is retried in vain, is retried when the cause is gone. Else it is parked, or opens an error each time."""
    pair = Pair(stage, "c32", "life")
    pair.couple(name="base", city="base")
    stage.settle(pair.edit("left", 2, name="new"))
    stage.settle(stage.refuse(pair.sent_to("right")[0], "permission_denied", detail="read only"))
    error = pair.open_error
    assert error is not None
    assert "retry" in error["actions"]

    assert done(stage.order("retry", **seen(error)))["error_status"] == "resolving"
    assert pair.writes("right") == [{"name": "new"}] * 2
    again = stage.order("retry", error=error["error"])
    assert again["data"]["code"] == "not_applicable", "one decision in flight at a time"
    stage.settle(stage.refuse(pair.sent_to("right")[-1], "permission_denied", detail="read only"))
    reopened = pair.open_error
    assert reopened is not None
    assert (reopened["error"], reopened["status"], reopened["kind"]) == (error["error"], "open", "apply_failed")
    assert reopened["revision"] > error["revision"]

    done(stage.order("retry", **seen(reopened)))
    stage.settle(stage.apply(pair.sent_to("right")[-1]))
    assert pair.writes("right") == [{"name": "new"}] * 3
    assert pair.standing is Standing.SYNCHRONIZED
    assert (pair.told[-1]["status"], pair.told[-1]["resolution"]) == ("resolved", "retry")
    assert len({told["error"] for told in pair.told}) == 1


def test_c32_a_failure_in_the_other_direction_leaves_it_the_same_error(stage: Stage) -> None:
    """The one it is taken from keeps it parked. Else one pair has two errors, and settling one hides the other."""
    pair = Pair(stage, "c32", "other-way")
    pair.couple(name="base", city="base")
    stage.settle(pair.edit("left", 2, name="new"))
    stage.settle(stage.refuse(pair.sent_to("right")[0], "validation_failed"))
    stage.settle(pair.edit("right", 2, city="new"))
    for instruction in pair.sent_to("left"):
        stage.settle(stage.refuse(instruction, "validation_failed"))

    assert len({told["error"] for told in pair.told}) == 1
    assert pair.open_error is not None
    assert pair.open_error["kind"] == "apply_failed"


def test_c35_a_retry_in_vain_changes_nothing_and_goes_through_once_the_data_is_mended(stage: Stage) -> None:
    """The app's own data are in the way, so that no event of ours tells. Else only a needless edit would help."""
    good, bad = Pair(stage, "c35", "good"), Pair(stage, "c35", "bad")
    for pair in (bad, good):
        pair.couple(email=f"{pair.key}@example.com")
    stage.settle(bad.edit("left", 2, email="taken@example.com"), good.edit("left", 2, email="new@example.com"))
    stage.settle(stage.refuse(bad.sent_to("right")[0], "duplicate"), stage.apply(good.sent_to("right")[0]))

    done(stage.order("retry", error=bad.told[-1]["error"]))
    stage.settle(stage.refuse(bad.sent_to("right")[-1], "duplicate"))
    assert (good.standing, bad.standing) == (Standing.SYNCHRONIZED, Standing.SKIPPED)

    done(stage.order("retry", error=bad.told[-1]["error"]))
    stage.settle(stage.apply(bad.sent_to("right")[-1]))
    assert bad.writes("right") == [{"email": "taken@example.com"}] * 3
    assert bad.standing is Standing.SYNCHRONIZED
    assert bad.open_error is None
    assert good.told == []


def test_c35_all_that_failed_for_one_reason_is_retried_with_one_order(stage: Stage) -> None:
    """Else an administrator who has mended one thing must settle every error of it by hand."""
    pairs = [Pair(stage, "c35-many", f"{number}") for number in range(5)]
    for pair in pairs:
        pair.couple(email="base")
    stage.settle(*[pair.edit("left", 2, email="new") for pair in pairs])
    codes = ["duplicate"] * 4 + ["configuration"]
    stage.settle(
        *[stage.refuse(pair.sent_to("right")[0], code) for pair, code in zip(pairs, codes, strict=True)],
    )

    result = done(stage.order("retry_all", mapping="c35-many", code="duplicate"))

    assert (result["modified"], result["total"], result["done"]) == (4, 4, 4)
    assert [len(pair.sent_to("right")) for pair in pairs] == [2, 2, 2, 2, 1]
    stage.settle(*[stage.apply(pair.sent_to("right")[-1]) for pair in pairs[:4]])
    assert [pair.open_error is None for pair in pairs] == [True, True, True, True, False]
