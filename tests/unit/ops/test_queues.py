"""``recouple tap`` and ``recouple dead``."""

from __future__ import annotations

import pytest

from messages.dead import DeadReason
from messages.transport.ports import Properties, Publication
from ops.queues_view import queue_name
from tests.unit.ops.samples import RED, World

BC, SALES, DEAD = "recouple.changes.bc", "recouple.changes.sales", "recouple.dead"


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("errors", "ns.errors"),
        ("dead", "ns.dead"),
        ("commands", "ns.commands"),
        ("changes.bc", "ns.changes.bc"),
        ("instructions.sales", "ns.instructions.sales"),
        ("ns.changes.bc", "ns.changes.bc"),
        ("amq.gen-x", "amq.gen-x"),
    ],
)
def test_a_queue_may_be_named_as_people_do(name: str, full: str) -> None:
    """If it failed, ``recouple tap errors`` would look at a queue of another installation, or at none."""
    assert queue_name("ns", name) == full


def test_tap_shows_and_leaves(world: World) -> None:
    """If it failed, looking at a queue would change it, or show something else than what waits there."""
    bodies = [b'{"id": "e1", "subject": "customer/\\u001b[31m", "n": 1.10,\n "n": 2}', b"\xff" + RED.encode()]
    properties = Properties(message_id="m", type="t", headers={"h": 1})
    world.publish(*(Publication(exchange="", routing_key=BC, body=body, properties=properties) for body in bodies))
    first, second = world.json("tap", "changes.bc")
    assert first["body"] == {"id": "e1", "subject": f"customer/{RED}", "n": 2}
    assert (first["properties"]["message_id"], first["properties"]["headers"]) == ("m", {"h": 1})
    assert second["text"] == f"\ufffd{RED}"
    assert "1.10" in world.run("tap", "changes.bc", "--json").stdout
    shown = world.run("tap", "changes.bc", "--max", "1")
    assert "customer/\\x1b[31m" in shown.stdout
    assert "1 of 2 messages" in shown.stderr
    assert world.bodies(BC) == bodies


def test_tap_of_an_unknown_queue_is_said_in_words(world: World) -> None:
    """If it failed, a mistyped queue would be a traceback."""
    assert "does not exist" in world.json("tap", "changes.gone", exit_code=1)["error"]


def test_dead_shows_why_and_leaves(world: World) -> None:
    """If it failed, an operator would not learn why a message is dead, or would lose it by looking."""
    world.bury("m1", BC, DeadReason.ID_REUSED)
    world.bury("m2", SALES)
    first, second = world.json("dead")
    assert (first["reason"], first["detail"], first["queue"]) == ("id_reused", "data: wrong", BC)
    assert second["message"]["body"] == {"id": "m2"}
    assert "id_reused" in world.run("dead", "show").stdout
    assert [row["queue"] for row in world.json("dead", "show", "--queue", "changes.sales")] == [SALES]
    assert [row["reason"] for row in world.json("dead", "--reason", "id_reused")] == ["id_reused"]
    assert len(world.json("dead", "--max", "1")) == 1
    assert len(world.bodies(DEAD)) == 2


def test_replay_sends_back_what_came_as_it_came(world: World) -> None:
    """If it failed, a mended message would come back altered, to another app, or not at all."""
    for id_, queue in (("m1", BC), ("m2", SALES), ("m3", "recouple.commands")):
        world.bury(id_, queue)
    assert world.json("dead", "replay", "--queue", "changes.bc") == {"replayed": 1, "failed": []}
    [back] = world.broker.peek(BC, 10)
    assert back.body == b'{"id": "m1"}'
    assert (back.properties.message_id, dict(back.properties.headers)) == ("m1", {"mine": 1})
    assert world.json("dead", "replay", "--max", "1")["replayed"] == 1
    assert world.json("dead", "replay")["replayed"] == 1
    assert (len(world.bodies(SALES)), world.bodies(DEAD)) == (1, [])


def test_what_cannot_go_back_stays_dead(world: World) -> None:
    """If it failed, replay would lose a message whose queue is gone, or go in circles with one put here by hand."""
    world.bury("gone", "recouple.changes.gone")
    by_hand = Properties(message_id="hand", headers={"x-recouple-queue": BC})
    world.publish(Publication(exchange="", routing_key=DEAD, body=b"hand", properties=by_hand))
    said = world.json("dead", "replay", exit_code=1)
    assert said["replayed"] == 0
    assert [one["id"] for one in said["failed"]] == ["gone", "hand"]
    assert len(world.bodies(DEAD)) == 2
    assert world.bodies(BC) == []


def test_drop_asks_and_drops_only_what_is_meant(world: World) -> None:
    """If it failed, messages would be lost that nobody gave up."""
    world.bury("m1", BC, DeadReason.ID_REUSED)
    world.bury("m2", BC)
    refused = world.run("dead", "drop")
    assert (refused.exit_code, "--yes" in refused.stderr) == (2, True)
    assert len(world.bodies(DEAD)) == 2
    assert world.json("dead", "drop", "--reason", "id_reused", "--yes") == {"dropped": 1}
    assert world.bodies(DEAD) == [b'{"id": "m2"}']
    assert world.run("dead", "drop", "--reason", "typo", "--yes").exit_code == 2


def test_a_mistyped_queue_is_a_usage_error(world: World) -> None:
    """If it failed, somebody would run setup for a queue that nothing declares."""
    said = world.json("tap", "error", exit_code=2)["error"]
    assert "did you mean 'errors'" in said
