"""Every kind of bad input has its reason, its field, and words that name all faults and no value."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest

from messages.changes import Change
from messages.codec import Limits, MalformedMessageError
from messages.dead import DeadReason
from messages.transport.ports import Properties
from messages.values import decode_json, encode_json, same
from tests.unit.messages.samples import ABSENT, APPLIED, CHANGE, FAILED, PROPERTIES, changed, compact, decode, refusal

VERSION = "expected an integer from 0 to 9223372036854775807, found "
SUBJECT = "expected <table>/<key> with a key of 1 to 1024 bytes, found "

MEMBERS: list[tuple[dict[str, Any], str, Any, DeadReason, str]] = [
    (CHANGE, "specversion", "0.3", DeadReason.MALFORMED, 'expected "1.0", found text'),
    (CHANGE, "specversion", ABSENT, DeadReason.MALFORMED, 'missing, expected "1.0"'),
    (CHANGE, "id", "", DeadReason.MALFORMED, "expected text of 1 to 200 bytes, found 0 bytes"),
    (CHANGE, "id", "x" * 201, DeadReason.MALFORMED, "expected text of 1 to 200 bytes, found 201 bytes"),
    (CHANGE, "id", "ü" * 101, DeadReason.MALFORMED, "expected text of 1 to 200 bytes, found 202 bytes"),
    (CHANGE, "id", 7, DeadReason.MALFORMED, "expected text of 1 to 200 bytes, found an integer"),
    (CHANGE, "id", None, DeadReason.MALFORMED, "expected text of 1 to 200 bytes, found null"),
    (CHANGE, "id", "a\0b", DeadReason.NUL_CHARACTER, "holds the character U+0000"),
    (CHANGE, "source", "sales", DeadReason.WRONG_SOURCE, "expected bc or bc/…"),
    (CHANGE, "source", "bcx", DeadReason.WRONG_SOURCE, "expected bc or bc/…"),
    (CHANGE, "source", "bc/" + "ü" * 100, DeadReason.MALFORMED, "found 203 bytes"),
    (CHANGE, "source", "", DeadReason.MALFORMED, "found 0 bytes"),
    (CHANGE, "type", ABSENT, DeadReason.MALFORMED, "missing, expected text"),
    (CHANGE, "type", 1, DeadReason.MALFORMED, "expected text, found an integer"),
    (CHANGE, "type", "recouple.instruction", DeadReason.UNKNOWN_TYPE, "expected one of recouple.record.changed"),
    (CHANGE, "type", "a\0b", DeadReason.NUL_CHARACTER, "U+0000"),
    (CHANGE, "subject", ABSENT, DeadReason.MALFORMED, "missing, expected <table>/<key>"),
    (CHANGE, "subject", "customer", DeadReason.MALFORMED, SUBJECT + "a key of 0 bytes"),
    (CHANGE, "subject", "customer/", DeadReason.MALFORMED, SUBJECT + "a key of 0 bytes"),
    (CHANGE, "subject", "/10000", DeadReason.MALFORMED, "the name of a table must not be empty"),
    (CHANGE, "subject", "customer/" + "k" * 1025, DeadReason.MALFORMED, SUBJECT + "a key of 1025 bytes"),
    (CHANGE, "subject", "customer/" + "€" * 342, DeadReason.MALFORMED, SUBJECT + "a key of 1026 bytes"),
    (CHANGE, "subject", "c." * 40 + "/1", DeadReason.MALFORMED, "takes 160 bytes in a routing key"),
    (CHANGE, "subject", "customer/a\0", DeadReason.NUL_CHARACTER, "U+0000"),
    (CHANGE, "time", "yesterday", DeadReason.MALFORMED, "expected a time with its offset"),
    (CHANGE, "time", "2026-11-20T08:00:00", DeadReason.MALFORMED, "expected a time with its offset"),
    (CHANGE, "time", 1795161600, DeadReason.MALFORMED, "RFC 3339, such as 2026-11-20T08:00:00Z, found an integer"),
    (CHANGE, "time", "0001-01-01T00:00:00+14:00", DeadReason.MALFORMED, "in the years 1 to 9999 in UTC"),
    (CHANGE, "data", ABSENT, DeadReason.MALFORMED, "missing, expected an object"),
    (CHANGE, "data", [1], DeadReason.MALFORMED, "expected an object, found a list"),
    (CHANGE, "data.operation", "upsert", DeadReason.MALFORMED, "one of create, update, delete, read, found text"),
    (CHANGE, "data.operation", ABSENT, DeadReason.MALFORMED, "missing, expected one of create"),
    (CHANGE, "data.version", -1, DeadReason.MALFORMED, VERSION + "an integer"),
    (CHANGE, "data.version", 2**63, DeadReason.MALFORMED, VERSION + "an integer"),
    (CHANGE, "data.version", True, DeadReason.MALFORMED, VERSION + "true or false"),
    (CHANGE, "data.version", "1", DeadReason.MALFORMED, VERSION + "text"),
    (CHANGE, "data.version", 1.0, DeadReason.MALFORMED, VERSION + "a number with a fraction"),
    (CHANGE, "data.version", 10**38, DeadReason.NUMBER_OUT_OF_RANGE, "more than 38 digits"),
    (CHANGE, "data.fields", ABSENT, DeadReason.MALFORMED, "only a delete may leave it out"),
    (CHANGE, "data.fields", None, DeadReason.MALFORMED, "found null; only a delete may leave it out"),
    (CHANGE, "data.fields", ["name"], DeadReason.MALFORMED, "expected an object, found a list"),
    (CHANGE, "data.fields.name", "a\0b", DeadReason.NUL_CHARACTER, "U+0000"),
    (CHANGE, "data.fields.lines", [{"note": "\0"}], DeadReason.NUL_CHARACTER, "data.fields.lines[0].note"),
    (CHANGE, "data.fields.na\0me", "x", DeadReason.NUL_CHARACTER, "its name holds the character U+0000"),
    (CHANGE, "data.modified_by", 5, DeadReason.MALFORMED, "expected text, found an integer"),
    (CHANGE, "data.instruction", "", DeadReason.MALFORMED, "expected text of 1 to 200 bytes, found 0 bytes"),
    (CHANGE, "data.instruction", "ü" * 101, DeadReason.MALFORMED, "found 202 bytes"),
    (APPLIED, "data.instruction", ABSENT, DeadReason.MALFORMED, "missing, expected text"),
    (APPLIED, "data.attempt", 0, DeadReason.MALFORMED, "expected an integer from 1 to"),
    (APPLIED, "data.key", "ü" * 513, DeadReason.MALFORMED, "found 1026 bytes"),
    (APPLIED, "data.version", 1.5, DeadReason.MALFORMED, VERSION + "a number with a fraction"),
    (APPLIED, "data.fields", "x", DeadReason.MALFORMED, "expected an object, found text"),
    (FAILED, "data.code", "broken", DeadReason.MALFORMED, "expected one of permission_denied, "),
    (FAILED, "data.code", ABSENT, DeadReason.MALFORMED, "missing, expected one of permission_denied"),
    (FAILED, "data.detail", {}, DeadReason.MALFORMED, "expected text, found an object"),
    (FAILED, "data.retry_after", -1, DeadReason.MALFORMED, "expected a number of seconds from 0 to 604800"),
    (FAILED, "data.retry_after", 604801, DeadReason.MALFORMED, "expected a number of seconds from 0 to 604800"),
    (FAILED, "data.retry_after", "5", DeadReason.MALFORMED, "expected a number of seconds from 0 to 604800"),
]


@pytest.mark.parametrize(("event", "path", "value", "reason", "words"), MEMBERS)
def test_bad_member(event: dict[str, Any], path: str, value: Any, reason: DeadReason, words: str) -> None:
    """A bad member that was taken would do harm later; one without its path leaves the night operator guessing."""
    error = refusal(changed(event, path, value))
    assert (error.reason, words in error.detail) == (reason, True), error.detail
    shown = path.replace("\0", "\\x00")
    assert error.field.startswith(shown)
    assert shown in error.detail


@pytest.mark.parametrize(
    ("number", "taken"),
    [
        ("9" * 38, True),
        ("-" + "9" * 38, True),
        ("0." + "1" * 38, True),
        ("12345678901234567890.123456789012345678", True),
        ("1e308", True),
        ("1e-308", True),
        ("0." + "0" * 307 + "1", True),
        ("9" * 39, False),
        ("-" + "9" * 39, False),
        ("1." + "1" * 38, False),
        ("1e309", False),
        ("1e-309", False),
        ("10e308", False),
        ("1e99999999999999999999", False),
        ("9" * 5000, False),
        ("0." + "1" * 5000, False),
    ],
)
def test_numbers(number: str, *, taken: bool) -> None:
    """A number that is kept must be kept exactly; one that cannot be must be refused, by name, and never crash."""
    body = compact(CHANGE).replace(b"10000}", number.encode() + b"}")
    if taken:
        message = decode(body)
        assert isinstance(message, Change)
        assert Decimal(message.fields["limit"]) == Decimal(number)
        assert same(decode_json(encode_json(message.fields["limit"])), message.fields["limit"])
    else:
        error = refusal(body)
        assert (error.reason, error.field) == (DeadReason.NUMBER_OUT_OF_RANGE, "data.fields.limit")


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        (b"", DeadReason.NOT_JSON, "no JSON document"),
        (b"{", DeadReason.NOT_JSON, "no JSON document"),
        (b"\0" * 10, DeadReason.WRONG_ENCODING, "UTF-32"),
        (b"nonsense", DeadReason.NOT_JSON, "no JSON document"),
        (b"null", DeadReason.MALFORMED, "expected an object, found null"),
        (b"[]", DeadReason.MALFORMED, "expected an object, found a list"),
        (b"{}", DeadReason.MALFORMED, "type: missing"),
        (compact(CHANGE) + b"{}", DeadReason.NOT_JSON, "no JSON document"),
        (compact(CHANGE).replace(b"10000}", b"NaN}"), DeadReason.NOT_JSON, "NaN is no number"),
        (compact(CHANGE).replace(b"10000}", b"-Infinity}"), DeadReason.NOT_JSON, "-Infinity is no number"),
        (compact(CHANGE).replace(b"10000}", b"01}"), DeadReason.NOT_JSON, "no JSON document"),
        (compact(CHANGE).replace(b"Adatum", b"Ada\ntum"), DeadReason.NOT_JSON, "no JSON document"),
        (compact(CHANGE).replace(b"Adatum", b"Ada\xfftum"), DeadReason.WRONG_ENCODING, "is not UTF-8"),
        (compact(CHANGE).replace(b"jane", b"\xed\xa0\x80"), DeadReason.WRONG_ENCODING, "is not UTF-8"),
        (compact(CHANGE).replace(b'"data"', b'"x":"\xff","data"'), DeadReason.WRONG_ENCODING, "is not UTF-8"),
        (b"\xef\xbb\xbf" + compact(CHANGE), DeadReason.WRONG_ENCODING, "found a byte order mark"),
        (compact(CHANGE).decode().encode("utf-16"), DeadReason.WRONG_ENCODING, "found UTF-16"),
        (compact(CHANGE).decode().encode("utf-16-be"), DeadReason.WRONG_ENCODING, "found UTF-16-BE"),
        (compact(CHANGE).replace(b"Adatum", b"\\ud800"), DeadReason.MALFORMED, "data.fields.name: holds half of a"),
        (compact(CHANGE).replace(b"update", b"\\ud800"), DeadReason.MALFORMED, "data.operation: holds half of a"),
        (compact(CHANGE).replace(b"2026", b"\\udc00"), DeadReason.MALFORMED, "time: holds half of a"),
        (compact(CHANGE).replace(b"customer", b"\\udc00"), DeadReason.MALFORMED, "subject: holds half of a"),
        (compact(CHANGE).replace(b'"name"', b'"\\udc00"'), DeadReason.MALFORMED, "its name holds half of a"),
        (compact(CHANGE).replace(b'"data"', b'"x":"\\ud800","data"'), DeadReason.NOT_JSON, "not Unicode"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, DeadReason.TOO_DEEP, "deeper than 32"),
        (b"[" * 100_000, DeadReason.TOO_DEEP, "deeper than 32"),
        (b'{"data":' + b"[" * 100_000, DeadReason.TOO_DEEP, "deeper than 32"),
        (b"x" * 1_048_577, DeadReason.TOO_LARGE, "1048577 bytes, at most 1048576"),
        (b'"' + b'\\"' * 500_000, DeadReason.NOT_JSON, "no JSON document"),
    ],
)
def test_bad_bytes(body: bytes, reason: DeadReason, words: str) -> None:
    """Hostile bytes must have a reason, soon: a worker that crashes or hangs on them does so again and again."""
    started = time.perf_counter()
    error = refusal(body)
    assert (error.reason, words in error.detail) == (reason, True), error.detail
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("encoding", ["gzip", "utf-16", "base64", "latin-1"])
def test_other_content_encoding(encoding: str) -> None:
    """What says that it is compressed must not be read as if it were not."""
    error = refusal(CHANGE, Properties(content_encoding=encoding))
    assert error.reason == DeadReason.WRONG_ENCODING


@pytest.mark.parametrize("encoding", [None, "", "utf-8", "UTF-8", "identity"])
def test_plain_content_encoding(encoding: str | None) -> None:
    """Clients that name the encoding that we want must be heard."""
    assert decode(compact(CHANGE), Properties(content_encoding=encoding)).id == "e-1"


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        (b'"id":"e-1"', b'"id":"e-1","id":"e-1"', "id"),
        (b'"id":"e-1"', b'"id" :"e-0","id":"e-1"', "id"),
        (b'"id":"e-1"', b'"id"\n:"e-0","id":"e-1"', "id"),
        (b'"id":"e-1"', b'"id"\t:"e-0","id":"e-1"', "id"),
        (b'"id":"e-1"', b'"id"\r:"e-0","id":"e-1"', "id"),
        (b'"id":"e-1"', b'"\\u0069d":"e-0","id":"e-1"', "id"),
        (b'"type":', b'"type":"recouple.instruction.failed","type":', "type"),
        (b'"data":{', b'"data":{},"data":{', "data"),
        (b'"version":17', b'"version":17,"version":18', "data.version"),
        (b'"name":', b'"name":"x","name":', "data.fields.name"),
        (b'"name":"Adatum"', b'"name":{"a":{"b":1,"b":2}}', "data.fields.name.a.b"),
        (b'"name":"Adatum"', b'"name":[{"b":1,"b":2}]', "data.fields.name[0].b"),
    ],
)
def test_member_that_stands_twice(old: bytes, new: bytes, field: str) -> None:
    """Two readers take different ones of two; which was meant is not known, so neither may be taken."""
    body = compact(CHANGE)
    assert old in body
    error = refusal(body.replace(old, new))
    assert (error.reason, error.field) == (DeadReason.DUPLICATE_MEMBER, field)


def test_all_faults_are_listed() -> None:
    """Whoever mends an app wants to mend it once, not fault by fault."""
    event = changed(CHANGE, "specversion", ABSENT)
    event = changed(event, "time", "soon")
    event = changed(event, "source", "sales")
    event = changed(event, "data.version", "17")
    event = changed(event, "data.operation", "upsert")
    error = refusal(changed(event, "data.fields.name", "a\0"))
    for field in ("specversion", "time", "source", "data.version", "data.operation", "data.fields.name"):
        assert f"{field}: " in error.detail
    assert (error.reason, error.field) == (DeadReason.NUL_CHARACTER, "data.fields.name")


def test_no_value_is_told() -> None:
    """Values are personal data; the detail is logged and stands in headers."""
    typed = "Mrs Smith, 3 Baker Street"
    for path in ("specversion", "type", "source", "time", "data.version", "data.operation", "data.modified_by"):
        event = changed(changed(CHANGE, "data.fields.name", typed + "\0"), path, [typed])
        assert typed not in refusal(event).detail
        event = changed(CHANGE, path, typed + "\0")
        assert typed not in refusal(event).detail


def test_details_stay_short() -> None:
    """A message with thousands of faults would otherwise make a header that closes the connection."""
    error = refusal(changed(CHANGE, "data.fields", {f"field {number} " + "x" * 500: "\0" for number in range(900)}))
    assert len(error.detail) < 4000


def test_binary_data_is_missing_data() -> None:
    """``data_base64`` is legal CloudEvents, but nothing that we can read."""
    error = refusal(changed(changed(CHANGE, "data", ABSENT), "data_base64", "e30="))
    assert (error.reason, error.field) == (DeadReason.MALFORMED, "data")


def test_limit_is_a_setting() -> None:
    """An installation with larger records raises the limit; it must be looked at."""
    with pytest.raises(MalformedMessageError) as raised:
        decode(compact(CHANGE), PROPERTIES, Limits(max_body_bytes=100))
    assert raised.value.reason == DeadReason.TOO_LARGE


def test_32_levels_are_taken() -> None:
    """The limit itself is allowed, and brackets in text are no levels."""
    deep: Any = "[[[[" * 100
    for _ in range(29):
        deep = [deep]
    assert decode(changed(CHANGE, "data.fields.deep", deep)).id == "e-1"
    assert refusal(changed(CHANGE, "data.fields.deep", [deep])).reason == DeadReason.TOO_DEEP
