"""The table of the commands: for every state of a coupling and its error, what each command does, or why it is refused.

A cell is what ``command_cells.cell`` says: the code of a refusal, which changes nothing; or ``done``, with what a job
counted; what apps are instructed; what becomes of the error and by how much its revision grows; what the logs of the
two records say, ``*`` being the line that says who ordered it and why; where the coupling stands now, if that is new.
"""

from __future__ import annotations

GONE_FROM_LOG = "bc log: uncoupled(remove_coupling) *; sales log: *; closed"
RESTORED = "sales: create new (fax grade owner title) restore"
UPDATED = "sales: update 9 (title) synchronize"

ELSEWHERE = {
    "couple": "duplicate_coupling",
    "couple_matching": "done",
    "retry_all": "done",
    "purge": "done",
    "pause": "done",
    "resume": "not_applicable",
    "loaded": "done",
}
"""What is not about a single coupling does nothing to it, as long as the state does not say otherwise."""

NO_ERROR = {"retry": "not_applicable", "dismiss": "not_found"}
NONE_GONE = {"restore_record": "not_applicable", "delete_record": "not_applicable"}
OVER = {"retry": "not_applicable", "synchronize": "not_applicable", **NONE_GONE}
"""Nothing is left that could be decided."""


def removed(kind: str) -> str:
    """``remove_coupling`` is the end of the coupling, and of its error."""
    return f"done; {kind} resolved +1 by remove_coupling; {GONE_FROM_LOG}"


def in_vain(kind: str) -> dict[str, str]:
    """Decided anew it comes to the same, or to what was the matter before; the order is in the error's history."""
    retried = f"done; {kind} open +1; bc log: skipped *; sales log: *"
    return {"retry": retried, "retry_all": f"done failed=1; {kind} open +1; bc log: skipped", "purge": "done kept=1"}


def dismissed(kind: str) -> str:
    """``dismiss`` ends an integration error, and nothing else."""
    return f"done; {kind} resolved +1 by dismiss; bc log: done(dismiss) *; sales log: *; synchronized"


def under_way(sent: str, kind: str, log: str) -> str:
    """An app was instructed, and the error waits until it has confirmed."""
    return f"done; {sent}; {kind} resolving +1; {log}; in_flight"


def one_gone(kind: str) -> dict[str, str]:
    """The right record is deleted, and an error is open because of that."""
    restored = "bc log: resolved(restore_record) *; sales log: *"
    deleted = "bc log: resolved(delete_record) resolved(deleted) *; sales log: *"
    return {
        "synchronize": "not_applicable",
        "restore_record": under_way(RESTORED, kind, restored),
        "delete_record": under_way("bc: delete 1 () delete", kind, deleted),
    }


