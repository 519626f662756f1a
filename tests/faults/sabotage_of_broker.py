"""Sabotage between a worker and its broker: of what is acknowledged, and of what is published."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import Connection

from messages.instructions import Instruction
from messages.transport.ports import Broker, Consumer, Delivery, Publication, Publisher
from store import outbox
from store.outbox import Waiting
from workers import writing
from workers.bootstrap import Doors

WAIT = timedelta(seconds=5)

Consumers: TypeAlias = Callable[[Consumer], "_Like"]


class _Like:
    """Something that is the real one but for what is broken."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class _Hasty(_Like):
    """Acknowledges what it has not even handed over."""

    def receive(self, max_messages: int, wait: timedelta) -> list[Delivery]:
        deliveries: list[Delivery] = self._real.receive(max_messages, wait)
        self._real.acknowledge(deliveries)
        return deliveries

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """It is done already."""


class _Forgetful(_Like):
    """Acknowledges what is delivered for the first time."""

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        self._real.acknowledge([one for one in deliveries if not one.attempts])


class _Stumbling(_Like):
    """Knows of no delivery but the first."""

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        if any(one.attempts for one in deliveries):
            raise LookupError("there is no such delivery")
        self._real.acknowledge(deliveries)


class _Broker(_Like):
    """A broker with such consumers."""

    def __init__(self, real: Broker, consumers: Consumers) -> None:
        super().__init__(real)
        self._consumers = consumers

    def consumer(self, queues: Sequence[str], prefetch: int) -> Any:
        return self._consumers(self._real.consumer(queues, prefetch))


def acknowledge_first(doors: Doors) -> Doors:
    """Acknowledge before anything is done."""
    return _with(doors, _Hasty)


def keep_repeated(doors: Doors) -> Doors:
    """Never acknowledge what was delivered before."""
    return _with(doors, _Forgetful)


def stumble_over_repeated(doors: Doors) -> Doors:
    """Raise where what was delivered before is acknowledged."""
    return _with(doors, _Stumbling)


def _with(doors: Doors, consumers: Consumers) -> Doors:
    def connect(url: str) -> Any:
        return _Broker(doors.connect(url), consumers)

    return doors._replace(connect=connect)


def publish_uncommitted(doors: Doors) -> Doors:
    """Publish what is put into the outbox as it is put there."""
    return doors._replace(connect=lambda url: _with_indiscretion(doors.connect(url)))


def _with_indiscretion(broker: Broker) -> Broker:
    put, hand_over = outbox.put, outbox.hand_over
    publishers: list[Publisher] = []

    def put_and_tell(
        connection: Connection,
        publications: Sequence[tuple[Publication, str | None]],
        turns: Mapping[str, datetime] = {},
    ) -> None:
        tell(publications)
        put(connection, publications, turns)

    def hand_over_and_tell(
        connection: Connection, publications: Sequence[tuple[Publication, str | None]], until: datetime
    ) -> list[Waiting]:
        tell(publications)
        return hand_over(connection, publications, until)

    def tell(publications: Sequence[tuple[Publication, str | None]]) -> None:
        if not publishers:
            publishers.append(broker.publisher())
        publishers[0].publish([one for one, _ in publications], WAIT)

    outbox.put, outbox.hand_over = put_and_tell, hand_over_and_tell
    return broker


def lose_a_field(doors: Doors) -> Doors:
    """Leave out the last of several fields of an instruction."""
    place: Any = writing
    encode = place.encode_instruction

    def encode_less(message: Instruction, namespace: str, now: datetime) -> Publication:
        names = list(message.fields)
        if len(names) > 1:
            less = {name: message.fields[name] for name in names[:-1]}
            message = msgspec.structs.replace(message, fields=less)
        published: Publication = encode(message, namespace, now)
        return published

    place.encode_instruction = encode_less
    return doors
