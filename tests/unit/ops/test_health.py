"""``recouple health``."""

from __future__ import annotations

from datetime import timedelta

import pytest

from messages.errors import ErrorKind
from messages.transport.ports import Properties, Publication
from store import due as due_store
from store.connect import open_store
from store.due import Due, DueKind
from tests.unit.ops.samples import World, conflict
from workers.bootstrap import utc_now

AWAY = "amqp://u:geheim@127.0.0.1:1//"


def put_due(world: World, ago: timedelta) -> None:
    """Leave work that has been due for so long."""
    store = open_store(world.settings.store_url)
    with store.transaction() as conn:
        due_store.put(conn, [Due(kind=DueKind.WAKE, coupling=1, due_at=utc_now() - ago)])
    store.close()


def test_all_is_well_after_setup(world: World) -> None:
    """If it failed, a probe would restart what works."""
    said = world.json("health")
    assert (said["healthy"], said["problems"], said["warnings"]) == (True, [], [])
    assert (said["store"]["state"], said["store"]["revision"] == said["store"]["needs"]) == ("ready", True)
    assert {one["queue"] for one in said["broker"]["queues"]} == {
        "recouple.changes.bc",
        "recouple.changes.sales",
        "recouple.instructions.bc",
        "recouple.instructions.sales",
        "recouple.commands",
        "recouple.errors",
        "recouple.dead",
    }
    shown = world.run("health")
    assert (shown.exit_code, "Healthy." in shown.stdout, shown.stderr) == (0, True, "")
    assert max(map(len, shown.stdout.splitlines())) <= 80 or "sqlite" in shown.stdout


def test_before_setup_it_says_what_is_missing(bare: World) -> None:
    """If it failed, the first question of a new installation would have no answer."""
    said = bare.json("health", exit_code=1)
    assert (said["store"]["state"], said["broker"]["state"]) == ("not_ready", "not_ready")
    assert all("recouple setup" in one for one in said["problems"])


def test_where_the_broker_is_away_the_store_is_told(world: World) -> None:
    """If it failed, one outage would hide how the rest stands."""
    world.environ["RECOUPLE_BROKER_URL"] = AWAY
    world.fill(errors=[conflict(1)])
    said = world.json("health", exit_code=1)
    assert (said["broker"]["state"], said["broker"]["queues"]) == ("away", [])
    families = {one["family"]: one["open"] for one in said["store"]["errors"]}
    assert families == {"coupled_data": 1, "integration": 0}
    assert "geheim" not in world.run("health").output


def test_where_the_store_is_away_the_broker_is_told(world: World) -> None:
    """If it failed, one outage would hide how the rest stands."""
    world.environ["RECOUPLE_STORE_URL"] = "postgresql+psycopg://u:geheim@127.0.0.1:1/x"
    world.bury("m1", "recouple.changes.bc")
    said = world.json("health", exit_code=1)
    assert (said["store"]["state"], said["store"]["errors"]) == ("away", None)
    assert {one["queue"]: one["depth"] for one in said["broker"]["queues"]}["recouple.dead"] == 1
    assert [one for one in said["warnings"] if "recouple dead" in one]
    assert "geheim" not in world.run("health").output


def test_what_only_a_person_may_want_to_know_is_a_warning(world: World) -> None:
    """If it failed, a dead letter would take a working installation out of service."""
    world.bury("m1", "recouple.changes.bc")
    result = world.run("health")
    assert (result.exit_code, "Warning: 1 dead message" in result.stderr) == (0, True)


def test_a_full_error_queue_is_told(world: World) -> None:
    """If it failed, a tool that reads the feed would miss errors and nobody would know."""
    world.environ["RECOUPLE_ERRORS_MAX_LENGTH"] = "1"
    world.publish(
        Publication(exchange="", routing_key="recouple.errors", body=b"{}", properties=Properties(message_id="e"))
    )
    said = world.json("health")
    assert [one["full"] for one in said["broker"]["queues"] if one["queue"] == "recouple.errors"] == [True]
    assert any("error queue is full" in one for one in said["warnings"])


@pytest.mark.parametrize(("minutes", "healthy"), [(0, True), (5, False)])
def test_work_that_nobody_does_is_a_problem(world: World, minutes: int, healthy: bool) -> None:  # noqa: FBT001 - a row
    """If it failed, an installation without workers would look well."""
    put_due(world, timedelta(minutes=minutes))
    said = world.json("health", exit_code=0 if healthy else 1)
    assert said["healthy"] is healthy
    assert said["store"]["due"]["waiting"] == 1


def test_a_faulty_mapping_file_is_a_problem_among_others(world: World) -> None:
    """If it failed, a typing error in the file would hide that the store is well."""
    (world.folder / "recouple.toml").write_text("[", encoding="utf-8")
    said = world.json("health", exit_code=1)
    assert said["store"]["state"] == "ready"
    assert "recouple.toml" in said["problems"][0]


def test_errors_are_counted_by_family(world: World) -> None:
    """If it failed, an administrator could not see at a glance whether there is work for him."""
    kind = ErrorKind.NO_ANSWER
    world.fill(errors=[conflict(1), conflict(2, kind=kind, family=kind.family)])
    shown = world.run("health").stdout
    assert "integration errors" in shown
    assert world.json("health")["store"]["errors"] == [
        {"family": "coupled_data", "open": 1, "resolving": 0},
        {"family": "integration", "open": 1, "resolving": 0},
    ]


def test_the_services_of_production_are_told_as_well(
    bare: World, store_url: str, broker_url: str, namespace: str
) -> None:
    """If it failed, what health says would hold on the embedded store and broker only."""
    bare.environ.update(RECOUPLE_STORE_URL=store_url, RECOUPLE_BROKER_URL=broker_url, RECOUPLE_NAMESPACE=namespace)
    before = bare.json("health", exit_code=1)
    assert (before["store"]["state"], before["broker"]["state"]) == ("not_ready", "not_ready")
    assert {one["depth"] for one in before["broker"]["queues"]} == {None}
    assert bare.run("setup").exit_code == 0
    bare.fill(errors=[conflict(1)])
    letter = Publication(exchange="", routing_key=f"{namespace}.dead", body=b"x", properties=Properties(message_id="m"))
    bare.publish(letter)
    after = bare.json("health")
    assert {one["queue"]: one["depth"] for one in after["broker"]["queues"]}[f"{namespace}.dead"] == 1
    assert after["store"]["errors"][0]["open"] == 1
