"""The main job, end to end on RabbitMQ and PostgreSQL: changes in; instructions, errors and log lines out."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from store.couplings import Standing
from tests.acceptance.harness import Backend, Stage, open_stage
from tests.acceptance.wire import change

MAPPING = """
[apps.bc]
title = "Business Central"
[apps.sales]
title = "Dynamics 365 Sales"

[[mappings]]
name = "customer"
left = "bc/customer"
right = "sales/account"
[[mappings.fields]]
left = "name"
right = "title"
[[mappings.fields]]
left = "phone"
right = "telephone1"
sensitive = true
"""

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BATCH = 500


@pytest.fixture
def stage(servers: Backend, tmp_path: Path) -> Iterator[Stage]:
    """A stage of the test's own; records bear other keys in each, as all share the module's database."""
    with open_stage(servers, tmp_path, MAPPING) as opened:
        yield opened


def couple(stage: Stage, key: str) -> int:
    """Announce and couple bc/customer/<key> and sales/account/<key>, which agree."""
    return stage.couple(
        change(f"bc/customer/{key}", "create", 1, {"name": "Adatum", "phone": "555-0100"}),
        change(f"sales/account/{key}", "create", 1, {"title": "Adatum", "telephone1": "555-0100"}),
    )


def change_and_rival(stage: Stage, key: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Let the left change under a trace, and the right before it hears of it; return the instruction and the error."""
    edit = change(f"bc/customer/{key}", "update", 2, {"name": "Adatum AG"}, traceparent=TRACE, modified_by="jane")
    stage.settle(edit)
    assert stage.outcome(edit) == ["sent"]
    (instruction,) = stage.instructions("sales", "account")
    assert stage.standing(f"bc/customer/{key}") is Standing.IN_FLIGHT
    rival = change(f"sales/account/{key}", "update", 2, {"title": "Adatum Ltd"})
    stage.settle(rival, stage.refuse(instruction, "version_mismatch"))
    (told,) = stage.told("customer")
    return instruction, told


def test_a_change_becomes_an_instruction_to_the_other_app(stage: Stage) -> None:
    """Half of the product's reason to be."""
    stage.start_worker()
    coupling = couple(stage, "1")
    instruction, _ = change_and_rival(stage, "1")

    assert instruction["specversion"] == "1.0"
    assert instruction["type"] == "recouple.instruction"
    assert instruction["source"] == "recouple"
    assert instruction["subject"] == "account/1"
    assert instruction["traceparent"] == TRACE
    assert instruction["data"] == {
        "action": "update",
        "table": "account",
        "key": "1",
        "fields": {"title": "Adatum AG"},
        "if_version": 1,
        "coupling": coupling,
        "reason": "sync",
        "attempt": 1,
    }


def test_a_disagreement_becomes_an_error_and_nothing_is_written(stage: Stage) -> None:
    """The other half: somebody has to hear of it, with all that is needed to settle it."""
    stage.start_worker()
    coupling = couple(stage, "7")
    _, told = change_and_rival(stage, "7")
    data = told["data"]

    assert (told["type"], told["subject"]) == ("recouple.error.opened", str(data["error"]))
    assert told["traceparent"] == TRACE
    assert (data["kind"], data["family"], data["status"]) == ("update_conflict", "coupled_data", "open")
    assert (data["mapping"], data["coupling"], data["revision"]) == ("customer", coupling, 1)
    assert data["confidence"] == "certain"
    assert data["left"]["fields"] == {"name": "Adatum AG", "phone": "***"}
    assert data["right"]["fields"] == {"title": "Adatum Ltd", "telephone1": "***"}
    assert data["left"]["modified_by"] == "jane"
    assert data["base"] == {"name": "Adatum", "phone": "***"}
    assert data["differences"] == [
        {"field": "name", "contested": True, "base": "Adatum", "left": "Adatum AG", "right": "Adatum Ltd"}
    ]
    assert "bc/customer/7" in data["detail"]
    assert stage.standing("bc/customer/7") is Standing.SKIPPED
    assert len(stage.instructions("sales", "account")) == 1
    assert not stage.instructions("bc", "customer")


def test_every_decision_instruction_and_error_has_a_log_line_without_values(stage: Stage) -> None:
    """Else an operator cannot tell what happened at night; that each line is as described the stage sees to."""
    worker = stage.start_worker()
    coupling = couple(stage, "8")
    instruction, told = change_and_rival(stage, "8")

    (sent,) = worker.events("instruction.sent")
    assert (sent["instruction"], sent["record"]) == (instruction["id"], "sales/account/8")
    (opened,) = worker.events("error.opened")
    assert opened["error"] == told["data"]["error"]
    assert (opened["kind"], opened["coupling"]) == ("update_conflict", coupling)
    decided = [line["outcome"] for line in worker.events("change.decided") if line.get("coupling") == coupling]
    assert {"sent", "conflict"} <= set(decided)
    assert worker.events("batch.committed")
    for value in ("Adatum", "555-0100", "jane"):
        assert value not in worker.output


