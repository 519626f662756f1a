"""Conformance cases of the best conflict engines, through the wire on both backends: the deletion path, C17 to C27."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import pytest

from store.couplings import Standing
from tests.acceptance.cases import APPS, Pair, mapping
from tests.acceptance.harness import Backend, Stage, open_stage

MAPPINGS = (
    mapping("c17", "name"),
    mapping("c19", "name", on_deletion="uncouple"),
    mapping("c20", "name", on_deletion="delete"),
    mapping("c22", "name", on_deletion="delete"),
    mapping("c23", "name", on_deletion="delete"),
    mapping("c25", "name"),
    mapping("c27", "name", on_deletion="restore"),
)


@pytest.fixture(scope="module")
def stage(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One worker for all cases; each has tables of its own."""
    with open_stage(backend, tmp_path_factory.mktemp("stage"), "\n".join((APPS, *MAPPINGS))) as opened:
        opened.start_worker()
        yield opened


def test_c17_a_deletion_against_a_change_is_a_conflict_then_skipped_and_all_is_kept(stage: Stage) -> None:
    """Else a deletion here destroys what somebody has just worked on there, or is asked about again and again."""
    pair = Pair(stage, "c17")
    coupling = pair.couple(name="base")
    stage.settle(pair.delete("left", 2))
    edit = pair.edit("right", 2, name="worked on")
    stage.settle(edit)

    opened, updated = pair.told
    assert (opened["kind"], opened["coupling"]) == ("deletion_conflict", coupling)
    assert (updated["error"], updated["revision"]) == (opened["error"], 2), (
        "one error, that says what is to be seen now"
    )
    assert updated["left"]["exists"] is False
    assert updated["right"]["fields"] == {"name": "worked on"}
    assert stage.outcome(edit) == ["skipped"]
    assert pair.standing is Standing.SKIPPED
    assert pair.writes("left") == pair.writes("right") == []


def test_c19_policy_uncouple_ends_the_coupling_and_keeps_the_survivor(stage: Stage) -> None:
    """Else the policy would ask, delete or restore; or what survives would go on being written to."""
    pair = Pair(stage, "c19")
    pair.couple(name="base")
    stage.settle(pair.edit("right", 2, name="worked on"))
    (instruction,) = pair.sent_to("left")
    stage.settle(pair.delete("left", 2), stage.refuse(instruction, "not_found"))

    assert pair.standing is Standing.CLOSED
    assert pair.told == []
    later = pair.edit("right", 3, name="goes on")
    stage.settle(later)
    assert stage.outcome(later) == ["uncoupled"]
    assert pair.writes("right") == []
    assert len(pair.writes("left")) == 1, "only what crossed the deletion"


def test_c20_a_deletion_that_is_carried_over_closes_the_coupling(stage: Stage) -> None:
    """By policy; as a command in test_conformance_resolutions. Else survivor and coupling would linger."""
    pair = Pair(stage, "c20", "applied")
    pair.couple(name="base")
    stage.settle(pair.delete("left", 2))
    (instruction,) = pair.sent_to("right")
    assert (instruction["data"]["action"], instruction["data"]["if_version"]) == ("delete", 1)
    stage.settle(stage.apply(instruction))

    assert pair.standing is Standing.CLOSED
    assert pair.open_error is None


def test_c20_a_deletion_that_is_not_permitted_leaves_the_line_open(stage: Stage) -> None:
    """Else nobody learns that the app did not delete."""
    pair = Pair(stage, "c20", "refused")
    pair.couple(name="base")
    stage.settle(pair.delete("left", 2))
    (instruction,) = pair.sent_to("right")
    stage.settle(stage.refuse(instruction, "permission_denied", detail="may not delete accounts"))

    error = pair.open_error
    assert error is not None
    assert (error["kind"], error["code"], error["family"]) == ("apply_failed", "permission_denied", "integration")
    assert pair.standing is Standing.SKIPPED
    assert len(pair.sent_to("right")) == 1


