"""Conformance cases of the best conflict engines, through the wire on both backends: what an operator saw is over.

C23, where the history has lapsed, and C37, where the error has moved on since it was shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from store.couplings import Standing
from tests.acceptance.cases import APPS, Pair, done, mapping, seen
from tests.acceptance.clients import REPLIES
from tests.acceptance.harness import Backend, Stage, open_stage
from tests.acceptance.wire import command
from workers.retention import Keep, Retaining


@pytest.fixture(scope="module")
def stage(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One worker for all cases of C37; the records have keys of their own."""
    folder = tmp_path_factory.mktemp("stage")
    with open_stage(backend, folder, "\n".join((APPS, mapping("c37", "name", "city")))) as opened:
        opened.start_worker()
        yield opened


def conflict(pair: Pair) -> dict[str, Any]:
    """Both sides change a record in two fields; return the open error."""
    pair.couple(name="base", city="base")
    pair.clash(
        pair.edit("left", 2, name="left's", city="left's"), pair.edit("right", 2, name="right's", city="right's")
    )
    error = pair.open_error
    assert error is not None
    assert error["kind"] == "update_conflict"
    return error


def test_c37_a_command_on_what_has_changed_since_writes_nothing_and_shows_what_is(stage: Stage) -> None:
    """Else an operator overwrites what somebody typed while the screen stood open."""
    pair = Pair(stage, "c37", "older")
    shown = conflict(pair)
    stage.settle(pair.edit("right", 3, name="since then"))
    sent = [len(pair.sent_to(side)) for side in ("left", "right")]

    answer = stage.order("synchronize", **seen(shown), keep="left")

    assert answer["type"] == "recouple.command.refused"
    assert answer["data"]["code"] == "stale"
    now = answer["data"]["error"]
    assert (now["error"], now["status"]) == (shown["error"], "open")
    assert now["revision"] > shown["revision"]
    assert now["right"]["fields"]["name"] == "since then"
    assert [len(pair.sent_to(side)) for side in ("left", "right")] == sent
    assert pair.open_error == now

    done(stage.order("synchronize", **seen(now), keep="left"))
    instruction = pair.sent_to("right")[-1]
    assert (instruction["data"]["fields"], instruction["data"]["if_version"]) == (
        {"name": "left's", "city": "left's"},
        3,
    )
    stage.settle(stage.apply(instruction))
    assert pair.standing is Standing.SYNCHRONIZED
    assert pair.told[-1]["resolution"] == "synchronize"


def test_c37_the_same_command_twice_has_one_effect_and_the_same_answer_twice(stage: Stage) -> None:
    """Else a program that is not sure whether its order arrived does the same thing twice, or is told it may not."""
    pair = Pair(stage, "c37", "twice")
    error = conflict(pair)
    before = len(pair.sent_to("right"))
    ordered = command("synchronize", stage.client.reply_to, {**seen(error), "keep": "left"})

    stage.publish(ordered, ordered)
    await_answers(stage, ordered.id, 2)
    stage.settle(stage.apply(pair.sent_to("right")[-1]))
    stage.publish(ordered)
    await_answers(stage, ordered.id, 3)

    first, *others = answers(stage, ordered.id)
    assert first["type"] == "recouple.command.done"
    assert [(one["type"], one["data"]) for one in others] == [(first["type"], first["data"])] * 2
    assert len(pair.sent_to("right")) == before + 1
    (error_now,) = [told for told in pair.told if told["status"] == "resolved"]
    assert [one["id"] for one in error_now["history"]] == [ordered.id]


def test_c37_an_order_that_names_another_content_under_a_used_id_is_refused(stage: Stage) -> None:
    """Else the second order would get the answer of the first, and look as if it had been done."""
    pair = Pair(stage, "c37", "reused")
    error = conflict(pair)
    ordered = command("synchronize", stage.client.reply_to, {**seen(error), "keep": "left"})
    other = command("synchronize", stage.client.reply_to, {**seen(error), "keep": "right"})
    body = other.body.replace(other.id.encode(), ordered.id.encode())
    other = other._replace(body=body, properties={**other.properties, "message_id": ordered.id})

    stage.publish(ordered, other)
    await_answers(stage, ordered.id, 2)

    assert sorted(one["data"].get("code", "done") for one in answers(stage, ordered.id)) == ["done", "id_reused"]
    assert len(pair.writes("left")) + len(pair.writes("right")) == 2, "what clashed, and what one of the two ordered"