def test_messages_bear_the_properties_that_routers_and_tools_need(stage: Stage) -> None:
    """Else a broker restart loses messages (delivery_mode), and no tool can tell one from another without its body."""
    stage.start_worker()
    couple(stage, "2")
    stage.settle(change("bc/customer/2", "update", 2, {"name": "Bistro"}))
    (instruction,) = stage.client.arrived["instructions.sales"]
    rival = change("sales/account/2", "update", 2, {"title": "Brasserie"})
    stage.settle(rival, stage.refuse(instruction.event, "version_mismatch"))
    (error,) = stage.client.arrived["errors"]

    for received, kind in ((instruction, "recouple.instruction"), (error, "recouple.error.opened")):
        properties = received.properties
        assert properties["delivery_mode"] == 2
        assert properties["content_type"] == "application/cloudevents+json"
        assert properties["message_id"] == received.event["id"]
        assert properties["type"] == received.event["type"] == kind
        assert properties["app_id"] == received.event["source"] == "recouple"
        assert abs(properties["timestamp"] - time.clock_gettime(time.CLOCK_REALTIME)) < 60
    assert instruction.routing_key == "sales.account.update"
    assert error.routing_key == "update_conflict.customer"


def test_an_applied_instruction_settles_the_coupling_and_its_echo_sends_nothing_back(stage: Stage) -> None:
    """Else an update would never end, or travel to and fro between the apps."""
    stage.start_worker()
    couple(stage, "3")
    stage.settle(change("bc/customer/3", "update", 2, {"name": "Contoso"}))
    (instruction,) = stage.instructions("sales", "account")
    outcome = stage.apply(instruction)
    echo = change("sales/account/3", "update", 2, {"title": "Contoso", "telephone1": "555-0100"})
    stage.settle(outcome, echo)

    assert stage.standing("bc/customer/3") is Standing.SYNCHRONIZED
    assert not stage.instructions("bc", "customer")
    assert len(stage.instructions("sales", "account")) == 1
    assert not stage.told("customer")


def test_a_command_is_answered_once_where_its_sender_waits(stage: Stage) -> None:
    """Else the command line waits in vain, or takes another's answer for its own."""
    stage.start_worker()
    couple(stage, "4")
    answer = stage.order("couple", left="bc/customer/4", right="sales/account/4")

    assert answer["type"] == "recouple.command.refused"
    assert answer["data"]["command"] == "couple"
    assert answer["data"]["code"] == "duplicate_coupling"
    assert "bc/customer/4" in answer["data"]["detail"]


def test_sigterm_with_a_backlog_ends_the_worker_in_time_and_another_goes_on(stage: Stage) -> None:
    """Else a deployment kills batches, or what was at hand is lost or done twice."""
    first = stage.start_worker()
    couple(stage, "5")
    records = [f"bc/customer/backlog-{number}" for number in range(BATCH)]
    edits = [change(record, "create", 1, {"name": "x"}) for record in records]
    last = change("bc/customer/5", "update", 2, {"name": "Datum"})
    stage.publish(*edits, last)
    stage.wait(lambda: bool(stage.history(records[0])), "the backlog to be begun")
    started = time.monotonic()
    code = first.stop()

    assert code == 0
    assert time.monotonic() - started < 10
    assert first.events("worker.stopped")[0]["late"] == []

    second = stage.start_worker()
    # No sentinel would do: what the first worker had at hand comes after what nobody had.
    stage.wait(lambda: all(stage.outcome(one) for one in (*edits, last)), "the backlog to be handled")
    stage.quiet()
    assert all([line.outcome for line in stage.history(record)] == ["uncoupled"] for record in records)
    assert [event["data"]["fields"] for event in stage.instructions("sales", "account")] == [{"title": "Datum"}]
    assert second.stop() == 0


def test_drain_works_everything_off_and_leaves(stage: Stage) -> None:
    """Else a nightly run would hang, or leave work behind; an instruction that nobody answers does not hold it up."""
    worker = stage.start_worker()
    couple(stage, "6")
    assert worker.stop() == 0
    records = [f"bc/customer/drained-{number}" for number in range(BATCH)]
    stage.publish(
        change("bc/customer/6", "update", 2, {"name": "Fabrikam"}),
        *[change(record, "create", 1, {"name": "x"}) for record in records],
    )
    worker = stage.start_worker("--drain")

    assert worker.wait(within_s=30) == 0
    stage.client.flush()
    assert all([line.outcome for line in stage.history(record)] == ["uncoupled"] for record in records)
    assert [event["data"]["fields"] for event in stage.instructions("sales", "account")] == [{"title": "Fabrikam"}]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_worker_leaves_when_told(stage: Stage, number: signal.Signals) -> None:
    """Else Ctrl-C or a supervisor's stop would need a kill."""
    worker = stage.start_worker()
    stage.settle()
    worker.signal(number)

    assert worker.wait(within_s=10) == 0
    assert [line["signal"] for line in worker.events("worker.stopping")] == [number.name]


def test_several_processes_share_the_work_and_leave_together(stage: Stage) -> None:
    """Else ``--processes`` would leave processes behind when its parent is told to stop, or their work undone."""
    workers = stage.start_worker("--processes", "2")
    workers.wait_for("worker.started", times=2, within_s=30)
    stage.settle(change("bc/customer/shared", "create", 1, {"name": "x"}))

    assert [line.outcome for line in stage.history("bc/customer/shared")] == ["uncoupled"]
    assert workers.stop() == 0
    assert len(workers.events("worker.stopped")) == 2