TABLE: dict[str, dict[str, str]] = {
    "healthy": {
        **ELSEWHERE,
        **NO_ERROR,
        **NONE_GONE,
        "remove_coupling": f"done; {GONE_FROM_LOG}",
        "synchronize": "done; bc log: unchanged *; sales log: *",
    },
    "update conflict": {
        **ELSEWHERE,
        **NONE_GONE,
        **in_vain("update_conflict"),
        "remove_coupling": removed("update_conflict"),
        "synchronize": under_way(
            UPDATED, "update_conflict", "bc log: resolved(keep=left) *; sales log: resolved(keep=left) *"
        ),
        "dismiss": "not_applicable",
    },
    "left gone": {
        **ELSEWHERE,
        **in_vain("deletion_conflict"),
        "remove_coupling": removed("deletion_conflict"),
        "synchronize": "not_applicable",
        "restore_record": under_way(
            "bc: create new (fax name rank seller) restore",
            "deletion_conflict",
            "bc log: resolved(restore_record) *; sales log: *",
        ),
        "delete_record": under_way(
            "sales: delete 9 () delete",
            "deletion_conflict",
            "bc log: resolved(delete_record) *; sales log: resolved(deleted) *",
        ),
        "dismiss": "not_applicable",
    },
    "right gone": {
        **ELSEWHERE,
        **in_vain("deletion_conflict"),
        **one_gone("deletion_conflict"),
        "remove_coupling": removed("deletion_conflict"),
        "dismiss": "not_applicable",
    },
    "update refused": {
        **ELSEWHERE,
        **NONE_GONE,
        "remove_coupling": removed("apply_failed"),
        "retry": under_way("sales: update 9 (title) sync", "apply_failed", "bc log: sent *; sales log: *"),
        "synchronize": under_way(UPDATED, "apply_failed", "bc log: sent *; sales log: *"),
        "dismiss": dismissed("apply_failed"),
        "retry_all": (
            "done modified=1; sales: update 9 (title) sync; apply_failed resolving +1; bc log: sent; in_flight"
        ),
        "purge": "done kept=1",
    },
    "creation refused": {
        **ELSEWHERE,
        **NONE_GONE,
        "remove_coupling": (
            "done; apply_failed resolved +1 by remove_coupling; bc log: uncoupled(remove_coupling) *; closed"
        ),
        "retry": "done; sales: create new (name) create; apply_failed resolving +1; bc log: sent *",
        "synchronize": "not_applicable",
        "dismiss": "done; apply_failed resolved +1 by dismiss; bc log: done(dismiss) *",
        "retry_all": "done inserted=1; sales: create new (name) create; apply_failed resolving +1; bc log: sent",
        "purge": "done kept=1",
    },
    "delete refused": {
        **ELSEWHERE,
        **in_vain("deletion_conflict"),
        **one_gone("apply_failed"),
        "remove_coupling": removed("apply_failed"),
        "dismiss": dismissed("apply_failed"),
    },
    "restore refused": {
        **ELSEWHERE,
        **in_vain("deletion_conflict"),
        **one_gone("apply_failed"),
        "remove_coupling": removed("apply_failed"),
        "dismiss": dismissed("apply_failed"),
    },
    "choice refused": {
        **ELSEWHERE,
        **NONE_GONE,
        **in_vain("update_conflict"),
        "remove_coupling": removed("apply_failed"),
        "synchronize": under_way(
            UPDATED, "apply_failed", "bc log: resolved(keep=left) *; sales log: resolved(keep=left) *"
        ),
        "dismiss": dismissed("apply_failed"),
    },
    "no answer": {
        **ELSEWHERE,
        **OVER,
        "remove_coupling": removed("no_answer"),
        "retry": under_way(
            "sales: update 9 (title) sync, attempt 2", "no_answer", "bc log: retried(retry) *; sales log: *"
        ),
        "dismiss": "not_applicable",
        "retry_all": (
            "done modified=1; sales: update 9 (title) sync, attempt 2; no_answer resolving +1; "
            "bc log: retried(retry); in_flight"
        ),
        "purge": "done kept=1",
    },
    "asked again": {
        **ELSEWHERE,
        **OVER,
        "remove_coupling": removed("no_answer"),
        "dismiss": "not_applicable",
        "purge": "done kept=1",
    },
    "value not mapped": {
        **ELSEWHERE,
        **OVER,
        **in_vain("value_not_mapped"),
        "remove_coupling": removed("value_not_mapped"),
        "dismiss": dismissed("value_not_mapped"),
    },
    "reference not coupled": {
        **ELSEWHERE,
        **OVER,
        **in_vain("reference_not_coupled"),
        "remove_coupling": removed("reference_not_coupled"),
        "dismiss": dismissed("reference_not_coupled"),
    },
    "match ambiguous": {
        **ELSEWHERE,
        **OVER,
        "remove_coupling": "not_applicable",
        "retry": "done; match_ambiguous open +1; bc log: * error(part)",
        "dismiss": "done; match_ambiguous resolved +1 by dismiss; bc log: *",
        "couple": (
            "done; match_ambiguous resolved +1 by couple; bc log: coupled(part) *; sales log: coupled(part) *; "
            "synchronized"
        ),
        "couple_matching": "done failed=3 unmatched=3 ambiguous=3; bc log: unmatched(part); sales log: unmatched(part)",
        "retry_all": "done unchanged=1; bc log: error(part)",
        "purge": "done kept=1",
    },
    "resolving": {
        **ELSEWHERE,
        **OVER,
        "remove_coupling": removed("update_conflict"),
        "dismiss": "not_applicable",
        "purge": "done kept=1",
    },
    "in flight": {
        **ELSEWHERE,
        **OVER,
        "remove_coupling": f"done; {GONE_FROM_LOG}",
        "dismiss": "not_found",
    },
    "gone and dismissed": {
        **ELSEWHERE,
        **NO_ERROR,
        "remove_coupling": f"done; {GONE_FROM_LOG}",
        "synchronize": "not_applicable",
        "restore_record": f"done; {RESTORED}; bc log: resolved(restore_record) *; sales log: *; in_flight",
        "delete_record": "done; bc: delete 1 () delete; "
        "bc log: resolved(delete_record) resolved(deleted) *; sales log: *; in_flight",
        "purge": "done deleted=1",
    },
    "both gone": {
        **ELSEWHERE,
        **OVER,
        "remove_coupling": "not_applicable",
        "dismiss": "not_found",
        "couple": "not_applicable",
    },
    "removed": {
        **ELSEWHERE,
        **OVER,
        "remove_coupling": "not_applicable",
        "dismiss": "not_found",
        "couple": "done; bc log: coupled(customer) *; sales log: coupled(customer) *; closed, synchronized",
        "couple_matching": "done skipped=2",
    },
    "never there": {
        **ELSEWHERE,
        **OVER,
        "remove_coupling": "not_applicable",
        "dismiss": "done; apply_failed resolved +1 by dismiss; bc log: done(dismiss) *; sales log: *",
        "couple": "not_applicable",
        "couple_matching": "done unmatched=1; bc log: unmatched(customer)",
        "retry_all": "done skipped=1",
        "purge": "done kept=1",
    },
    "creating": {
        **ELSEWHERE,
        **OVER,
        "remove_coupling": "done; bc log: uncoupled(remove_coupling) *; closed",
        "dismiss": "not_found",
    },
    "paused": {
        **ELSEWHERE,
        **OVER,
        "remove_coupling": f"done; {GONE_FROM_LOG}",
        "dismiss": "not_found",
        "couple_matching": "not_applicable",
        "pause": "not_applicable",
        "resume": "done",
    },
    "paused, conflict": {
        **ELSEWHERE,
        **OVER,
        "remove_coupling": removed("update_conflict"),
        "dismiss": "not_applicable",
        "couple_matching": "not_applicable",
        "retry_all": "done skipped=1",
        "purge": "done kept=1",
        "pause": "not_applicable",
        "resume": "done",
    },
    "paused, refusal": {
        **ELSEWHERE,
        **OVER,
        "remove_coupling": removed("apply_failed"),
        "dismiss": dismissed("apply_failed"),
        "couple_matching": "not_applicable",
        "retry_all": "done skipped=1",
        "purge": "done kept=1",
        "pause": "not_applicable",
        "resume": "done",
    },
    "paused, no answer": {  # what was sent before the pause may have to be asked for once more
        **ELSEWHERE,
        **OVER,
        "remove_coupling": removed("no_answer"),
        "retry": under_way(
            "sales: update 9 (title) sync, attempt 2", "no_answer", "bc log: retried(retry) *; sales log: *"
        ),
        "dismiss": "not_applicable",
        "couple_matching": "not_applicable",
        "retry_all": (
            "done modified=1; sales: update 9 (title) sync, attempt 2; no_answer resolving +1; "
            "bc log: retried(retry); in_flight"
        ),
        "purge": "done kept=1",
        "pause": "not_applicable",
        "resume": "done",
    },
    "outside where": {
        **ELSEWHERE,
        **OVER,
        "remove_coupling": f"done; {GONE_FROM_LOG}",
        "dismiss": "not_found",
    },
    "settled": {
        **ELSEWHERE,
        **OVER,
        "remove_coupling": "not_applicable",
        "dismiss": "not_applicable",
        "purge": "done deleted=1",
    },
    "braked": {
        **ELSEWHERE,
        **OVER,
        "remove_coupling": "not_applicable",
        "dismiss": "not_applicable",
        "couple_matching": "not_applicable",
        "retry_all": "done skipped=1",
        "purge": "done kept=1",
        "pause": "not_applicable",
        "resume": "done; limit_exceeded resolved +1 by resume; limit_exceeded open +1; bc log: paused(mapping item)",
    },
    "unknown": {
        **dict.fromkeys(("remove_coupling", "retry", "synchronize", "restore_record", "delete_record"), "not_found"),
        "dismiss": "not_found",
        "couple": "invalid",
        "couple_matching": "not_found",
        "retry_all": "not_found",
        "purge": "done",
        "pause": "not_found",
        "resume": "not_found",
        "loaded": "not_found",
    },
}
"""State, command, what comes of it."""
