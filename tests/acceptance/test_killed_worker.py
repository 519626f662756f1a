"""A worker that is killed again and again in the middle of its work: nothing is lost, nothing is done twice."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from messages.records import RecordRef
from store import log as log_store
from store import records as record_store
from tests.acceptance.harness import Backend, Stage, open_stage
from tests.acceptance.wire import Message, change
from tests.mapping_files import ONE_FIELD

RECORDS = 20
EDITS = 30
KILLS = 6


@pytest.fixture
def stage(backend: Backend, tmp_path: Path) -> Iterator[Stage]:
    """Small batches, so that there are many places to be killed in; short leases, so that nobody waits for the dead."""
    if backend.broker_url.startswith("embedded"):
        backend = backend._replace(broker_url=f"{backend.broker_url}?lease_s=1")
    environ = {"RECOUPLE_BATCH_SIZE": "10", "RECOUPLE_OUTBOX_LEASE": "1s"}
    with open_stage(backend, tmp_path, ONE_FIELD, environ) as stage:
        yield stage


def test_kill_nine_loses_nothing_and_repeats_nothing(stage: Stage) -> None:
    """Else a worker that dies would leave records that never agree, or instruct an app twice."""
    worker = stage.start_worker()
    for number in range(RECORDS):
        stage.couple(
            change(f"bc/customer/{number}", "create", 1, {"name": "base"}),
            change(f"sales/account/{number}", "create", 1, {"title": "base"}),
        )
    assert worker.stop() == 0
    edits = [
        change(f"bc/customer/{number}", "update", 2 + edit, {"name": f"edit {edit}"})
        for edit in range(EDITS)
        for number in range(RECORDS)
    ]
    stage.publish(*edits)

    for kill in range(1, KILLS + 1):
        worker, enough = stage.start_worker(), kill * RECORDS * EDITS // (2 * KILLS)
        stage.wait(partial(is_handled, stage, edits, enough), "some events to be handled")
        worker.signal(signal.SIGKILL)
        assert worker.wait(5) == -signal.SIGKILL
    worker = stage.start_worker()
    stage.wait(partial(is_handled, stage, edits, len(edits)), "all events to be handled")
    stage.quiet()
    assert worker.stop() == 0

    assert set(handled(stage, edits).values()) == {1}
    with stage.store.reading() as conn:
        images = record_store.read(conn, [RecordRef("bc", "customer", f"{number}") for number in range(RECORDS)])
    assert {image.fields["name"] for image in images.values()} == {f"edit {EDITS - 1}"}
    sent = {event["id"]: json.dumps(event["data"]) for event in stage.instructions("sales", "account")}
    repeated = {(event["id"], json.dumps(event["data"])) for event in stage.instructions("sales", "account")}
    assert len(sent) == len(repeated) == RECORDS  # one decision in flight for each; a repeat is the same to the letter
    assert stage.dead() == []


def is_handled(stage: Stage, edits: list[Message], events: int) -> bool:
    """Say whether so many events were handled."""
    return sum(handled(stage, edits).values()) >= events


def handled(stage: Stage, edits: list[Message]) -> Counter[str]:
    """How often each event was handled, duplicates not counted."""
    found: Counter[str] = Counter({edit.id: 0 for edit in edits})
    with stage.store.reading() as conn:
        for number in range(RECORDS):
            lines = log_store.of_record(conn, f"bc/customer/{number}", limit=10 * EDITS)
            found.update(line.event or "" for line in lines if line.event in found and line.outcome != "duplicate")
    return found
