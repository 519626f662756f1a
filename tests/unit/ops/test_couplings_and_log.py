"""``recouple couplings`` and ``recouple log``."""

from __future__ import annotations

import pytest

from messages.errors import ErrorKind
from store.model import CouplingStatus, Image, LogLine, OpenError
from tests.unit.ops.samples import NOW, RED, World, bc, coupling, sales


@pytest.fixture
def coupled(world: World) -> World:
    """Three couplings: at rest, with an error, and one whose right record is being created."""
    error = OpenError(number=12, kind=ErrorKind.UPDATE_CONFLICT, opened_at=NOW)
    world.fill(
        couplings=[
            coupling(bc("1"), sales("a")),
            coupling(bc("2/x"), sales("b"), error=error),
            coupling(bc("3"), None, mapping="contact", status=CouplingStatus.CREATING, held_by="app bc"),
        ],
        images=[Image(record=bc("1"), exists=True, version=17), Image(record=sales("a"), exists=False, version=4)],
    )
    return world


def test_a_row_says_how_the_records_stand(coupled: World) -> None:
    """If it failed, a program could not see which records are in step."""
    first, second, third = coupled.json("couplings")
    assert first == {
        "coupling": 1,
        "mapping": "customer",
        "status": "synchronized",
        "left": {"app": "bc", "table": "customer", "key": "1", "exists": True, "version": 17},
        "right": {"app": "sales", "table": "account", "key": "a", "exists": False, "version": 4},
        "error": None,
        "paused": None,
    }
    assert (second["status"], second["error"]) == ("skipped", 12)
    assert (second["left"]["exists"], second["left"]["version"]) == (None, None)
    assert (third["status"], third["right"], third["paused"]) == ("creating", None, "app bc")


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ([], [1, 2, 3]),
        (["--status", "skipped"], [2]),
        (["--mapping", "contact"], [3]),
        (["--record", "bc/customer/2/x"], [2]),
        (["--record", "sales/account/a"], [1]),
        (["--limit", "1", "--after", "1"], [2]),
    ],
)
def test_filters_and_pages(coupled: World, options: list[str], numbers: list[int]) -> None:
    """If it failed, a list would hold what was not asked for, or hide what was."""
    assert [row["coupling"] for row in coupled.json("couplings", *options)] == numbers


def test_the_list_is_readable_by_people(coupled: World) -> None:
    """If it failed, deleted and unheard-of records would look like any other."""
    result = coupled.run("couplings", "--limit", "2")
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "deleted v4" in result.stdout
    assert "unknown" in result.stdout
    assert "--after 2" in result.stderr
    assert "being created" in coupled.run("couplings", "--after", "2").stdout


def test_a_log_row_has_its_members_and_keeps_its_order(world: World) -> None:
    """If it failed, what happened to a record could not be told from its log."""
    values = {"name": {"base": "a", "left": RED, "right": None}}
    first = LogLine(at=NOW, record="bc/customer/1", outcome="queued", event="e1")
    second = LogLine(
        at=NOW, record="bc/customer/1", outcome="resolved", coupling=7, rule="newest", detail="d", values=values
    )
    world.fill(lines=[first, second, LogLine(at=NOW, record="bc/customer/2", outcome="stale")])
    rows = world.json("log", "bc/customer/1")
    assert [row["outcome"] for row in rows] == ["queued", "resolved"]
    members = {"at", "record", "coupling", "outcome", "rule", "event", "command", "instruction", "detail"}
    assert members <= rows[0].keys()
    assert rows[1]["values"] == values
    assert [row["outcome"] for row in world.json("log", "bc/customer/1", "--limit", "1")] == ["resolved"]
    world.environ["COLUMNS"] = "160"
    shown = world.run("log", "bc/customer/1").stdout
    assert "name: base a, left \\x1b[31m, right null" in shown
    assert "event e1" in shown


def test_the_log_of_a_table_is_found_and_other_names_are_usage_errors(world: World) -> None:
    """If it failed, the trace of ``loaded`` could not be read, or a mistyped name would look like silence."""
    world.fill(lines=[LogLine(at=NOW, record="bc/customer/", outcome="done", rule="loaded")])
    assert [row["rule"] for row in world.json("log", "bc/customer/")] == ["loaded"]
    assert world.run("log", "bc/customer").exit_code == 2
    assert "Nothing was heard of" in world.run("log", "bc/customer/9").stdout
