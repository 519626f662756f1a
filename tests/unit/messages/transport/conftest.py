"""A misbehaving broker, and timeouts short enough to wait for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from messages.transport.amqp_connection import AmqpTimeouts
from tests.unit.messages.transport.fake_broker import FakeBroker


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    """A fake broker, well-behaved at first."""
    fake = FakeBroker()
    yield fake
    fake.close()


@pytest.fixture
def timeouts() -> AmqpTimeouts:
    """Everything within half a second, heartbeats each second."""
    half = timedelta(seconds=0.5)
    return AmqpTimeouts(connect=half, answer=half, heartbeat=timedelta(seconds=1), close=half)
