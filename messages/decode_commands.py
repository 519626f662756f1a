"""What is ordered, read: refused to dead where nobody can be answered, refused by an answer where somebody can."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

from messages.commands import Command
from messages.dead import DeadReason
from messages.documents import Members, read_document
from messages.envelope import COMMAND_PREFIX, Attributes, Limits, carried_trace, content_digest
from messages.envelope_faults import envelope_faults, unkept_in
from messages.faults import CommandHead, Fault, InvalidCommandError, in_words, refuse_if_any
from messages.orders import ORDERS
from messages.shapes import converted, kept_faults, kind_of, shape_faults, twice
from messages.topology import is_reply_queue
from messages.transport.ports import Properties

_NAME = re.compile("[a-z_]{1,40}")


def decode_command(body: bytes, properties: Properties, ns: str, limits: Limits) -> Command:
    """Return what is ordered in ``body``.

    Raises:
        MalformedMessageError: its envelope cannot be used, or its answer would go to a queue that takes none.
        InvalidCommandError: what it orders is unknown or wrong; whoever ordered it gets to know.
    """
    document = read_document(body, properties, limits)
    refuse_if_any(chain(_command_faults(document), _reply_faults(properties.reply_to, ns)))
    head = CommandHead(
        id=document["id"],
        source=document["source"],
        name=_shown_name(document["type"]),
        reply_to=properties.reply_to,
        user_id=properties.user_id,
        traceparent=carried_trace(document.get("traceparent")),
    )
    if faults := in_words(_data_faults(document, head.name)):
        raise InvalidCommandError(head, faults)
    form = ORDERS[head.name]
    data = converted(form.shape, document["data"])
    return Command(
        id=head.id,
        source=head.source,
        name=head.name,
        order=form.read(data),
        reason=data.reason or None,
        reply_to=head.reply_to,
        user_id=head.user_id,
        traceparent=head.traceparent,
        digest=content_digest(head.name, "", data),
    )


def head_of(properties: Properties, ns: str) -> CommandHead | None:
    """Return what the properties say of a command whose body must not be read again, ``None`` where that is too little.

    Nothing of it is checked against the body: it is good for saying no, and for nothing else.
    """
    type_ = properties.type or ""
    if not properties.message_id or not type_.startswith(COMMAND_PREFIX):
        return None
    if any(_reply_faults(properties.reply_to, ns)):
        return None
    return CommandHead(
        id=properties.message_id,
        source=properties.app_id or "?",
        name=_shown_name(type_),
        reply_to=properties.reply_to,
        user_id=properties.user_id,
    )


def _shown_name(type_: str) -> str:
    name = type_.removeprefix(COMMAND_PREFIX)
    return name if _NAME.fullmatch(name) else "?"


def _command_faults(document: Any) -> Iterator[Fault]:
    if not isinstance(document, dict):
        yield Fault(DeadReason.MALFORMED, "", f"expected an object, found {kind_of(document)}")
        return
    yield from unkept_in(document, Attributes)
    yield from envelope_faults(document, Attributes)
    type_ = document.get("type")
    if isinstance(type_, str) and not type_.startswith(COMMAND_PREFIX):
        yield Fault(DeadReason.UNKNOWN_TYPE, "type", f"expected {COMMAND_PREFIX}<name>")


def _reply_faults(reply_to: str | None, ns: str) -> Iterator[Fault]:
    if reply_to is not None and not is_reply_queue(ns, reply_to):
        expected = f"a queue named by the server, amq.rabbitmq.reply-to or {ns}.replies.…"
        words = f"expected {expected}: no command makes us write into another's queue"
        yield Fault(DeadReason.REPLY_NOT_ALLOWED, "reply_to", words)


def _data_faults(document: Members, name: str) -> Iterator[Fault]:
    if name not in ORDERS:
        yield Fault(DeadReason.MALFORMED, "type", "no such command; there are " + ", ".join(ORDERS))
        return
    if "data" not in document:
        yield Fault(DeadReason.MALFORMED, "data", "missing, expected an object")
        return
    if "data" in document.twice:
        yield twice("data")
    form, data = ORDERS[name], document["data"]
    yield from kept_faults(form.shape, data, "data")
    yield from shape_faults(form.shape, data, "data")
    if form.check is not None and isinstance(data, dict):
        yield from form.check(data)
