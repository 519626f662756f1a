"""The whole chain with the least rights for everybody and TLS everywhere, as `docs/security.md` sets it up."""

from __future__ import annotations

import json
import re
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.clients import wait_for
from tests.acceptance.processes import WorkerProcess
from tests.acceptance.secured_stage import (
    NAMESPACE,
    USERS,
    VHOST,
    Secured,
    give_passwords,
    import_definitions,
    recouple,
)
from tests.acceptance.secured_users import QUEUES, channel_of, depth, instruction, named, publish, signed_in
from tests.acceptance.wire import applied, change

pytestmark = pytest.mark.timeout(300)  # the first test starts two servers


@pytest.fixture
def quiet(secured: Secured) -> None:
    """Nothing waits anywhere: what the tests above have published is gone."""
    with channel_of(secured, "setup") as channel:
        for queue in QUEUES:
            channel.queue_purge(named(queue))


def heard(secured: Secured) -> str:
    """All that the log has about the records, as an operator reads it."""
    records = ("bc/customer/1", "sales/customer/9")
    return " ".join(line["record"] for one in records for line in secured.json("log", one, user="ops"))


def drained(secured: Secured) -> None:
    """Have one worker do all that waits, and see that it ends in good order."""
    code, said, complaint = secured.run("work", "--drain", user="worker", role="worker")
    assert (code, complaint) == (0, ""), said


@pytest.mark.usefixtures("quiet")
def test_the_whole_works_with_these_rights(secured: Secured) -> None:
    """Else the first thing that somebody does who is careful is to give everybody all rights again."""
    worker = WorkerProcess(secured.folder / "worker", secured.environ("worker", "worker"))
    try:
        worker.wait_for("worker.started", 1, 20)
        publish(secured, "bc", change("bc/customer/1", "create", 1, {"name": "Adatum"}))
        publish(secured, "sales", change("sales/customer/9", "create", 1, {"name": "ADATUM"}))
        wait_for(lambda: "sales/customer/9" in heard(secured), lambda: None, "both records")
        coupled = secured.json("couple", "bc/customer/1", "sales/customer/9", "--keep", "left", user="ops")
        assert coupled["result"]["coupling"] == 1
        wait_for(lambda: depth(secured, "instructions.sales") == 1, lambda: None, "the instruction")
        sent = instruction(secured, "sales")
        assert sent["data"]["fields"] == {"name": "Adatum"}
        publish(secured, "sales", applied("sales", sent, 2))
        wait_for(lambda: secured.json("couplings", user="ops")[0]["status"] == "synchronized", lambda: None, "the end")
        [row] = secured.json("tap", "errors", user="ops") or [None]
        assert row is None
        health = secured.json("health", user="ops")
        assert (health["healthy"], health["warnings"]) == (True, [])
    finally:
        code = worker.stop()
    assert code == 0
    worker.check_lines()


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("header", ["CC", "BCC"])
def test_what_an_app_has_copied_into_the_queue_of_another_is_dead_for_good(secured: Secured, header: str) -> None:
    """Else an app speaks for another: RabbitMQ checks the routing key, and not those that this header adds to it."""
    forged = change(f"sales/customer/{header}", "update", 1, {"name": "forged"})._replace(
        routing_key="bc.customer.update"
    )
    publish(secured, "bc", forged, headers={header: ["sales.customer.update"]})
    drained(secured)

    rows = secured.json("dead", "--reason", "wrong_source", "--queue", "changes.sales", user="ops")
    assert [row["field"] for row in rows] == ["routing key"]
    assert secured.json("log", f"sales/customer/{header}", user="ops") == []
    code, _, complaint = secured.run("dead", "replay", "--queue", "changes.sales", user="replay")
    assert (code, "stays here" in complaint) == (1, True)
    assert depth(secured, "changes.sales") == 0


