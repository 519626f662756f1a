"""``recouple jobs``."""

from __future__ import annotations

from datetime import timedelta

import pytest

from store import jobs as job_store
from store.connect import open_store
from store.jobs import Counters, Job, JobLine, JobStatus
from tests.unit.ops.samples import NOW, RED, World


@pytest.fixture
def worked(world: World) -> World:
    """Two jobs: one that is over, with lines, and one that is running."""
    over = Job(
        command="c1",
        name="couple_matching",
        by="ops/jane",
        reason="the new CRM",
        mapping="customer",
        body='{"mapping": "customer"}',
        status=JobStatus.DONE,
        started_at=NOW,
        finished_at=NOW + timedelta(seconds=12),
        total=5,
        done=5,
        counters=Counters(coupled=3, skipped=2),
        extra={"unmatched": 2},
    )
    running = Job(command="c2", name="purge", by="ops/joe", body="{}", started_at=NOW, total=None, done=400)
    store = open_store(world.settings.store_url)
    with store.transaction() as conn:
        job_store.insert(conn, over)
        job_store.insert(conn, running)
        lines = [JobLine(f"bc/customer/{key}", "unmatched", "matches none") for key in ("1", f"2{RED}")]
        job_store.append_lines(conn, 1, lines)
    store.close()
    return world


def test_the_list_begins_with_the_newest_and_pages(worked: World) -> None:
    """If it failed, an operator would not find the job that he has just ordered."""
    newest, oldest = worked.json("jobs")
    assert [newest["job"], oldest["job"]] == [2, 1]
    assert (oldest["command"], oldest["id"], oldest["by"], oldest["status"]) == (
        "couple_matching",
        "c1",
        "ops/jane",
        "done",
    )
    assert {name: oldest[name] for name in ("total", "done", "coupled", "skipped", "inserted", "unmatched")} == {
        "total": 5,
        "done": 5,
        "coupled": 3,
        "skipped": 2,
        "inserted": 0,
        "unmatched": 2,
    }
    assert [row["job"] for row in worked.json("jobs", "--after", "2")] == [1]
    shown = worked.run("jobs", "--limit", "1")
    assert "--after 2" in shown.stderr


def test_the_list_is_readable_by_people(worked: World) -> None:
    """If it failed, the counters of a job would have to be read from JSON."""
    shown = worked.run("jobs").stdout
    assert max(map(len, shown.splitlines())) <= 80
    for words in ("running", "12.0s", "5 of 5", "400"):
        assert words in shown
    assert [word for word in shown.split() if word in ("2", "skipped,", "3")][-3:] == ["2", "skipped,", "3"]


def test_one_job_has_its_lines(worked: World) -> None:
    """If it failed, records that matched none would be a number and nothing else."""
    one = worked.json("jobs", "1")
    assert (one["job"], one["data"], one["reason"]) == (1, {"mapping": "customer"}, "the new CRM")
    assert [line["record"] for line in one["lines"]] == ["bc/customer/1", f"bc/customer/2{RED}"]
    shown = worked.run("jobs", "1", "--limit", "1")
    assert "matches none" in shown.stdout
    assert "--after 1" in shown.stderr
    rest = worked.run("jobs", "1", "--after", "1").stdout
    assert "bc/customer/2\\x1b[31m" in rest
    assert "bc/customer/1 " not in rest


def test_an_unknown_job_is_refused_in_words(worked: World) -> None:
    """If it failed, a program could take nothing for a job without lines."""
    assert "no job 9" in worked.json("jobs", "9", exit_code=1)["error"]
    assert worked.run("jobs", "9").exit_code == 1


def test_a_value_typed_for_a_sensitive_field_is_masked(world: World) -> None:
    """If it failed, what `show` masks would stand in plain sight under its job."""
    config = world.folder / "recouple.toml"
    config.write_text(f'{config.read_text()}\n[[mappings.fields]]\nleft = "iban"\nright = "iban"\nsensitive = true\n')
    body = '{"error": 12, "values": {"name": "Ulm", "iban": "DE00"}}'
    typed = Job(command="c1", name="synchronize", by="ops/jane", mapping="customer", body=body, started_at=NOW, done=1)
    store = open_store(world.settings.store_url)
    with store.transaction() as conn:
        job_store.insert(conn, typed)
    store.close()
    assert world.json("jobs", "1")["data"]["values"] == {"name": "Ulm", "iban": "***"}
    config.unlink()
    assert "DE00" not in world.run("jobs", "1", "--json").output
