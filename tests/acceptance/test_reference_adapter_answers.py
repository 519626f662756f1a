"""What the reference adapter answers to each kind of instruction, by the words of a real database."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from messages.topology import topology
from tests.acceptance.clients import Client, client_of, wait_for
from tests.acceptance.table_apps import CUSTOMERS, Place, TableApp
from tests.acceptance.wire import CONTENT_TYPE, Message, fresh_id, message
from tests.services import fresh_database, remove
from workers.bootstrap import setup
from workers.settings import read_settings

MAPPING = """
[apps.bc]
[apps.sales]
[[mappings]]
name = "customer"
left = "bc/customer"
right = "sales/account"
fields = [{ left = "name", right = "name" }]
"""

GRANTS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON recouple_changes, recouple_instructions TO {role};
GRANT SELECT ON recouple_customer, recouple_mark TO {role};
GRANT SELECT, INSERT, UPDATE ON customers TO {role};
ALTER ROLE {role} SET lock_timeout = '100ms';
"""
"""All that the adapter needs; what is missing here, to delete customers, is refused."""


class Desk:
    """One app with its adapter; the test says what Recouple would, and hears what the app says."""

    def __init__(self, app: TableApp, client: Client, namespace: str) -> None:
        self.app, self.client, self.namespace = app, client, namespace

    def instruct(self, action: str, key: str | None, *, times: int = 1, **data: Any) -> str:
        """Send an instruction; return its id."""
        id_ = data.pop("id", None) or fresh_id("i")
        table = data.pop("table", "customer")
        event = {
            "specversion": "1.0",
            "id": id_,
            "type": "recouple.instruction",
            "source": "recouple",
            "subject": f"{table}/{key or ''}",
            "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
            "data": {"action": action, "table": table, "key": key, "fields": {}, "if_version": None}
            | {"coupling": 1, "reason": "sync", "attempt": 1}
            | data,
        }
        self.client.publish([message(event, f"bc.{table}.{action}", "recouple", exchange="instructions")] * times)
        return id_

    def said(self, instruction: str, type_: str = "recouple.instruction.") -> list[dict[str, Any]]:
        """What the app has said of an instruction so far, in order; one event may come twice, and is taken once."""
        bodies = {
            one.body: one for one in self.client.arrived["changes.bc"] if one.properties["type"].startswith(type_)
        }
        events = [one.event for one in bodies.values()]
        return [event for event in events if event["data"].get("instruction") == instruction]

    def answers(self, instruction: str, number: int = 1) -> list[dict[str, Any]]:
        """Wait for so many answers to an instruction, and return them."""
        self.wait(lambda: len(self.said(instruction)) >= number, "the app to answer")
        found = self.said(instruction)
        assert len(found) == number
        assert {event["traceparent"] for event in found} == {f"00-{'a' * 32}-{'b' * 16}-01"}
        return [{"type": event["type"].rsplit(".", 1)[1], **event["data"]} for event in found]

    def order(self, action: str, key: str | None, **data: Any) -> dict[str, Any]:
        """Send an instruction, and return the one answer."""
        return self.answers(self.instruct(action, key, **data))[0]

    def new(self, **fields: Any) -> dict[str, Any]:
        """Have a customer created."""
        return self.order("create", None, fields={"name": secrets.token_hex(8), **fields})

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until it holds."""
        wait_for(condition, self.client.look, what)


@pytest.fixture(scope="module", params=["servers", "embedded"])
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One app on PostgreSQL and RabbitMQ, one on SQLite and the embedded broker."""
    folder, namespace = tmp_path_factory.mktemp("desk"), f"test-{secrets.token_hex(6)}"
    with ExitStack() as stack:
        if request.param == "servers":
            broker = request.getfixturevalue("amqp_url")
            owner = stack.enter_context(fresh_database(request.getfixturevalue("postgres_url")))
            stack.callback(lambda: remove(broker, topology(namespace, ("bc", "sales"))))
        else:
            broker, owner = f"embedded:///{folder / 'broker.db'}?lease_s=1", f"sqlite:///{folder / 'bc.db'}"
        set_up(folder, broker, namespace)
        app = TableApp("bc", Place(owner, broker, namespace), folder, CUSTOMERS)
        stack.callback(app.stop)
        app.create([{"number": "ALFKI", "name": "Alfreds Futterkiste"}, {"number": "B/2", "name": "Bólido"}])
        environ = {"ADAPTER_DATABASE": stack.enter_context(granted(owner))} if request.param == "servers" else {}
        app.start(**environ)
        app.start(**environ)
        client = client_of(broker, namespace, ["changes.bc", "dead"])
        stack.callback(client.close)
        yield Desk(app, client, namespace)


