"""A message that cannot be taken, as it goes to dead: the same bytes, and the reason in its headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from messages.dead import DeadLetter
from messages.envelope import in_utc
from messages.topology import dead_exchange
from messages.transport.ports import Delivery, Properties, Publication

HEADER_PREFIX: Final = "x-recouple-"
"""Of the headers that say why; ``recouple dead replay`` takes them off again."""

MAX_HEADER_CHARACTERS: Final = 1000
"""Of a text in a header; all headers have to fit into one AMQP frame."""

MAX_KEPT_BYTES: Final = 64 * 1024
"""Of the sender's headers, which may fill a frame by themselves; ours have to fit into the same one."""

_MAX_KEPT_HEADERS: Final = 50
_MAX_SHORT_BYTES: Final = 255  # of a short string in AMQP 0-9-1
_MAX_LONG: Final = 2**63 - 1

# The broker would act on them again: CC and BCC route to more queues, with our rights instead of the sender's. What it
# said of a first death it would not say anew of the next.
_DEATHS: Final = {f"x-{which}-death-{what}" for which in ("first", "last") for what in ("exchange", "queue", "reason")}
_ACTED_ON: Final = frozenset({"cc", "bcc", "x-death", "x-delivery-count", "x-delay"}) | _DEATHS


def encode_dead(delivery: Delivery, letter: DeadLetter, ns: str) -> Publication:
    """Return ``delivery`` as it goes to dead, for the reason in ``letter``.

    Properties and headers are kept as far as they may be published again: ``user_id`` is dropped (a broker refuses one
    that is not ours), and so are headers that a broker acts on, that are no plain values, or that are very long.
    """
    said = {
        "reason": letter.reason.value,
        "detail": letter.detail,
        "field": letter.field,
        "queue": letter.queue,
        "at": in_utc(letter.at).isoformat().replace("+00:00", "Z"),
    }
    headers = _kept_headers(delivery.properties.headers)
    headers |= {f"{HEADER_PREFIX}{name}": _bounded(text) for name, text in said.items()}
    return Publication(
        exchange=dead_exchange(ns),
        routing_key=letter.queue,
        body=delivery.body,
        properties=_kept_properties(delivery.properties, headers),
    )


def encode_replay(delivery: Delivery) -> Publication:
    """Return a dead message as it goes back to the queue that it came from, without what was said of it.

    Its routing key names that queue, whether a worker or the broker itself put it to dead; a header could be the
    sender's own, and would let one app write into the queue of another.
    """
    return Publication(
        exchange="",
        routing_key=delivery.routing_key,
        body=delivery.body,
        properties=_kept_properties(delivery.properties, _kept_headers(delivery.properties.headers)),
    )


def _kept_properties(properties: Properties, headers: dict[str, Any]) -> Properties:
    texts = ("message_id", "type", "app_id", "correlation_id", "reply_to", "content_type", "content_encoding")
    kept = {name: text if _is_short(text := getattr(properties, name)) else None for name in texts}
    timestamp_s = properties.timestamp_s
    if timestamp_s is not None and not 0 <= timestamp_s <= _MAX_LONG:
        timestamp_s = None
    return msgspec.structs.replace(properties, **kept, timestamp_s=timestamp_s, user_id=None, headers=headers)


def _kept_headers(headers: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    room_bytes = MAX_KEPT_BYTES
    for name, value in headers.items():
        if _is_kept(name, value) and len(kept) < _MAX_KEPT_HEADERS:
            room_bytes -= len(name.encode()) + len(str(value).encode())
            if room_bytes < 0:
                break
            kept[name] = value
    return kept


def _is_kept(name: str, value: object) -> bool:
    ours = name.lower() in _ACTED_ON or name.startswith(HEADER_PREFIX)
    return not ours and _is_short(name) and _is_plain(value)


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_HEADER_CHARACTERS and _is_unicode(value)
    return isinstance(value, (bool, float)) or (isinstance(value, int) and -_MAX_LONG <= value <= _MAX_LONG)


def _is_short(text: object) -> bool:
    return isinstance(text, str) and _is_unicode(text) and len(text.encode()) <= _MAX_SHORT_BYTES


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _bounded(text: str) -> str:
    text = text.encode(errors="replace").decode()
    return text if len(text) <= MAX_HEADER_CHARACTERS else text[: MAX_HEADER_CHARACTERS - 1] + "…"
