"""The commands about one error or coupling: what is ordered, what is shown first, and what a dry run says."""

from __future__ import annotations

from typing import Any

import pytest

from messages.commands import (
    DeleteRecord,
    Dismiss,
    Keep,
    Order,
    RemoveCoupling,
    RestoreRecord,
    Retry,
    Synchronize,
)
from messages.errors import ErrorKind, ErrorStatus
from store.model import Form, Image, OpenError
from tests.unit.ops.samples import NOW, World, bc, conflict, coupling, sales

ASKING = ("remove-coupling", "synchronize --keep left", "restore", "delete", "dismiss")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("retry 12", Retry(error=12)),
        ("retry --coupling 7", Retry(coupling=7)),
        ("remove-coupling 12 --yes", RemoveCoupling(error=12)),
        ("restore 12 --yes --revision 3", RestoreRecord(error=12, revision=3)),
        ("delete --coupling 7 --yes", DeleteRecord(coupling=7)),
        ("dismiss 12 --yes", Dismiss(error=12)),
        ("synchronize 12 --keep right --yes", Synchronize(error=12, keep=Keep.RIGHT)),
        (
            "synchronize 12 --field a=left --value b=1 --value c=x --yes",
            Synchronize(error=12, fields={"a": Keep.LEFT}, values={"b": 1, "c": "x"}),
        ),
    ],
)
def test_no_wait_leaves_the_order_with_everything_in_it(world: World, line: str, what: Order) -> None:
    """If it failed, something else would be done than what was typed."""
    said = world.json(*line.split(), "--reason", "as told", "--no-wait")
    [command] = world.ordered()
    assert (command.order, command.id, command.reason) == (what, said["id"], "as told")


@pytest.mark.parametrize(
    "line",
    [
        "retry",
        "retry 12 --coupling 7",
        "retry 0",
        "restore --yes",
        "dismiss --yes",
        "synchronize 12 --yes",
        "synchronize 12 --keep left --field a=left --yes",
        "synchronize 12 --field a=middle --yes",
        "synchronize 12 --mapping customer --keep left --yes",
        "synchronize --mapping customer --field a=left --yes",
        "synchronize --keep left --yes",
    ],
)
def test_a_wrong_order_is_a_usage_error(world: World, line: str) -> None:
    """If it failed, half an order would travel to a worker."""
    assert world.run(*line.split()).exit_code == 2
    assert world.ordered() == []


@pytest.mark.parametrize("line", ASKING)
def test_nothing_is_done_unasked_where_nobody_can_be_asked(world: World, line: str) -> None:
    """If it failed, a script could destroy something that nobody agreed to."""
    name, *options = line.split()
    result = world.run(name, "12", *options)
    assert (result.exit_code, "--yes" in result.stderr) == (2, True)
    assert world.ordered() == []


def test_on_a_terminal_it_shows_and_asks_and_sends_the_revision_shown(world: World) -> None:
    """If it failed, an operator would agree to one thing and order another."""
    world.fill_conflict()
    code, stdout, stderr = world.ask("synchronize", "12", "--keep", "left", "--no-wait", answer="y")
    assert code == 0, stderr
    for shown in ("revision 3", "ADATUM", "sales is instructed to update sales/account/9", "Synchronize? [y/N]"):
        assert shown in stderr
    [command] = world.ordered()
    assert command.order == Synchronize(error=12, keep=Keep.LEFT, revision=3)
    assert command.id in stdout


def test_who_says_no_orders_nothing(world: World) -> None:
    """If it failed, a no would be a yes."""
    world.fill_conflict()
    code, stdout, stderr = world.ask("remove-coupling", "--coupling", "1", answer="n")
    assert (code, stdout, "Nothing was ordered." in stderr) == (1, "", True)
    assert "Coupling 1 is removed" in stderr
    assert world.ordered() == []


def test_a_dry_run_says_what_would_be_instructed(world: World) -> None:
    """If it failed, an operator could not see beforehand what a choice overwrites."""
    world.fill_conflict()
    said = world.json("synchronize", "12", "--keep", "left", "--dry-run")
    assert (said["dry_run"], said["command"]) == (True, "synchronize")
    result = said["result"]
    assert (result["coupling"], result["error"], result["error_status"]) == (1, 12, "resolving")
    [instruction] = result["instructions"]
    assert instruction == {
        "app": "sales",
        "action": "update",
        "table": "account",
        "record": "sales/account/9",
        "fields": ["fullname"],
        "values": {"fullname": {"now": "ADATUM", "then": "Adatum"}},
    }
    shown = world.run("synchronize", "12", "--keep", "left", "--dry-run")
    assert shown.exit_code == 0
    assert ["fullname", "ADATUM", "Adatum"] in [line.split() for line in shown.stdout.splitlines()]
    assert "Error 12 is being resolved" in shown.stdout
    assert world.ordered() == []


