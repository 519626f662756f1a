"""The result of a command as a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from ops.telling import told_dismissal, told_job, told_pause, told_removal, told_resolution

UPDATE = {"id": "i", "app": "sales", "action": "update", "record": "sales/account/9", "fields": ["fullname", "town"]}
OTHER = {"id": "j", "app": "bc", "action": "update", "record": "bc/customer/1", "fields": list("abcdefgh")}
CREATE = {"id": "k", "app": "bc", "action": "create", "record": None, "fields": ["name"]}


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (
            {"error": 12, "coupling": 7, "status": "in_flight", "error_status": "resolving", "instructions": [UPDATE]},
            (
                "Error 12 is resolving: sales is instructed to update sales/account/9 (fullname, town); it is settled "
                "when sales confirms."
            ),
        ),
        (
            {"error": 12, "coupling": 7, "error_status": "resolving", "instructions": [UPDATE, OTHER], "job": 3},
            (
                "Error 12 is resolving: sales is instructed to update sales/account/9 (fullname, town); bc is "
                "instructed to update bc/customer/1 (a, b, c, d, e, f, 2 more); it is settled when sales and bc "
                "confirm. This is job 3."
            ),
        ),
        (
            {"error": 12, "coupling": 7, "status": "synchronized", "error_status": "resolved", "instructions": []},
            "Error 12 is resolved. Nothing had to be sent.",
        ),
        (
            {"error": 12, "coupling": 7, "status": "skipped", "error_status": "open", "instructions": []},
            "Error 12 is still open: see `recouple show 12`.",
        ),
        (
            {"error": 12, "coupling": None, "error_status": "open", "instructions": []},
            "Error 12: its record is matched once more; `recouple show 12` tells what came of it.",
        ),
        (
            {"coupling": 7, "status": "in_flight", "instructions": [UPDATE]},
            "Coupling 7 is in flight: sales is instructed to update sales/account/9 (fullname, town).",
        ),
        (
            {"coupling": 7, "status": "in_flight", "instructions": [CREATE]},
            "Coupling 7 is in flight: bc is instructed to create a new record (name).",
        ),
        (
            {"coupling": 7, "status": "synchronized", "instructions": []},
            "Coupling 7 is synchronized; nothing had to be sent.",
        ),
    ],
)
def test_a_resolution_says_who_was_instructed_and_what_is_to_come(result: dict[str, Any], sentence: str) -> None:
    """If it failed, an operator would think that an error is settled whose app has not answered yet."""
    assert told_resolution(result) == sentence


def test_a_removal_names_what_is_left_alone() -> None:
    """If it failed, nobody would know that the two records stay as they are."""
    whole = told_removal({"coupling": 7, "error": 12, "records": ["bc/customer/1", "sales/account/9"]})
    assert "bc/customer/1 and sales/account/9 are left alone" in whole
    assert whole.endswith("Error 12 is resolved.")
    assert "bc/customer/1 is left alone" in told_removal({"coupling": 7, "records": ["bc/customer/1"]})


def test_a_dismissal_says_that_it_changes_nothing() -> None:
    """If it failed, a dismissed error would be taken for a settled one."""
    assert "Error 12 is closed without effect" in told_dismissal({"error": 12, "coupling": None})


def test_a_pause_says_how_it_ends() -> None:
    """If it failed, a paused mapping would be forgotten."""
    assert "`recouple resume --app bc`" in told_pause({"app": "bc", "paused": True})
    told = told_pause({"mapping": "customer", "paused": False, "error": 3})
    assert ("The mapping customer goes on" in told, told.endswith("Error 3 is resolved.")) == (True, True)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"deleted": 4, "kept": 1}, "4 deleted. 1 error stays"),
        ({}, "nothing to do."),
        ({"coupled": 1000, "failed": 2}, "2 failed, 1,000 coupled. `recouple jobs 3` lists them one by one."),
        (
            {"unmatched": 3, "ambiguous": 2},
            "1 record matched none. 2 records matched several, or one that others match, too. `recouple jobs 3`",
        ),
        ({"unmatched": 2, "ambiguous": 2}, "nothing to do. 2 records matched several"),
    ],
)
def test_a_job_tells_its_counters_and_where_to_look(more: dict[str, int], words: str) -> None:
    """If it failed, what was passed over would go unnoticed."""
    counters = dict.fromkeys(("inserted", "modified", "deleted", "unchanged", "skipped", "failed", "coupled"), 0)
    told = told_job({"job": 3, "total": 9, "done": 9, "uncoupled": 0, **counters, **more})
    assert told.startswith("Job 3 is done, 9 looked at: ")
    assert words in told
