"""Every command of the command line: where it is listed, its name, what it runs, and examples of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ops.bulk import couple_matching, purge, retry_all
from ops.commands import couple, loaded
from ops.couplings_view import couplings
from ops.dead import dead
from ops.definitions import definitions
from ops.error_view import show
from ops.errors_view import errors
from ops.health_view import health
from ops.jobs_view import jobs
from ops.log_view import log
from ops.pausing import pause, resume
from ops.publishing import publish
from ops.queues_view import tap
from ops.resolving import delete, dismiss, remove_coupling, restore, retry, synchronize
from ops.running import demo, setup, work

RUN: Final = "Run"
LOOK: Final = "Look"
SETTLE: Final = "Settle an error, or one coupling"
ORDER: Final = "Order"


class Listed(NamedTuple):
    """One command.

    Attributes:
        panel: Under which title the overview lists it.
        examples: Ready to be typed.
    """

    panel: str
    name: str
    run: Callable[..., None]
    examples: tuple[str, ...]


COMMANDS: Final = (
    Listed(RUN, "demo", demo, ("recouple demo", "recouple demo --keep northwind")),
    Listed(RUN, "setup", setup, ("recouple setup", "recouple setup --json")),
    Listed(
        RUN,
        "definitions",
        definitions,
        (
            "recouple definitions > definitions.json",
            "recouple definitions --queues --vhost /recouple > definitions.json",
            "recouple definitions --app sales > sales.json",
            "recouple definitions --no-users > rights.json",
        ),
    ),
    Listed(
        RUN,
        "work",
        work,
        ("recouple work", "recouple work --role changes --app bc --processes 4", "recouple work --drain"),
    ),
    Listed(
        RUN,
        "publish",
        publish,
        (
            "recouple publish changes.jsonl",
            "export-customers | recouple publish - --strict",
            """echo '{"app": "bc", "table": "customer", "key": "1", "operation": "delete", \\""",
            """        "version": 17}' | recouple publish -""",
        ),
    ),
    Listed(
        LOOK,
        "errors",
        errors,
        (
            "recouple errors",
            "recouple errors --family coupled_data --mapping customer",
            "recouple errors --record bc/customer/10000 --all",
            "recouple errors --app sales --kind apply_failed --older-than 2h",
            "recouple errors --watch --every 5s",
            "recouple errors --json | jq '.[].fingerprint'",
        ),
    ),
    Listed(LOOK, "show", show, ("recouple show 12", "recouple show 12 --json")),
    Listed(
        LOOK,
        "couplings",
        couplings,
        (
            "recouple couplings --status skipped",
            "recouple couplings --record sales/account/9 --json",
            "recouple couplings --mapping customer --limit 1000 --after 5000",
        ),
    ),
    Listed(LOOK, "log", log, ("recouple log bc/customer/10000", "recouple log bc/customer/10000 --limit 500 --json")),
    Listed(LOOK, "jobs", jobs, ("recouple jobs", "recouple jobs 3 --limit 500 --json", "recouple jobs --watch")),
    Listed(
        LOOK, "health", health, ("recouple health", "recouple health --worker 127.0.0.1:9464", "recouple health --json")
    ),
    Listed(LOOK, "tap", tap, ("recouple tap errors", "recouple tap instructions.bc --max 1 --json")),
    Listed(
        LOOK,
        "dead",
        dead,
        (
            "recouple dead",
            "recouple dead show --reason id_reused --json",
            "recouple dead replay --queue changes.bc",
            "recouple dead drop --reason not_json --yes",
        ),
    ),
    Listed(SETTLE, "retry", retry, ("recouple retry 12", "recouple retry --coupling 7 --dry-run")),
    Listed(
        SETTLE,
        "synchronize",
        synchronize,
        (
            "recouple synchronize 12 --keep left",
            "recouple synchronize 12 --field name=left --field city=right",
            "recouple synchronize 12 --value name='Adatum AG' --value credit=10.50 --dry-run",
            """recouple synchronize 12 --value 'zip="01234"' --yes --revision 3""",
            "recouple synchronize --mapping customer --keep right --yes --no-wait",
        ),
    ),
    Listed(
        SETTLE, "restore", restore, ("recouple restore 12", "recouple restore 12 --yes --reason 'deleted by mistake'")
    ),
    Listed(SETTLE, "delete", delete, ("recouple delete 12", "recouple delete 12 --dry-run --json")),
    Listed(
        SETTLE,
        "remove-coupling",
        remove_coupling,
        ("recouple remove-coupling 12", "recouple remove-coupling --coupling 7 --yes"),
    ),
    Listed(SETTLE, "dismiss", dismiss, ("recouple dismiss 12", "recouple dismiss 12 --yes --json")),
    Listed(
        ORDER,
        "couple",
        couple,
        (
            "recouple couple bc/customer/10000 sales/account/9",
            "recouple couple bc/customer/1 sales/account/9 --keep left --reason 'ERP is right'",
            "recouple couple bc/customer/10000 sales/account/9 --json --timeout 5s",
        ),
    ),
    Listed(ORDER, "loaded", loaded, ("recouple loaded bc/customer", "recouple loaded sales/account --no-wait")),
    Listed(
        ORDER,
        "couple-matching",
        couple_matching,
        (
            "recouple couple-matching customer",
            "recouple couple-matching customer --keep left --yes",
            "recouple couple-matching customer --dry-run",
        ),
    ),
    Listed(
        ORDER,
        "retry-all",
        retry_all,
        (
            "recouple retry-all --kind apply_failed --code permission_denied",
            "recouple retry-all --fingerprint 5f0c2a9e41b7 --yes --no-wait",
            "recouple retry-all --mapping customer --dry-run",
        ),
    ),
    Listed(
        ORDER,
        "purge",
        purge,
        ("recouple purge --dry-run", "recouple purge --older-than-days 30 --yes", "recouple purge --all"),
    ),
    Listed(
        ORDER,
        "pause",
        pause,
        ("recouple pause --mapping customer --reason 'bulk import until noon'", "recouple pause --app sales --yes"),
    ),
    Listed(ORDER, "resume", resume, ("recouple resume --mapping customer", "recouple resume --app sales --json")),
)