def set_up(folder: Path, broker: str, namespace: str) -> None:
    """Declare the queues; no worker will run."""
    (folder / "recouple.toml").write_text(MAPPING, encoding="utf-8")
    names = {"STORE_URL": f"sqlite:///{folder / 'store.db'}", "BROKER_URL": broker, "NAMESPACE": namespace}
    names |= {"CONFIG": str(folder / "recouple.toml")}
    setup(read_settings({f"RECOUPLE_{name}": text for name, text in names.items()}))


@contextmanager
def granted(owner: str) -> Iterator[str]:
    """A role that may do what the README asks for, except to delete customers."""
    role, password = f"recouple_test_{secrets.token_hex(4)}", secrets.token_hex(8)
    engine = sa.create_engine(owner, isolation_level="AUTOCOMMIT")
    with engine.connect() as conn:
        conn.exec_driver_sql(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
        for statement in GRANTS.format(role=role).strip().splitlines():
            conn.exec_driver_sql(statement)
        try:
            url = sa.make_url(owner).set(username=role, password=password)
            yield url.render_as_string(hide_password=False)
        finally:
            conn.exec_driver_sql(f"DROP OWNED BY {role}")
            conn.exec_driver_sql(f"DROP ROLE {role}")
    engine.dispose()


@pytest.mark.parametrize(
    ("code", "action", "key", "more"),
    [
        ("duplicate", "create", None, {"fields": {"name": "Bólido"}}),
        ("duplicate", "create", "ALFKI", {"fields": {"name": "Another"}}),
        ("duplicate", "update", "ALFKI", {"fields": {"name": "Bólido"}}),
        ("validation_failed", "create", None, {"fields": {"city": "Rom"}}),
        ("validation_failed", "update", "ALFKI", {"fields": {"name": None}}),
        ("validation_failed", "update", "ALFKI", {"fields": {"name": ""}}),
        ("validation_failed", "update", "ALFKI", {"fields": {"country_region_code": "XX"}}),
        ("not_found", "update", "NOBODY", {"fields": {"city": "Rom"}}),
        ("not_found", "delete", "NOBODY", {}),
        ("not_found", "read", "NOBODY", {}),
        ("version_mismatch", "update", "ALFKI", {"fields": {"city": "Rom"}, "if_version": 1_000_000}),
        ("version_mismatch", "delete", "ALFKI", {"if_version": 1_000_000}),
        ("configuration", "update", "ALFKI", {"fields": {"colour": "red"}}),
        ("configuration", "update", "ALFKI", {"table": "vendor", "fields": {"city": "Rom"}}),
        ("configuration", "merge", "ALFKI", {}),
    ],
)
def test_refuses_for_the_reason_that_the_database_gives(
    desk: Desk, code: str, action: str, key: str | None, more: dict[str, Any]
) -> None:
    """Else operators would be told something else than what is wrong, or a refused write would stay half done."""
    before = desk.app.rows()

    answer = desk.order(action, key, **more)

    assert (answer["type"], answer["code"], answer["attempt"]) == ("failed", code, 1)
    assert 0 < len(answer["detail"]) <= 200
    assert "\n" not in answer["detail"]
    assert desk.app.rows() == before


@pytest.mark.parametrize("desk", ["servers"], indirect=True)
@pytest.mark.parametrize(
    ("code", "action", "fields"),
    [("validation_failed", "update", {"name": "x" * 61}), ("permission_denied", "delete", {})],
)
def test_refuses_what_only_a_server_refuses(desk: Desk, code: str, action: str, fields: dict[str, Any]) -> None:
    """Else what the integration user may not do would look like a fault of the data."""
    assert desk.order(action, "ALFKI", fields=fields)["code"] == code
    assert "ALFKI" in desk.app.rows()


@pytest.mark.parametrize("desk", ["servers"], indirect=True)
def test_says_unavailable_while_a_record_is_locked_and_does_it_later(desk: Desk) -> None:
    """Else a user who keeps a record open would hold up every other instruction, or make it fail for good."""
    with desk.app.engine.begin() as conn:
        conn.exec_driver_sql("SELECT 1 FROM customers WHERE number = 'ALFKI' FOR UPDATE")
        answer = desk.order("update", "ALFKI", fields={"city": "Oslo"})
    assert answer["code"] == "unavailable"

    desk.instruct("update", "ALFKI", fields={"city": "Oslo"}, id=answer["instruction"], attempt=2)

    assert [one["type"] for one in desk.answers(answer["instruction"], 2)] == ["failed", "applied"]


def test_does_what_is_asked_and_names_the_instruction(desk: Desk) -> None:
    """Else Recouple would take its own writes for those of users, or not know the new record's key and version."""
    created = desk.new(city="Genève")
    key = created["key"]
    updated = desk.order("update", key, fields={"city": "Lyon"}, if_version=created["version"])
    unchanged = desk.order("update", key, fields={"city": "Lyon"}, if_version=updated["version"])

    assert created["version"] < updated["version"] == unchanged["version"]
    assert (created["fields"]["city"], updated["fields"]["city"]) == ("Genève", "Lyon")
    for answer, operation in ((created, "create"), (updated, "update")):
        [change] = desk.said(answer["instruction"], "recouple.record.changed")
        assert (change["subject"], change["data"]["operation"]) == (f"customer/{key}", operation)
        assert change["data"]["version"] == answer["version"]
        assert change["data"]["fields"] == answer["fields"]
        assert change["data"]["modified_by"] == "recouple"
    assert desk.said(unchanged["instruction"], "recouple.record.changed") == []


def test_answers_a_read_with_the_record_as_it_stands(desk: Desk) -> None:
    """Else a refused instruction could never be decided anew on what the record holds now."""
    desk.app.edit("B/2", city="Sevilla")
    instruction = desk.instruct("read", "B/2")

    desk.wait(lambda: bool(desk.said(instruction, "recouple.record.changed")), "the record")

    [change] = desk.said(instruction, "recouple.record.changed")
    assert (change["subject"], change["data"]["operation"]) == ("customer/B/2", "read")
    assert change["data"]["fields"] == desk.app.rows()["B/2"]
    assert desk.said(instruction) == []


@pytest.mark.parametrize("desk", ["embedded"], indirect=True)
def test_deletes_and_never_uses_a_version_again(desk: Desk) -> None:
    """Else what is said of a record that was created again would look older than its deletion."""
    key = desk.new()["key"]
    deleted = desk.order("delete", key)
    again = desk.order("create", key, fields={"name": "Back"})

    assert key in desk.app.rows()
    assert deleted["version"] < again["version"]
    [change] = desk.said(deleted["instruction"], "recouple.record.changed")
    assert (change["data"]["operation"], change["data"]["version"]) == ("delete", deleted["version"])


def test_gives_the_same_answer_again_before_it_looks_at_anything(desk: Desk) -> None:
    """Else an answer that got lost would turn what was done into a refusal, or do it twice."""
    created = desk.new()
    key, version = created["key"], created["version"]
    updated = desk.order("update", key, fields={"city": "Rom"}, if_version=version)
    refused = desk.order("update", key, fields={"fax_no": "1"}, if_version=version)
    again = {"fields": {"city": "Rom"}, "if_version": version, "id": updated["instruction"]}
    desk.instruct("update", key, **again)
    desk.instruct("update", key, **again, attempt=2)
    late = {"fields": {"fax_no": "1"}, "id": refused["instruction"]}
    desk.instruct("update", key, **late)

    assert desk.answers(updated["instruction"], 3) == [updated] * 3
    assert desk.answers(refused["instruction"], 2) == [refused] * 2
    assert desk.app.rows()[key]["fax_no"] is None
    desk.instruct("update", key, **late, attempt=2)
    assert desk.answers(refused["instruction"], 3)[2]["type"] == "applied"  # another attempt is tried


def test_two_adapters_do_once_what_both_are_told(desk: Desk) -> None:
    """Else more than one adapter for an app would create records twice."""
    before = desk.app.count("customers")
    instruction = desk.instruct("create", None, times=10, fields={"name": secrets.token_hex(8)})

    answers = desk.answers(instruction, 10)

    assert answers == answers[:1] * 10
    assert desk.app.count("customers") == before + 1


def test_kill_nine_loses_no_instruction_and_does_none_twice(desk: Desk) -> None:
    """Else an adapter that dies would leave records behind that exist on one side only, or twice."""
    before = desk.app.count("customers")
    instructions = []
    for kill in range(3):
        instructions += [desk.instruct("create", None, fields={"name": secrets.token_hex(8)}) for _ in range(20)]
        desk.wait(lambda seen=kill: desk.app.count("customers") > before + 20 * seen, "the first of them")  # type: ignore[misc]
        desk.app.restart()

    desk.wait(lambda: all(map(desk.said, instructions)), "all answers")

    assert {event["type"] for one in instructions for event in desk.said(one)} == {"recouple.instruction.applied"}
    assert desk.app.count("customers") == before + len(instructions)
    desk.wait(lambda: desk.app.count("recouple_changes") == 0, "the outbox to be empty")


@pytest.mark.parametrize("desk", ["servers"], indirect=True)
def test_what_is_no_instruction_goes_to_dead(desk: Desk) -> None:
    """Else one such message would come again for ever, and hold up the others."""
    properties = {"message_id": fresh_id(), "content_type": CONTENT_TYPE}
    desk.client.publish([Message("instructions", "bc.customer.update", b'{"id": 1}', properties)])

    desk.wait(lambda: bool(desk.client.arrived["dead"]), "it to be dead")

    assert desk.new()["type"] == "applied"