@pytest.mark.usefixtures("quiet")
def test_a_dead_message_is_sent_back_by_who_may_and_by_nobody_else(secured: Secured) -> None:
    """Else an operator could write into the queue of any app, or nobody could mend anything."""
    misspelt = change("bc/customer/2", "update", 1, {"name": "x"}, source="erp")
    publish(secured, "bc", misspelt)
    drained(secured)

    code, _, complaint = secured.run("dead", "replay", user="ops")
    assert (code, "stays here" in complaint, "Traceback" in complaint) == (1, True, False)
    assert depth(secured, "changes.bc") == 0
    assert secured.json("dead", "replay", user="replay") == {"replayed": 1, "failed": []}
    assert depth(secured, "changes.bc") == 1


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("user", "role", "arguments"),
    [
        ("worker", "setup", ["setup"]),
        ("ops", "setup", ["setup"]),
        ("setup", "worker", ["loaded", "bc/customer"]),
        ("app.bc", "ops", ["loaded", "bc/customer"]),
        ("ops", "ops", ["publish", "-"]),
        ("app.sales", "ops", ["publish", "-"]),
        ("app.bc", "ops", ["tap", "errors"]),
        ("app.bc", "ops", ["tap", "instructions.sales"]),
    ],
)
def test_what_a_user_may_not_is_a_sentence(secured: Secured, user: str, role: str, arguments: list[str]) -> None:
    """Else somebody with the wrong credentials would see a traceback, or wait for ever."""
    line = json.dumps({"app": "bc", "table": "customer", "key": "3", "operation": "delete", "version": 1})
    code, _, complaint = secured.run(*arguments, user=user, role=role, given=line)

    assert (code, "Traceback" in complaint) == (1, False)
    assert "refuse" in complaint or "may not" in complaint


def test_an_app_publishes_with_the_command_line(secured: Secured) -> None:
    """Else a shell script could not be an app."""
    line = json.dumps({"app": "bc", "table": "customer", "key": "3", "operation": "delete", "version": 1})
    code, said, complaint = secured.run("publish", "-", user="app.bc", given=line)

    assert (code, complaint) == (0, ""), said


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("ops", "DELETE FROM couplings"),
        ("ops", "CREATE TABLE mine (x int)"),
        ("worker", "DROP TABLE couplings"),
        ("worker", "CREATE TABLE mine (x int)"),
    ],
)
def test_a_role_of_the_database_can_do_what_its_job_needs_and_no_more(
    secured: Secured, role: str, statement: str
) -> None:
    """Else an operator's laptop could delete what everybody agreed on."""
    url = secured.store_url(role).replace("+psycopg", "")
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


def test_a_user_for_a_new_app_leaves_the_others_their_passwords(secured: Secured) -> None:
    """Else the day on which an app is added everybody else is locked out."""
    environ = secured.environ("setup")
    code, printed, _ = recouple(environ, ["definitions", "--app", "sales"])
    document = json.loads(printed)
    assert code == 0
    assert [one["name"] for one in document["users"]] == [f"{NAMESPACE}.app.sales"]
    assert {one["user"] for one in document["permissions"] + document["topic_permissions"]} == {
        f"{NAMESPACE}.app.sales"
    }
    code, printed, _ = recouple(environ, ["definitions", "--no-users"])
    import_definitions(secured.rabbit, secured.folder / "rights.json", printed)
    for user in USERS:
        signed_in(secured, user).close()


def test_the_configuration_of_the_page_is_what_the_broker_runs_with(secured: Secured) -> None:
    """Else whoever copies it from the page would have a broker that nobody has tried; files and ports are his own."""
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
    said = re.findall(r"^ +(ssl_options\.\w+) = ", page, flags=re.MULTILINE)
    runs = (secured.rabbit.folder / "rabbitmq.conf").read_text(encoding="utf-8")
    assert len(said) == 5
    assert sorted(said) == sorted(re.findall(r"^(ssl_options\.\w+) = ", runs, flags=re.MULTILINE))


def test_queues_can_be_imported_instead_of_declared(secured: Secured) -> None:
    """Else what is imported and what `recouple setup` declares would be two things, and setup would refuse the one."""
    vhost = f"{VHOST}-imported"
    code, printed, _ = recouple(secured.environ("setup"), ["definitions", "--queues", "--vhost", vhost])
    assert code == 0
    import_definitions(secured.rabbit, secured.folder / "imported.json", printed)
    give_passwords(secured)
    url = secured.broker_url("setup").replace("%2Fguarded", "%2Fguarded-imported")
    environ = secured.environ("setup", "setup") | {"RECOUPLE_BROKER_URL": url}
    code, said, complaint = recouple(environ, ["setup"])
    assert (code, complaint) == (0, ""), said
