"""The end of the day: what the queues, the log and the two apps hold, and whether that is what it should be."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from messages.changes import Change
from messages.codec import decode_error
from messages.dead import DeadReason
from messages.dead_letters import HEADER_PREFIX
from messages.errors import ErrorEvent, ErrorKind, ErrorReport, ErrorStatus
from messages.topology import dead_queue, errors_queue
from messages.values import Value, encode_json
from ops.demo.agreement import Agreement, agreements
from ops.demo.evening import EVENING
from ops.demo.scenes import SCENES
from ops.demo.stage import OPERATOR, Check, Scene
from ops.demo.world import World
from store import errors as error_store
from store import log as log_store
from store.errors import ErrorFilters

COUPLED_PER_MAPPING = 90
"""Of 91; one customer was deleted in the end, and its contact let go."""

_AT_MOST = 1000

DAY = (*SCENES, *EVENING)
"""Every scene."""

SETTLED = [
    (ErrorKind.UPDATE_CONFLICT, "synchronize"),
    (ErrorKind.DELETION_CONFLICT, "restore_record"),
    (ErrorKind.UPDATE_CONFLICT, "synchronize"),
    (ErrorKind.DELETION_CONFLICT, "delete_record"),
    (ErrorKind.APPLY_FAILED, "retry"),
]
"""The errors of the day, in the order in which they were opened, and what settles each."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the error queue."""

    event: ErrorEvent
    error: ErrorReport


class DeadMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the dead queue, and why it is there."""

    queue: str
    reason: str
    field: str
    detail: str


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """One order about an error, as it is kept with the error: the audit."""

    error: int
    kind: ErrorKind
    command: str
    by: str
    reason: str | None
    effect: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole demo, as ``--json`` has it.

    Attributes:
        as_it_should: Whether everything is; ``faults`` says what is not.
        log: Lines of the synchronization log by outcome.
        errors: The error queue, oldest first; looked at, not taken.
        audit: What was ordered about each error, oldest first.
        folder: Where it all lies, if it was kept.
    """

    as_it_should: bool
    faults: tuple[str, ...]
    scenes: tuple[Scene, ...]
    checks: tuple[Check, ...]
    log: dict[str, int]
    errors: tuple[Told, ...]
    audit: tuple[Settled, ...] = ()
    dead: tuple[DeadMessage, ...]
    agreement: tuple[Agreement, ...]
    duration_ms: int = 0
    folder: str | None = None


def close_the_day(world: World, scenes: list[Scene], faults: list[str]) -> Report:
    """Look at everything once the worker has stopped.

    Args:
        faults: What has already gone wrong.
    """
    bodies = [delivery.body for delivery in world.broker.peek(errors_queue(world.namespace), _AT_MOST)]
    messages = [decode_error(body) for body in bodies]
    errors = tuple(Told(event=message.event, error=message.report) for message in messages)
    dead = tuple(_dead(world))
    agreement = tuple(agreements(world))
    with world.store.reading() as conn:
        log = log_store.tally(conn)
        known = error_store.page(conn, ErrorFilters(), _AT_MOST)
    checks = (
        *_of_errors(known),
        Check(
            "the error queue tells the same of them", {told.error.error: told.error for told in errors} == _by(known)
        ),
        Check("no sensitive value stands in the error queue", not _leaked(world, bodies)),
        Check("one message is dead, as malformed", [one.reason for one in dead] == [DeadReason.MALFORMED]),
        *_of_agreement(agreement),
        Check("the worker stopped in good order", world.worker is not None and world.worker.returncode == 0),
    )
    faults += [
        f"{scene.title}: not so: {check.sentence}" for scene in scenes for check in scene.checks if not check.holds
    ]
    if len(scenes) < len(DAY):
        faults.append(f"only {len(scenes)} of {len(DAY)} scenes were played")
    faults += [f"in the end: not so: {check.sentence}" for check in checks if not check.holds]
    return Report(
        as_it_should=not faults,
        faults=tuple(faults),
        scenes=tuple(scenes),
        checks=checks,
        log=log,
        errors=errors,
        audit=tuple(_audit(known)),
        dead=dead,
        agreement=agreement,
    )


def _of_errors(known: list[ErrorReport]) -> list[Check]:
    found = [(error.kind, error.resolution) for error in known]
    orders = [(error.resolution, error.resolved_by, [one.command for one in error.history]) for error in known]
    return [
        Check("no error is open any more", all(error.status is ErrorStatus.RESOLVED for error in known)),
        Check(f"the {len(SETTLED)} errors of the day were settled by command", found == SETTLED),
        Check("and the audit says by whom", orders == [(name, f"ops/{OPERATOR}", [name]) for _, name in SETTLED]),
    ]


def _by(known: list[ErrorReport]) -> dict[int, ErrorReport]:
    return {error.error: error for error in known}


def _audit(known: list[ErrorReport]) -> Iterator[Settled]:
    for error in known:
        for one in error.history:
            yield Settled(
                error=error.error,
                kind=error.kind,
                command=one.command,
                by=one.by,
                reason=one.reason,
                effect=one.effect,
            )


def _of_agreement(agreement: tuple[Agreement, ...]) -> list[Check]:
    return [
        Check(
            f"{COUPLED_PER_MAPPING} records are coupled under each mapping",
            all(one.couplings == COUPLED_PER_MAPPING for one in agreement),
        ),
        Check("all are in step", not [apart for one in agreement for apart in one.apart]),
    ]


def _leaked(world: World, bodies: list[bytes]) -> list[Value]:
    """Return the phone numbers, all of which are sensitive, that can be read in the error queue."""
    changes: list[Change] = [*world.bc.changes, *world.sales.changes]
    numbers = {change.fields.get(name) for change in changes for name in ("phone_no", "telephone1")} - {None}
    return [number for number in numbers if any(encode_json(number) in body for body in bodies)]


def _dead(world: World) -> list[DeadMessage]:
    return [
        DeadMessage(**{name: str(delivery.properties.headers.get(f"{HEADER_PREFIX}{name}", "")) for name in names})
        for names in [("queue", "reason", "field", "detail")]
        for delivery in world.broker.peek(dead_queue(world.namespace), _AT_MOST)
    ]
