"""The commands about many records: what is ordered, counted beforehand, and told at the end."""

from __future__ import annotations

import pytest

from messages.commands import CoupleMatching, Keep, Order, Pause, Purge, Resume, RetryAll, Synchronize
from messages.errors import ErrorKind, ErrorStatus, Family
from store.model import Image
from tests.unit.ops.samples import NOW, World, bc, conflict, sales


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("couple-matching customer", CoupleMatching(mapping="customer")),
        ("couple-matching customer --keep left --yes", CoupleMatching(mapping="customer", keep=Keep.LEFT)),
        ("retry-all --yes", RetryAll()),
        (
            "retry-all --mapping m --kind no_answer --code x --fingerprint f --yes",
            RetryAll(mapping="m", kind=ErrorKind.NO_ANSWER, code="x", fingerprint="f"),
        ),
        ("synchronize --mapping customer --keep left --yes", Synchronize(mapping="customer", keep=Keep.LEFT)),
        ("purge --yes", Purge(older_than_days=7)),
        ("purge --all --family integration --yes", Purge(older_than_days=0, family=Family.INTEGRATION)),
        ("purge --older-than-days 30 --yes", Purge(older_than_days=30)),
        ("pause --mapping customer --yes", Pause(mapping="customer")),
        ("pause --app bc --yes", Pause(app="bc")),
        ("resume --app bc", Resume(app="bc")),
    ],
)
def test_no_wait_leaves_the_order_with_everything_in_it(world: World, line: str, what: Order) -> None:
    """If it failed, something else would be done than what was typed."""
    said = world.json(*line.split(), "--reason", "as told", "--no-wait")
    [command] = world.ordered()
    assert (command.order, command.id, command.reason) == (what, said["id"], "as told")


def test_no_wait_says_where_to_look(world: World) -> None:
    """If it failed, nobody would know how to follow a job that he does not wait for."""
    assert "recouple jobs" in world.run("purge", "--yes", "--no-wait").stdout


@pytest.mark.parametrize(
    "line",
    [
        "couple-matching customer --keep left",
        "retry-all",
        "synchronize --mapping customer --keep left",
        "purge",
        "pause --app bc",
        "purge --all --older-than-days 3 --yes",
        "pause --yes",
        "pause --app bc --mapping customer --yes",
        "resume",
    ],
)
def test_nothing_is_done_unasked_or_half_named(world: World, line: str) -> None:
    """If it failed, a script could change a thousand records that nobody agreed to."""
    assert world.run(*line.split()).exit_code == 2
    assert world.ordered() == []


@pytest.mark.parametrize(
    ("line", "concerned"),
    [
        ("retry-all", {"errors": 2}),
        ("retry-all --kind apply_failed", {"errors": 1}),
        ("synchronize --mapping customer --keep left", {"couplings": 1, "skipped": 1}),
        ("purge", {"errors": 1, "kept": 2}),
        ("purge --family integration", {"errors": 0, "kept": 1}),
        ("couple-matching customer", {"uncoupled_left": 2, "uncoupled_right": 0}),
        ("pause --app bc", {"couplings": 1, "in_flight": 0}),
    ],
)
def test_a_dry_run_counts_what_would_be_concerned(world: World, line: str, concerned: dict[str, int]) -> None:
    """If it failed, an operator would have to order a job to learn how large it is."""
    world.fill_conflict()
    kind = ErrorKind.APPLY_FAILED
    world.fill(
        errors=[
            conflict(13, kind=kind, family=kind.family, coupling=2),
            conflict(14, status=ErrorStatus.RESOLVED, resolved_at=NOW, coupling=3),
        ],
        images=[Image(record=bc(key), exists=True) for key in ("1", "2")] + [Image(record=sales("1"), exists=False)],
    )
    said = world.json(*line.split(), "--dry-run")
    assert (said["dry_run"], said["concerned"]) == (True, concerned)
    told = world.run(*line.split(), "--dry-run")
    assert f"{next(iter(concerned.values()))}" in told.stdout
    assert world.ordered() == []


def test_a_dry_run_refuses_an_unknown_mapping(world: World) -> None:
    """If it failed, a mistyped mapping would look like one without records."""
    for line in ("couple-matching costumer", "synchronize --mapping costumer --keep left", "pause --mapping costumer"):
        said = world.json(*line.split(), "--dry-run", exit_code=1)
        assert (said["code"], "did you mean 'customer'" in said["detail"]) == ("not_found", True)


def test_a_job_is_awaited_and_told_with_its_counters(served: World) -> None:
    """If it failed, an operator would not learn what a bulk command came to."""
    served.fill(errors=[conflict(14, status=ErrorStatus.RESOLVED, resolved_at=NOW, coupling=None)])
    done = served.run("purge", "--yes")
    assert (done.exit_code, done.stdout) == (0, "Job 1 is done, 1 looked at: 1 deleted.\n"), done.output
    result = served.json("purge", "--yes")["result"]
    assert (result["job"], result["deleted"], result["failed"]) == (2, 0, 0)
    assert [row["job"] for row in served.json("jobs")] == [2, 1]


def test_a_pause_is_told_and_seen_everywhere(served: World) -> None:
    """If it failed, nobody would know why nothing moves."""
    paused = served.run("pause", "--mapping", "customer", "--yes", "--reason", "import")
    assert (paused.exit_code, "recouple resume --mapping customer" in paused.stdout) == (0, True), paused.output
    assert "The mapping customer is paused" in served.run("couplings").stderr
    health = served.json("health")
    assert [(one["scope"], one["name"], one["reason"]) for one in health["store"]["paused"]] == [
        ("mapping", "customer", "import")
    ]
    assert any("recouple resume --mapping customer" in one for one in health["warnings"])
    resumed = served.run("resume", "--mapping", "customer")
    assert (resumed.exit_code, "goes on" in resumed.stdout) == (0, True), resumed.output
    assert served.json("health")["store"]["paused"] == []
