"""Whether bytes are a JSON document that can be taken at all, and the document as it stands.

``is_plain`` and ``is_kept_whole`` are the cheap looks that every message gets; only what they cannot vouch for is read
again, by ``read_document``, which keeps all that is needed to tell its faults.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from decimal import Decimal
from typing import Any, Final, NoReturn

from messages.dead import DeadReason
from messages.envelope import Limits
from messages.faults import MalformedMessageError
from messages.transport.ports import Properties

MAX_DIGITS: Final = 38
"""Of a number that is kept; what databases commonly keep exactly."""

MAX_EXPONENT: Final = 308
"""Of a number that is kept, up and down; that of IEEE 754 doubles, which most apps compute in."""

_TOO_LARGE: Final = 10**MAX_DIGITS
_LONGEST_NUMBER: Final = 400
"""Characters; a number within both limits is never longer, so that nothing longer is even converted."""

_PLAIN_ENCODINGS: Final = frozenset({None, "", "utf-8", "UTF-8", "utf8", "identity"})

_DIGITS_AS_ZERO: Final = bytes.maketrans(b"123456789", b"000000000")
_WHITE_SPACE: Final = b" \t\n\r"
_TOO_MANY_DIGITS: Final = b"0" * (MAX_DIGITS + 1)


class Members(dict[str, Any]):
    """A JSON object, with the names that it holds twice."""

    twice: frozenset[str] = frozenset()


class UnfitNumber:
    """Stands in the document for a number that cannot be kept."""


def exact_decimal(text: str) -> Decimal:
    """Return the number that ``text`` spells, digit for digit.

    Raises:
        ValueError: it has too many digits or too large an exponent.
    """
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("number out of range")
    try:
        number = Decimal(text)
    except ArithmeticError as error:  # an exponent that even Decimal cannot hold
        raise ValueError("number out of range") from error
    # the text is the cheaper measure of digits, and settles it for nearly all
    if abs(number.adjusted()) > MAX_EXPONENT or (len(text) > MAX_DIGITS and not is_fit(number)):
        raise ValueError("number out of range")
    return number


def is_fit(number: int | Decimal) -> bool:
    """Say whether ``number`` is finite, and within the digits and exponents that are kept."""
    if isinstance(number, int):
        return -_TOO_LARGE < number < _TOO_LARGE
    return number.is_finite() and len(number.as_tuple().digits) <= MAX_DIGITS and abs(number.adjusted()) <= MAX_EXPONENT


def is_plain(body: bytes, properties: Properties, limits: Limits) -> bool:
    """Say whether nothing but the content of ``body`` can be wrong with it; ``False`` means: look with care."""
    if len(body) > limits.max_body_bytes or properties.content_encoding not in _PLAIN_ENCODINGS:
        return False
    if body.count(b"{") + body.count(b"[") > limits.max_depth:
        return False
    if not body.isascii():
        body.decode()
    return not (b"\\" in body and b"\\u0000" in body)


def is_kept_whole(body: bytes, members: int) -> bool:
    """Say whether ``body``, decoded into so many members, surely names none twice and holds no integer too long.

    White space aside, every name is followed by ``":``. Text may hold that as well, and long rows of digits, so that
    the looks never see too little. ``False`` means: look with care.
    """
    squeezed = body.translate(_DIGITS_AS_ZERO, _WHITE_SPACE)
    return squeezed.count(b'":') == members and _TOO_MANY_DIGITS not in squeezed


def read_document(body: bytes, properties: Properties, limits: Limits) -> Any:
    """Return the JSON document in ``body``: objects as ``Members``, numbers exact or ``UnfitNumber``.

    Raises:
        MalformedMessageError: too large, wrongly encoded, too deep, or no JSON.
    """
    if len(body) > limits.max_body_bytes:
        _refuse(DeadReason.TOO_LARGE, f"the message has {len(body)} bytes, at most {limits.max_body_bytes} are taken")
    text = _decoded(body, properties)
    if _deeper_than(limits.max_depth, body):
        _refuse(DeadReason.TOO_DEEP, f"the document is nested deeper than {limits.max_depth} levels")
    try:
        return json.loads(
            text,
            object_pairs_hook=_members,
            parse_int=_integer,
            parse_float=_decimal,
            parse_constant=_no_constant,
        )
    except json.JSONDecodeError as error:
        _refuse(DeadReason.NOT_JSON, f"no JSON document: {error.msg} at character {error.pos}")


def _decoded(body: bytes, properties: Properties) -> str:
    if properties.content_encoding not in _PLAIN_ENCODINGS:
        _refuse(DeadReason.WRONG_ENCODING, "content_encoding: expected utf-8 or none")
    if (encoding := json.detect_encoding(body)) != "utf-8":
        # detect_encoding calls UTF-8 with a byte order mark utf-8-sig
        found = "a byte order mark" if encoding == "utf-8-sig" else encoding.upper()
        _refuse(DeadReason.WRONG_ENCODING, f"expected UTF-8 without byte order mark, found {found}")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        _refuse(DeadReason.WRONG_ENCODING, f"byte {error.start} is not UTF-8")


_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _deeper_than(limit: int, body: bytes) -> bool:
    """Say whether objects and lists are nested deeper than ``limit``, without reading the document."""
    depth = 0
    for bracket in _STRINGS.sub(b"", body).translate(None, _ALL_BUT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > limit:
            return True
    return False


def _members(pairs: list[tuple[str, Any]]) -> Members:
    members = Members(pairs)
    if len(members) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        members.twice = frozenset(name for name, count in counts.items() if count > 1)
    return members


def _integer(text: str) -> int | UnfitNumber:
    return int(text) if len(text.lstrip("-")) <= MAX_DIGITS else UnfitNumber()


def _decimal(text: str) -> Decimal | UnfitNumber:
    try:
        return exact_decimal(text)
    except ValueError:
        return UnfitNumber()


def _no_constant(name: str) -> NoReturn:
    _refuse(DeadReason.NOT_JSON, f"no JSON document: {name} is no number in JSON")


def _refuse(reason: DeadReason, detail: str) -> NoReturn:
    raise MalformedMessageError(reason, detail)
