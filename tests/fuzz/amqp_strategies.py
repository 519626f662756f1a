"""AMQP properties as a client may set them, and a broker hands them on: of every type that a header can have.

But for floating-point numbers, which pika does not write: they are among the seeds.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from pika import BasicProperties

from messages.dead_letters import HEADER_PREFIX

_SHORT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)  # 255 bytes at most
_NAMES = _SHORT | st.sampled_from(["CC", "BCC", "x-death", "x-delivery-count", "compression", f"{HEADER_PREFIX}reason"])
_PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.decimals(-1000, 1000, places=2).map(lambda number: Decimal(f"{number:.2f}")),
    st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - the zone follows
    st.binary(max_size=20),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=1100),
)
_VALUES = st.recursive(
    _PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_SHORT, inner, max_size=3), max_leaves=6
)


def frames() -> st.SearchStrategy[bytes]:
    """Any routing key, its length first, and any properties."""
    properties = st.builds(
        BasicProperties,
        content_type=st.none() | _SHORT,
        content_encoding=st.none() | _SHORT,
        headers=st.none() | st.dictionaries(_NAMES, _VALUES, max_size=60),
        delivery_mode=st.sampled_from([None, 1, 2]),
        correlation_id=st.none() | _SHORT,
        reply_to=st.none() | _SHORT | st.just("recouple.replies.fuzz"),
        message_id=st.none() | _SHORT,
        timestamp=st.none() | st.integers(0, 2**64 - 1),
        type=st.none() | _SHORT | st.just("recouple.command.retry"),
        user_id=st.none() | _SHORT,
        app_id=st.none() | _SHORT,
    )
    return st.builds(_frame, _SHORT, properties)


def _frame(routing_key: str, properties: Any) -> bytes:
    key = routing_key.encode()
    return bytes([len(key)]) + key + b"".join(properties.encode())
