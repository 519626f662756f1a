"""From an error to what is told of it: the report that goes to the error queue and is shown to operators."""

from __future__ import annotations

import hashlib
from datetime import datetime
from urllib.parse import quote

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from messages.errors import Difference, ErrorKind, ErrorReport, ErrorSide, ErrorStatus
from messages.values import Known, Value, same
from store.model import Form, Image, OpenError, Side
from workers.mapping import MappedField, Mapping
from workers.rules.applicability import applicable, both_exist
from workers.rules.choices import disputed_by
from workers.rules.forms import agree, in_mapping_terms
from workers.rules.sentences import detail
from workers.rules.situation import Situation
from workers.rules.updates import MASK

RETRYABLE_CODES = frozenset({"unavailable", "rate_limited", "version_mismatch", "permission_denied"})
"""Failures that another try may cure without a change to the data."""

TITLES: dict[ErrorKind, str] = {
    ErrorKind.UPDATE_CONFLICT: "Both records were changed",
    ErrorKind.DELETION_CONFLICT: "A coupled record was deleted",
    ErrorKind.APPLY_FAILED: "An app refused an instruction",
    ErrorKind.NO_ANSWER: "An app does not answer",
    ErrorKind.VALUE_NOT_MAPPED: "A value is not in the value map",
    ErrorKind.REFERENCE_NOT_COUPLED: "A referenced record is not coupled",
    ErrorKind.MATCH_AMBIGUOUS: "A new record matches several",
    ErrorKind.LIMIT_EXCEEDED: "A mapping was paused by its limit",
}


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How an error ended."""

    at: datetime
    resolution: str
    by: str | None = None


def report(situation: Situation, error: OpenError, ending: Ending | None = None) -> ErrorReport:
    """Return all that there is to tell of ``error``, sensitive values masked."""
    mapping, coupling = situation.mapping, situation.coupling
    return ErrorReport(
        error=error.number,
        kind=error.kind,
        family=error.kind.family,
        status=error.status if ending is None else ErrorStatus.RESOLVED,
        revision=error.revision,
        mapping=mapping.name,
        coupling=coupling.id or None,
        title=TITLES[error.kind],
        detail=detail(situation, error),
        code=error.code,
        retryable=error.kind is ErrorKind.NO_ANSWER or error.code in RETRYABLE_CODES,
        confidence=error.confidence,
        confidence_reasons=error.confidence_reasons,
        left=_side(situation, Side.LEFT),
        right=_side(situation, Side.RIGHT),
        base=_base(situation),
        differences=differences(situation, error.contested if ending is not None else _to_be_named(situation, error)),
        actions=() if ending is not None else applicable(replace(situation, coupling=replace(coupling, error=error))),
        candidates=error.candidates,
        candidates_total=error.candidates_total,
        attempts=error.attempts,
        opened_at=error.opened_at,
        resolved_at=None if ending is None else ending.at,
        resolution=None if ending is None else ending.resolution,
        resolved_by=None if ending is None else ending.by,
        fingerprint=fingerprint(mapping.name, error),
        history=error.history,
    )


def _to_be_named(situation: Situation, error: OpenError) -> tuple[str, ...]:
    """The fields that are contested, whatever kind the error is of: a choice has to name them."""
    if not both_exist(situation):
        return error.contested
    _, disputed = disputed_by(situation)
    return tuple(state.field.name for state in disputed)


def fingerprint(mapping: str, error: OpenError) -> str:
    """Digest what errors of one cause have in common, for bulk work."""
    cause = "\0".join((mapping, error.kind, error.code or "", error.field or "", *sorted(error.contested)))
    return hashlib.blake2b(cause.encode(), digest_size=6).hexdigest()


def _side(situation: Situation, side: Side) -> ErrorSide | None:
    """One record as its app knows it, sensitive fields masked."""
    mapping, image, record = situation.mapping, situation.image(side), situation.coupling.record(side)
    if record is None:
        return None
    app = mapping.app(side)
    url = (
        None
        if app.record_url is None
        else app.record_url.format(table=quote(record.table, safe=""), key=quote(record.key, safe=""))
    )
    return ErrorSide(
        app=record.app,
        table=record.table,
        key=record.key,
        url=url,
        exists=image.exists,
        version=image.version,
        modified_by=image.modified_by,
        modified_at=image.modified_at,
        fields=masked(mapping, side, image),
    )


def masked(mapping: Mapping, side: Side, image: Image) -> dict[str, Value]:
    """Return the fields of ``image`` with those that are sensitive masked."""
    sensitive = mapping.sensitive(side)
    return {name: MASK if name in sensitive else value for name, value in image.fields.items()}


def _base(situation: Situation) -> dict[str, Value]:
    """The base in mapping terms, as far as there is one."""
    shown = {}
    for field in situation.mapping.fields:
        form = situation.coupling.base.get(field.name)
        if form is not None and form.agreed and form.left is not UNSET:
            shown[field.name] = MASK if field.sensitive else form.left
    return shown


def differences(situation: Situation, contested: tuple[str, ...]) -> tuple[Difference, ...]:
    """Return every mapped field in which the sides differ, contested ones marked, in mapping terms."""
    found = []
    for field in situation.mapping.fields:
        left = situation.left.fields.get(field.left, UNSET)
        right = situation.right.fields.get(field.right, UNSET)
        unknown = left is UNSET and right is UNSET
        if unknown or agree(field, left, right, situation.references):
            continue
        found.append(_difference(situation, field, left, right, contested=field.name in contested))
    return tuple(found)


def _difference(situation: Situation, field: MappedField, left: Known, right: Known, *, contested: bool) -> Difference:
    form = situation.coupling.base.get(field.name, Form())
    base = form.left if form.agreed else UNSET
    right = in_mapping_terms(field, right, Side.RIGHT, situation.references)
    if not field.sensitive:
        return Difference(field=field.name, contested=contested, base=base, left=left, right=right)
    left_mask, right_mask = (MASK, MASK) if same(left, right) else (f"{MASK} (left)", f"{MASK} (differs)")
    return Difference(
        field=field.name,
        contested=contested,
        base=UNSET if base is UNSET else MASK,
        left=UNSET if left is UNSET else left_mask,
        right=UNSET if right is UNSET else right_mask,
    )
