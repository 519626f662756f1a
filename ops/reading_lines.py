"""Reads a file of change events line by line, however long it is: each line becomes a publication, or its faults."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

import msgspec

from messages.changes import Change
from messages.codec import (
    AppMessage,
    Limits,
    MalformedMessageError,
    decode_app_message,
    encode_change,
    encode_outcome,
    expand_short,
)
from messages.dead import DeadReason
from messages.documents import Members, read_document
from messages.transport.ports import Properties, Publication

_APP = re.compile("[a-z0-9_-]{1,40}")
_REST_BYTES = 65_536


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line that holds something.

    Attributes:
        number: From one, empty lines counted.
        size_bytes: How far the file was read for it.
        publication: What is to be published, or ``None`` with ``fault``.
    """

    number: int
    size_bytes: int
    publication: Publication | None = None
    fault: MalformedMessageError | None = None


def read_lines(file: IO[bytes], ns: str, limits: Limits) -> Iterator[Line]:
    """Yield every line of ``file`` that is not empty; never holds more than one, nor of that more than the limit."""
    number = 0
    # One byte more than allowed, and a line feed: what does not fit in that is too long.
    while body := file.readline(limits.max_body_bytes + 2):
        number += 1
        size = len(body) + _skip_rest(file, body)
        if text := body.strip():
            yield _line(text, Line(number=number, size_bytes=size), ns, limits)


def _skip_rest(file: IO[bytes], body: bytes) -> int:
    skipped = 0
    while body and not body.endswith(b"\n"):
        body = file.readline(_REST_BYTES)
        skipped += len(body)
    return skipped


def _line(body: bytes, line: Line, ns: str, limits: Limits) -> Line:
    try:
        return msgspec.structs.replace(line, publication=_publication(body, ns, limits))
    except MalformedMessageError as fault:
        return msgspec.structs.replace(line, fault=fault)


def _publication(body: bytes, ns: str, limits: Limits) -> Publication:
    document = read_document(body, Properties(), limits)
    if not isinstance(document, Members):
        raise MalformedMessageError(DeadReason.MALFORMED, "expected an object in each line")
    if "specversion" not in document:
        return _within(encode_change(expand_short(document), ns), limits)
    source = document.get("source")
    app = source.partition("/")[0] if isinstance(source, str) else ""
    message = decode_app_message(body, Properties(), app, limits)
    if not _APP.fullmatch(app):
        words = "source: expected an app, or <app>/…; an app is 1 to 40 of the characters a-z, 0-9, _ and -"
        raise MalformedMessageError(DeadReason.WRONG_SOURCE, words, "source")
    # The event itself goes as it was written, with whatever else stands in it.
    return msgspec.structs.replace(_encoded(message, str(source), ns), body=body)


def _within(publication: Publication, limits: Limits) -> Publication:
    """Return ``publication``, unless what a short line stands for is longer than the workers take."""
    if len(publication.body) > limits.max_body_bytes:
        words = f"as an event it takes {len(publication.body)} bytes, at most {limits.max_body_bytes} are taken"
        raise MalformedMessageError(DeadReason.TOO_LARGE, words)
    return publication


def _encoded(message: AppMessage, source: str, ns: str) -> Publication:
    return encode_change(message, ns, source) if isinstance(message, Change) else encode_outcome(message, ns)
