"""The reference adapter of `examples/`: two apps in databases, kept in step by a real worker, whatever happens."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from messages.topology import topology
from ops.demo.northwind import COUNTRY_CODES, as_bc_customer, as_sales_account, read_customers
from tests.acceptance.adapter_stage import AdapterStage
from tests.acceptance.harness import Backend
from tests.acceptance.table_apps import ACCOUNTS, CUSTOMERS, Place, TableApp
from tests.services import fresh_database, remove

PAIRS = dict(zip(CUSTOMERS.columns, ACCOUNTS.columns, strict=True))
CODES = "\n".join(f'{code} = "{name}"' for name, code in COUNTRY_CODES.items())
MAPPING = """
[apps.bc]
[apps.sales]
[[mappings]]
name = "customer"
left = "bc/customer"
right = "sales/account"
detect = "field"
on_update_conflict = "left"
on_deletion = "delete"
only_coupled = false
match_on = [["name"]]
""" + "".join(
    f'[[mappings.fields]]\nleft = "{left}"\nright = "{right}"\n'
    + (f"[mappings.fields.values]\n{CODES}\n" if left == "country_region_code" else "")
    for left, right in PAIRS.items()
)

SEED = 20261120


class World:
    """The stage with its two apps, and chance."""

    def __init__(self, stage: AdapterStage, bc: TableApp, sales: TableApp) -> None:
        self.stage, self.bc, self.sales = stage, bc, sales
        self.chance = random.Random(SEED)  # noqa: S311 - the same edits in every run
        self._made = 0

    def load(self, customers: int) -> None:
        """Both apps have these customers already: they announce them, and Recouple finds which belong together."""
        rows = read_customers()[:customers]
        self.bc.create([{"number": row.number, **as_bc_customer(row)} for row in rows])
        self.sales.create([as_sales_account(row) for row in reversed(rows)])
        for app in (self.bc, self.sales):
            app.start()
            app.start()  # two of them share the work
            app.adapter("announce")
        self.stage.all_quiet(self.bc, self.sales)
        for table in ("bc/customer", "sales/account"):
            assert self.stage.order("loaded", table=table)["type"] == "recouple.command.done"
        self.stage.all_quiet(self.bc, self.sales)

    def do_something(self, app: TableApp) -> None:
        """One user of an app does one thing."""
        keys, what = sorted(app.rows()), self.chance.random()
        if what < 0.04:
            self._made += 1
            name = app.table.columns[0]
            app.insert({name: f"New {app.name} {self._made}", self.field(app): self.chance.choice("xyz")})
        elif what < 0.08:
            app.delete(self.chance.choice(keys))
        else:
            value = self.chance.choice(["1", "2", "ü'\"%", "", None])
            app.edit(self.chance.choice(keys), **{self.field(app): value})

    def field(self, app: TableApp) -> str:
        """One field that anybody may set to anything."""
        return app.table.columns[self.chance.choice([1, 2, 3, 4, 6, 7])]

    def in_mapping_terms(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Both tables as they should be the same, without what waits for people."""
        waiting = {
            (data[side]["app"], data[side]["key"]) for data in self.stage.open_errors() for side in ("left", "right")
        }
        left = {row["name"]: row for key, row in self.bc.rows().items() if ("bc", key) not in waiting}
        accounts = (row for key, row in self.sales.rows().items() if ("sales", str(key)) not in waiting)
        right = {row["name"]: {one: row[other] for one, other in PAIRS.items()} for row in accounts}
        for row in right.values():
            row["country_region_code"] = COUNTRY_CODES.get(row["country_region_code"], row["country_region_code"])
        return left, right

    def check_at_rest(self) -> None:
        """What has to hold once all is quiet."""
        stage = self.stage
        left, right = self.in_mapping_terms()
        assert left == right
        assert {data["kind"] for data in stage.open_errors()} <= {"deletion_conflict"}  # an edit crossed a delete
        assert stage.dead() == []
        stage.wait(lambda: not stage.depths(), "the last batch to be acknowledged, after its commit")

    def check_sends_nothing(self) -> None:
        """A further pass over all records changes nothing and instructs nobody."""
        before = self.bc.rows(), self.sales.rows(), self.instructed()
        for app in (self.bc, self.sales):
            app.adapter("announce")
        self.stage.all_quiet(self.bc, self.sales)
        assert (self.bc.rows(), self.sales.rows(), self.instructed()) == before

    def instructed(self) -> list[int]:
        """How many instructions each app has answered."""
        return [app.count("recouple_instructions") for app in (self.bc, self.sales)]


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Two databases and one broker, of the kind that the test asks for."""
    with ExitStack() as stack:
        if request.param == "servers":
            server, broker = request.getfixturevalue("postgres_url"), request.getfixturevalue("amqp_url")
            store, *databases = (stack.enter_context(fresh_database(server)) for _ in range(3))
        else:
            broker = f"embedded:///{tmp_path / 'broker.db'}?lease_s=1"
            store, *databases = (f"sqlite:///{tmp_path / name}.db" for name in ("store", "bc", "sales"))
        stage = AdapterStage(Backend(store, broker), tmp_path, MAPPING, {"RECOUPLE_OUTBOX_LEASE": "1s"})
        if request.param == "servers":
            stack.callback(lambda: remove(broker, topology(stage.namespace, ("bc", "sales"))))
        bc, sales = (
            TableApp(name, Place(database, broker, stage.namespace), tmp_path, table)
            for name, database, table in zip(("bc", "sales"), databases, (CUSTOMERS, ACCOUNTS), strict=True)
        )
        stage.open()
        stack.callback(lambda: [worker.stop() for worker in stage.workers if worker.is_running()])
        for app in (bc, sales):
            stack.callback(app.stop)
        yield World(stage, bc, sales)
        stage.close()


@pytest.mark.parametrize(
    ("world", "customers", "steps"), [("servers", 91, 400), ("embedded", 12, 60)], indirect=["world"]
)
def test_two_tables_agree_after_a_working_day(world: World, customers: int, steps: int) -> None:
    """Else an upstream team that copies the adapter would couple tables that drift apart."""
    world.stage.start_worker()
    world.load(customers)
    assert world.instructed() == [0, 0]  # they were the same, and are coupled now
    for step in range(steps):
        world.do_something(world.chance.choice([world.bc, world.sales]))
        if step % (steps // 4) == steps // 8:
            for app in (world.bc, world.sales):
                app.restart()

    world.stage.all_quiet(world.bc, world.sales)

    assert min(world.instructed()) > 0
    world.check_at_rest()
    world.check_sends_nothing()
