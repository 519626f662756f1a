"""``recouple definitions``: what RabbitMQ is given to import. What it then allows is tried on a RabbitMQ."""

from __future__ import annotations

import json
from typing import Any

from messages.topology import topology
from tests.unit.ops.samples import World


def printed(world: World, *options: str) -> dict[str, Any]:
    """What it prints."""
    done = world.run("definitions", *options)
    assert (done.exit_code, done.stderr) == (0, "")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_there_is_a_user_for_each_app_and_for_each_job_and_none_can_sign_in(bare: World) -> None:
    """Else an app would have to share a password, or a user would stand open until it gets one."""
    document = printed(bare)
    own = [f"recouple.{name}" for name in ("setup", "worker", "ops", "replay")]

    assert [one["name"] for one in document["users"]] == [*own, "recouple.app.bc", "recouple.app.sales"]
    assert {(one["password_hash"], tuple(one["tags"])) for one in document["users"]} == {("", ())}
    assert [one["user"] for one in document["permissions"]] == [one["name"] for one in document["users"]]
    assert "queues" not in document


def test_an_app_can_be_added_alone_and_rights_be_renewed_alone(bare: World) -> None:
    """Else whoever adds an app, or updates, takes everybody's password away."""
    alone, rights = printed(bare, "--app", "sales"), printed(bare, "--no-users")

    assert [one["name"] for one in alone["users"]] == ["recouple.app.sales"]
    assert {one["user"] for one in alone["permissions"]} == {"recouple.app.sales"}
    assert "users" not in rights
    assert rights["permissions"] == printed(bare)["permissions"]


def test_the_virtual_host_is_that_of_the_broker_unless_it_is_named(bare: World) -> None:
    """Else rights would be given where nobody works."""
    assert printed(bare)["vhosts"] == [{"name": "/"}]
    bare.environ["RECOUPLE_BROKER_URL"] = "amqps://u:secret@mq/%2Frecouple"
    assert printed(bare)["vhosts"] == [{"name": "/recouple"}]
    document = printed(bare, "--vhost", "/other", "--queues")
    rows = [
        row
        for part in ("permissions", "topic_permissions", "queues", "exchanges", "bindings")
        for row in document[part]
    ]
    assert {row["vhost"] for row in rows} == {"/other"}


def test_queues_are_those_of_setup(bare: World) -> None:
    """Else `recouple setup` would refuse what was imported."""
    document, declared = printed(bare, "--queues"), topology("recouple", ["bc", "sales"])

    assert {one["name"]: one["arguments"] for one in document["queues"]} == {
        one.name: dict(one.arguments) for one in declared.queues
    }
    assert {(one["source"], one["routing_key"], one["destination"]) for one in document["bindings"]} == {
        (one.exchange, one.pattern, one.name) for one in declared.queues
    }


def test_an_app_that_the_mapping_file_does_not_know_is_a_usage_error(bare: World) -> None:
    """Else a misspelt app would get a user, and the app none."""
    done = bare.run("definitions", "--app", "sale")

    assert (done.exit_code, "'sale' is no app" in done.stderr) == (2, True)
