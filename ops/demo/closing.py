"""The end of the day: what the queues, the log and the two apps hold, and whether that is what it should be."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from messages.changes import Change
from messages.codec import decode_error
from messages.dead import DeadReason
from messages.dead_letters import HEADER_PREFIX
from messages.errors import ErrorEvent, ErrorKind, ErrorReport, ErrorStatus
from messages.records import RecordRef
from messages.topology import dead_queue, errors_queue
from messages.values import Known, Value, encode_json
from ops.demo.scenes import DELETED, DISPUTED, SCENES
from ops.demo.stage import Check, Scene
from ops.demo.world import World
from store import couplings as coupling_store
from store import errors as error_store
from store import log as log_store
from store.errors import ErrorFilters
from store.model import CouplingStatus
from workers.mapping import MappedField, Mapping
from workers.mapping_file import load_mapping_file

COUPLED_PER_MAPPING = 91
_AT_MOST = 1000


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


class Apart(msgspec.Struct, frozen=True, kw_only=True):
    """Two coupled records that are not in step: in which fields, by their left names, or which of the two is gone."""

    left: str
    right: str
    fields: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """How many records of one mapping are coupled, and which of them are not in step."""

    mapping: str
    couplings: int
    apart: tuple[Apart, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole demo, as ``--json`` has it.

    Attributes:
        as_it_should: Whether everything is; ``faults`` says what is not.
        log: Lines of the synchronization log by outcome.
        errors: The error queue, oldest first; looked at, not taken.
        folder: Where it all lies, if it was kept.
    """

    as_it_should: bool
    faults: tuple[str, ...]
    scenes: tuple[Scene, ...]
    checks: tuple[Check, ...]
    log: dict[str, int]
    errors: tuple[Told, ...]
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
    agreement = tuple(_agreements(world))
    with world.store.reading() as conn:
        log = log_store.tally(conn)
        open_now = error_store.page(conn, ErrorFilters(status=frozenset({ErrorStatus.OPEN})), _AT_MOST)
    checks = (
        *_of_errors(errors),
        Check("the store has the same errors open", open_now == [told.error for told in errors]),
        Check("no sensitive value stands in the error queue", not _leaked(world, bodies)),
        Check("one message is dead, as malformed", [one.reason for one in dead] == [DeadReason.MALFORMED]),
        *_of_agreement(agreement),
        Check("the worker stopped in good order", world.worker is not None and world.worker.returncode == 0),
    )
    faults += [
        f"{scene.title}: not so: {check.sentence}" for scene in scenes for check in scene.checks if not check.holds
    ]
    if len(scenes) < len(SCENES):
        faults.append(f"only {len(scenes)} of {len(SCENES)} scenes were played")
    faults += [f"in the end: not so: {check.sentence}" for check in checks if not check.holds]
    return Report(
        as_it_should=not faults,
        faults=tuple(faults),
        scenes=tuple(scenes),
        checks=checks,
        log=log,
        errors=errors,
        dead=dead,
        agreement=agreement,
    )


def _of_errors(errors: tuple[Told, ...]) -> list[Check]:
    found = [(told.event, told.error.kind, None if told.error.left is None else told.error.left.key) for told in errors]
    expected = [
        (ErrorEvent.OPENED, ErrorKind.UPDATE_CONFLICT, DISPUTED),
        (ErrorEvent.OPENED, ErrorKind.DELETION_CONFLICT, DELETED),
    ]
    return [
        Check(f"the error queue holds the {kind} of {key}", (event, kind, key) in found)
        for event, kind, key in expected
    ] + [Check("and no other error", len(found) == len(expected))]


def _of_agreement(agreement: tuple[Agreement, ...]) -> list[Check]:
    return [
        Check(
            f"{COUPLED_PER_MAPPING} records are coupled under each mapping",
            all(one.couplings == COUPLED_PER_MAPPING for one in agreement),
        ),
        Check(
            "all are in step but the two of the open errors",
            [RecordRef.parse(apart.left).key for one in agreement for apart in one.apart] == [DISPUTED, DELETED],
        ),
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


def _agreements(world: World) -> list[Agreement]:
    mappings = load_mapping_file(world.settings.config).mappings.values()
    return [_agreement(world, mapping) for mapping in mappings]


def _agreement(world: World, mapping: Mapping) -> Agreement:
    """Compare the two apps' own records, with a translation of our own: nothing here asks the rules."""
    pairs, keys = _coupled(world, mapping.name), {}
    for field in mapping.fields:
        if field.reference is not None:
            keys[field.reference] = {left.key: right.key for left, right in _coupled(world, field.reference)}
    lefts, rights = world.bc.records(), world.sales.records()
    apart = []
    for left, right in pairs:
        gone = tuple(str(one) for one in (left, right) if one not in (lefts | rights))
        fields = (
            ()
            if gone
            else tuple(
                field.name
                for field in mapping.fields
                if _in_right_form(field, lefts[left].fields.get(field.left, UNSET), keys)
                != rights[right].fields.get(field.right, UNSET)
            )
        )
        if gone or fields:
            apart.append(Apart(left=str(left), right=str(right), fields=fields, gone=gone))
    return Agreement(mapping=mapping.name, couplings=len(pairs), apart=tuple(apart))


def _coupled(world: World, mapping: str) -> list[tuple[RecordRef, RecordRef]]:
    with world.store.reading() as conn:
        found = coupling_store.page(conn, mapping=mapping, limit=_AT_MOST)
    return [
        (coupling.left, coupling.right)
        for coupling in found
        if coupling.status is CouplingStatus.ACTIVE and coupling.left is not None and coupling.right is not None
    ]


def _in_right_form(field: MappedField, value: Known, keys: dict[str, dict[str, str]]) -> Known:
    if value in (None, "", UNSET):
        return value
    if field.reference is not None:
        return keys[field.reference].get(value, UNSET)
    return dict(field.values).get(value, UNSET) if field.values else value