def answers(stage: Stage, ordered: str) -> list[dict[str, Any]]:
    """Every answer to one command, in the order of arrival."""
    return [one.event for one in stage.client.arrived[REPLIES] if one.properties["correlation_id"] == ordered]


def await_answers(stage: Stage, ordered: str, number: int) -> None:
    """Wait for so many answers to one command, and for what follows from it."""
    stage.wait(lambda: len(answers(stage, ordered)) >= number, f"{number} answers")
    stage.quiet()
    assert len(answers(stage, ordered)) == number


# --- history that has lapsed: a stage of its own, since everything in it is forgotten


@pytest.fixture
def forgetful(backend: Backend, tmp_path: Path) -> Iterator[Stage]:
    """A stage with one worker, of which all that may be forgotten will be."""
    maps = (mapping("c23", "name", on_deletion="delete"), mapping("c23-apart", "name", on_deletion="delete"))
    with open_stage(backend, tmp_path, "\n".join((APPS, *maps))) as opened:
        opened.start_worker()
        yield opened


def forget(stage: Stage) -> None:
    """Let the time pass after which nothing is kept that need not be."""
    day = timedelta(days=1)
    keep = Keep(errors=day, log=day, handled=day)
    loop = Retaining(stage.store, keep, lambda: datetime.now(UTC) + 400 * day, timedelta(0), lambda: 0.0)
    assert loop.step()
    while loop.step():
        pass


def test_c23_an_edit_against_a_deletion_is_known_as_such_however_long_ago_it_was(forgetful: Stage) -> None:
    """Images outlive the history. Else the source's "update missing" makes a record of an edit that came late."""
    pair = Pair(forgetful, "c23")
    pair.couple(name="base")
    deletion = pair.delete("left", 2)
    forgetful.settle(pair.edit("right", 2, name="edited"))
    (update,) = pair.sent_to("left")
    forgetful.settle(deletion, forgetful.refuse(update, "not_found"))
    error = pair.open_error
    assert error is not None
    forget(forgetful)
    assert forgetful.history(pair.left) == []

    late = pair.edit("left", 1, name="late")
    forgetful.settle(late, deletion)

    assert forgetful.outcome(late) == forgetful.outcome(deletion) == ["stale"]
    assert pair.open_error == error
    assert (error["kind"], error["left"]["exists"]) == ("deletion_conflict", False)
    assert pair.sent_to("right") == []
    done(forgetful.order("restore_record", **seen(error)))
    assert pair.writes("left")[-1] == {"name": "edited"}


def test_c23_without_a_history_what_both_did_is_told_as_degraded_and_never_decided(forgetful: Stage) -> None:
    """Nobody knows on what the two last agreed. Else ``on_deletion`` would delete on a guess."""
    pair = Pair(forgetful, "c23-apart")
    forgetful.settle(
        pair.change("left", "create", 1, {"name": "left's"}), pair.change("right", "create", 1, {"name": "right's"})
    )
    pair.coupling = int(done(forgetful.order("couple", left=pair.left, right=pair.right))["coupling"])
    forgetful.settle(pair.delete("left", 2))

    error = pair.open_error
    assert error is not None
    assert (error["kind"], error["confidence"]) == ("deletion_conflict", "degraded")
    assert any("no base" in reason for reason in error["confidence_reasons"])
    assert pair.sent_to("right") == []
    done(forgetful.order("delete_record", **seen(error)))
    (instruction,) = pair.sent_to("right")
    assert (instruction["data"]["action"], instruction["data"]["if_version"]) == ("delete", 1)
