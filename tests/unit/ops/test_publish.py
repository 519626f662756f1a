"""``recouple publish``."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from ops.publishing import MAX_LISTED
from tests.unit.ops.samples import RECOUPLE, World

GOOD: dict[str, Any] = {
    "app": "bc",
    "table": "customer",
    "key": "1",
    "operation": "update",
    "version": 2,
    "fields": {"name": "Adatum"},
}
FULL: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e1",
    "source": "sales/eu",
    "type": "recouple.record.changed",
    "subject": "account/9",
    "unknown": [1.10],
    "data": {"operation": "delete", "version": 3},
}
OUTCOME: dict[str, Any] = {
    "specversion": "1.0",
    "id": "o1",
    "source": "bc",
    "type": "recouple.instruction.applied",
    "data": {"instruction": "i1", "version": 3},
}


def lines(*documents: object) -> str:
    """A file of these, one a line; text stands as it is."""
    return "".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in documents)


def test_short_and_full_lines_go_to_the_queues_of_their_apps(world: World) -> None:
    """If it failed, what a file says would reach the wrong app, or not as it was written."""
    said = world.json("publish", "-", given=lines(GOOD, "", FULL, OUTCOME))
    assert said == {"published": 3, "refused": [], "refused_total": 0}
    short, outcome = world.broker.peek("recouple.changes.bc", 10)
    assert json.loads(short.body)["subject"] == "customer/1"
    assert outcome.routing_key == "bc.outcome"
    [full] = world.broker.peek("recouple.changes.sales", 10)
    assert full.body == json.dumps(FULL).encode()
    assert (full.routing_key, full.properties.message_id) == ("sales.account.delete", "e1")


def test_every_bad_line_is_listed_with_all_its_faults_and_the_good_ones_go(world: World) -> None:
    """If it failed, a person would mend one fault a run, or lose the good lines."""
    bad = GOOD | {"version": -1, "operation": "upsert"}
    result = world.run("publish", "-", given=lines("no json", GOOD, "[]", bad, GOOD | {"app": "gone"}))
    assert result.exit_code == 1
    assert "1 event published, 4 lines refused" in result.stdout
    told = {line.split(":")[0]: line for line in result.stderr.splitlines()}
    assert list(told) == ["line 1", "line 3", "line 4", "line 5"]
    assert "version" in told["line 4"]
    assert "operation" in told["line 4"]
    assert "setup" in told["line 5"]
    assert len(world.bodies("recouple.changes.bc")) == 1


def test_strict_publishes_nothing_where_a_line_is_bad(world: World) -> None:
    """If it failed, a file that must go as a whole could go by half."""
    said = world.json("publish", "-", "--strict", given=lines(GOOD, "no json"), exit_code=1)
    assert (said["published"], [one["line"] for one in said["refused"]]) == (0, [2])
    assert world.bodies("recouple.changes.bc") == []
    assert world.json("publish", "-", "--strict", given=lines(GOOD, GOOD))["published"] == 2


def test_strict_reads_a_pipe_that_cannot_be_rewound(world: World) -> None:
    """If it failed, ``export | recouple publish - --strict`` would check all of it and publish nothing."""
    given = lines(GOOD, FULL).encode()
    command = [*RECOUPLE, "publish", "-", "--strict", "--json"]
    environ = {**os.environ, **world.environ}
    done = subprocess.run(command, input=given, capture_output=True, env=environ, timeout=60, check=False)
    assert (done.returncode, json.loads(done.stdout)["published"]) == (0, 2), done.stderr


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_line_that_is_too_long_is_refused_and_the_next_is_read(world: World, end: str) -> None:
    """If it failed, one line without end would fill the memory, or hide those after it."""
    world.environ["RECOUPLE_MAX_MESSAGE_BYTES"] = "1024"
    long = GOOD | {"fields": {"name": "x" * 200_000}}
    said = world.json("publish", "-", given=lines(GOOD, long) + json.dumps(GOOD) + end, exit_code=1)
    assert said["published"] == 2
    assert [(one["line"], one["reason"]) for one in said["refused"]] == [(2, "too_large")]


def test_refused_lines_are_listed_up_to_a_limit(world: World) -> None:
    """If it failed, a long file of the wrong kind would fill the memory or the screen."""
    said = world.json("publish", "-", given="x\n" * (MAX_LISTED + 5), exit_code=1)
    assert (len(said["refused"]), said["refused_total"]) == (MAX_LISTED, MAX_LISTED + 5)


@pytest.mark.parametrize("source", ["BC", "bc.x", "", None, 7])
def test_a_source_that_is_no_app_is_refused_here(world: World, source: object) -> None:
    """If it failed, the event would be routed by a source that some worker has to put to dead."""
    said = world.json("publish", "-", given=lines(FULL | {"source": source}), exit_code=1)
    assert [one["detail"].split(":")[0] for one in said["refused"]] == ["source"]


def test_a_file_is_read_and_a_missing_one_is_a_usage_error(world: World) -> None:
    """If it failed, a mistyped name would be a traceback."""
    file = world.folder / "changes.jsonl"
    file.write_text(lines(GOOD), encoding="utf-8")
    assert world.json("publish", str(file))["published"] == 1
    assert world.run("publish", str(file) + "x").exit_code == 2


def test_a_broker_that_is_away_is_said_with_what_was_published(world: World) -> None:
    """If it failed, nobody would know how far the file got."""
    world.environ["RECOUPLE_BROKER_URL"] = f"embedded:///{world.folder / 'other.db'}"
    said = world.json("publish", "-", given=lines(GOOD), exit_code=1)
    assert said["published"] == 0
    assert "does not exist" in said["error"]