@pytest.mark.parametrize("first", ["edit", "deletion"])
def test_c22_an_edit_and_a_deletion_that_cross_are_a_conflict_with_both_images(stage: Stage, first: str) -> None:
    """The system it is taken from applies the deletion and loses the edit, in either order of arrival."""
    pair = Pair(stage, "c22", f"{first}-first")
    pair.couple(name="base")
    edit, deletion = pair.edit("right", 2, name="edited"), pair.delete("left", 2)
    if first == "edit":
        stage.settle(edit)
        (instruction,) = pair.sent_to("left")
        stage.settle(deletion, stage.refuse(instruction, "not_found"))
    else:
        pair.clash(deletion, edit)

    error = pair.open_error
    assert error is not None
    assert error["kind"] == "deletion_conflict"
    assert (error["left"]["exists"], error["left"]["fields"]) == (False, {"name": "base"})
    assert (error["right"]["key"], error["right"]["exists"]) == (pair.key, True)
    assert error["right"]["fields"] == {"name": "edited"}
    assert pair.standing is Standing.SKIPPED
    deletions = [event for event in pair.sent_to("right") if event["data"]["action"] == "delete"]
    assert len(deletions) == (first == "deletion"), "at most the one that the app has refused"


def test_c23_a_record_never_known_is_never_called_deleted(stage: Stage) -> None:
    """What has lapsed: test_conformance_lapsed. Else it costs its partner's life by ``on_deletion``."""
    pair = Pair(stage, "c23")
    stage.settle(pair.change("left", "create", 1, {"name": "base"}))
    answer = stage.order("couple", left=pair.left, right=pair.right)
    assert answer["type"] == "recouple.command.done"
    (reading,) = pair.sent_to("right")
    assert reading["data"]["action"] == "read"
    stage.settle(stage.refuse(reading, "not_found"))

    (told,) = pair.told
    assert (told["kind"], told["code"], told["confidence"]) == ("apply_failed", "not_found", "degraded")
    assert pair.right in told["detail"]
    assert pair.standing is Standing.CLOSED
    assert pair.sent_to("left") == []


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_c25_a_key_used_again_is_alive_with_its_new_values_in_any_order(stage: Stage, order: tuple[int, ...]) -> None:
    """Else the deletion of the old record, come late, deletes the new one."""
    pair = Pair(stage, "c25", "".join(map(str, order)))
    life = (
        pair.change("left", "create", 1, {"name": "first"}),
        pair.delete("left", 2),
        pair.change("left", "create", 3, {"name": "second"}),
    )
    for step in order:
        stage.publish(life[step])
    stage.settle(pair.change("right", "create", 1, {"name": "other"}))
    answer = stage.order("couple", left=pair.left, right=pair.right, keep="left")

    assert answer["type"] == "recouple.command.done"
    assert pair.writes("right") == [{"name": "second"}]


@pytest.mark.parametrize("first", ["edit", "deletion"])
def test_c27_what_lives_beats_what_was_deleted_in_either_order(stage: Stage, first: str) -> None:
    """Policy restore. Else it depends on the network whether an edited record survives."""
    pair = Pair(stage, "c27", f"{first}-first")
    pair.couple(name="base")
    edit, deletion = pair.edit("right", 2, name="edited"), pair.delete("left", 2)
    if first == "edit":
        stage.settle(edit)
        (update,) = pair.sent_to("left")
        stage.settle(deletion, stage.refuse(update, "not_found"))
    else:
        stage.settle(deletion)
    creation = pair.sent_to("left")[-1]
    assert (creation["data"]["action"], creation["data"]["key"]) == ("create", None)
    restored = f"{pair.key}-restored"
    rest = [edit] if first == "deletion" else []
    stage.settle(*rest, stage.apply(creation, 1, key=restored))
    if first == "deletion":
        assert pair.writes("left") == [{"name": "base"}, {"name": "edited"}]
        stage.settle(stage.apply(pair.sent_to("left")[-1]))

    assert pair.writes("left")[-1] == {"name": "edited"}
    assert stage.standing(f"bc/c27/{restored}") is Standing.SYNCHRONIZED
    assert pair.sent_to("right") == []
    assert pair.open_error is None
