"""Outcomes that come after an operator has ordered something else, through the wire on both backends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from store.couplings import Standing
from tests.acceptance.cases import APPS, Pair, done, mapping, seen
from tests.acceptance.harness import Backend, Stage, open_stage

MAPPINGS = (
    mapping("deleted", "name"),
    *(mapping(name, "name", only_coupled=False, match_on=[["name"]]) for name in ("in-flight", "restored")),
)


@pytest.fixture
def stage(backend: Backend, tmp_path: Path) -> Iterator[Stage]:
    """A stage on each backend, on which one worker works."""
    with open_stage(backend, tmp_path, "\n".join((APPS, *MAPPINGS))) as opened:
        opened.start_worker()
        yield opened


def test_a_coupling_removed_in_flight_stays_removed_when_the_outcome_comes(stage: Stage) -> None:
    """Else records that somebody took apart are written to again, or coupled anew, behind his back."""
    pair = Pair(stage, "in-flight")
    pair.couple(name="base")
    load(stage, "in-flight")
    stage.settle(pair.edit("left", 2, name="new"))
    (instruction,) = pair.sent_to("right")
    done(stage.order("remove_coupling", coupling=pair.coupling))

    stage.settle(stage.apply(instruction), pair.edit("right", 2, name="new"))

    assert pair.standing is Standing.CLOSED
    assert stage.instructions("bc", "in-flight") == []
    assert stage.instructions("sales", "in-flight") == [instruction]
    assert pair.told == []
    coupled = done(stage.order("couple", left=pair.left, right=pair.right))
    assert (coupled["coupling"] != pair.coupling, coupled["status"]) == (True, "synchronized")


def test_a_record_restored_after_the_coupling_was_removed_is_not_coupled_again(stage: Stage) -> None:
    """Else what one operator took apart comes back by the late outcome of another's order."""
    pair = Pair(stage, "restored")
    pair.couple(name="base")
    load(stage, "restored")
    stage.settle(pair.delete("left", 2))
    done(stage.order("restore_record", **seen(pair.told[-1])))
    (creation,) = pair.sent_to("left")
    done(stage.order("remove_coupling", error=pair.told[-1]["error"]))

    restored = Pair(stage, "restored", "new-key")
    stage.settle(stage.apply(creation, 1, key="new-key"), restored.change("left", "create", 1, {"name": "base"}))
    stage.settle(restored.edit("left", 2, name="goes on"), pair.edit("right", 2, name="goes on too"))

    assert pair.standing is Standing.CLOSED
    assert stage.standing(restored.left) in (None, Standing.CLOSED)
    assert stage.instructions("bc", "restored") == [creation]
    assert stage.instructions("sales", "restored") == []
    assert (pair.told[-1]["status"], pair.told[-1]["resolution"]) == ("resolved", "remove_coupling")


def test_what_changes_while_a_record_is_restored_flows_to_its_new_key(stage: Stage) -> None:
    """Else the edit is lost, or goes to the key that was deleted; and the way back must know the new key, too."""
    pair = Pair(stage, "deleted")
    pair.couple(name="base")
    stage.settle(pair.delete("left", 2))
    done(stage.order("restore_record", **seen(pair.told[-1])))
    (creation,) = pair.sent_to("left")
    stage.settle(pair.edit("right", 2, name="meanwhile"))
    assert pair.sent_to("left") == [creation], "one decision in flight at a time"

    stage.settle(stage.apply(creation, 1, key="new-key"))
    onward = pair.sent_to("left")[-1]
    assert (onward["data"]["key"], onward["data"]["fields"]) == ("new-key", {"name": "meanwhile"})
    stage.settle(stage.apply(onward))
    back = Pair(stage, "deleted", "new-key")
    stage.settle(back.edit("left", 3, name="and back"))

    (instruction,) = pair.sent_to("right")
    assert (instruction["data"]["key"], instruction["data"]["fields"]) == (pair.key, {"name": "and back"})
    stage.settle(stage.apply(instruction), pair.edit("left", 3, name="a ghost"))
    assert len(pair.sent_to("right")) == 1, "nothing of the old key any more"
    assert stage.standing(back.left) is Standing.SYNCHRONIZED
    assert pair.open_error is None


def load(stage: Stage, case: str) -> None:
    """Say that all records of the two tables were announced: from now on what is not coupled is matched or made."""
    for app in ("bc", "sales"):
        done(stage.order("loaded", table=f"{app}/{case}"))