def test_a_dry_run_masks_what_is_sensitive(world: World) -> None:
    """If it failed, a preview would show what no error shows."""
    world.fill_conflict()
    config = world.folder / "recouple.toml"
    text = config.read_text(encoding="utf-8").replace('right = "fullname"', 'right = "fullname"\nsensitive = true')
    config.write_text(text, encoding="utf-8")
    for more in ([], ["--json"]):
        shown = world.run("synchronize", "12", "--keep", "left", "--dry-run", *more).output
        assert "***" in shown
        assert "Adatum" not in shown
        assert "ADATUM" not in shown


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("restore 12", "not_applicable"),
        ("retry 99", "not_found"),
        ("retry --coupling 99", "not_found"),
        ("synchronize 12 --value city=Ulm", "invalid"),
        ("synchronize 12 --keep left --revision 2", "stale"),
    ],
)
def test_a_dry_run_refuses_what_a_worker_would_refuse(world: World, line: str, code: str) -> None:
    """If it failed, a preview would promise what is then refused."""
    world.fill_conflict()
    said = world.json(*line.split(), "--dry-run", exit_code=1)
    assert (said["id"], said["code"]) == (None, code)
    assert f"Refused ({code})" in world.run(*line.split(), "--dry-run").stderr


@pytest.mark.parametrize(
    ("line", "instructed", "closed"),
    [
        ("restore --coupling 1", [("sales", "create", None)], False),
        ("delete --coupling 1", [("bc", "delete", "bc/customer/1")], False),
        ("remove-coupling --coupling 1", [], True),
    ],
)
def test_a_dry_run_of_a_deletion(world: World, line: str, instructed: list[Any], closed: bool) -> None:  # noqa: FBT001 - a row
    """If it failed, an operator would restore where he wanted to delete, or the other record."""
    fields = {"name": "A", "city": "Ulm"}
    world.fill(
        couplings=[coupling(bc("1"), sales("9"), based=True, base={"name": Form(left="A", right="A")})],
        images=[
            Image(record=bc("1"), exists=True, version=2, fields=fields, versions=dict.fromkeys(fields, 2)),
            Image(record=sales("9"), exists=False, version=5, fields={"fullname": "A", "tel": "0731"}),
        ],
    )
    result = world.json(*line.split(), "--dry-run")["result"]
    assert [(one["app"], one["action"], one["record"]) for one in result["instructions"]] == instructed
    assert (result["status"] == "closed") is closed


def test_a_dry_run_knows_errors_of_records_that_are_not_coupled(world: World) -> None:
    """If it failed, an ambiguous match could not be previewed, or only as something else."""
    kind = ErrorKind.MATCH_AMBIGUOUS
    actions = ("couple", "retry", "dismiss")
    world.fill(errors=[conflict(5, kind=kind, family=kind.family, coupling=None, actions=actions)])
    result = world.json("dismiss", "5", "--dry-run")["result"]
    assert (result["error"], result["error_status"], result["instructions"]) == (5, "resolved", [])
    assert world.json("restore", "5", "--dry-run", exit_code=1)["code"] == "not_applicable"


def test_done_and_refused_are_told(served: World) -> None:
    """If it failed, an operator would not know what is settled, by whom, and what is still to come."""
    served.fill_conflict()
    stale = served.run("synchronize", "12", "--keep", "left", "--yes", "--revision", "2")
    assert stale.exit_code == 1
    assert "Refused (stale)" in stale.stderr
    assert "revision 3" in stale.stderr, "the error as it is now"
    done = served.run("synchronize", "12", "--keep", "left", "--yes")
    assert done.exit_code == 0, done.output
    assert "Error 12 is resolving: sales is instructed to update sales/account/9 (fullname)" in done.stdout
    assert "it is settled when sales confirms" in done.stdout
    assert [row["status"] for row in served.json("errors")] == ["resolving"]
    assert "synchronize" in served.run("show", "12").stdout
    removed = served.run("remove-coupling", "12", "--yes")
    assert (removed.exit_code, "Coupling 1 is removed" in removed.stdout) == (0, True), removed.output


def test_an_error_that_is_over_refuses_everything(world: World) -> None:
    """If it failed, an old number would settle something new."""
    error = OpenError(number=13, kind=ErrorKind.UPDATE_CONFLICT, opened_at=NOW)
    over: dict[str, Any] = {"status": ErrorStatus.RESOLVED, "resolved_at": NOW, "resolution": "converged"}
    world.fill(errors=[conflict(12, **over), conflict(13)], couplings=[coupling(bc("1"), sales("1"), error=error)])
    assert world.json("retry", "12", "--dry-run", exit_code=1)["code"] == "not_applicable"
