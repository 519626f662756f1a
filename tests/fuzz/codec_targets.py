"""What strangers send, and what operators feed to ``recouple publish``: taken whole, or refused with its faults."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Final

from msgspec.structs import replace

from messages.changes import Change
from messages.codec import (
    AppMessage,
    InvalidCommandError,
    Limits,
    MalformedMessageError,
    decode_answer,
    decode_app_message,
    decode_command,
    encode_answer,
    encode_change,
    encode_command,
    encode_dead,
    encode_outcome,
)
from messages.commands import Command, RefusalCode, Refused
from messages.dead import DeadLetter
from messages.dead_letters import encode_replay
from messages.orders import order_data, read_order
from messages.topology import changes_queue, commands_queue, dead_exchange
from messages.transport.limits import travels
from messages.transport.ports import Delivery, Properties, Publication
from messages.values import encode_json
from ops.reading_lines import read_lines
from tests.fuzz.sentinels import planted, untold
from tests.fuzz.verdicts import Verdict
from tests.unit.messages.samples import json_again

NS: Final = "recouple"
APP: Final = "bc"
AT: Final = datetime(2026, 11, 20, 8, tzinfo=UTC)
LIMITS: Final = Limits()
MAX_DETAIL_CHARACTERS: Final = 20_000
"""Of the words for twenty faults at most, each with a path of bounded length for every level."""

_LOOKED_AT_WITH_CARE: Final = rb'{"unknown":"\u0000",'
"""The beginning of an object that no quick look vouches for; the member itself is passed over."""

_REPLIES: Final = f"{NS}.replies.fuzz"


def app_messages(body: bytes) -> Verdict:
    """Any bytes, as a message of an app."""
    found = _said(body)
    assert _outcome(found) == _outcome(_said(body)), "the same bytes are not the same message"
    if (secret := planted(body)) is not None and isinstance(refused := _said(secret), MalformedMessageError):
        untold(refused.detail + refused.field, secret)
    if isinstance(found, MalformedMessageError):
        goes_to_dead(body, found, changes_queue(NS, APP))
        return Verdict.REJECTED
    with_care = _said(_LOOKED_AT_WITH_CARE + body.lstrip(b" \t\r\n")[1:])
    assert with_care == found, "the quick look and the careful one differ"
    assert _digest_again(body) in (None, found.digest), "the same content has another digest"
    sent = encode_change(found, NS) if isinstance(found, Change) else encode_outcome(found, NS)
    assert travels(sent)
    again = _said(sent.body)
    assert not isinstance(again, MalformedMessageError), again.detail
    assert replace(again, digest="") == replace(found, digest="")
    return Verdict.ACCEPTED


def commands(body: bytes) -> Verdict:
    """Any bytes, as a command."""
    found = _ordered(body)
    assert _outcome(found) == _outcome(_ordered(body)), "the same bytes are not the same command"
    if (secret := planted(body)) is not None and isinstance(refused := _ordered(secret), Exception):
        untold(str(refused), secret)
    if isinstance(found, MalformedMessageError):
        goes_to_dead(body, found, commands_queue(NS))
        return Verdict.REJECTED
    if isinstance(found, InvalidCommandError):
        untold(str(found), body)
        refusal = Refused(command=found.command.name, code=RefusalCode.INVALID, detail=str(found))
        answer = encode_answer(refusal, found.command, AT)
        assert travels(answer)
        assert decode_answer(answer.body) == refusal
        return Verdict.REJECTED
    assert _order_digest_again(body) in (None, found.digest), "the same content has another digest"
    assert read_order(found.name, encode_json(order_data(found.order, None)).decode()) == found.order
    sent = encode_command(found, NS, AT)
    assert travels(sent)
    again = _ordered(sent.body)
    assert isinstance(again, Command), again
    assert replace(again, digest="") == replace(found, digest="")
    return Verdict.ACCEPTED


def publish_lines(body: bytes) -> Verdict:
    """Any bytes, as a file that ``recouple publish`` reads: what it publishes, the workers take."""
    lines = list(read_lines(io.BytesIO(body), NS, LIMITS))
    assert sum(line.size_bytes for line in lines) <= len(body)
    publications = [line.publication for line in lines]
    assert publications == [line.publication for line in read_lines(io.BytesIO(body), NS, LIMITS)], "two readings"
    texts = body.split(b"\n")
    for line in lines:
        if line.publication is not None:
            _is_taken(line.publication)
        elif line.fault is not None:
            untold(line.fault.detail + line.fault.field, texts[line.number - 1])
    return Verdict.ACCEPTED if lines and all(publications) else Verdict.REJECTED


def _is_taken(publication: Publication) -> None:
    assert travels(publication)
    app = publication.routing_key.partition(".")[0]
    message = decode_app_message(publication.body, publication.properties, app, LIMITS)
    assert message.id == publication.properties.message_id


def goes_to_dead(body: bytes, refused: MalformedMessageError, queue: str) -> None:
    """See that ``body`` can go to dead and back, unchanged, and that its faults tell no value."""
    untold(refused.detail + refused.field, body)
    assert refused.detail
    assert len(refused.detail) <= MAX_DETAIL_CHARACTERS
    letter = DeadLetter(reason=refused.reason, detail=refused.detail, field=refused.field, queue=queue, at=AT)
    dead = encode_dead(Delivery(queue=queue, body=body, properties=Properties(), tag=1), letter, NS)
    assert (dead.exchange, dead.body) == (dead_exchange(NS), body)
    assert travels(dead)
    dug = Delivery(queue="", body=dead.body, properties=dead.properties, tag=1, routing_key=dead.routing_key)
    replay = encode_replay(dug)
    assert (replay.exchange, replay.routing_key, replay.body) == ("", queue, body)
    assert travels(replay)
    assert not replay.properties.headers


def _said(body: bytes) -> AppMessage | MalformedMessageError:
    try:
        return decode_app_message(body, Properties(), APP, LIMITS)
    except MalformedMessageError as error:
        return error


def _ordered(body: bytes) -> Command | MalformedMessageError | InvalidCommandError:
    try:
        return decode_command(body, Properties(reply_to=_REPLIES), NS, LIMITS)
    except (MalformedMessageError, InvalidCommandError) as error:
        return error


def _outcome(found: object) -> object:
    return (type(found), str(found)) if isinstance(found, Exception) else found


def _digest_again(body: bytes) -> str | None:
    if (again := _again(body)) is None:
        return None
    said = _said(again)
    assert not isinstance(said, MalformedMessageError), said.detail
    return said.digest


def _order_digest_again(body: bytes) -> str | None:
    if (again := _again(body)) is None:
        return None
    ordered = _ordered(again)
    assert isinstance(ordered, Command), ordered
    return ordered.digest


def _again(body: bytes) -> bytes | None:
    try:
        return json_again(body)
    except (ValueError, ArithmeticError):  # in a member that nobody reads
        return None
