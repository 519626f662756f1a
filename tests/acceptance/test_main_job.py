"""The main job, end to end on RabbitMQ and PostgreSQL: changes in; instructions, errors and log lines out."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

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


def test_a_change_becomes_an_instruction_and_a_disagreement_an_error(stage: Stage) -> None:
    """The product's reason to be: without this nothing else matters."""
    worker = stage.start_worker()
    coupling = couple(stage, "1")
    edit = change("bc/customer/1", "update", 2, {"name": "Adatum AG"}, traceparent=TRACE, modified_by="jane")
    stage.settle(edit)

    (instruction,) = stage.instructions("sales", "account")
    assert instruction["type"] == "recouple.instruction"
    assert instruction["source"] == "recouple"
    assert instruction["subject"] == "account/1"
    assert instruction["specversion"] == "1.0"
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
    assert stage.outcome(edit) == ["sent"]
    assert stage.standing("bc/customer/1") is Standing.IN_FLIGHT

    rival = change("sales/account/1", "update", 2, {"title": "Adatum Ltd"})
    stage.settle(rival, stage.refuse(instruction, "version_mismatch"))

    (told,) = stage.told("customer")
    assert told["type"] == "recouple.error.opened"
    data = told["data"]
    assert told["subject"] == str(data["error"])
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
    assert "bc/customer/1" in data["detail"]
    assert stage.standing("bc/customer/1") is Standing.SKIPPED
    assert len(stage.instructions("sales", "account")) == 1
    assert not stage.instructions("bc", "customer")
    assert told["traceparent"] == TRACE

    (sent,) = worker.events("instruction.sent")
    assert (sent["instruction"], sent["record"]) == (instruction["id"], "sales/account/1")
    (opened,) = worker.events("error.opened")
    assert (opened["error"], opened["kind"], opened["coupling"]) == (data["error"], "update_conflict", coupling)
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
    stage.publish(*edits, change("bc/customer/5", "update", 2, {"name": "Datum"}))
    stage.wait(lambda: bool(stage.history(records[0])), "the backlog to be begun")
    started = time.monotonic()
    code = first.stop()

    assert code == 0
    assert time.monotonic() - started < 10
    assert first.events("worker.stopped")[0]["late"] == []

    second = stage.start_worker()
    stage.settle()
    assert all([line.outcome for line in stage.history(record)] == ["uncoupled"] for record in records)
    assert [event["data"]["fields"] for event in stage.instructions("sales", "account")] == [{"title": "Datum"}]
    assert second.stop() == 0


def test_drain_works_everything_off_and_leaves(stage: Stage) -> None:
    """Else a nightly run would hang, or leave work behind; an instruction that nobody answers does not hold it up."""
    stage.start_worker().is_running()
    couple(stage, "6")
    assert stage.workers[0].stop() == 0
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
